/** What clients are held to, and how often each limit held one. Pure: the time is given, in milliseconds. */
import { Rate, waitMsOf } from "./bucket.js";
import type { Told } from "./elsewhere.js";
import { RoomRates } from "./room-rates.js";
import { RoomShares } from "./room-shares.js";
import { UserShares } from "./shares.js";

/** What one session is held to, by its settings. */
export type SessionLimits = {
  /** The longest frame, in bytes. */
  readonly maxFrameBytes: number;
  /** The most rooms joined at once. */
  readonly maxRooms: number;
  /** The most requests without an answer. */
  readonly maxRequests: number;
  /** The most frames in one turn of the event loop. */
  readonly maxFramesPerTurn: number;
  /** How many bytes may wait for a client that does not read, before its rooms' `slow` rule holds. */
  readonly maxBackpressureBytes: number;
  /** Requests a second. */
  readonly requestRate: number;
  /** Bytes a second, of all frames. */
  readonly byteRate: number;
  /** Sessions of one user at once, and what it may publish in a second, on all nodes. */
  readonly userConnections: number;
  readonly userPublishRate: number;
};

/** The limits that are counted; `flood` is a session that was closed, since it went on for too long after it was refused. */
export const limitNames = [
  ...(["requestRate", "byteRate", "flood", "userConnections", "userPublishRate", "publishRate", "maxMembers"] as const),
  ...(["maxEventBytes", "maxFrameBytes", "maxRooms", "maxRequests", "maxFramesPerTurn"] as const),
] as const;
export type LimitName = (typeof limitNames)[number];

/** So much of a session's rates may come at once, in milliseconds. */
const BURST_MS = 2000;
/** So much beyond a session's rates may be refused before it is closed, in milliseconds. */
const FLOOD_MS = 2000;
/** When all clients have sent so many times `maxFramesPerTurn` in one turn, each may send an eighth of it. */
const CROWDED = 4;
const CROWDED_SHARE = 8;

/** What is used of the limits on this node, by all clients. */
export class Usage {
  readonly limits: SessionLimits;
  readonly requests: Rate;
  readonly bytes: Rate;
  /** How long the line of a session may be, in milliseconds, before it counts as a flood. */
  readonly floodMs: number;
  readonly users: UserShares;
  readonly roomRates = new RoomRates();
  readonly members = new RoomShares();
  /** How often each limit refused something. */
  readonly refused = Object.fromEntries(limitNames.map((name) => [name, 0])) as Record<LimitName, number>;

  readonly #membersOf: (room: string) => number;
  readonly #crowdedFrames: number;
  #turn = 0;
  #frames = 0;

  /** `membersOf`: how many clients of this node are in a room, or about to be. */
  constructor(limits: SessionLimits, membersOf: (room: string) => number) {
    this.limits = limits;
    this.#membersOf = membersOf;
    // What a client may have under way it may also send at once.
    const fewest = Math.max(limits.maxFramesPerTurn / CROWDED_SHARE, 2 * limits.maxRequests);
    this.#crowdedFrames = Math.min(limits.maxFramesPerTurn, fewest);
    this.requests = new Rate(limits.requestRate, BURST_MS);
    // A frame of full length fits in any case.
    this.bytes = new Rate(limits.byteRate, BURST_MS, limits.maxFrameBytes);
    this.floodMs = Math.max(FLOOD_MS, this.requests.burstMs, this.bytes.burstMs);
    this.users = new UserShares(limits);
  }

  /** Counts a frame of any client in this turn of the event loop; how many one of them may send in it. */
  framesFor(turn: number): number {
    if (this.#turn !== turn) {
      this.#turn = turn;
      this.#frames = 0;
    }
    const { maxFramesPerTurn } = this.limits;
    return ++this.#frames > CROWDED * maxFramesPerTurn ? this.#crowdedFrames : maxFramesPerTurn;
  }

  /** See `UsageCounts` in `server/cluster/usage.ts`. */
  tell(fits: (name: string) => boolean, ends: boolean, nodes: number): Told {
    const users = this.users.tell(fits, ends, nodes);
    return { users, rooms: this.members.tell(fits, nodes, this.#membersOf) };
  }

  hear(node: string, { users, rooms }: Told, now: number): void {
    this.users.hear(node, users, now);
    this.members.hear(node, rooms, now);
  }

  set onNews(act: () => void) {
    this.users.onNews = act;
    this.members.onNews = act;
  }

  /** Forgets what does not hold any more. To be called about once a second. */
  sweep(now: number): void {
    this.users.sweep(now);
    this.roomRates.sweep(now);
    this.members.sweep(now);
  }
}

/** Which of its rates a session was beyond; `flood`, if it has been for so long that it is to be closed. */
export type Beyond = "maxFramesPerTurn" | "requestRate" | "byteRate" | "flood";

/** How fast one session asks. */
export class Pace {
  #turn = 0;
  #frames = 0;
  /** Two buckets, and one line for both. */
  #requestsFullAt = 0;
  #bytesFullAt = 0;
  #line = 0;

  /** Counts a frame of so many bytes, in this turn of the event loop; `undefined` where nothing speaks against it. */
  take(usage: Usage, bytes: number, turn: number, now: number): Beyond | undefined {
    if (this.#turn !== turn) {
      this.#turn = turn;
      this.#frames = 0;
    }
    // Beyond it the others would wait for this one.
    if (++this.#frames > usage.framesFor(turn)) return "maxFramesPerTurn";
    const requests = usage.requests.after(this.#requestsFullAt, now);
    const after = usage.bytes.after(this.#bytesFullAt, now, bytes);
    if (!usage.requests.holds(requests, now)) {
      this.#line = usage.requests.lineAfter(this.#line, now, requests);
      return this.#line - now > usage.floodMs ? "flood" : "requestRate";
    }
    if (!usage.bytes.holds(after, now)) {
      this.#line = usage.bytes.lineAfter(this.#line, now, after, bytes);
      return this.#line - now > usage.floodMs ? "flood" : "byteRate";
    }
    this.#requestsFullAt = requests;
    this.#bytesFullAt = after;
    return undefined;
  }

  /** After how many milliseconds to try again, for who was refused just now. */
  retryMs(now: number): number {
    return waitMsOf(this.#line, now);
  }
}
