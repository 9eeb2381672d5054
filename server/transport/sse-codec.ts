/**
 * Frames as server-sent events. An event of a room is one of the stream, with its position as `id:` and its room in the
 * data; every other frame is `event: <type>` with the frame as JSON. Lines end with a line feed alone, so an empty line ends
 * each event, and nothing else is one.
 */
import type { EventsHead, PlainServerFrame, ServerCodec, Wire } from "../../protocol/codec.js";
import type { RoomEvent } from "../../protocol/event.js";
import { jsonServer } from "../../protocol/json-server.js";
import type { Position } from "../../protocol/positions.js";
import { positionText } from "./positions.js";

/** What ends each event. */
export const END = "\n\n";
/** A comment: readers pass over it, and know that the stream lives. */
export const COMMENT = ":\n\n";

/** JSON as a client wrote it may have line ends between its values, and nowhere else: there blanks mean the same. */
const oneLine = (json: string): string => (/[\r\n]/.test(json) ? json.replaceAll(/[\r\n]/g, " ") : json);

/** How a position is written in an `id:`, which has to name the room where a stream has several. */
type IdOf = (room: string, position: Position) => string;

const idLine = (idOf: IdOf, room: string, position: Position | undefined): string =>
  position === undefined ? "" : `id: ${idOf(room, position)}\n`;

/** One event of the stream that is a frame. */
export function frameText(type: string, frame: object, id = ""): string {
  return `event: ${type}\n${id}data: ${JSON.stringify(frame)}${END}`;
}

/** The time after which a reader is to come back, in milliseconds. */
export const retryText = (ms: number): string => `retry: ${Math.max(0, Math.round(ms))}${END}`;

function eventsText(idOf: IdOf, room: string, epoch: string | undefined, events: readonly RoomEvent[]): string {
  let text = "";
  for (const event of events) {
    const { offset } = event;
    const position = epoch === undefined || offset === 0 ? undefined : { epoch, offset };
    const json = jsonServer.encodeEvent(event) as string;
    text += `${idLine(idOf, room, position)}data: {"room":"${room}",${oneLine(json).slice(1)}${END}`;
  }
  return text;
}

/** A frame that says where the reader is then has it as its id: whoever comes back goes on from there. */
function encode(idOf: IdOf, frame: PlainServerFrame): Wire {
  const id = frame.type === "reset" ? idLine(idOf, frame.room, frame.position) : "";
  // In JSON binary is a string of base64, which the codec of JSON sees to.
  const json = jsonServer.encode(frame) as string;
  const text = `event: ${frame.type}\n${id}data: ${json}${END}`;
  // The same for all streams in the room, and nothing in it is for the link.
  return frame.type === "presence" ? Buffer.from(text) : text;
}

function encodeEvents(idOf: IdOf, head: EventsHead, events: readonly RoomEvent[]): string {
  if (head.type === "events") return eventsText(idOf, head.room, head.epoch, events);
  if (head.type === "history")
    return `event: history\ndata: ${oneLine(jsonServer.encodeEvents(head, events) as string)}${END}`;
  const { room, position } = head;
  const before = eventsText(idOf, room, position?.epoch, events);
  const json = jsonServer.encodeEvents(head, []) as string;
  return `${before}event: joined\n${idLine(idOf, room, position)}data: ${json}${END}`;
}

const decode = jsonServer.decode;
const common = { name: "json", subprotocol: "", binary: false, decode, encodeEvent: jsonServer.encodeEvent } as const;

const ofOne: IdOf = (_room, position) => positionText(position);
const ofMany: IdOf = (room, position) => `${room}=${positionText(position)}`;

/** For streams of one room. What it makes of events is bytes, made once for all streams of the room. */
export const sseOfOne: ServerCodec = {
  ...common,
  encode: (frame) => encode(ofOne, frame),
  encodeEvents: (head, events) => {
    const text = encodeEvents(ofOne, head, events);
    return head.type === "events" ? Buffer.from(text) : text;
  },
};

/** For streams of several rooms. Each id is of one room, and each stream puts its own in its place: see `withIds`. */
export const sseOfMany: ServerCodec = {
  ...common,
  encode: (frame) => encode(ofMany, frame),
  encodeEvents: (head, events) => encodeEvents(ofMany, head, events),
};

export const isSse = (codec: ServerCodec): boolean => codec === sseOfOne || codec === sseOfMany;

/** Lines end where a line feed stands, which JSON text has none of; `^` would find other characters, which it may have. */
const ID = /(?<=^|\n)id: ([^=\n]+)=([^\n]+)/g;

/** What `sseOfMany` made, with the ids that `idOf` gives for a room and its new position. */
export function withIds(text: string, idOf: (room: string, position: string) => string): string {
  return text.replaceAll(ID, (_line, room: string, position: string) => `id: ${idOf(room, position)}`);
}

/** The last frame in what the codecs made, where it is no event of a room. */
export function frameIn(text: string): { readonly type: string; readonly json: string } | undefined {
  const start = text.lastIndexOf(END, text.length - END.length - 1);
  const last = text.slice(start < 0 ? 0 : start + END.length, -END.length);
  const [, type, json] = /^event: (\w+)\n(?:id: [^\n]*\n)?data: ([^\n]*)$/.exec(last) ?? [];
  return type === undefined || json === undefined ? undefined : { type, json };
}
