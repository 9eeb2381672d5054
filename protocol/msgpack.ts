/** The MessagePack codec, as clients use it: a frame is an array in the order of the table, a binary message. */
import { Packr } from "msgpackr";
import type { ClientCodec } from "./client-codec.js";
import { ProtocolError } from "./codes.js";
import { type Field, type Layout, layoutOf, parts, readFields, withId } from "./fields.js";
import type { ClientFrame, FieldKind, ServerFrame, Side } from "./frames.js";
import { readValueAt } from "./msgpack-read.js";
import { type Fault, type Span, scanFrame } from "./msgpack-scan.js";
import { plain } from "./plain.js";

/** What stands for MessagePack in `Sec-WebSocket-Protocol`. */
export const MSGPACK_SUBPROTOCOL = "roomcast.v1.msgpack";

/** How deep a server's frame may nest: an event's data within a list of events within a frame. */
const MAX_SERVER_DEPTH = 72;

const packr = new Packr({ useRecords: false, variableMapSize: true });

/** The value in MessagePack, in bytes that nothing else will write to. It must be of plain values. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** The value that `bytes` hold. They must have passed `scanFrame`. */
export function unpack(bytes: Uint8Array): unknown {
  return readValueAt(bytes, 0);
}

/** The error for what the scan stopped at: it is in the field behind the last element that was passed. */
export function faultIn(layout: Layout, spans: readonly Span[], { expected, got }: Fault): ProtocolError {
  return new ProtocolError(layout.fields[spans.length - 1]?.name ?? "frame", expected, got);
}

type Named = { readonly [name: string]: unknown };

/** Appends the fields in their order; what is left out at the end needs no place, and a null that is a value keeps its own. */
function orderFields(target: unknown[], fields: readonly Field[], source: Named): unknown[] {
  let length = target.length;
  for (const { name, kind } of fields) {
    const value = source[name];
    target.push(value === undefined ? null : ordered(kind, value, name));
    if (value !== undefined) length = target.length;
  }
  target.length = length;
  return target;
}

function ordered(kind: FieldKind, value: unknown, name: string): unknown {
  // msgpackr would give Date, undefined and others forms of its own, which no reader takes.
  if (kind === "any") return plain(value, name);
  if (kind === "position" || kind === "limits") return orderFields([], parts[kind], value as Named);
  if (kind === "events" || kind === "members") {
    return (value as readonly Named[]).map((item) => orderFields([], parts[kind], item));
  }
  return value;
}

/** A frame as the array that MessagePack carries. */
export function toArray(frame: ClientFrame | ServerFrame, side: Side): unknown[] {
  const layout = layoutOf(side, frame.type);
  if (layout === undefined) throw new TypeError(`no ${side} frame is called ${frame.type}`);
  return orderFields([layout.number], layout.fields, frame);
}

export const msgpack: ClientCodec = {
  name: "msgpack",
  subprotocol: MSGPACK_SUBPROTOCOL,
  encode: (frame) => pack(toArray(frame, "client")),
  decode(wire) {
    if (typeof wire === "string") throw new ProtocolError("frame", "a binary message", "a text one", true);
    const { spans, fault } = scanFrame(wire, MAX_SERVER_DEPTH);
    const type = spans[0] === undefined ? undefined : readValueAt(wire, spans[0].start);
    const layout = typeof type === "number" ? layoutOf("server", type) : undefined;
    // A frame that a newer server sends may hold anything.
    if (layout === undefined) return undefined;
    const source = spans.slice(0, layout.fields.length + 1).map((span) => readValueAt(wire, span.start));
    return withId(source[1], () => {
      if (fault !== undefined) throw faultIn(layout, spans, fault);
      return readFields({ type: layout.type }, layout.fields, source, 1) as ServerFrame;
    });
  },
};
