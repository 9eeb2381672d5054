/** A body's JSON. Events' data in it is carried as the text it came in, as from clients: neither copied nor printed again. */
import { isUtf8 } from "node:buffer";
import { ProtocolError } from "../../protocol/codes.js";
import { describe } from "../../protocol/fields.js";
import { endOfString, isSuspect, ownText, QUOTE } from "../../protocol/json-text.js";
import { Payload } from "../../protocol/payload.js";
import { checkValue, MAX_DATA_DEPTH } from "../../protocol/plain.js";

/** Where a body has events' data: in itself, or in each of its `items`. */
export type Carries = "data" | "items" | undefined;

/** The most arrays and objects in a body: more take JSON.parse longer than others may wait. */
const MOST_PARTS = 150_000;

/** A body's value; an empty body is an object without fields. Where it carries data, that is a `Payload`. Throws `ProtocolError`. */
export function readJson(bytes: Buffer, carries?: Carries): unknown {
  if (bytes.length === 0) return {};
  if (!isUtf8(bytes)) throw new ProtocolError("body", "JSON in UTF-8", "other bytes");
  const text = bytes.toString();
  // Before it is parsed: JSON.parse has no bounds of its own.
  const spans = scan(text, carries === "data" ? 1 : 3);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProtocolError("body", "JSON", describe(text));
  }
  if (carries !== undefined && isObject(value)) {
    const isOdd = isSuspect(text);
    const { items } = value;
    if (carries === "data") carry(value, spans?.[0], text, isOdd, "data");
    else if (Array.isArray(items)) {
      for (let index = 0; index < items.length; index++) {
        const item: unknown = items[index];
        if (isObject(item)) carry(item, spans?.[index], text, isOdd, `items[${index}].data`);
      }
    }
  }
  return value;
}

type Fields = { [name: string]: unknown };
const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null;

function carry(holder: Fields, span: string | undefined, text: string, isOdd: boolean, field: string): void {
  if (!Object.hasOwn(holder, "data")) return;
  const { data } = holder;
  if (isOdd) checkValue(data, field);
  holder["data"] = Payload.ofJson(span === undefined ? JSON.stringify(data) : ownText(span, text));
}

/**
 * Finds the text of `data` in the objects at depth `place`: one at 1, those of a list in an object at 3. It trusts the text to be
 * JSON of that form, and is to be believed only once that is known. `undefined` where the text and a parser might not
 * mean the same: where keys are written with escapes, or the list's name is there twice.
 */
function scan(text: string, place: 1 | 3): (string | undefined)[] | undefined {
  const spans: (string | undefined)[] = [];
  let depth = 0;
  let parts = 0;
  let names = 0;
  let key: string | undefined;
  let start = 0;
  let isSure = true;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        if (end < 0) return undefined;
        if (depth === place && key === undefined) {
          key = text.slice(at + 1, end);
          if (key.includes("\\")) isSure = false;
        }
        at = end;
        break;
      }
      case 0x3a: // :
        if (depth === place) start = at + 1;
        else if (depth === 1 && ++names > 1) isSure = false;
        break;
      case 0x7b: // {
      case 0x5b: // [
        if (++parts > MOST_PARTS) throw new ProtocolError("body", `at most ${MOST_PARTS} arrays and objects`, "more");
        if (++depth > place + MAX_DATA_DEPTH) throw tooDeep(place, spans.length - 1, key);
        if (depth === place) spans.push(undefined);
        break;
      case 0x2c: // ,
      case 0x7d: // }
      case 0x5d: // ]
        if (depth === place) {
          if (key === "data") spans[spans.length - 1] = text.slice(start, at);
          key = undefined;
        }
        if (text.charCodeAt(at) !== 0x2c) depth--;
        break;
    }
  }
  return isSure ? spans : undefined;
}

function tooDeep(place: 1 | 3, index: number, key: string | undefined): ProtocolError {
  const field = key !== "data" ? "body" : place === 1 ? "data" : `items[${index}].data`;
  return new ProtocolError(field, `at most ${MAX_DATA_DEPTH} levels of nesting`, "more");
}
