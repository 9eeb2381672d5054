/**
 * Walks MessagePack bytes before anything is built from them.
 *
 * A decoder allocates what a length field promises, follows every nesting, and gives meaning to extension types; a
 * few hundred hostile bytes can so cost gigabytes or minutes. The walk holds no values and ends within the bytes
 * there are: whatever passes it is well-formed, shallow, made of plain values alone, and safe to decode.
 * Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
import { ProtocolError } from "./codes.js";

/** More elements of a frame than any will ever have: what comes after them is passed over. */
const MAX_SPANS = 32;
const strict = new TextDecoder("utf-8", { fatal: true });

/** What makes the bytes no frame at all: nothing after it can be told apart. */
const torn = () => new ProtocolError("frame", "as many bytes as its lengths say", "fewer", true);

/** A value that is well delimited but not one of the protocol's. Thrown within this file only. */
export class Fault {
  readonly expected: string;
  readonly got: string;

  constructor(expected: string, got: string) {
    this.expected = expected;
    this.got = got;
  }
}

const byte = (value: number) => `a byte 0x${value.toString(16).padStart(2, "0")}`;

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
    if (count > this.#bytes.length - at) throw torn();
    this.at = at + count;
    return at;
  }

  #length(width: 1 | 2 | 4): number {
    const at = this.#take(width);
    if (width === 1) return this.#view.getUint8(at);
    return width === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  /** The number of elements where an array starts here, else `undefined`; it may be a lie. */
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
        throw new Fault("well-formed UTF-8, without lone surrogates", "other bytes");
      }
      return;
    }
  }

  #items(count: number, depth: number, map: boolean): void {
    if (depth >= this.#maxDepth) throw new Fault(`at most ${this.#maxDepth} levels of nesting`, "more");
    // Every element is a byte at the least: a count beyond the bytes is a lie, found before it costs anything.
    if (count * (map ? 2 : 1) > this.#bytes.length - this.at) throw torn();
    for (let index = 0; index < count; index++) {
      if (map) this.#key();
      this.value(depth + 1);
    }
  }

  #key(): void {
    const first = this.#bytes[this.at] ?? 0;
    if (!((first >= 0xa0 && first <= 0xbf) || (first >= 0xd9 && first <= 0xdb))) {
      throw new Fault("strings as keys of maps", byte(first));
    }
    const start = this.at;
    this.value(0);
    // "__proto__" is nine bytes behind a header of one to five; a decoder would set a prototype or rename it.
    const header = first <= 0xbf ? 1 : first === 0xd9 ? 2 : first === 0xda ? 3 : 5;
    if (
      this.at - start - header === 9 &&
      strict.decode(this.#bytes.subarray(start + header, this.at)) === "__proto__"
    ) {
      throw new Fault('keys other than "__proto__"', "it");
    }
  }

  #integer64(signed: boolean): void {
    const at = this.#take(8);
    const value = signed ? this.#view.getBigInt64(at) : this.#view.getBigUint64(at);
    if (value > 9007199254740991n || value < -9007199254740991n) {
      throw new Fault("whole numbers within ±(2^53 - 1)", String(value));
    }
  }

  #float(width: 4 | 8): void {
    const at = this.#take(width);
    const value = width === 4 ? this.#view.getFloat32(at) : this.#view.getFloat64(at);
    if (!Number.isFinite(value)) throw new Fault("finite numbers", String(value));
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
        return this.#float(first === 0xca ? 4 : 8);
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
      case 0xc1:
        throw new ProtocolError("frame", "MessagePack", byte(first), true);
      default: // the extension types: timestamps, and whatever a decoder might give a meaning to
        throw new Fault("plain values, without extension types", byte(first));
    }
  }
}

/** Where one element of a frame's array lies in its bytes. */
export type Span = { readonly start: number; readonly end: number; readonly hasBinary: boolean };

/** The elements in order; those before the fault where there is one: its own element and what follows are not there. */
export type Scan = { readonly spans: readonly Span[]; readonly fault: Fault | undefined };

/**
 * Walks a whole frame, an array, and gives where each of its elements lies, the first 32 of them. `maxDepth` bounds the
 * nesting within an element. What is well delimited but not allowed comes back as `fault`, since the caller knows the
 * field's name and the request's id. Throws `ProtocolError`: fatal, but where the bytes are another value than an array.
 */
export function scanFrame(bytes: Uint8Array, maxDepth: number): Scan {
  const scanner = new Scanner(bytes, maxDepth);
  const spans: Span[] = [];
  const count = scanner.arrayLength();
  try {
    for (let index = 0; index < (count ?? 1); index++) {
      const start = scanner.at;
      scanner.hasBinary = false;
      scanner.value(0);
      if (index < MAX_SPANS) spans.push({ start, end: scanner.at, hasBinary: scanner.hasBinary });
    }
    if (scanner.at !== bytes.length) throw new ProtocolError("frame", "one frame in a message", "bytes after it", true);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (count !== undefined) return { spans, fault: error };
  }
  if (count === undefined) throw new ProtocolError("frame", "an array of a number and fields", "another value");
  return { spans, fault: undefined };
}
