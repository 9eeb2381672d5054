/**
 * An event as the engines keep and send it: bytes, the same for every engine. Nodes of two versions read each other's:
 * what is here is only ever added to, under a flag of its own.
 *
 *     flags     1 byte     bits 0 and 1: the data's form; bit 2: there is a sender; bit 3: there is a key
 *     at        8 bytes    a double, big-endian: Unix milliseconds
 *     event     1 byte of length, then ASCII
 *     sender    2 bytes of length, big-endian, then UTF-8
 *     key       2 bytes of length, big-endian, then UTF-8
 *     data      the rest: JSON text in UTF-8, or MessagePack
 */
import { type NewEvent, RoomEvent } from "../../protocol/event.js";
import { Payload } from "../../protocol/payload.js";

const FORM = { json: 0, msgpack: 1, msgpackWithBinary: 2 } as const;
const FORM_BITS = 3;
const FROM = 4;
const KEY = 8;

/** What stands before the event's name. */
const FIXED = 9;

function formOf(data: Payload): number {
  if (data.hasBinary) return FORM.msgpackWithBinary;
  return data.form === "msgpack" ? FORM.msgpack : FORM.json;
}

/** `event` as bytes. */
export function encodeRecord({ event, data, from, at, key }: NewEvent): Buffer {
  const form = formOf(data);
  const body = form === FORM.json ? data.json : data.msgpack;
  const bodyLength = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  const fromLength = from === undefined ? 0 : Buffer.byteLength(from);
  const keyLength = key === undefined ? 0 : Buffer.byteLength(key);
  const length =
    FIXED +
    (1 + event.length) +
    (from === undefined ? 0 : 2 + fromLength) +
    (key === undefined ? 0 : 2 + keyLength) +
    bodyLength;
  const bytes = Buffer.allocUnsafe(length);
  bytes[0] = form | (from === undefined ? 0 : FROM) | (key === undefined ? 0 : KEY);
  bytes.writeDoubleBE(at, 1);
  bytes[FIXED] = event.length;
  bytes.write(event, FIXED + 1, "latin1");
  let end = FIXED + 1 + event.length;
  for (const [text, size] of [[from, fromLength] as const, [key, keyLength] as const]) {
    if (text === undefined) continue;
    end = bytes.writeUInt16BE(size, end);
    end += bytes.write(text, end);
  }
  if (typeof body === "string") bytes.write(body, end);
  else bytes.set(body, end);
  return bytes;
}

/**
 * The event of a record, at its place in the log. `bytes` may be a view of a buffer in use: nothing of it is kept.
 * Throws a `RangeError` where they are not a record.
 */
export function decodeRecord(offset: number, bytes: Buffer): RoomEvent {
  const flags = bytes[0] ?? 0;
  const at = bytes.readDoubleBE(1);
  const eventEnd = FIXED + 1 + bytes.readUInt8(FIXED);
  const event = bytes.toString("latin1", FIXED + 1, eventEnd);
  let start = eventEnd;
  const text = (): string => {
    const end = start + 2 + bytes.readUInt16BE(start);
    const read = bytes.toString("utf8", start + 2, end);
    start = end;
    return read;
  };
  const from = (flags & FROM) === 0 ? undefined : text();
  const key = (flags & KEY) === 0 ? undefined : text();
  if (start > bytes.length) throw new RangeError("record: expected more bytes");
  const form = flags & FORM_BITS;
  const data =
    form === FORM.json
      ? Payload.ofJson(bytes.toString("utf8", start))
      : Payload.ofMsgpack(new Uint8Array(bytes.subarray(start)), form === FORM.msgpackWithBinary);
  return new RoomEvent(offset, { event, data, from, at, key });
}
