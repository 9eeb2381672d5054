/** What nodes are asked to do or to tell. */
import { isUser, isWellFormed, MAX_USER_LENGTH } from "../../protocol/fields.js";
import { isEventName, isRoomName, isTenantOrNone } from "../../protocol/names.js";

const MAX_NAME = 300;
/** The longest time that sessions have for an answer, in milliseconds. */
export const MAX_CALL_MS = 30_000;
/** The most names on a page. */
export const MAX_PAGE = 1000;
/** The most rooms that are asked about at once; a note has place for so many of the longest names. */
export const MAX_OCCUPIED = 150;

/** What is to be forgotten: all that was remembered of a tenant, a user or a room; of everything where it names none. */
export type Forget = {
  readonly tenant?: string | undefined;
  readonly user?: string | undefined;
  readonly room?: string | undefined;
};

export type RoomsAsk = {
  /** "" where there are none; here and below. */
  readonly tenant: string;
  readonly prefix: string;
  readonly after?: string | undefined;
  readonly limit: number;
};

export type CallAsk = {
  readonly tenant: string;
  readonly user: string;
  readonly method: string;
  /** JSON text: it may nest as deep as data may, and stands in a note that nests itself. */
  readonly json: string;
  /** How long the sessions have, in milliseconds. */
  readonly withinMs: number;
};

/** What a node may be asked to do or to tell. */
export type Ask =
  /** `tenant`: "" where there are none; notes of nodes that know of none do not say it. */
  | { readonly what: "disconnect"; readonly user: string; readonly tenant: string }
  | { readonly what: "remove"; readonly user: string; readonly tenant: string; readonly room: string }
  /** What is taken back, as it is written into the log of such: whoever does it reads it. */
  | { readonly what: "revoke"; readonly revocation: unknown }
  /** To one node alone: what it knows to be taken back, from so many on. */
  | { readonly what: "revocations"; readonly of: string; readonly from: number }
  | { readonly what: "counts" }
  | { readonly what: "count"; readonly tenant: string; readonly room: string }
  | ({ readonly what: "rooms" } & RoomsAsk)
  | ({ readonly what: "call" } & CallAsk)
  | { readonly what: "forget"; readonly forget: Forget }
  /** Which of these rooms, by their full names, have clients. */
  | { readonly what: "occupied"; readonly rooms: readonly string[] };

type Fields = { readonly [name: string]: unknown };

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isName = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && value.length <= MAX_NAME;
const isRoom = (value: unknown): value is string => typeof value === "string" && isRoomName(value);
const isPage = (value: unknown): value is number => isCount(value) && value >= 1 && value <= MAX_PAGE;

/** Whether names may come after it: any short text. */
export const isAfter = (value: unknown): value is string =>
  typeof value === "string" && value.length <= MAX_USER_LENGTH && isWellFormed(value);

/** Whether rooms' names may begin with it. */
export const isPrefix = (value: unknown): value is string => value === "" || isRoom(value);

/** What a note asks for; `undefined` where this version does not know it. Throws nothing. */
export function readAsk(fields: Fields): Ask | undefined {
  const { what, user, tenant = "", room, revocation, of, from } = fields;
  if (what === "counts") return { what };
  if (what === "revoke") return { what, revocation };
  if (what === "revocations") return isName(of) && isCount(from) ? { what, of, from } : undefined;
  if (what === "forget") return readForget(fields["forget"]);
  if (what === "occupied") return readOccupied(fields["rooms"]);
  if (!isTenantOrNone(tenant)) return undefined;
  if (what === "disconnect") return isUser(user) ? { what, user, tenant } : undefined;
  if (what === "rooms") return readRooms(fields, tenant);
  if (what === "call") return readCall(fields, tenant);
  if (!isRoom(room)) return undefined;
  if (what === "count") return { what, tenant, room };
  return what === "remove" && isUser(user) ? { what, user, tenant, room } : undefined;
}

const afterIn = (after: unknown): { readonly after?: string } | undefined =>
  after === undefined ? {} : isAfter(after) ? { after } : undefined;

function readRooms({ prefix, after, limit }: Fields, tenant: string): Ask | undefined {
  const start = afterIn(after);
  if (!isPrefix(prefix) || !isPage(limit) || start === undefined) return undefined;
  return { what: "rooms", tenant, prefix, limit, ...start };
}

function readCall({ user, method, json, withinMs }: Fields, tenant: string): Ask | undefined {
  if (!isUser(user) || typeof method !== "string" || !isEventName(method)) return undefined;
  if (typeof json !== "string" || !isCount(withinMs) || withinMs > MAX_CALL_MS) return undefined;
  return { what: "call", tenant, user, method, json, withinMs };
}

function readForget(forget: unknown): Ask | undefined {
  if (typeof forget !== "object" || forget === null) return undefined;
  const read: { [name: string]: string } = {};
  for (const name of ["tenant", "user", "room"]) {
    const value = (forget as Fields)[name];
    if (value === undefined) continue;
    if (typeof value !== "string") return undefined;
    read[name] = value;
  }
  return { what: "forget", forget: read };
}

function readOccupied(rooms: unknown): Ask | undefined {
  if (!Array.isArray(rooms) || rooms.length > MAX_OCCUPIED || !rooms.every(isName)) return undefined;
  return { what: "occupied", rooms };
}
