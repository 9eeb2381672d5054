/**
 * What nodes say to each other: events of one reserved room, without history. The event's name is the note's type, its
 * data a JSON object with the version, the sender's instance, the sender's count of notes, and the note's own fields.
 *
 * Nodes of two versions read each other's: fields are only ever added. What a node does not know it passes over.
 */
import type { NewEvent, RoomEvent } from "../../protocol/event.js";
import { Payload } from "../../protocol/payload.js";
import { type Ask, MAX_PAGE, readAsk } from "./asks.js";

const VERSION = 1;
/** The most that a note may weigh, in bytes. */
const MAX_BYTES = 32_768;
const MAX_TEXT = 300;
const MAX_PROBLEMS = 20;
const MAX_NUMBERS = 10;
/** The most revocations that an answer lists: so few that they fit, however long they are. */
export const MAX_LISTED = 20;
/** The most users, or rooms, that a note tells of. */
const MAX_TOLD = 1000;

/** How a node is at this moment. */
export type NodeState = {
  /** Where clients reach it, such as `http://10.0.0.7:8000`. */
  readonly address?: string | undefined;
  /** Clients connected, those included that have not said hello. */
  readonly connections: number;
  /** Clients that were welcomed. */
  readonly sessions: number;
  /** Rooms that are open: with someone there, or lingering. */
  readonly rooms: number;
  /** What of the engine it cannot reach. */
  readonly problems: readonly string[];
  /** Whether it is about to end. */
  readonly draining: boolean;
};

/** What a node says of itself. */
export type NodeFacts = NodeState & {
  readonly name: string;
  readonly version: string;
  readonly host: string;
  readonly pid: number;
  /** Unix milliseconds, by the node's own clock. */
  readonly startedAt: number;
};

/** An answer: whole numbers by name, so that those of all nodes can be added up. */
export type Numbers = { readonly [name: string]: number };

/** Those who use much of what is limited for all nodes together. */
export type Use = {
  /** Users: their key, their sessions on the node, and what they published there since it told of them before. */
  readonly users: readonly (readonly [user: string, sessions: number, published: number])[];
  /** Rooms by their full names, and how many clients of the node are in each. */
  readonly rooms: readonly (readonly [room: string, members: number])[];
};

export type Note =
  /** I am here. */
  | { readonly type: "node"; readonly facts: NodeFacts }
  /** Who is here? */
  | { readonly type: "who" }
  /** I have gone. */
  | { readonly type: "left" }
  | { readonly type: "ask"; readonly request: number; readonly ask: Ask }
  /** To the instance that asked; without numbers: it could not be done. */
  | {
      readonly type: "answer";
      readonly to: string;
      readonly request: number;
      readonly numbers: Numbers | undefined;
      /** JSON values, where a list was asked for; no more than fit. */
      readonly listed?: readonly unknown[] | undefined;
    }
  /** These use much of me. */
  | { readonly type: "use"; readonly use: Use };

/** A note, and whose it is. */
export type Said = { readonly id: string; readonly sequence: number; readonly note: Note };

/** Text that every codec carries, and no longer than the others take. */
const fitting = (text: string): string => text.slice(0, MAX_TEXT).replace(/\p{Surrogate}/gu, "\ufffd");

function bodyOf(note: Note): object {
  if (note.type !== "node") return { ...note, type: undefined };
  const { facts } = note;
  const { address, name, version, host } = facts;
  return {
    ...facts,
    ...(address === undefined ? {} : { address: fitting(address) }),
    name: fitting(name),
    version: fitting(version),
    host: fitting(host),
    problems: facts.problems.slice(0, MAX_PROBLEMS).map(fitting),
  };
}

/** The note as an event to publish. */
export function writeNote({ id, sequence, note }: Said): NewEvent {
  const data = Payload.ofValue({ v: VERSION, id, seq: sequence, ...bodyOf(note) });
  return { event: note.type, data, at: Date.now() };
}

type Fields = { readonly [name: string]: unknown };

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isText = (value: unknown): value is string => typeof value === "string" && value.length <= MAX_TEXT;
const isName = (value: unknown): value is string => isText(value) && value !== "";

/** What an event of the reserved room says; `undefined` where it is no note that this version knows. Throws nothing. */
export function readNote(event: RoomEvent): Said | undefined {
  try {
    if (event.data.size > MAX_BYTES) return undefined;
    const body = event.data.value;
    if (!isFields(body) || body["v"] !== VERSION) return undefined;
    const { id, seq } = body;
    if (!isName(id) || !isCount(seq) || seq === 0) return undefined;
    const note = noteOf(event.event, body);
    return note && { id, sequence: seq, note };
  } catch {
    // Bytes that are not what their form says.
    return undefined;
  }
}

function noteOf(type: string, body: Fields): Note | undefined {
  switch (type) {
    case "node":
      return factsOf(body);
    case "who":
    case "left":
      return { type };
    case "ask": {
      const ask = isFields(body["ask"]) ? readAsk(body["ask"]) : undefined;
      return isCount(body["request"]) && ask ? { type, request: body["request"], ask } : undefined;
    }
    case "answer":
      return answerOf(body);
    case "use":
      return isFields(body["use"]) ? useOf(body["use"]) : undefined;
    default:
      return undefined;
  }
}

function factsOf(body: Fields): Note | undefined {
  const { address, name, version, host, pid, startedAt, connections, sessions, rooms, problems, draining } = body;
  if (!isName(name) || !isText(version) || !isText(host) || !isCount(pid) || !isCount(startedAt)) return undefined;
  if (!isCount(connections) || !isCount(sessions) || !isCount(rooms) || typeof draining !== "boolean") return undefined;
  if (!Array.isArray(problems) || problems.length > MAX_PROBLEMS || !problems.every(isText)) return undefined;
  if (address !== undefined && !isText(address)) return undefined;
  const facts = { name, version, host, pid, startedAt, connections, sessions, rooms, problems, draining };
  return { type: "node", facts: address === undefined ? facts : { ...facts, address } };
}

function answerOf({ to, request, numbers, listed }: Fields): Note | undefined {
  if (!isName(to) || !isCount(request)) return undefined;
  if (numbers === undefined) return { type: "answer", to, request, numbers };
  if (!isFields(numbers)) return undefined;
  const entries = Object.entries(numbers);
  if (entries.length > MAX_NUMBERS || !entries.every(([, value]) => isCount(value))) return undefined;
  const answer = { type: "answer" as const, to, request, numbers: numbers as Numbers };
  return Array.isArray(listed) && listed.length <= MAX_PAGE ? { ...answer, listed } : answer;
}

/** Lists of names, each with so many counts. */
const areTold = (list: unknown, counts: number): list is [string, ...number[]][] =>
  Array.isArray(list) &&
  list.length <= MAX_TOLD &&
  list.every((entry) => {
    if (!Array.isArray(entry) || entry.length <= counts) return false;
    return isName(entry[0]) && entry.slice(1, counts + 1).every(isCount);
  });

function useOf({ users, rooms }: Fields): Note | undefined {
  if (!areTold(users, 2) || !areTold(rooms, 1)) return undefined;
  return { type: "use", use: { users, rooms } as unknown as Use };
}
