/** A body's JSON. Events' data in it is carried as the text it came in, as from clients: neither copied nor printed again. */
import { isUtf8 } from "node:buffer";
import { ProtocolError } from "../../protocol/codes.js";
import { describe } from "../../protocol/fields.js";
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
  // Before it is parsed: JSON.parse has no bounds of its own.
  const found = scan(bytes, carries === "data" ? 1 : 3);
  const text = bytes.toString();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProtocolError("body", "JSON", describe(text));
  }
  if (carries === undefined || !isObject(value)) return value;
  const isOdd = found.isOdd || mayHoldOdd(text);
  if (carries === "data") carry(value, spanOf(bytes, found, 0), isOdd, "data");
  else if (Array.isArray(value["items"])) {
    for (const [index, item] of value["items"].entries()) {
      if (isObject(item)) carry(item, spanOf(bytes, found, index), isOdd, `items[${index}].data`);
    }
  }
  return value;
}

type Fields = { [name: string]: unknown };
const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null;

function carry(holder: Fields, span: string | undefined, isOdd: boolean, field: string): void {
  if (!Object.hasOwn(holder, "data")) return;
  const { data } = holder;
  if (isOdd) checkValue(data, field);
  holder["data"] = Payload.ofJson(span ?? JSON.stringify(data));
}

type Found = {
  /** Where the text of each object's `data` begins and ends, two numbers each; -1 where it has none. */
  readonly spans: readonly number[];
  /** Whether there is an escape by a number in it, or a number with an exponent. */
  readonly isOdd: boolean;
};

/** A text of its own, without the rest of the body. */
function spanOf(bytes: Buffer, { spans }: Found, index: number): string | undefined {
  const start = spans[2 * index] ?? -1;
  return start < 0 ? undefined : bytes.toString("utf8", start, spans[2 * index + 1]).trim();
}

/** What else a walk of the values has to look for: that it is not there is certain. */
const mayHoldOdd = (text: string): boolean =>
  text.includes("__proto__") || (text.length > 300 && MANY_DIGITS.test(text));

/** Only a number of 300 digits is too large for a double without an exponent. */
const MANY_DIGITS = /\d{32}/;

const isDigitOrSign = (byte: number | undefined): boolean =>
  byte !== undefined && ((byte >= 0x30 && byte <= 0x39) || byte === 0x2b);

/** The name of what is carried. */
const DATA = Buffer.from("data").readUInt32BE();

/**
 * Finds the text of `data` in the objects at depth `place`: one at 1, those of a list in an object at 3. It trusts the bytes to be
 * JSON of that form, and is to be believed only once that is known. It gives no spans where the text and a parser might not
 * mean the same: where keys are written with escapes, or the list's name is there twice.
 */
function scan(bytes: Buffer, place: 1 | 3): Found {
  const spans: number[] = [];
  const end = bytes.length;
  let depth = 0;
  let parts = 0;
  let names = 0;
  // The key of the value that is read, and where that began.
  let keyAt = -1;
  let isData = false;
  let start = 0;
  let isSure = true;
  let isOdd = false;
  for (let at = 0; at < end; at++) {
    switch (bytes[at]) {
      case 0x22: {
        // "
        const from = at + 1;
        let escapes = false;
        for (at = from; at < end && bytes[at] !== 0x22; at++) {
          if (bytes[at] !== 0x5c) continue;
          escapes = true;
          if (bytes[++at] === 0x75) isOdd = true;
        }
        if (depth === place && keyAt < 0) {
          keyAt = from;
          isData = at - from === 4 && bytes.readUInt32BE(from) === DATA;
          if (escapes) isSure = false;
        }
        break;
      }
      case 0x3a: // :
        if (depth === place) start = at + 1;
        else if (depth === 1 && ++names > 1) isSure = false;
        break;
      case 0x7b: // {
      case 0x5b: // [
        if (++parts > MOST_PARTS) throw new ProtocolError("body", `at most ${MOST_PARTS} arrays and objects`, "more");
        if (++depth > place + MAX_DATA_DEPTH) throw tooDeep(place, spans.length / 2 - 1, isData);
        if (depth === place) spans.push(-1, -1);
        break;
      case 0x2c: // ,
      case 0x7d: // }
      case 0x5d: // ]
        if (depth === place) {
          // Of two keys with one name the last counts, as in JSON.parse.
          if (isData) {
            spans[spans.length - 2] = start;
            spans[spans.length - 1] = at;
          }
          isData = false;
          keyAt = -1;
        }
        if (bytes[at] !== 0x2c) depth--;
        break;
      case 0x65: // e
      case 0x45: // E
        if (isDigitOrSign(bytes[at + 1])) isOdd = true;
        break;
    }
  }
  return { spans: isSure ? spans : [], isOdd };
}

function tooDeep(place: 1 | 3, index: number, isData: boolean): ProtocolError {
  const field = !isData ? "body" : place === 1 ? "data" : `items[${index}].data`;
  return new ProtocolError(field, `at most ${MAX_DATA_DEPTH} levels of nesting`, "more");
}
