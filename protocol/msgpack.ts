/** The MessagePack codec, as clients use it: a frame is an array in the order of the table, a binary message. */
import { Packr, Unpackr } from "msgpackr";
import type { ClientCodec } from "./client-codec.js";
import { ProtocolError } from "./codes.js";
import { layoutOf, readFields, withId } from "./fields.js";
import type { ClientFrame, ServerFrame } from "./frames.js";
import { clientFrames, type FieldKind, serverFrames, structures } from "./frames.js";
import { scanFrame } from "./msgpack-scan.js";

/** What stands for MessagePack in `Sec-WebSocket-Protocol`. */
export const MSGPACK_SUBPROTOCOL = "roomcast.v1.msgpack";

/** How deep a server's frame may nest: an event's data within a list of events within a frame. */
const MAX_SERVER_DEPTH = 72;

const options = { useRecords: false, mapsAsObjects: true, copyBuffers: true, int64AsType: "number" } as const;
const packr = new Packr(options);
const unpackr = new Unpackr(options);

/** The value in MessagePack, in bytes of its own. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** The value that `bytes` hold. They must have passed `scanFrame`: msgpackr alone builds whatever it is told to. */
export function unpack(bytes: Uint8Array): unknown {
  return unpackr.unpack(bytes);
}

type Named = { readonly [name: string]: unknown };

function orderedFields(fields: { readonly [name: string]: string }, source: Named): unknown[] {
  const values = Object.entries(fields).map(([name, spec]) =>
    ordered(spec.replace("?", "") as FieldKind, source[name]),
  );
  // What is left out at the end needs no place; a null that is a value keeps its own.
  while (values.length > 0 && values[values.length - 1] === undefined) values.pop();
  return values.map((value) => (value === undefined ? null : value));
}

function ordered(kind: FieldKind, value: unknown): unknown {
  if (value === undefined) return undefined;
  if (kind === "position" || kind === "limits") return orderedFields(structures[kind], value as Named);
  if (kind === "events" || kind === "members") {
    return (value as readonly Named[]).map((item) => orderedFields(structures[kind], item));
  }
  return value;
}

/** A frame as the array that MessagePack carries. */
export function toArray(frame: ClientFrame | ServerFrame, side: "client" | "server"): unknown[] {
  const table = side === "client" ? clientFrames : serverFrames;
  const spec = (table as { [type: string]: { number: number; fields: { [name: string]: string } } })[frame.type];
  if (spec === undefined) throw new TypeError(`no ${side} frame is called ${frame.type}`);
  return [spec.number, ...orderedFields(spec.fields, frame)];
}

export const msgpack: ClientCodec = {
  name: "msgpack",
  subprotocol: MSGPACK_SUBPROTOCOL,
  encode: (frame) => pack(toArray(frame, "client")),
  decode(wire) {
    if (typeof wire === "string") throw new ProtocolError("frame", "a binary message", "a text one", true);
    scanFrame(wire, MAX_SERVER_DEPTH);
    const source = unpack(wire) as unknown[];
    const layout = typeof source[0] === "number" ? layoutOf("server", source[0]) : undefined;
    if (layout === undefined) return undefined;
    return withId(
      source[1],
      () => readFields({ type: layout.type }, layout.fields, source, "ordered", 1) as ServerFrame,
    );
  },
};
