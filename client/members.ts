/** Who is in a room, as the server tells it. */
import type { Member } from "../protocol/frames.js";
import { Listeners } from "./listeners.js";

/** A view of the members that does not change: `room.members` gives another one when something has. */
export type MembersSnapshot = {
  readonly members: readonly Member[];
  readonly count: number | undefined;
  readonly isListed: boolean;
};

export type MembersOptions = {
  /** The user that the page before ended with: its `next`. */
  readonly after?: string;
  /** The most members in the page; the server's own limit if left out. */
  readonly limit?: number;
};

/** Some of a room's users, in the order of the UTF-16 code units of their names. */
export type MembersPage = {
  readonly members: readonly Member[];
  /** Of the whole room: users, and sessions without one. */
  readonly count: number;
  /** Of these, the sessions without a user. */
  readonly anonymous?: number;
  /** `after` for the next page; missing in the last one. */
  readonly next?: string;
};

/** Who is in a room, by user; empty unless the room was opened with `presence`. */
export interface Members extends Iterable<Member> {
  /** How many are listed. */
  readonly size: number;
  /** How many are there: users, and sessions without one, which are not listed. `undefined` before it is known. */
  readonly count: number | undefined;
  /** False: not known yet, or too many to be listed. `count` alone is kept up to date then. */
  readonly isListed: boolean;
  get(user: string): Member | undefined;
  has(user: string): boolean;
  /** The same object until something changes. */
  snapshot(): MembersSnapshot;
  /** Called once for all that changed together; returns what stops the listening. */
  onChange(listener: (members: Members) => unknown): () => void;
  /** Asks the server, also where too many are there to be listed, and in rooms without `presence`. Rejects as `history` does. */
  page(options?: MembersOptions): Promise<MembersPage>;
}

/** The map behind `Members`, which hides what is not for the application. `presence.ts` is what fills it. */
export class LiveMembers
  extends (Map as new () => Omit<Map<string, Member>, typeof Symbol.iterator>)
  implements Members
{
  count: number | undefined;
  isListed = false;
  /** What `snapshot` gives. */
  view: MembersSnapshot = { members: [], count: undefined, isListed: false };
  /** Set by the room, which knows whom to ask. */
  declare page: Members["page"];
  readonly entered = new Listeners<Member>();
  readonly left = new Listeners<Member>();
  readonly told = new Listeners<Members>();

  [Symbol.iterator](): Iterator<Member> {
    return this.values();
  }

  snapshot(): MembersSnapshot {
    return this.view;
  }

  onChange(listener: (members: Members) => unknown): () => void {
    return this.told.listen(listener);
  }
}
