/** The MessagePack codec, as a server uses it: events' data is carried as the bytes it came in. */
import type { EventsHead, ReceivedFrame, ServerCodec } from "./codec.js";
import { ProtocolError } from "./codes.js";
import type { RoomEvent } from "./event.js";
import { describe, layoutOf, readFields, requestId, withId } from "./fields.js";
import { clientFrames, type ServerFrame, serverFrames } from "./frames.js";
import { faultIn, MSGPACK_SUBPROTOCOL, pack, toArray } from "./msgpack.js";
import { readValueAt } from "./msgpack-read.js";
import { type Span, scanFrame } from "./msgpack-scan.js";
import { Payload } from "./payload.js";
import { MAX_DATA_DEPTH } from "./plain.js";

/** Where the data stands in the arrays of the frames that have some: the number first, then the fields. */
const DATA_INDEX: { readonly [type: string]: number } = Object.fromEntries(
  Object.entries(clientFrames).flatMap(([type, { fields }]) => {
    const index = Object.keys(fields).indexOf("data");
    return index < 0 ? [] : [[type, 1 + index]];
  }),
);
const NIL = 0xc0;

function decode(wire: string | Uint8Array): ReceivedFrame {
  if (typeof wire === "string") throw new ProtocolError("frame", "a binary message", "a text one", true);
  const { spans, fault } = scanFrame(wire, MAX_DATA_DEPTH);
  const type = spans[0] === undefined ? undefined : readValueAt(wire, spans[0].start);
  const layout = typeof type === "number" ? layoutOf("client", type) : undefined;
  const id = spans[1] === undefined ? undefined : readValueAt(wire, spans[1].start);
  return withId(requestId(layout?.type, id), () => {
    if (layout === undefined) throw new ProtocolError("type", "the number of a frame", fault?.got ?? describe(type));
    if (fault !== undefined) throw faultIn(layout, spans, fault);
    const dataIndex = DATA_INDEX[layout.type];
    const data = dataIndex === undefined ? undefined : spans[dataIndex];
    const source: unknown[] = [type, id];
    // The data stays as it is, and is not looked at; the rest of the frame is small.
    for (let index = 2; index < spans.length && index <= layout.fields.length; index++) {
      const { start } = spans[index] as Span;
      source.push(index === dataIndex && wire[start] !== NIL ? true : readValueAt(wire, start));
    }
    const frame = readFields({ type: layout.type }, layout.fields, source, 1) as { [name: string]: unknown };
    // A copy, whatever `slice` means on the array at hand: on a Buffer it is a view.
    if (data && "data" in frame)
      frame["data"] = Payload.ofMsgpack(new Uint8Array(wire.subarray(data.start, data.end)), data.hasBinary);
    return frame as ReceivedFrame;
  });
}

/** Writes the headers and small values that frame what is already encoded. */
class Writer {
  #bytes = new Uint8Array(512);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  /** Makes room for `count` bytes and gives their place. It may replace the arrays: call it before touching them. */
  #room(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#bytes.length * 2, at + count));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#at = at + count;
    return at;
  }

  byte(value: number): void {
    const at = this.#room(1);
    this.#bytes[at] = value;
  }

  raw(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** A byte that gives the type, and a whole number of 1, 2 or 4 bytes behind it. */
  #typed(type: number, width: 1 | 2 | 4, value: number): void {
    const at = this.#room(1 + width);
    this.#bytes[at] = type;
    if (width === 1) this.#bytes[at + 1] = value;
    else if (width === 2) this.#view.setUint16(at + 1, value);
    else this.#view.setUint32(at + 1, value);
  }

  arrayHeader(length: number): void {
    if (length < 16) this.byte(0x90 | length);
    else if (length <= 0xffff) this.#typed(0xdc, 2, length);
    else this.#typed(0xdd, 4, length);
  }

  /** A whole number from 0 to 2^53 - 1. */
  uint(value: number): void {
    if (value < 0x80) this.byte(value);
    else if (value <= 0xff) this.#typed(0xcc, 1, value);
    else if (value <= 0xffff) this.#typed(0xcd, 2, value);
    else if (value <= 0xffff_ffff) this.#typed(0xce, 4, value);
    else {
      const at = this.#room(9);
      this.#bytes[at] = 0xcf;
      this.#view.setUint32(at + 1, Math.floor(value / 0x1_0000_0000));
      this.#view.setUint32(at + 5, value >>> 0);
    }
  }

  /** A short string, a name above all; what is long or not ASCII is left to msgpackr. */
  text(text: string | undefined): void {
    if (text === undefined) return this.byte(0xc0);
    const start = this.#at;
    if (text.length < 32) this.byte(0xa0 | text.length);
    else if (text.length <= 0xff) this.#typed(0xd9, 1, text.length);
    else return this.raw(pack(text));
    const at = this.#room(text.length);
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) {
        this.#at = start;
        return this.raw(pack(text));
      }
      this.#bytes[at + index] = code;
    }
  }

  /** What was written, in bytes of its own; the writer is empty again. */
  finish(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.#at);
    this.#at = 0;
    // One large frame must not keep its memory for ever.
    if (this.#bytes.length > 1 << 20) {
      this.#bytes = new Uint8Array(512);
      this.#view = new DataView(this.#bytes.buffer);
    }
    return bytes;
  }
}

/** One for all frames: whatever may throw is done before the first byte of a frame is written. */
const writer = new Writer();

function encodeEvent(event: RoomEvent): Uint8Array {
  if (event.msgpack !== undefined) return event.msgpack;
  const data = event.data.msgpack;
  writer.arrayHeader(event.key === undefined ? 5 : 6);
  if (event.offset > 0) writer.uint(event.offset);
  else writer.byte(0xc0);
  writer.text(event.event);
  writer.raw(data);
  writer.text(event.from);
  writer.uint(event.at);
  if (event.key !== undefined) writer.text(event.key);
  event.msgpack = writer.finish();
  return event.msgpack;
}

function encodeEvents(head: EventsHead, events: readonly RoomEvent[]): Uint8Array {
  for (let index = 0; index < events.length; index++) encodeEvent(events[index] as RoomEvent);
  if (head.type === "events") {
    writer.arrayHeader(4);
    writer.byte(serverFrames.events.number);
    writer.text(head.room);
    if (head.previous === undefined) writer.byte(0xc0);
    else writer.uint(head.previous);
  } else {
    // `events` is the last field of its frame: an empty one at the end of the packed head is cut off again.
    writer.raw(pack(toArray({ ...head, events: [] } as ServerFrame, "server")).subarray(0, -1));
  }
  writer.arrayHeader(events.length);
  for (let index = 0; index < events.length; index++) writer.raw(encodeEvent(events[index] as RoomEvent));
  return writer.finish();
}

export const msgpackServer: ServerCodec = {
  name: "msgpack",
  subprotocol: MSGPACK_SUBPROTOCOL,
  binary: true,
  decode,
  encode: (frame) => pack(toArray(frame, "server")),
  encodeEvent,
  encodeEvents,
};
