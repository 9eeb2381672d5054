import { pack, unpack } from "./msgpack.js";
import { binaryAsBase64, plain } from "./plain.js";

/** How many bytes text takes in UTF-8. */
function utf8Length(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the question is whether all of it is ASCII
  if (!/[^\x00-\x7f]/.test(text)) return text.length;
  let length = text.length;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    // Each half of a surrogate pair counts two of the pair's four bytes.
    if (code > 0x7f) length += code > 0x7ff && (code & 0xf800) !== 0xd800 ? 2 : 1;
  }
  return length;
}

function holdsBinary(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (value instanceof Uint8Array) return true;
  // Of a copy of plain values: there is nothing but its own.
  for (const name in value) if (holdsBinary((value as { [name: string]: unknown })[name])) return true;
  return false;
}

/**
 * An event's data in transit: the bytes it came in, and the other forms once somebody wants them. Between a publisher
 * and a subscriber of one codec the bytes are carried as they are, neither parsed nor printed again.
 *
 * Histories hold many of these, so a payload holds bytes or text and no parsed value beside them.
 */
export class Payload {
  #json: string | undefined;
  #msgpack: Uint8Array | undefined;
  /** Only until the first form that holds all of it is made. */
  #value: unknown;
  /** Whether there is binary in it, so that JSON can only show it. */
  readonly hasBinary: boolean;
  #size = 0;

  private constructor(json: string | undefined, bytes: Uint8Array | undefined, value: unknown, hasBinary: boolean) {
    this.#json = json;
    this.#msgpack = bytes;
    this.#value = value;
    this.hasBinary = hasBinary;
  }

  /** Of JSON text that is known to parse, and to hold nothing that may not travel. */
  static ofJson(text: string): Payload {
    return new Payload(text, undefined, undefined, false);
  }

  /** Of MessagePack that has passed the scan. `bytes` must be the payload's own, not a view of a buffer in use. */
  static ofMsgpack(bytes: Uint8Array, hasBinary: boolean): Payload {
    return new Payload(undefined, bytes, undefined, hasBinary);
  }

  /**
   * Of what an application gave: any JSON value, or `Uint8Array` within one. It is copied; the original may change
   * afterwards. Throws `ProtocolError`, naming the path, where it has no form on the wire.
   */
  static ofValue(value: unknown): Payload {
    const copy = plain(value, "data");
    return new Payload(undefined, undefined, copy, holdsBinary(copy));
  }

  /**
   * Plain objects, arrays, strings, numbers, booleans, null and, where it did not come from JSON, `Uint8Array`. Not to
   * be changed. Parsed at each call.
   */
  get value(): unknown {
    if (this.#value !== undefined) return this.#value;
    return this.#msgpack === undefined ? JSON.parse(this.json) : unpack(this.#msgpack);
  }

  /** The form that it has at no cost. */
  get form(): "json" | "msgpack" {
    return this.#msgpack === undefined ? "json" : "msgpack";
  }

  /** JSON text. Binary stands as a string of base64. */
  get json(): string {
    if (this.#json === undefined) {
      this.#json = JSON.stringify(this.value, this.hasBinary ? binaryAsBase64 : undefined);
      if (!this.hasBinary) this.#value = undefined;
    }
    return this.#json;
  }

  get msgpack(): Uint8Array {
    if (this.#msgpack === undefined) {
      // A copy: what packs hand out are parts of buffers that they share.
      this.#msgpack = new Uint8Array(pack(this.value));
      this.#value = undefined;
    }
    return this.#msgpack;
  }

  /** Whether it is at most so many bytes long: mostly a cheaper question than the length itself. */
  isWithin(bytes: number): boolean {
    // In UTF-8 a code unit takes three bytes at the most.
    if (this.#size === 0 && this.form === "json" && this.json.length * 3 <= bytes) return true;
    return this.size <= bytes;
  }

  /** Its length in bytes, in the codec it came in. It stays what it was at the first call, so that sums stay right. */
  get size(): number {
    if (this.#size === 0) this.#size = this.#msgpack?.length ?? utf8Length(this.json);
    return this.#size;
  }
}
