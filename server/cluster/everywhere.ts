/** What the application asks of all nodes, and how their answers become one. */
import { ProtocolError } from "../../protocol/codes.js";
import { describe, isUser, MAX_USER_LENGTH } from "../../protocol/fields.js";
import { isEventName, isRoomName } from "../../protocol/names.js";
import { Payload } from "../../protocol/payload.js";
import { type Answer, readAnswers } from "./answers.js";
import { type Ask, type Forget, isAfter, isPrefix, MAX_CALL_MS, MAX_OCCUPIED, MAX_PAGE } from "./asks.js";
import { checkNumber, checkRoom, checkTenant, checkUser } from "./checks.js";
import type { Answered, Cluster } from "./cluster.js";
import { type Entry, jsonBytes, LIST_BYTES, mergePages, type NamePage } from "./pages.js";
import type { Collected } from "./questions.js";

/** How many names a page has where it is not said. */
const USUAL_PAGE = 100;
/** How long sessions have for an answer where it is not said, in milliseconds. */
const USUAL_CALL_MS = 5000;
/** How long nodes are waited for beyond it, in milliseconds. */
const BEYOND_MS = 1000;
/** The largest question to sessions, in bytes of JSON. */
const MAX_CALL_BYTES = 16_384;

export type PageOptions = {
  /** Whose rooms; left out: those of a server without tenants. */
  readonly tenant?: string | undefined;
  /** `next` of the page before; left out: from the first name on. */
  readonly after?: string | undefined;
  /** The most names, 1 to 1000; 100 by default. A page may have fewer and be followed by others: `next` says. */
  readonly limit?: number | undefined;
};

export type RoomsOptions = PageOptions & {
  /** Only rooms whose names begin with it. */
  readonly prefix?: string | undefined;
};

export type CallOptions = {
  /** Whose user; left out: one of a server without tenants. */
  readonly tenant?: string | undefined;
  /** How long the sessions have for an answer, in milliseconds, 1 to 30000; 5000 by default. */
  readonly timeoutMs?: number | undefined;
};

/** Rooms with clients, in the order of the UTF-16 code units of their names. */
export type RoomsPage = Answered & {
  readonly rooms: readonly { readonly room: string; readonly clients: number }[];
  /** Where there are more: what `after` is for the next page. */
  readonly next?: string;
};

/** What a user's sessions answered. */
export type Called = Answered & {
  /** How many sessions the user has. */
  readonly sessions: number;
  /**
   * One for each session that was asked, at most 100 of one node: its data, or a code and words. `unavailable`: the session
   * ended, was told to move to another node, or is a stream that cannot answer; `timeout`: no answer in time; `too_large`: more than nodes tell each other; `too_many`: too many
   * questions wait for that session; any other code is the client's own.
   */
  readonly answers: readonly Answer[];
};

const listsOf = ({ lists = [] }: Collected): readonly NamePage[] =>
  lists.map(({ numbers, listed }) => ({ entries: listed.filter(isEntry), more: numbers["more"] === 1 }));

const isEntry = (entry: unknown): entry is Entry =>
  Array.isArray(entry) && typeof entry[0] === "string" && Number.isSafeInteger(entry[1]);

const optional = (next: string | undefined): { readonly next?: string } => (next === undefined ? {} : { next });

export function checkAfter(after: unknown): { readonly after?: string } {
  if (after === undefined) return {};
  if (!isAfter(after)) throw new ProtocolError("after", `at most ${MAX_USER_LENGTH} characters`, describe(after));
  return { after };
}

export const checkLimit = (limit: unknown): number => checkNumber("limit", limit, USUAL_PAGE, 1, MAX_PAGE);

/** See `Server.rooms`. */
export async function listRooms(cluster: Cluster, options: RoomsOptions = {}): Promise<RoomsPage> {
  const { tenant = "", prefix = "" } = options;
  checkTenant(tenant);
  if (!isPrefix(prefix)) throw new ProtocolError("prefix", "the beginning of a room's name", describe(prefix));
  const limit = checkLimit(options.limit);
  const collected = await cluster.ask({ what: "rooms", tenant, prefix, limit, ...checkAfter(options.after) });
  const { entries, next } = mergePages(listsOf(collected), limit);
  const { nodes, missing } = collected;
  return { rooms: entries.map(([room, clients]) => ({ room, clients })), ...optional(next), nodes, missing };
}

/** The data of a question to sessions as JSON text, which goes into a note. */
function questionOf(data: unknown): string {
  const { json } = Payload.ofValue(data);
  const bytes = Buffer.byteLength(json);
  if (bytes > MAX_CALL_BYTES) throw new ProtocolError("data", `at most ${MAX_CALL_BYTES} bytes of JSON`, `${bytes}`);
  // It is text in there, and its quotes and backslashes are escaped once more.
  const escaped = jsonBytes(json);
  if (escaped <= LIST_BYTES) return json;
  throw new ProtocolError("data", `at most ${LIST_BYTES} bytes as a string of JSON`, `${escaped}`);
}

/** See `Server.call`. */
export async function callUser(
  cluster: Cluster,
  user: string,
  method: string,
  data: unknown,
  options: CallOptions = {},
): Promise<Called> {
  const { tenant = "" } = options;
  checkUser(user);
  checkTenant(tenant);
  if (typeof method !== "string" || !isEventName(method)) {
    throw new ProtocolError("method", "a name like an event's", describe(method));
  }
  const withinMs = checkNumber("timeoutMs", options.timeoutMs, USUAL_CALL_MS, 1, MAX_CALL_MS);
  const json = questionOf(data);
  const ask: Ask = { what: "call", tenant, user, method, json, withinMs };
  const { listed = [], numbers, nodes, missing } = await cluster.ask(ask, withinMs + BEYOND_MS);
  const answers = readAnswers(listed);
  // A session that is open on two connections, as in a move, is one.
  const sessions = (numbers["sessions"] ?? 0) - (listed.length - answers.length);
  return { sessions, answers, nodes, missing };
}

/** See `Server.forget`. */
export async function forgetEverywhere(cluster: Cluster, what: Forget): Promise<Answered> {
  const { tenant, user, room } = what;
  if (tenant !== undefined) checkTenant(tenant);
  if (user !== undefined && !isUser(user)) checkUser(user);
  if (room !== undefined && !isRoomName(room)) checkRoom(room);
  const forget = Object.fromEntries(Object.entries({ tenant, user, room }).filter(([, name]) => name !== undefined));
  const { nodes, missing } = await cluster.ask({ what: "forget", forget });
  return { nodes, missing };
}

/** Which of these rooms, by their full names, have clients on other nodes; with each, what that node says of it. */
export async function occupiedElsewhere(
  cluster: Cluster,
  rooms: readonly string[],
): Promise<Answered & { readonly occupied: readonly (readonly unknown[])[] }> {
  const occupied: (readonly unknown[])[] = [];
  const missing = new Set<string>();
  let nodes = 0;
  for (let from = 0; from < rooms.length; from += MAX_OCCUPIED) {
    const collected = await cluster.ask({ what: "occupied", rooms: rooms.slice(from, from + MAX_OCCUPIED) });
    for (const { id, listed } of collected.lists ?? []) {
      if (id !== cluster.id) occupied.push(...listed.filter((entry) => Array.isArray(entry)));
    }
    nodes = collected.nodes;
    for (const name of collected.missing) missing.add(name);
  }
  return { nodes, missing: [...missing], occupied };
}
