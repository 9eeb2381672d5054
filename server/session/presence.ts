/** What sessions need of presence: who is in a room, on all nodes. `server/presence` is behind it. */
import type { ServerCodec } from "../../protocol/codec.js";
import type { Member } from "../../protocol/frames.js";
import type { KindRules } from "../room/rules.js";

/** Who comes in. Without a user it is counted, and not listed. `info` is shown to the others. */
export type Who = { readonly session: string; readonly user: string | undefined; readonly info: unknown };

/** A session's place among a room's members. After one of `leave` and `lose` nothing more happens to it. */
export interface Seat {
  /** The others are shown this from now on. */
  update(info: unknown): void;
  /** The session has gone for good: at once. */
  leave(): void;
  /** Its connection has: it stays for the grace period, in case it comes back, here or on another node. */
  lose(): void;
}

/** Who is there, as a client is told that has just come. */
export type View = {
  /** `undefined`: too many to be listed, or not known yet; who reads is told once it is. */
  readonly members: readonly Member[] | undefined;
  /** How many: different users, and sessions without one; `undefined` while it is not known. */
  readonly count: number | undefined;
};

/** A room's members, as this node knows them. */
export interface Roster {
  /** What frames of it are fanned out as: `Fanout.publish(topic, …)`, `link.join(topic)`. */
  readonly topic: string;
  /** Called before the first reader enters: `undefined` where it is known who is there. Never rejects; bounded in time. */
  ready(): Promise<void> | undefined;
  /** Takes a place. A session that had one here or elsewhere goes on in it. */
  enter(who: Who): Seat;
  view(): View;
  /** Counts a reader in, whose link joins `topic` and who is given `view()` in the same turn; and out. */
  addReader(codec: ServerCodec): void;
  removeReader(codec: ServerCodec): void;
  /** Gives back one hold. */
  release(): void;
}

export type MembersQuery = { readonly after?: string | undefined; readonly limit: number };

/** A page of a room's users, in the order of the UTF-16 code units of their names. */
export type MembersList = {
  readonly members: readonly (Member & { readonly sessions: number })[];
  /** Different users, and sessions without one: of the whole room, as `anonymous`, how many of them have no user. */
  readonly count: number;
  readonly anonymous: number;
  /** Where there are more: what `after` is for the next page. */
  readonly next?: string;
};

export interface Presences {
  /** The room's members, held until `release`. `room` is its full name. */
  hold(room: string, rules: KindRules): Roster;
  /** Who is in the room, also where nobody here is. Rejects with what the engine says. */
  page(room: string, rules: KindRules, query: MembersQuery): Promise<MembersList>;
}
