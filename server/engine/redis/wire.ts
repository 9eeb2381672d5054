/** What goes between nodes and Redis: names of keys, what is published, and how answers are read. */
import type { RoomEvent } from "../../../protocol/event.js";
import type { Position } from "../../../protocol/positions.js";
import type { Deliver, History, Range } from "../engine.js";
import { decodeRecord } from "../record.js";

/** Of strings Redis answers with their bytes. */
export type Reply = Buffer | number | null | Reply[];

/** The first byte of what is published in a room: what it is. */
export const KIND = {
  /** An event of a room with history: `epoch offset previous`, a line feed, the record. */
  event: 0x65,
  /** An event of a room without history: the record. */
  plain: 0x70,
  /** A second one of the same event, for nodes that know the room by another shard only. */
  copy: 0x63,
  /** The room's log has left for another shard. */
  moved: 0x6d,
} as const;

const LINE_FEED = 0x0a;
const OPENING_BRACE = 0x7b;

/** The names that Redis knows a room by. All of them have the room as hash tag: a Cluster keeps them in one slot. */
export class Names {
  readonly #prefix: string;

  constructor(namespace: string) {
    this.#prefix = `${namespace}:{`;
  }

  /** What is subscribed and published. Redis has one pub/sub for all of its databases: hence the database's number. */
  room(room: string, db = 0): string {
    return db === 0 ? `${this.#prefix + room}}` : `${db}/${this.#prefix + room}}`;
  }

  /** The room of a name that `room` has given. */
  roomOf(name: Buffer): string {
    return name.toString("latin1", name.indexOf(OPENING_BRACE) + 1, name.length - 1);
  }

  end(room: string): string {
    return `${this.#prefix + room}}:end`;
  }

  log(room: string): string {
    return `${this.#prefix + room}}:log`;
  }

  /** No two senders and keys share one: the sender's length stands before it. */
  key(room: string, from: string | undefined, key: string): string {
    return `${this.#prefix + room}}:key:${from === undefined ? "" : `${from.length}:${from}`}:${key}`;
  }
}

/** `record` as it is published in a room without history. */
export function plain(record: Buffer, kind: typeof KIND.plain | typeof KIND.copy = KIND.plain): Buffer {
  const bytes = Buffer.allocUnsafe(record.length + 1);
  bytes[0] = kind;
  record.copy(bytes, 1);
  return bytes;
}

/** Delivers what was published. Throws where the bytes are not what a node publishes. */
export function deliverPublished(room: string, bytes: Buffer, deliver: Deliver): void {
  if (bytes[0] === KIND.plain || bytes[0] === KIND.copy) {
    deliver(room, "", [decodeRecord(0, bytes.subarray(1))], 0);
    return;
  }
  const end = bytes.indexOf(LINE_FEED, 1);
  if (bytes[0] !== KIND.event || end < 0) throw new RangeError("published: expected an event");
  const [epoch = "", offset, previous] = bytes.toString("latin1", 1, end).split(" ");
  deliver(room, epoch, [decodeRecord(numberOf(offset), bytes.subarray(end + 1))], numberOf(previous));
}

function numberOf(text: string | undefined): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number)) throw new RangeError("expected a whole number");
  return number;
}

const textOf = (reply: Reply | undefined): string =>
  Buffer.isBuffer(reply) ? reply.toString("latin1") : String(reply);

/** What an answer says instead of what was asked for. */
export type Elsewhere =
  /** The room has left for that shard; `move` counts all moves of the room. */
  | { readonly kind: "moved"; readonly shard: string; readonly move: number }
  /** The room was to be here already, and is not. */
  | { readonly kind: "absent" }
  /** The key has to be looked for on the shard that the room came from, for so long yet. */
  | { readonly kind: "key"; readonly shard: string; readonly leftMs: number };

const MOVED = 0x3e;
const ABSENT = 0x3f;
const KEY = 0x5e;

/** `undefined` where the answer is what was asked for. */
export function elsewhere(reply: Reply): Elsewhere | undefined {
  const first = Array.isArray(reply) ? reply[0] : reply;
  if (!Buffer.isBuffer(first)) return undefined;
  const mark = first[0];
  if (mark === ABSENT) return { kind: "absent" };
  if (mark !== MOVED && mark !== KEY) return undefined;
  const [shard = "", number] = first.toString("latin1", 1).split(" ");
  return mark === MOVED
    ? { kind: "moved", shard, move: numberOf(number) }
    : { kind: "key", shard, leftMs: numberOf(number) };
}

/** Reads `epoch moved move` of a log's end; `undefined` where the log is there. */
export function readWhere(reply: Reply): Elsewhere | undefined {
  const [epoch, moved, move] = reply as Reply[];
  if (Buffer.isBuffer(moved)) return { kind: "moved", shard: textOf(moved), move: numberOf(textOf(move)) };
  return Buffer.isBuffer(epoch) ? undefined : { kind: "absent" };
}

/** Reads `epoch offset`. */
export function readPosition(reply: Reply): Position {
  const [epoch = "", offset] = textOf(reply).split(" ");
  return { epoch, offset: numberOf(offset) };
}

/** Reads what `history.lua` answers. */
export function readHistory(reply: Reply, range: Range): History {
  const [epoch, last, state, ...rest] = reply as Reply[];
  const position = { epoch: textOf(epoch), offset: numberOf(textOf(last)) };
  const word = textOf(state);
  if (word === "lost" || word === "gap") return { position, events: undefined, more: word === "gap" };
  const events: RoomEvent[] = [];
  for (let index = 0; index < rest.length; index += 2) {
    events.push(decodeRecord(numberOf(textOf(rest[index])), rest[index + 1] as Buffer));
  }
  if (range.since === undefined) events.reverse();
  return { position, events, more: word === "more" };
}

/** Reads `epoch offset moved` of the log's end; `undefined` where there is none, or where the room has moved. */
export function readEnd(reply: Reply): Position | undefined {
  const [epoch, offset, moved] = reply as Reply[];
  if (!Buffer.isBuffer(epoch) || !Buffer.isBuffer(offset) || moved !== null) return undefined;
  return { epoch: textOf(epoch), offset: numberOf(textOf(offset)) };
}
