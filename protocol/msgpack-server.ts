/** The MessagePack codec, as a server uses it: events' data is carried as the bytes it came in. */
import type { EventsHead, ReceivedFrame, ServerCodec } from "./codec.js";
import { ProtocolError } from "./codes.js";
import type { RoomEvent } from "./event.js";
import { describe, layoutOf, readFields, withId } from "./fields.js";
import type { ServerFrame } from "./frames.js";
import { MSGPACK_SUBPROTOCOL, pack, toArray, unpack } from "./msgpack.js";
import { scanFrame } from "./msgpack-scan.js";
import { MAX_DATA_DEPTH, Payload } from "./payload.js";

/** Where the data stands in the arrays of `publish` and `call`: the number first, then the fields. */
const DATA_INDEX: { readonly [type: string]: number } = { publish: 4, call: 3 };

function decode(wire: string | Uint8Array): ReceivedFrame {
  if (typeof wire === "string") throw new ProtocolError("frame", "a binary message", "a text one", true);
  const spans = scanFrame(wire, MAX_DATA_DEPTH);
  const number = unpack(wire.subarray(spans[0]?.start, spans[0]?.end));
  const layout = typeof number === "number" ? layoutOf("client", number) : undefined;
  const dataIndex = layout === undefined ? undefined : DATA_INDEX[layout.type];
  // The data stays as it is; the rest of the frame is small.
  const source = spans.map((span, index) =>
    index === dataIndex ? undefined : unpack(wire.subarray(span.start, span.end)),
  );
  return withId(source[1], () => {
    if (layout === undefined) throw new ProtocolError("type", "the number of a frame", describe(number));
    const span = dataIndex === undefined ? undefined : spans[dataIndex];
    if (dataIndex !== undefined && span === undefined) throw new ProtocolError("data", "a value", "nothing");
    if (dataIndex !== undefined) source[dataIndex] = true;
    const frame = readFields({ type: layout.type }, layout.fields, source, "ordered", 1) as { [name: string]: unknown };
    if (span !== undefined) frame["data"] = Payload.ofMsgpack(wire.slice(span.start, span.end), span.hasBinary);
    return frame as ReceivedFrame;
  });
}

/** Writes the headers and small values that frame what is already encoded. */
class Writer {
  #bytes = new Uint8Array(512);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

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
    this.#bytes[this.#room(1)] = value;
  }

  raw(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  arrayHeader(length: number): void {
    if (length < 16) return this.byte(0x90 | length);
    this.byte(0xdd);
    this.#view.setUint32(this.#room(4), length);
  }

  uint(value: number): void {
    if (value < 0x80) return this.byte(value);
    if (value <= 0xffff_ffff) {
      this.byte(0xce);
      this.#view.setUint32(this.#room(4), value);
    } else {
      this.byte(0xcf);
      const at = this.#room(8);
      this.#view.setUint32(at, Math.floor(value / 0x1_0000_0000));
      this.#view.setUint32(at + 4, value >>> 0);
    }
  }

  /** A name, whose characters are a byte each. */
  name(text: string): void {
    if (text.length < 32) this.byte(0xa0 | text.length);
    else {
      this.byte(0xd9);
      this.byte(text.length);
    }
    const at = this.#room(text.length);
    for (let index = 0; index < text.length; index++) this.#bytes[at + index] = text.charCodeAt(index);
  }

  text(text: string | undefined): void {
    if (text === undefined) this.byte(0xc0);
    else this.raw(pack(text));
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

const writer = new Writer();

function encodeEvent(event: RoomEvent): Uint8Array {
  if (event.msgpack !== undefined) return event.msgpack;
  const data = event.data.msgpack;
  writer.arrayHeader(event.key === undefined ? 5 : 6);
  if (event.offset > 0) writer.uint(event.offset);
  else writer.byte(0xc0);
  writer.name(event.event);
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
    writer.uint(64);
    writer.name(head.room);
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
