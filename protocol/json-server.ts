/** The JSON codec, as a server uses it: events' data is carried as the text it came in. */
import type { EventsHead, PlainServerFrame, ReceivedFrame, ServerCodec } from "./codec.js";
import { ProtocolError } from "./codes.js";
import type { RoomEvent } from "./event.js";
import { layoutOf, readFields, requestId, unknownType, withId } from "./fields.js";
import { JSON_SUBPROTOCOL, parseObject } from "./json.js";
import { endOfString, isSuspect, ownText, QUOTE } from "./json-text.js";
import { Payload } from "./payload.js";
import { binaryAsBase64, checkValue, MAX_DATA_DEPTH } from "./plain.js";

/** What one pass over a frame's text finds. */
type Found = {
  /** The text of the frame's own `data`; `undefined` where there is none, or where it cannot be told for sure. */
  readonly data: string | undefined;
  /** The frame's own key below which it nests too deep, where it does. */
  readonly deepKey: string | undefined;
};

const NOTHING: Found = { data: undefined, deepKey: undefined };

/**
 * Finds the text of `data`, so that it is carried and not printed again, and bounds the nesting: JSON.parse has no
 * bound of its own, and what it builds would overflow the stack of whoever walks it. It trusts the text to be JSON, and
 * is to be believed only once that has parsed. Where a key is written with escapes, the text and the parser might not
 * mean the same `data`, and its text is not given.
 */
function scan(text: string): Found {
  let depth = 0;
  let key: string | undefined;
  let start = -1;
  let data: string | undefined;
  let escaped = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        if (end < 0) return NOTHING;
        if (depth === 1 && key === undefined) {
          key = text.slice(at + 1, end);
          if (key.includes("\\")) escaped = true;
        }
        at = end;
        break;
      }
      case 0x3a: // :
        if (depth === 1) start = at + 1;
        break;
      case 0x7b: // {
      case 0x5b: // [
        if (++depth > MAX_DATA_DEPTH + 1) return { data: undefined, deepKey: key ?? "frame" };
        break;
      case 0x2c: // ,
        if (depth !== 1) break;
        // Of two keys with one name the last counts, as in JSON.parse.
        if (key === "data") data = text.slice(start, at);
        key = undefined;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        if (depth-- === 1 && key === "data") data = text.slice(start, at);
        break;
    }
  }
  return { data: escaped ? undefined : data, deepKey: undefined };
}

/** The longest text of an id or a type that is looked at where a frame nests too deep to be parsed. */
const MAX_SCALAR_LENGTH = 64;

/**
 * The frame's own `id` and `type`, where it nests too deep to be parsed: hundreds of thousands of levels take JSON.parse
 * longer than the others may wait. Whether the rest is JSON is not looked at.
 */
function outlineOf(text: string): { readonly id?: unknown; readonly type?: unknown } {
  const outline: { [key: string]: unknown } = {};
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        if (at < 0) return outline;
        break;
      case 0x7b: // {
      case 0x5b: // [
        if (++depth === 1) start = at + 1;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        if (depth-- === 1) noteScalar(outline, text.slice(start, at));
        break;
      case 0x2c: // ,
        if (depth !== 1) break;
        noteScalar(outline, text.slice(start, at));
        start = at + 1;
        break;
    }
  }
  return outline;
}

/** Adds `"id": 7` to the outline, where it is that or a `type`. */
function noteScalar(outline: { [key: string]: unknown }, member: string): void {
  const [, key, value = ""] = /^\s*"(id|type)"\s*:(.*)$/s.exec(member.slice(0, 2 * MAX_SCALAR_LENGTH)) ?? [];
  if (key === undefined || member.length > MAX_SCALAR_LENGTH) return;
  try {
    outline[key] = JSON.parse(value);
  } catch {
    // No JSON: nothing is known of it.
  }
}

function tooDeep(text: string, deepKey: string): never {
  const { id, type } = outlineOf(text);
  return withId(requestId(type, id), () => {
    const layout = typeof type === "string" ? layoutOf("client", type) : undefined;
    if (layout === undefined) throw unknownType("client", type);
    const field = layout.fields.some(({ name }) => name === deepKey) ? deepKey : "frame";
    throw new ProtocolError(field, `at most ${MAX_DATA_DEPTH} levels of nesting`, "more");
  });
}

function decode(wire: string | Uint8Array): ReceivedFrame {
  // Before it is parsed.
  const { data, deepKey } = typeof wire === "string" ? scan(wire) : NOTHING;
  if (deepKey !== undefined) tooDeep(wire as string, deepKey);
  const source = parseObject(wire);
  const text = wire as string;
  const layout = typeof source["type"] === "string" ? layoutOf("client", source["type"]) : undefined;
  return withId(requestId(source["type"], source["id"]), () => {
    if (layout === undefined) throw unknownType("client", source["type"]);
    const frame = readFields({ type: layout.type }, layout.fields, source) as { [name: string]: unknown };
    if ("data" in frame) {
      const value = frame["data"];
      if (isSuspect(text)) checkValue(value, "data");
      frame["data"] = Payload.ofJson(data === undefined ? JSON.stringify(value) : ownText(data, text));
    }
    return frame as ReceivedFrame;
  });
}

/** The frames that may carry an application's values, and with them binary, are the rare ones. */
const carriesValues: { readonly [type: string]: true } = {
  ...{ result: true, call: true, joined: true, members: true, presence: true },
};

function stringify(frame: PlainServerFrame | EventsHead): string {
  return JSON.stringify(frame, carriesValues[frame.type] ? binaryAsBase64 : undefined);
}

function encodeEvent(event: RoomEvent): string {
  if (event.json !== undefined) return event.json;
  // Names are of characters that stand for themselves; what users and keys are made of is not ours to say.
  let text = event.offset > 0 ? `{"offset":${event.offset},"event":"${event.event}"` : `{"event":"${event.event}"`;
  text += `,"data":${event.data.json}`;
  if (event.from !== undefined) text += `,"from":${JSON.stringify(event.from)}`;
  text += `,"at":${event.at}`;
  if (event.key !== undefined) text += `,"key":${JSON.stringify(event.key)}`;
  event.json = `${text}}`;
  return event.json;
}

function encodeEvents(head: EventsHead, events: readonly RoomEvent[]): string {
  let text: string;
  if (head.type === "events") {
    text = `{"type":"events","room":"${head.room}",`;
    if (head.previous !== undefined) text += `"previous":${head.previous},`;
  } else {
    text = `${stringify(head).slice(0, -1)},`;
  }
  text += '"events":[';
  for (let index = 0; index < events.length; index++) {
    if (index > 0) text += ",";
    text += encodeEvent(events[index] as RoomEvent);
  }
  return `${text}]}`;
}

export const jsonServer: ServerCodec = {
  name: "json",
  subprotocol: JSON_SUBPROTOCOL,
  binary: false,
  decode,
  encode: stringify,
  encodeEvent,
  encodeEvents,
};
