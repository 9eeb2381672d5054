/** Reads what a request brings, by the schemas of its operation. */
import { z } from "zod";
import { ProtocolError } from "../../protocol/codes.js";
import { describe } from "../../protocol/fields.js";
import type { Operation } from "./operation.js";
import { type FieldError, InputError, RequestError } from "./problems.js";

/** The most fields that an answer names. */
const MOST_NAMED = 20;
const DIGITS = /^\d{1,15}$/;
type Fields = { readonly [name: string]: unknown };

/** No parameters, and no query: every field of a query may be left out. */
export const NO_FIELDS: Fields = Object.freeze({});

/** The operation's input of its three parts. Throws `InputError`, which names every field that is wrong. */
export function readInput(operation: Operation, params: Fields, query: Fields, body: unknown): object {
  const inPath = params === NO_FIELDS ? undefined : operation.params.safeParse(params);
  const inQuery = query === NO_FIELDS ? undefined : operation.query.safeParse(query);
  const inBody = operation.body.safeParse(body);
  if (inBody.success && inPath?.success !== false && inQuery?.success !== false) {
    return Object.assign(inBody.data, inQuery?.data, inPath?.data);
  }
  const errors = [
    ...errorsOf(inPath?.error, operation.params, params),
    ...errorsOf(inQuery?.error, operation.query, query),
    ...errorsOf(inBody.error, operation.body, body),
  ];
  throw new InputError(errors.slice(0, MOST_NAMED));
}

/** What is wrong first at each place. */
function errorsOf(error: z.ZodError | undefined, shape: z.ZodType, given: unknown): FieldError[] {
  const errors = new Map<string, FieldError>();
  for (const issue of error?.issues ?? []) {
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
  if (text === "") return NO_FIELDS;
  const fields: { [name: string]: unknown } = {};
  for (const [name, value] of new URLSearchParams(text)) {
    if (Object.hasOwn(fields, name)) throw new ProtocolError(name.slice(0, 64), "it once", "it twice");
    const isNumber = unwrapped(shape.shape[name] as z.core.$ZodType) instanceof z.ZodNumber;
    fields[name] = isNumber && DIGITS.test(value) ? Number(value) : value;
  }
  return fields;
}

/** Throws `RequestError` for a body of another type: a form on another site's page can send those without being asked whether it may. */
export function checkJsonType(type: string): void {
  if (/^application\/json\s*(;|$)/i.test(type)) return;
  const got = type === "" ? "nothing" : JSON.stringify(type.slice(0, 64));
  throw new RequestError("bad_request", `content-type: expected application/json, got ${got}`, 415);
}
