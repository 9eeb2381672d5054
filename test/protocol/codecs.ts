/** Both codecs, and what tests do with them. */
import type { ClientCodec, ReceivedFrame, ServerCodec, Wire } from "../../protocol/codec.js";
import type { ServerFrame } from "../../protocol/frames.js";
import { json } from "../../protocol/json.js";
import { jsonServer } from "../../protocol/json-server.js";
import { msgpack } from "../../protocol/msgpack.js";
import { msgpackServer } from "../../protocol/msgpack-server.js";
import { roomEvent } from "./arbitraries.js";

export const codecs: readonly { readonly client: ClientCodec; readonly server: ServerCodec }[] = [
  { client: json, server: jsonServer },
  { client: msgpack, server: msgpackServer },
];

/** A server's frame in a codec, whatever its type. */
export function encodeServer(codec: ServerCodec, frame: ServerFrame): Wire {
  switch (frame.type) {
    case "events":
    case "joined":
    case "history": {
      const { events, ...head } = frame;
      return codec.encodeEvents(head, events.map(roomEvent));
    }
    default:
      return codec.encode(frame);
  }
}

/** A received frame with its data as a value, as the client gave it. */
export function opened(frame: ReceivedFrame): object {
  return "data" in frame && frame.data !== undefined ? { ...frame, data: frame.data.value } : frame;
}

/** What a reader of the codec gets where the sender gave `value`: binary is base64 in JSON. */
export function asRead(codec: ClientCodec, value: unknown): unknown {
  if (value instanceof Uint8Array) return codec.name === "json" ? Buffer.from(value).toString("base64") : value;
  if (Array.isArray(value)) return value.map((item) => asRead(codec, item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, asRead(codec, item)]));
}

export function hex(wire: Wire): string {
  return Buffer.from(wire as Uint8Array).toString("hex");
}

export function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
}

/** The error that a decoder throws; fails where it throws none. */
export function thrown(decode: () => unknown): unknown {
  try {
    decode();
  } catch (error) {
    return error;
  }
  throw new Error("expected an error, and nothing was thrown");
}
