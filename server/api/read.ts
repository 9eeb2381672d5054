/** Reads what a request brings, by the schemas of its operation. */
import { isUtf8 } from "node:buffer";
import { z } from "zod";
import { ProtocolError } from "../../protocol/codes.js";
import { describe } from "../../protocol/fields.js";
import type { Operation } from "./operation.js";
import { type FieldError, InputError } from "./problems.js";

/** The most fields that an answer names. */
const MOST_NAMED = 20;
/** The most names that are listed where one is unknown. */
const DIGITS = /^\d{1,15}$/;
/** The deepest that a body nests: an item of a list has 64 levels of data. */
const MAX_DEPTH = 70;
/** A text of so many bytes cannot nest so deep that reading it takes long. */
const SHALLOW_BYTES = 16_384;

type Fields = { readonly [name: string]: unknown };

/** The operation's input of its three parts. Throws `InputError`, which names every field that is wrong. */
export function readInput(operation: Operation, params: Fields, query: Fields, body: unknown): object {
  const read = [
    operation.params.safeParse(params),
    operation.query.safeParse(query),
    operation.body.safeParse(body),
  ] as const;
  if (read[0].success && read[1].success && read[2].success)
    return { ...read[0].data, ...read[1].data, ...read[2].data };
  const shapes = [operation.params, operation.query, operation.body];
  const given = [params, query, body];
  throw new InputError(
    read
      .flatMap(({ error }, index) => errorsOf(error?.issues ?? [], shapes[index] as z.ZodObject, given[index]))
      .slice(0, MOST_NAMED),
  );
}

/** What is wrong first at each place. */
function errorsOf(issues: readonly z.core.$ZodIssue[], shape: z.ZodType, given: unknown): FieldError[] {
  const errors = new Map<string, FieldError>();
  for (const issue of issues) {
    if (errors.size >= MOST_NAMED) break;
    const value = at(given, issue.path);
    if (issue.code === "unrecognized_keys") {
      const expected = `one of ${fieldsAt(shape, issue.path).join(", ") || "none"}`;
      for (const name of issue.keys.slice(0, MOST_NAMED)) {
        const field = fieldOf([...issue.path, name]);
        errors.set(field, { field, expected, got: `${describe(name)}, which is no field` });
      }
    } else {
      const field = fieldOf(issue.path);
      if (!errors.has(field)) errors.set(field, { field, expected: issue.message, got: describe(value) });
    }
  }
  return [...errors.values()];
}

const at = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((inner, step) => (inner as { [key: PropertyKey]: unknown } | undefined)?.[step], value);

/** `items[3].event`; "body" for the whole. */
function fieldOf(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "body";
  const text = path
    .map((step) =>
      typeof step === "number"
        ? `[${step}]`
        : `.${String(step)
            .slice(0, 64)
            .replace(/\p{Surrogate}/gu, "\ufffd")}`,
    )
    .join("");
  return text.startsWith(".") ? text.slice(1) : text;
}

/** The fields that an object has at this place of a schema. */
function fieldsAt(shape: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  let here: z.core.$ZodType = shape;
  for (const step of path) {
    here = unwrapped(here);
    if (here instanceof z.ZodObject) here = here.shape[String(step)] as z.core.$ZodType;
    else if (here instanceof z.ZodArray) here = here.element;
    else return [];
  }
  here = unwrapped(here);
  return here instanceof z.ZodObject ? Object.keys(here.shape) : [];
}

const unwrapped = (shape: z.core.$ZodType): z.core.$ZodType =>
  shape instanceof z.ZodOptional ? unwrapped(shape.unwrap()) : shape;

/** A query's fields: numbers where the schema has numbers. Throws `ProtocolError` where a field is there twice. */
export function readQuery(text: string, shape: z.ZodObject): Fields {
  if (text === "") return {};
  const fields: { [name: string]: unknown } = {};
  for (const [name, value] of new URLSearchParams(text)) {
    if (Object.hasOwn(fields, name)) throw new ProtocolError(name.slice(0, 64), "it once", "it twice");
    const isNumber = unwrapped(shape.shape[name] as z.core.$ZodType) instanceof z.ZodNumber;
    fields[name] = isNumber && DIGITS.test(value) ? Number(value) : value;
  }
  return fields;
}

/** A body's value; an empty body is an object without fields. Throws `ProtocolError`. */
export function readBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return {};
  if (!isUtf8(bytes)) throw new ProtocolError("body", "JSON in UTF-8", "other bytes");
  if (bytes.length > SHALLOW_BYTES && nestsTooDeep(bytes)) {
    throw new ProtocolError("body", `at most ${MAX_DEPTH} levels of nesting`, "more");
  }
  const text = bytes.toString();
  try {
    return JSON.parse(text);
  } catch {
    throw new ProtocolError("body", "JSON", describe(text));
  }
}

/** JSON.parse has no bound of its own: a megabyte of brackets takes it longer than others may wait. */
function nestsTooDeep(bytes: Buffer): boolean {
  let depth = 0;
  for (let index = 0; index < bytes.length; index++) {
    switch (bytes[index]) {
      case 0x22: // "
        index = endOfString(bytes, index);
        if (index < 0) return false;
        break;
      case 0x7b: // {
      case 0x5b: // [
        if (++depth > MAX_DEPTH) return true;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth--;
        break;
    }
  }
  return false;
}

/** The index of the quote that ends the string which starts at `start`, or -1: then it is no JSON. */
function endOfString(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf(0x22, start + 1); end >= 0; end = bytes.indexOf(0x22, end + 1)) {
    let slashes = 0;
    while (bytes[end - 1 - slashes] === 0x5c) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return -1;
}
