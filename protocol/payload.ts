import { ProtocolError } from "./codes.js";
import { describe, isWellFormed } from "./fields.js";
import { pack, unpack } from "./msgpack.js";

/** How deep an event's data may nest. */
export const MAX_DATA_DEPTH = 64;

/** Base64 of bytes: what stands for binary where the reader's codec is JSON. */
function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Replaces binary by its base64. It looks at the holder, since a Buffer's own `toJSON` has already run on `value`. */
function binaryAsBase64(this: { [key: string]: unknown }, key: string, value: unknown): unknown {
  const original = this[key];
  return original instanceof Uint8Array ? base64(original) : value;
}

/**
 * A copy of what an application gave, made of plain values alone: what JSON would make of it (`toJSON` honoured,
 * `undefined` left out, numbers that are not finite as null), with binary kept. Throws `ProtocolError` for what has no
 * form on the wire, naming the path.
 */
function plain(value: unknown, path: string, depth: number): unknown {
  const fail = (expected: string) => new ProtocolError(path, expected, describe(value));
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "string") {
    if (!isWellFormed(value)) throw fail("well-formed text, without lone surrogates");
    return value;
  }
  if (typeof value !== "object") throw fail("a JSON value or binary");
  if (value instanceof Uint8Array) return value;
  if (depth >= MAX_DATA_DEPTH) throw new ProtocolError(path, `at most ${MAX_DATA_DEPTH} levels of nesting`, "more");
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") return plain(toJSON.call(value), path, depth + 1);
  if (Array.isArray(value)) {
    return value.map((item, index) => plain(item === undefined ? null : item, `${path}[${index}]`, depth + 1));
  }
  const copy: { [name: string]: unknown } = {};
  for (const [name, item] of Object.entries(value)) {
    if (name === "__proto__") throw new ProtocolError(path, 'keys other than "__proto__"', "it");
    if (!isWellFormed(name)) throw new ProtocolError(path, "well-formed keys, without lone surrogates", describe(name));
    if (item !== undefined) copy[name] = plain(item, `${path}.${name}`, depth + 1);
  }
  return copy;
}

/** Throws `ProtocolError` where a parsed value holds what may not travel: a key `__proto__`, or a lone surrogate. */
export function checkValue(value: unknown, path: string): void {
  plain(value, path, 0);
}

/**
 * An event's data in transit: the bytes it came in, and the other forms once somebody wants them. Between a publisher
 * and a subscriber of one codec the bytes are carried as they are, neither parsed nor printed again.
 */
export class Payload {
  #json: string | undefined;
  #msgpack: Uint8Array | undefined;
  #value: unknown;
  readonly #hasBinary: boolean;

  private constructor(json: string | undefined, bytes: Uint8Array | undefined, value: unknown, hasBinary: boolean) {
    this.#json = json;
    this.#msgpack = bytes;
    this.#value = value;
    this.#hasBinary = hasBinary;
  }

  /** Of JSON text that is known to parse, to `value`. */
  static ofJson(text: string, value: unknown): Payload {
    return new Payload(text, undefined, value, false);
  }

  /** Of MessagePack that has passed the scan. `bytes` must be the payload's own, not a view of a buffer in use. */
  static ofMsgpack(bytes: Uint8Array, hasBinary: boolean): Payload {
    return new Payload(undefined, bytes, undefined, hasBinary);
  }

  /** Of what an application gave: any JSON value, or binary within one. Throws `ProtocolError` where it is neither. */
  static ofValue(value: unknown): Payload {
    return new Payload(undefined, undefined, plain(value, "data", 0), true);
  }

  /** Plain objects, arrays, strings, numbers, booleans, null and, from MessagePack, `Uint8Array`. Not to be changed. */
  get value(): unknown {
    if (this.#value === undefined && this.#msgpack !== undefined) this.#value = unpack(this.#msgpack);
    return this.#value;
  }

  /** JSON text. Binary stands as a string of base64. */
  get json(): string {
    this.#json ??= JSON.stringify(this.value, this.#hasBinary ? binaryAsBase64 : undefined);
    return this.#json;
  }

  get msgpack(): Uint8Array {
    this.#msgpack ??= pack(this.#value);
    return this.#msgpack;
  }

  /** About its length on the wire, in bytes. */
  get size(): number {
    return this.#msgpack?.length ?? this.json.length;
  }
}
