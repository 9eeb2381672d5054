/**
 * Walks MessagePack bytes before anything is built from them.
 *
 * A decoder allocates what a length field promises, follows every nesting, and gives meaning to extension types; a
 * few hundred hostile bytes can so cost gigabytes or minutes. The walk holds no values and ends within the bytes
 * there are: whatever passes it is well-formed, shallow, made of plain values alone, and safe to decode.
 * Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
import { ProtocolError } from "./codes.js";

const UNSAFE = "a whole number within ±(2^53 - 1)";
const strict = new TextDecoder("utf-8", { fatal: true });

const fatal = (expected: string, got: string) => new ProtocolError("frame", expected, got, true);

class Scanner {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #maxDepth: number;
  at = 0;
  /** Whether a binary value was passed: it has no JSON form of its own. */
  hasBinary = false;

  constructor(bytes: Uint8Array, maxDepth: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#maxDepth = maxDepth;
  }

  /** Moves on by `count` bytes and gives the place before them. */
  #take(count: number): number {
    const at = this.at;
    if (count > this.#bytes.length - at) throw fatal("as many bytes as its lengths say", "fewer");
    this.at = at + count;
    return at;
  }

  #length(width: 1 | 2 | 4): number {
    const at = this.#take(width);
    if (width === 1) return this.#view.getUint8(at);
    return width === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  /** The number of elements where an array starts here, else `undefined`. */
  arrayLength(): number | undefined {
    const first = this.#bytes[this.at];
    if (first === undefined) return undefined;
    if (first >= 0x90 && first <= 0x9f) {
      this.at++;
      return first & 0x0f;
    }
    if (first !== 0xdc && first !== 0xdd) return undefined;
    this.at++;
    return this.#length(first === 0xdc ? 2 : 4);
  }

  #text(length: number): void {
    const start = this.#take(length);
    for (let at = start; at < this.at; at++) {
      if ((this.#bytes[at] as number) < 0x80) continue;
      try {
        strict.decode(this.#bytes.subarray(start, this.at));
      } catch {
        throw fatal("strings of well-formed UTF-8", "other bytes");
      }
      return;
    }
  }

  #items(count: number, depth: number, map: boolean): void {
    if (depth >= this.#maxDepth) throw fatal(`at most ${this.#maxDepth} levels of nesting`, "more");
    // Every element is a byte at the least: a count beyond the bytes is a lie, found before it costs anything.
    if (count * (map ? 2 : 1) > this.#bytes.length - this.at) throw fatal("as many bytes as its lengths say", "fewer");
    for (let index = 0; index < count; index++) {
      if (map) this.#key();
      this.value(depth + 1);
    }
  }

  #key(): void {
    const first = this.#bytes[this.at] ?? 0;
    if (!((first >= 0xa0 && first <= 0xbf) || (first >= 0xd9 && first <= 0xdb))) {
      throw fatal("strings as keys of maps", `a byte 0x${first.toString(16)}`);
    }
    const start = this.at;
    this.value(0);
    // "__proto__" is nine bytes behind a header of one to five; a decoder would set a prototype or rename it.
    const header = first <= 0xbf ? 1 : first === 0xd9 ? 2 : first === 0xda ? 3 : 5;
    if (
      this.at - start - header === 9 &&
      strict.decode(this.#bytes.subarray(start + header, this.at)) === "__proto__"
    ) {
      throw new ProtocolError("data", 'keys other than "__proto__"', "it");
    }
  }

  #integer64(signed: boolean): void {
    const at = this.#take(8);
    const value = signed ? this.#view.getBigInt64(at) : this.#view.getBigUint64(at);
    if (value > 9007199254740991n || value < -9007199254740991n) throw new ProtocolError("data", UNSAFE, String(value));
  }

  /** Passes one value, whatever it is. */
  value(depth: number): void {
    const first = this.#bytes[this.#take(1)] as number;
    if (first <= 0x7f || first >= 0xe0) return;
    if (first <= 0x8f) return this.#items(first & 0x0f, depth, true);
    if (first <= 0x9f) return this.#items(first & 0x0f, depth, false);
    if (first <= 0xbf) return this.#text(first & 0x1f);
    switch (first) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        this.hasBinary = true;
        this.#take(this.#length(first === 0xc4 ? 1 : first === 0xc5 ? 2 : 4));
        return;
      case 0xca:
      case 0xcb:
        this.#take(first === 0xca ? 4 : 8);
        return;
      case 0xcc:
      case 0xd0:
        this.#take(1);
        return;
      case 0xcd:
      case 0xd1:
        this.#take(2);
        return;
      case 0xce:
      case 0xd2:
        this.#take(4);
        return;
      case 0xcf:
      case 0xd3:
        return this.#integer64(first === 0xd3);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#length(first === 0xd9 ? 1 : first === 0xda ? 2 : 4));
      case 0xdc:
      case 0xdd:
        return this.#items(this.#length(first === 0xdc ? 2 : 4), depth, false);
      case 0xde:
      case 0xdf:
        return this.#items(this.#length(first === 0xde ? 2 : 4), depth, true);
      default: // 0xc1, and the extension types: timestamps, and whatever a decoder might give a meaning to
        throw fatal("plain values", `a byte 0x${first.toString(16)}`);
    }
  }
}

/** Where one element of a frame's array lies in its bytes. */
export type Span = { readonly start: number; readonly end: number; readonly hasBinary: boolean };

/**
 * Walks a whole frame, an array, and gives where each of its elements lies. `maxDepth` bounds the nesting within an
 * element. Throws `ProtocolError`: fatal, but for a key or a number in the data that is not allowed.
 */
export function scanFrame(bytes: Uint8Array, maxDepth: number): readonly Span[] {
  const scanner = new Scanner(bytes, maxDepth);
  const count = scanner.arrayLength();
  if (count === undefined || count === 0) throw fatal("an array of a number and fields", "something else");
  if (count > 32) throw fatal("at most 32 elements", String(count));
  const spans: Span[] = [];
  for (let index = 0; index < count; index++) {
    const start = scanner.at;
    scanner.hasBinary = false;
    scanner.value(0);
    spans.push({ start, end: scanner.at, hasBinary: scanner.hasBinary });
  }
  if (scanner.at !== bytes.length) throw fatal("one frame in a message", "bytes after it");
  return spans;
}
