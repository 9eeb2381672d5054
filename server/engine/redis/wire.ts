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
} as const;

const LINE_FEED = 0x0a;

/** The names that Redis knows a room by. All of them have the room as hash tag: a Cluster keeps them in one slot. */
export class Names {
  readonly #prefix: string;

  constructor(namespace: string) {
    this.#prefix = `${namespace}:{`;
  }

  /** What is subscribed and published. */
  room(room: string): string {
    return `${this.#prefix + room}}`;
  }

  /** The room of a name that `room` has given. */
  roomOf(name: Buffer): string {
    return name.toString("latin1", this.#prefix.length, name.length - 1);
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
export function plain(record: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(record.length + 1);
  bytes[0] = KIND.plain;
  record.copy(bytes, 1);
  return bytes;
}

/** Delivers what was published. Throws where the bytes are not what a node publishes. */
export function deliverPublished(room: string, bytes: Buffer, deliver: Deliver): void {
  if (bytes[0] === KIND.plain) {
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

/** The shard that a room has moved to, where an answer says so. */
export function movedTo(reply: Reply): string | undefined {
  const first = Array.isArray(reply) ? reply[0] : reply;
  return Buffer.isBuffer(first) && first[0] === 0x3e ? first.toString("latin1", 1) : undefined;
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
