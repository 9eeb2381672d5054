/**
 * The one table of frames: what is in them, and behind it their numbers. Both codecs, the types below, the vectors in `test/vectors` and the tables in
 * `docs/protocol.md` come from it.
 *
 * JSON carries a frame as an object with these names. MessagePack carries it as an array: the frame's number, then its
 * fields in the order of the table; a field left out is nil, or missing where none follows. Numbers and orders are
 * frozen: new fields are added at the end of a frame, new frames get new numbers. (`events` stands last where it
 * occurs, so that a server can write the head of a frame and put events behind it that were encoded before.)
 */
import type { Position } from "./positions.js";

/** What a field may hold, in TypeScript. The names are the ones that stand in the table. */
type Kinds = {
  /** A request's number, chosen by the side that asks; an answer carries it back. */
  id: number;
  /** A whole number from 0 to 2^53 - 1. */
  uint: number;
  /** Any string of at most `MAX_STRING_LENGTH` UTF-16 code units, well-formed. */
  string: string;
  bool: boolean;
  /** See `isRoomName`. */
  room: string;
  /** See `isEventName`. */
  event: string;
  /** 1 to 128 UTF-16 code units. */
  key: string;
  /** Any JSON value; in MessagePack also binary. */
  any: unknown;
  position: Position;
  limits: Limits;
  events: readonly WireEvent[];
  members: readonly Member[];
};

export type FieldKind = keyof Kinds;
/** A field's kind; with `?` the field may be left out. */
type FieldSpec = FieldKind | `${FieldKind}?`;
type Fields = { readonly [field: string]: FieldSpec };
export type FrameSpec = { readonly number: number; readonly fields: Fields };

/** What a server holds a client to, as `welcome` tells it. */
export type Limits = {
  /** The longest frame it takes, in bytes. */
  readonly maxFrameBytes: number;
  /** The most rooms one session may have joined. */
  readonly maxRooms: number;
  /** The most requests that may wait for an answer at once. */
  readonly maxRequests: number;
};

/** What is published in a room. In a room without history there is no `offset`. */
export type WireEvent = {
  readonly offset?: number;
  readonly event: string;
  readonly data: unknown;
  /** The publisher's user, where it has one. */
  readonly from?: string;
  /** When it was published, in Unix milliseconds: for people to read, never for ordering. */
  readonly at: number;
  readonly key?: string;
};

/** A user in a room. */
export type Member = { readonly user: string; readonly info?: unknown };

/** The fields of the values that are more than one number or string, in the order MessagePack carries them. */
export const structures = {
  position: { epoch: "string", offset: "uint" },
  limits: { maxFrameBytes: "uint", maxRooms: "uint", maxRequests: "uint" },
  events: { offset: "uint?", event: "event", data: "any", from: "string?", at: "uint", key: "key?" },
  members: { user: "string", info: "any?" },
} as const satisfies { [kind: string]: Fields };

/** What a client sends. */
const clientFields = {
  hello: { id: "id", token: "string?", session: "string?" },
  join: { id: "id", room: "room", since: "position?", presence: "bool?", token: "string?" },
  leave: { id: "id", room: "room" },
  publish: { id: "id?", room: "room", event: "event", data: "any", key: "key?" },
  history: { id: "id", room: "room", since: "position?", before: "position?", limit: "uint?" },
  members: { id: "id", room: "room", after: "string?", limit: "uint?" },
  call: { id: "id", method: "event", data: "any" },
  renew: { id: "id", token: "string" },
  ping: { id: "id" },
  answer: { id: "id", data: "any?", code: "string?", message: "string?" },
} as const satisfies { [type: string]: Fields };

