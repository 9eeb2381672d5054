/** The JSON codec, as clients use it: a frame is an object, a text message. */
import type { ClientCodec } from "./client-codec.js";
import { ProtocolError } from "./codes.js";
import { describe, fieldsByType, readFields } from "./fields.js";
import type { ServerFrame } from "./frames.js";
import { binaryAsBase64 } from "./plain.js";

/** What stands for JSON in `Sec-WebSocket-Protocol`. */
export const JSON_SUBPROTOCOL = "roomcast.v1.json";

/** Parses text to the object that every JSON frame is. Throws `ProtocolError`, fatal where it is not JSON at all. */
export function parseObject(text: unknown): { readonly [name: string]: unknown } {
  if (typeof text !== "string") throw new ProtocolError("frame", "a text message", "a binary one", true);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProtocolError("frame", "JSON", describe(text), true);
  }
  const got = describe(value);
  if (got === "an object") return value as { [name: string]: unknown };
  throw new ProtocolError("frame", "an object", got);
}

export const json: ClientCodec = {
  name: "json",
  subprotocol: JSON_SUBPROTOCOL,
  encode: (frame) => JSON.stringify(frame, binaryAsBase64),
  decode(wire) {
    const source = parseObject(wire);
    const fields = fieldsByType.get(source["type"]);
    return fields && (readFields({ type: source["type"] }, fields, source) as ServerFrame);
  },
};
