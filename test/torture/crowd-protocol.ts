/** What the harness asks of a crowd's process, and what it is told. */
import type { Position } from "../../protocol/positions.js";
import type { PackedRecords } from "./packed.js";

export type SubscribeOrder = {
  readonly type: "subscribe";
  /** How many clients come. */
  readonly count: number;
  readonly rooms: readonly string[];
  /** How many of the rooms each of them joins; they are taken in turn. */
  readonly roomsEach: number;
  /** The clients come one by one, at random moments within this time, in milliseconds. */
  readonly withinMs: number;
  /** The share of the clients that come with a position of their own, of an event that was seen in the room before. */
  readonly resuming: number;
  /** Whether each comes as a user of its own, whose token `SECRET` signs, and is told who is in its rooms. */
  readonly presence: boolean;
};

export type PublishOrder = {
  readonly type: "publish";
  /** How many publishers; the first has the number `firstPublisher`. */
  readonly count: number;
  readonly firstPublisher: number;
  /** Each publisher publishes in all of these rooms, in turn; each publisher has its own. */
  readonly rooms: readonly (readonly string[])[];
  /** Of all these publishers together. */
  readonly eventsPerSecond: number;
  /** A publisher that waits for so many answers of one room pauses. */
  readonly maxWaiting: number;
  /** `sdk`: tries again until there is an answer. `once`: asks once, over the wire, so that refusals show. */
  readonly manner: "sdk" | "once";
  /** How many bytes of filling each event carries. */
  readonly padding: number;
};

export type Order =
  | { readonly type: "route"; readonly urls: readonly string[] }
  | SubscribeOrder
  | PublishOrder
  | { readonly type: "stop" }
  /** Cuts the connections of a share of the subscribers, the first that came, and keeps them away. */
  | { readonly type: "cut"; readonly share: number; readonly forMs: number }
  /** Forgets what was told so far of who came and went. */
  | { readonly type: "mark" }
  /** The subscribers read nothing more from their connections, or go on reading. */
  | { readonly type: "stall"; readonly stalled: boolean }
  /** Counts from now on, so often, on which node how many clients are. */
  | { readonly type: "sample"; readonly everyMs: number }
  /** Whether each subscriber is at or past the given position of its rooms, and every publish is answered. */
  | { readonly type: "progress"; readonly ends: { readonly [room: string]: Position } }
  | { readonly type: "collect" };

export type Progress = {
  /** Publishes without an answer. */
  readonly waiting: number;
  /** Rooms of subscribers which are not there yet. */
  readonly behind: number;
  readonly joined: number;
  readonly deliveries: number;
  /** Clients, subscribers and publishers, that have a session. */
  readonly connected: number;
  readonly published: number;
  /** How many members the subscribers know of, each counted at every client that knows of it. */
  readonly members: number;
  /** The newest acknowledged position of each room. */
  readonly ends: { readonly [room: string]: Position & { readonly at: number } };
};

/** A connection that ended without this side having ended it. */
export type Loss = { readonly at: number; readonly code: number; readonly reason: string };

/** What a client was told of who is in its room. All but the last two since the mark, or since it is there. */
export type MembersTold = {
  readonly user: string;
  readonly room: string;
  /** Users, in the order in which they came, or went. */
  readonly entered: readonly string[];
  readonly left: readonly string[];
  /** The lowest and the highest count, and how often it has risen. */
  readonly least: number;
  readonly most: number;
  readonly rises: number;
  /** How many users are listed, and how many members there are. */
  readonly listed: number;
  readonly count: number;
};

/** How many clients are on each node, by its name, at a moment, in Unix milliseconds. */
export type Sample = { readonly at: number; readonly nodes: { readonly [node: string]: number } };

export type Collected = {
  readonly records: PackedRecords;
  readonly losses: readonly Loss[];
  /** How long each absence of a client lasted, from the loss to all of its rooms joined again, in milliseconds. */
  readonly gapsMs: readonly number[];
  /** What went wrong, counted. */
  readonly errors: readonly string[];
  /** Of each client, subscribers and publishers, how many of its connections have stood. */
  readonly sockets: readonly number[];
  /** How long each connection took to open, through a balancer and all, in milliseconds. */
  readonly openMs: readonly number[];
  /** How many clients have shown the application that they were not connected, having been it once. */
  readonly disturbed: number;
  /** How many of the connections have ended, by their close codes. */
  readonly closes: { readonly [code: string]: number };
  readonly samples: readonly Sample[];
  readonly members: readonly MembersTold[];
  /** Frames on the wire that told of someone who came or went, since the mark. */
  readonly memberFrames: number;
  /** The longest that the process did not come to its turn, since it has sampled, in milliseconds: its own or the machine's doing. */
  readonly stallMs: number;
};
