/**
 * Builds the values of MessagePack that has passed `scanFrame`, which is what keeps this short and safe: lengths are
 * true, nesting is shallow, text is well-formed, and there are no extension types.
 *
 * msgpackr is not used for reading. Without its native part (in browsers, on musl) it drops a byte order mark from the
 * front of longer strings, and it leaves a property on the arrays that it reads.
 */

/** A byte order mark within data is a character like any other. */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Up to this many bytes, text is built faster here than by a decoder. */
const SHORT = 24;

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
  }

  /** Moves on by `count` bytes and gives the place before them. */
  #take(count: number): number {
    const at = this.#at;
    this.#at = at + count;
    return at;
  }

  #uint(width: 1 | 2 | 4): number {
    const at = this.#take(width);
    if (width === 1) return this.#view.getUint8(at);
    return width === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #int(width: 1 | 2 | 4): number {
    const at = this.#take(width);
    if (width === 1) return this.#view.getInt8(at);
    return width === 2 ? this.#view.getInt16(at) : this.#view.getInt32(at);
  }

  /** Exact, since the scan lets nothing beyond 2^53 - 1 pass. */
  #integer64(signed: boolean): number {
    const high = signed ? this.#int(4) : this.#uint(4);
    return high * 0x1_0000_0000 + this.#uint(4);
  }

  #text(length: number): string {
    const start = this.#take(length);
    if (length > SHORT) return utf8.decode(this.#bytes.subarray(start, start + length));
    let text = "";
    for (let at = start; at < start + length; at++) {
      const byte = this.#bytes[at] as number;
      if (byte > 0x7f) return utf8.decode(this.#bytes.subarray(start, start + length));
      text += String.fromCharCode(byte);
    }
    return text;
  }

  #binary(length: number): Uint8Array {
    const start = this.#take(length);
    return new Uint8Array(this.#bytes.subarray(start, start + length));
  }

  #array(length: number): unknown[] {
    const array: unknown[] = [];
    for (let index = 0; index < length; index++) array.push(this.value());
    return array;
  }

  #map(length: number): object {
    const map: { [key: string]: unknown } = {};
    for (let index = 0; index < length; index++) {
      const key = this.value() as string;
      map[key] = this.value();
    }
    return map;
  }

  value(): unknown {
    const first = this.#uint(1);
    if (first <= 0x7f) return first;
    if (first <= 0x8f) return this.#map(first & 0x0f);
    if (first <= 0x9f) return this.#array(first & 0x0f);
    if (first <= 0xbf) return this.#text(first & 0x1f);
    if (first >= 0xe0) return first - 0x100;
    switch (first) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#binary(this.#uint(1));
      case 0xc5:
        return this.#binary(this.#uint(2));
      case 0xc6:
        return this.#binary(this.#uint(4));
      case 0xca:
        return this.#view.getFloat32(this.#take(4));
      case 0xcb:
        return this.#view.getFloat64(this.#take(8));
      case 0xcc:
        return this.#uint(1);
      case 0xcd:
        return this.#uint(2);
      case 0xce:
        return this.#uint(4);
      case 0xcf:
        return this.#integer64(false);
      case 0xd0:
        return this.#int(1);
      case 0xd1:
        return this.#int(2);
      case 0xd2:
        return this.#int(4);
      case 0xd3:
        return this.#integer64(true);
      case 0xd9:
        return this.#text(this.#uint(1));
      case 0xda:
        return this.#text(this.#uint(2));
      case 0xdb:
        return this.#text(this.#uint(4));
      case 0xdc:
        return this.#array(this.#uint(2));
      case 0xdd:
        return this.#array(this.#uint(4));
      case 0xde:
        return this.#map(this.#uint(2));
      case 0xdf:
        return this.#map(this.#uint(4));
      default:
        throw new TypeError(`0x${first.toString(16)} must not have passed the scan`);
    }
  }
}

/** The value that starts at `start`. Nothing in it shares memory with `bytes`. They must have passed the scan. */
export function readValueAt(bytes: Uint8Array, start: number): unknown {
  const first = bytes[start] as number;
  return first <= 0x7f ? first : new Reader(bytes, start).value();
}