/** What a node sends: answers first, then what it sends unasked. */
export const serverFields = {
  welcome: {
    id: "id",
    session: "string",
    user: "string?",
    node: "string",
    resumed: "bool",
    heartbeatMs: "uint",
    expiresInMs: "uint?",
    limits: "limits",
  },
  joined: { id: "id", room: "room", position: "position?", recovered: "bool", members: "members?", events: "events" },
  left: { id: "id" },
  renewed: { id: "id", expiresInMs: "uint?", session: "string?" },
  pong: { id: "id" },
  published: { id: "id", position: "position?" },
  history: { id: "id", position: "position?", more: "bool", events: "events" },
  members: { id: "id", members: "members", count: "uint", next: "string?", anonymous: "uint?" },
  result: { id: "id", data: "any" },
  error: { id: "id?", code: "string", message: "string", retryMs: "uint?" },

  events: { room: "room", previous: "uint?", events: "events" },
  presence: { room: "room", entered: "members", left: "members", count: "uint", all: "bool?", countOnly: "bool?" },
  reset: { room: "room", position: "position?", reason: "string" },
  removed: { room: "room", code: "string" },
  move: { afterMs: "uint", deadlineMs: "uint", reason: "string" },
  renew: { expiresInMs: "uint" },
  heartbeat: {},
  call: { id: "id", method: "event", data: "any" },
} as const satisfies { [type: string]: Fields };

const clientNumbers = {
  hello: 1,
  join: 2,
  leave: 3,
  publish: 4,
  history: 5,
  members: 6,
  call: 7,
  renew: 8,
  ping: 9,
  answer: 10,
} as const satisfies { readonly [T in keyof typeof clientFields]: number };

const serverNumbers = {
  welcome: 32,
  joined: 33,
  left: 34,
  renewed: 35,
  pong: 36,
  published: 37,
  history: 38,
  members: 39,
  result: 40,
  error: 41,

  events: 64,
  presence: 65,
  reset: 66,
  removed: 67,
  move: 68,
  renew: 69,
  heartbeat: 70,
  call: 71,
} as const satisfies { readonly [T in keyof typeof serverFields]: number };

function numbered<F extends { readonly [type: string]: Fields }, N extends { readonly [T in keyof F]: number }>(
  fields: F,
  numbers: N,
): { readonly [T in keyof F]: { readonly number: N[T]; readonly fields: F[T] } } {
  const frames = Object.entries(fields).map(([type, each]) => [type, { number: numbers[type], fields: each }]);
  return Object.fromEntries(frames);
}

// Marked pure, so that a bundle of the client, where JSON knows no numbers, is without them.
export const clientFrames = /* @__PURE__ */ numbered(clientFields, clientNumbers);
export const serverFrames = /* @__PURE__ */ numbered(serverFields, serverNumbers);

type OptionalNames<F extends Fields> = { [N in keyof F]: F[N] extends `${string}?` ? N : never }[keyof F];
type KindOf<S> = S extends `${infer K extends FieldKind}?` ? K : S extends FieldKind ? S : never;
type Flat<T> = { [N in keyof T]: T[N] };
type FrameOf<Table extends { [type: string]: FrameSpec }> = {
  [T in keyof Table]: Flat<
    { readonly type: T } & {
      readonly [N in Exclude<keyof Table[T]["fields"], OptionalNames<Table[T]["fields"]>>]: Kinds[KindOf<
        Table[T]["fields"][N]
      >];
    } & { readonly [N in OptionalNames<Table[T]["fields"]>]?: Kinds[KindOf<Table[T]["fields"][N]>] }
  >;
};

type ClientFrames = FrameOf<typeof clientFrames>;
type ServerFrames = FrameOf<typeof serverFrames>;

/** A frame that a client sends; `ClientFrame<"join">` for one type. */
export type ClientFrame<T extends keyof ClientFrames = keyof ClientFrames> = ClientFrames[T];
/** A frame that a node sends; `ServerFrame<"events">` for one type. */
export type ServerFrame<T extends keyof ServerFrames = keyof ServerFrames> = ServerFrames[T];

/** Which of the two tables a frame is of: it names the side that sends. */
export type Side = "client" | "server";
export type FrameTable = { readonly [type: string]: FrameSpec };
export const frames: { readonly [side in Side]: FrameTable } = { client: clientFrames, server: serverFrames };
