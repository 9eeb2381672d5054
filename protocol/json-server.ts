/** The JSON codec, as a server uses it: events' data is carried as the text it came in. */
import type { EventsHead, ReceivedFrame, ServerCodec } from "./codec.js";
import { ProtocolError } from "./codes.js";
import type { RoomEvent } from "./event.js";
import { layoutOf, readFields, unknownType, withId } from "./fields.js";
import { JSON_SUBPROTOCOL, parseObject } from "./json.js";
import { checkValue, MAX_DATA_DEPTH, Payload } from "./payload.js";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** The index of the quote that ends the string which starts at `start`, or -1. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return -1;
}

/**
 * The text of the frame's own `data`, found in one pass that also bounds the nesting (JSON.parse has no bound of its
 * own, and what it built would overflow the stack of whoever walks it). `undefined` where there is none, or where a key
 * is written with escapes, so that the text and the parser might not mean the same `data`.
 */
function dataText(text: string): string | undefined {
  let depth = 0;
  let atKey = false;
  let start = -1;
  let isData = false;
  let found: string | undefined;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        if (end < 0) return undefined;
        if (depth === 1 && atKey) {
          const key = text.slice(at + 1, end);
          if (key.includes("\\")) return undefined;
          isData = key === "data";
          atKey = false;
        }
        at = end;
        break;
      }
      case 0x3a: // :
        if (depth === 1 && isData && start < 0) start = at + 1;
        break;
      case 0x7b: // {
      case 0x5b: // [
        if (++depth > MAX_DATA_DEPTH + 1) {
          throw new ProtocolError("frame", `at most ${MAX_DATA_DEPTH} levels of nesting`, "more");
        }
        if (depth === 1) atKey = true;
        break;
      case 0x2c: // ,
      case 0x7d: // }
      case 0x5d: // ]
        if (depth === 1) {
          // Of two keys with one name the last counts, as in JSON.parse.
          if (isData && start >= 0) found = text.slice(start, at);
          start = -1;
          isData = false;
          atKey = true;
        }
        if (text.charCodeAt(at) !== 0x2c) depth--;
        break;
    }
  }
  return found;
}

/** What a text may hold that a walk of the values has to look for: an escape, or the one key that is not allowed. */
const SUSPECT = /\\u|__proto__/;

function decode(wire: string | Uint8Array): ReceivedFrame {
  const text = typeof wire === "string" ? dataText(wire) : undefined;
  const source = parseObject(wire);
  const layout = typeof source["type"] === "string" ? layoutOf("client", source["type"]) : undefined;
  return withId(source["id"], () => {
    if (layout === undefined) throw unknownType("client", source["type"]);
    const frame = readFields({ type: layout.type }, layout.fields, source, "named", 0) as { [name: string]: unknown };
    if (layout.type === "publish" || layout.type === "call") {
      const value = frame["data"];
      if (SUSPECT.test(wire as string)) checkValue(value, "data");
      frame["data"] = Payload.ofJson(text ?? JSON.stringify(value), value);
    }
    return frame as ReceivedFrame;
  });
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
  let text = JSON.stringify(head);
  text = `${text.slice(0, -1)},"events":[`;
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
  encode: (frame) => JSON.stringify(frame),
  encodeEvent,
  encodeEvents,
};
