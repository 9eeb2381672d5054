/** Checks a frame's fields against the table: the half of decoding that both codecs share. */
import { ProtocolError } from "./codes.js";
import {
  clientFrames,
  type FieldKind,
  type FrameSpec,
  type FrameTable,
  frames,
  type Side,
  serverFields,
  serverFrames,
  structures,
} from "./frames.js";
import { isEventName, isRoomName, MAX_KEY_LENGTH } from "./names.js";

/** The longest string in a field of kind `string`, in UTF-16 code units: tokens are the longest. */
export const MAX_STRING_LENGTH = 16_384;

export type Field = { readonly name: string; readonly kind: FieldKind; readonly optional: boolean };
export type Layout = { readonly type: string; readonly number: number; readonly fields: readonly Field[] };

const fieldsOf = (fields: FrameSpec["fields"]): readonly Field[] =>
  Object.entries(fields).map(([name, spec]) => ({
    name,
    kind: spec.replace("?", "") as FieldKind,
    optional: spec.endsWith("?"),
  }));

const layoutsOf = (table: FrameTable): ReadonlyMap<string | number, Layout> =>
  new Map(
    Object.entries(table).flatMap(([type, { number, fields }]) => {
      const layout: Layout = { type, number, fields: fieldsOf(fields) };
      return [type, number].map((key) => [key, layout] as const);
    }),
  );

// Constants of their own, marked pure, so that a client's bundle holds the one table that it reads.
const clientLayouts = /* @__PURE__ */ layoutsOf(clientFrames);
const serverLayouts = /* @__PURE__ */ layoutsOf(serverFrames);
const listsOf = (table: { readonly [name: string]: FrameSpec["fields"] }) =>
  Object.entries(table).map(([name, fields]) => [name, fieldsOf(fields)] as const);
/** The fields of each frame that a node sends, by its type's name. */
export const fieldsByType: ReadonlyMap<unknown, readonly Field[]> = /* @__PURE__ */ new Map(listsOf(serverFields));
/** The fields of the values that have fields of their own. */
export const parts = Object.fromEntries(listsOf(structures)) as {
  readonly [K in keyof typeof structures]: readonly Field[];
};

/** The frame's layout by its type's name or number, or `undefined` where the table has none. */
export function layoutOf(side: Side, type: unknown): Layout | undefined {
  return (side === "client" ? clientLayouts : serverLayouts).get(type as string);
}

const LONE_SURROGATE = /\p{Surrogate}/u;
/** Much faster where there is one: every Node that is supported, and browsers since 2023. */
const native = (String.prototype as { isWellFormed?: () => boolean }).isWellFormed;

/** Whether a string has a UTF-8 form: a lone surrogate has none, and strict readers refuse what stands in for it. */
export function isWellFormed(text: string): boolean {
  return native ? native.call(text) : !LONE_SURROGATE.test(text);
}

/** What a developer needs to see of a wrong value: its type, and the value where it is short. */
export function describe(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return "an array";
  if (value instanceof Uint8Array) return "binary";
  if (typeof value === "object") return "an object";
  if (typeof value !== "string") return String(value).slice(0, 60);
  if (value.length <= 60) return JSON.stringify(value);
  // Half a pair, where the cut makes one, becomes an escape: the text goes back in an error frame.
  return JSON.stringify(`${value.slice(0, 57)}…`);
}

function isString(value: unknown, max: number): value is string {
  return typeof value === "string" && value.length <= max && isWellFormed(value);
}

/** The longest user, in UTF-16 code units: it goes out with every event that it publishes. */
export const MAX_USER_LENGTH = 256;

/** Whether a value can name a user: 1 to `MAX_USER_LENGTH` characters, well-formed. */
export function isUser(value: unknown): value is string {
  return isString(value, MAX_USER_LENGTH) && value !== "";
}

/** Whether a value can be the key of a publish: 1 to `MAX_KEY_LENGTH` characters, well-formed. */
export function isKey(value: unknown): value is string {
  return isString(value, MAX_KEY_LENGTH) && value !== "";
}

/** What each kind without fields of its own asks for: the test, and the words for it. */
const simple: { readonly [kind: string]: readonly [(value: unknown) => boolean, string] } = {
  id: [Number.isSafeInteger, "a whole number"],
  uint: [(value) => Number.isSafeInteger(value) && (value as number) >= 0, "a whole number from 0"],
  string: [(value) => isString(value, MAX_STRING_LENGTH), `a string of at most ${MAX_STRING_LENGTH} characters`],
  bool: [(value) => typeof value === "boolean", "true or false"],
  room: [(value) => typeof value === "string" && isRoomName(value), "1 to 128 characters of A-Z a-z 0-9 _ - . : @ /"],
  event: [(value) => typeof value === "string" && isEventName(value), "1 to 64 characters of A-Z a-z 0-9 _ - . : @ /"],
  key: [isKey, `a string of 1 to ${MAX_KEY_LENGTH} characters`],
  any: [(value) => value !== undefined, "a value"],
};

function refuse(path: string, expected: string, value: unknown): never {
  throw new ProtocolError(path, expected, describe(value));
}

function readValue(kind: FieldKind, value: unknown, first: number | undefined, path: string): unknown {
  const fields = (parts as { readonly [kind: string]: readonly Field[] })[kind];
  if (!fields) {
    const [test, expected] = simple[kind] as (typeof simple)[string];
    return test(value) ? value : refuse(path, expected, value);
  }
  if (kind !== "events" && kind !== "members") return readStructure(fields, value, first, path);
  if (!Array.isArray(value)) refuse(path, "an array", value);
  return (value as unknown[]).map((item, index) => readStructure(fields, item, first, `${path}[${index}]`));
}

function readStructure(fields: readonly Field[], source: unknown, first: number | undefined, path: string): object {
  const isOrdered = first !== undefined;
  const expected = isOrdered ? "an array" : "an object";
  if (describe(source) !== expected) refuse(path, expected, source);
  return readFields({}, fields, source as object, first && 0, `${path}.`);
}

/**
 * Reads `fields` from `source` into `target`, each checked against its kind. `first` is the index of the first field where
 * they come in the table's order, as in MessagePack; `undefined` where they are named, as in JSON. Throws `ProtocolError`,
 * naming the field with its path.
 */
export function readFields(
  target: { [name: string]: unknown },
  fields: readonly Field[],
  source: object,
  first?: number,
  path = "",
): object {
  for (let index = 0; index < fields.length; index++) {
    const { name, kind, optional } = fields[index] as Field;
    const value = (source as { [key: string]: unknown })[first === undefined ? name : first + index];
    // A null is a value where any value may stand, and stands for nothing everywhere else.
    const missing = value === undefined || (value === null && (kind !== "any" || optional));
    if (!missing || !optional) target[name] = readValue(kind, value, first, path + name);
  }
  return target;
}

/** Gives a thrown `ProtocolError` the request's id, so that its answer can name it; anything else passes through. */
export function withId<T>(id: unknown, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProtocolError && Number.isSafeInteger(id)) error.id = id as number;
    throw error;
  }
}

/** The id that an error about a client's frame carries: an `answer` has the node's own, which names no request of the client. */
export const requestId = <T>(type: unknown, id: T): T | undefined => (type === "answer" ? undefined : id);

/** The words for a frame type that the table does not have. */
export function unknownType(side: Side, got: unknown): ProtocolError {
  return new ProtocolError("type", `one of ${Object.keys(frames[side]).join(", ")}`, describe(got));
}
