/** Who is in a room, as the server tells it. */
import type { Member, ServerFrame } from "../protocol/frames.js";
import { Listeners, type Report } from "./listeners.js";

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

/** What the server says of the members, together. */
type Change = Pick<ServerFrame<"presence">, "entered" | "all" | "countOnly"> & {
  readonly left?: readonly Member[];
  readonly count: number | undefined;
};

/** It is a map, so that it need not have one; `Members` hides what is not for the application. */
export class LiveMembers
  extends (Map as new () => Omit<Map<string, Member>, typeof Symbol.iterator>)
  implements Members
{
  count: number | undefined;
  isListed = false;
  readonly page: Members["page"];
  readonly entered = new Listeners<Member>();
  readonly left = new Listeners<Member>();
  readonly #changes = new Listeners<Members>();
  readonly #report: Report;
  #snapshot: MembersSnapshot | undefined;

  constructor(page: Members["page"], report: Report) {
    super();
    this.page = page;
    this.#report = report;
  }

  [Symbol.iterator](): Iterator<Member> {
    return this.values();
  }

  snapshot(): MembersSnapshot {
    const { count, isListed } = this;
    this.#snapshot ??= { members: [...this], count, isListed };
    return this.#snapshot;
  }

  onChange(listener: (members: Members) => unknown): () => void {
    return this.#changes.listen(listener);
  }

  /** Where it was not known who is there, who is there now is no news. Nor is who stays. */
  take({ entered, left = [], count, all, countOnly }: Change): void {
    const wasListed = this.isListed;
    const isListed = !!all || (wasListed && !countOnly);
    const now = new Map(isListed ? entered.map((member) => [member.user, member]) : []);
    const news: [Listeners<Member>, Member][] = [];
    let isChanged = count !== this.count || isListed !== wasListed;
    this.count = count;
    this.isListed = isListed;
    for (const { user } of all || !isListed ? [...this] : left) {
      const member = this.get(user);
      if (!member || now.has(user)) continue;
      this.delete(user);
      news.push([this.left, member]);
    }
    for (const [user, member] of now) {
      const old = this.get(user);
      if (!old) news.push([this.entered, member]);
      else if (JSON.stringify(old.info) === JSON.stringify(member.info)) continue;
      isChanged = true;
      this.set(user, member);
    }
    if (!isChanged && news.length === 0) return;
    this.#snapshot = undefined;
    // A listener may leave the room: then nothing is listed any more.
    for (const [listeners, member] of news) if (wasListed && this.isListed) listeners.emit(member, this.#report);
    this.#changes.emit(this, this.#report);
  }
}
