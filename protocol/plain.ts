/** What an event's data may be made of: the checks and the copy for values that no codec has checked yet. */
import { ProtocolError } from "./codes.js";
import { describe, isWellFormed } from "./fields.js";

/** How deep an event's data may nest: an array within an array is two levels. */
export const MAX_DATA_DEPTH = 64;

/** The longest path in an error's text, in UTF-16 code units: keys are as long as an application makes them. */
const MAX_PATH_LENGTH = 120;

const WELL_FORMED = "well-formed text, without lone surrogates";
const FINITE = "numbers that a double can hold";
export const NOT_PROTO = 'keys other than "__proto__"';

/** Base64 of bytes: what stands for binary wherever JSON carries it. */
function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

/** Replaces binary by its base64. It looks at the holder, since a Buffer's own `toJSON` has already run on `value`. */
export function binaryAsBase64(this: { [key: string]: unknown }, key: string, value: unknown): unknown {
  const original = this[key];
  return original instanceof Uint8Array ? base64(original) : value;
}

function fail(path: string, expected: string, got: string): ProtocolError {
  const short = path.length <= MAX_PATH_LENGTH ? path : `${path.slice(0, MAX_PATH_LENGTH)}…`;
  return new ProtocolError(short.replace(/\p{Surrogate}/gu, "\ufffd"), expected, got);
}

function checkKey(name: string, path: string): void {
  if (name === "__proto__") throw fail(path, NOT_PROTO, "it");
  if (!isWellFormed(name)) throw fail(path, WELL_FORMED, describe(name));
}

/**
 * Throws `ProtocolError`, which names `field`, where a value that was parsed from JSON holds what may not travel: a key
 * `__proto__`, a lone surrogate, or a number too large for a double. Its depth must be bounded already.
 */
export function checkValue(value: unknown, field: string): void {
  if (typeof value === "string" && !isWellFormed(value)) throw fail(field, WELL_FORMED, describe(value));
  if (typeof value === "number" && !Number.isFinite(value)) throw fail(field, FINITE, String(value));
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) checkValue(item, field);
    return;
  }
  for (const [name, item] of Object.entries(value)) {
    checkKey(name, field);
    checkValue(item, field);
  }
}

/** Objects that JSON would print as an empty or numbered object, so that what they hold would be lost in silence. */
function isOpaque(value: object): boolean {
  return value instanceof Map || value instanceof Set || value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

/** What JSON takes an object for: what its `toJSON` gives, or the string, number or flag that it wraps. */
function unwrap(value: object, key: string): unknown {
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") return toJSON.call(value, key);
  const wraps = value instanceof String || value instanceof Number || value instanceof Boolean;
  return wraps ? value.valueOf() : value;
}

/**
 * A copy of what an application gave, made of plain values alone: what JSON would make of it (`toJSON` honoured, what
 * is `undefined` left out or, in an array, null; numbers that are not finite null), but with `Uint8Array` kept as
 * binary. It shares nothing with the original. Throws `ProtocolError` for what has no form on the wire (functions,
 * symbols, bigints, `undefined` alone, Map, Set, other buffers, cycles, more than 64 levels), naming the path.
 */
export function plain(value: unknown, path: string): unknown {
  const copy = copyOf(value, path, "", 0);
  if (copy === undefined) throw fail(path, "a JSON value or a Uint8Array", "nothing");
  return copy;
}

function copyOf(value: unknown, path: string, key: string, depth: number): unknown {
  if (value === undefined || value === null || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "string") {
    if (!isWellFormed(value)) throw fail(path, WELL_FORMED, describe(value));
    return value;
  }
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (typeof value !== "object" || isOpaque(value)) throw fail(path, "a JSON value or a Uint8Array", nameOf(value));
  const given = unwrap(value, key);
  if (depth >= MAX_DATA_DEPTH && typeof given === "object" && given !== null) {
    throw fail(path, `at most ${MAX_DATA_DEPTH} levels of nesting`, "more");
  }
  if (given !== value) return copyOf(given, path, key, depth + 1);
  return Array.isArray(value) ? copyOfArray(value, path, depth) : copyOfObject(value, path, depth);
}

function copyOfArray(value: readonly unknown[], path: string, depth: number): unknown[] {
  const copy: unknown[] = [];
  for (let index = 0; index < value.length; index++) {
    copy.push(copyOf(value[index], `${path}[${index}]`, String(index), depth + 1) ?? null);
  }
  return copy;
}

function copyOfObject(value: object, path: string, depth: number): object {
  const copy: { [name: string]: unknown } = {};
  for (const [name, given] of Object.entries(value)) {
    checkKey(name, path);
    const item = copyOf(given, `${path}.${name}`, name, depth + 1);
    if (item !== undefined) copy[name] = item;
  }
  return copy;
}

function nameOf(value: unknown): string {
  if (typeof value === "function") return "a function";
  return typeof value === "object" && value !== null ? `a ${value.constructor.name}` : describe(value);
}
