/** WebSocket frames, as far as a load generator needs them: what it sends is masked, what it gets is walked over. */

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/** A client's frame. The mask is zero: legal, and the same work for whoever takes it off. */
export function clientFrame(opcode: number, payload: Uint8Array): Buffer {
  if (payload.length > 0xffff) throw new RangeError(`a payload of ${payload.length} bytes; at most 65535 can be sent`);
  const header = Buffer.alloc(payload.length < 126 ? 6 : 8);
  header[0] = 0x80 | opcode;
  if (payload.length < 126) header[1] = 0x80 | payload.length;
  else {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(payload.length, 2);
  }
  return Buffer.concat([header, payload]);
}

/** Sent as text when it is a string. */
export function dataFrame(wire: string | Uint8Array): Buffer {
  return typeof wire === "string" ? clientFrame(TEXT, Buffer.from(wire)) : clientFrame(BINARY, wire);
}

/** Told of each whole frame: where its payload lies in `bytes`, which are only good during the call. */
export type OnFrame = (opcode: number, bytes: Buffer, start: number, end: number) => void;

/** Finds the frames in a stream of a server's bytes. Compressed or fragmented ones throw: no contestant sends them. */
export class FrameWalker {
  readonly #onFrame: OnFrame;
  #rest: Buffer | undefined;

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame;
  }

  /** Takes the next `length` bytes of the stream, from the start of `bytes`. */
  feed(bytes: Buffer, length: number): void {
    const rest = this.#rest;
    const all = rest === undefined ? bytes : Buffer.concat([rest, bytes.subarray(0, length)]);
    const end = rest === undefined ? length : all.length;
    const at = this.#walk(all, end);
    this.#rest = at === end ? undefined : Buffer.from(all.subarray(at, end));
  }

  /** Where the first frame starts that is not there in whole. */
  #walk(bytes: Buffer, end: number): number {
    let at = 0;
    while (end - at >= 2) {
      let length = (bytes[at + 1] as number) & 0x7f;
      let start = at + 2;
      if (length === 126) {
        if (end - at < 4) break;
        length = bytes.readUInt16BE(start);
        start += 2;
      } else if (length === 127) {
        if (end - at < 10) break;
        length = bytes.readUInt32BE(start + 4);
        start += 8;
      }
      if (start + length > end) break;
      const first = bytes[at] as number;
      if ((first & 0xf0) !== 0x80)
        throw new Error(`a frame of one piece, uncompressed, expected; it starts with ${first}`);
      this.#onFrame(first & 0x0f, bytes, start, start + length);
      at = start + length;
    }
    return at;
  }
}
