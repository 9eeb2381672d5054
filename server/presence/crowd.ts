/** Who is in a room: what all nodes say, taken together. */
import { FirstNames } from "../room/first-names.js";
import { walk } from "../room/walk.js";
import type { MembersList, MembersQuery } from "../session/presence.js";
import type { Entry } from "./register.js";

/** Most users have one session, in one node's words. */
type Entries = Entry | readonly Entry[];

/** What a change was to a user, as the others see it. */
export type Changed = "came" | "went" | "info";

export type CrowdEvents = {
  /** A user's first session came, the last one went, or other info is shown. */
  user(user: string, changed: Changed): void;
  /** A session that is nobody's came or went. */
  anonymous(): void;
};

const listOf = (entries: Entries | undefined): readonly Entry[] => {
  if (entries === undefined) return [];
  return Array.isArray(entries) ? entries : [entries as Entry];
};

/** The newest says what is shown; where two are as new, the greater session, so that all nodes choose the same. */
function newestOf(entries: readonly Entry[]): Entry | undefined {
  let newest: Entry | undefined;
  for (const entry of entries) {
    if (newest === undefined || entry.at > newest.at || (entry.at === newest.at && entry.session > newest.session)) {
      newest = entry;
    }
  }
  return newest;
}

const isSame = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);

/** One entry for each node that says it: a session that is moving stands here twice, and counts once. */
export class Crowd {
  readonly #users = new Map<string, Entries>();
  /** Sessions without a user, by session. */
  readonly #anonymous = new Map<string, Entries>();
  readonly #events: CrowdEvents | undefined;
  /** About how much all of it takes. */
  bytes = 0;

  constructor(events?: CrowdEvents) {
    this.#events = events;
  }

  /** How many users. */
  get users(): number {
    return this.#users.size;
  }

  get anonymous(): number {
    return this.#anonymous.size;
  }

  /** Different users, and sessions without one. */
  get count(): number {
    return this.users + this.anonymous;
  }

  add(entry: Entry): void {
    const { user } = entry;
    const map = user === undefined ? this.#anonymous : this.#users;
    const key = user ?? entry.session;
    const before = map.get(key);
    this.bytes += entry.bytes;
    map.set(key, before === undefined ? entry : [...listOf(before), entry]);
    this.#tell(user, listOf(before), listOf(map.get(key)));
  }

  remove(entry: Entry): void {
    const { user } = entry;
    const map = user === undefined ? this.#anonymous : this.#users;
    const key = user ?? entry.session;
    const before = listOf(map.get(key));
    const after = before.filter((each) => each !== entry);
    if (after.length === before.length) return;
    this.bytes -= entry.bytes;
    if (after.length === 0) map.delete(key);
    else map.set(key, after.length === 1 ? (after[0] as Entry) : after);
    this.#tell(user, before, after);
  }

  #tell(user: string | undefined, before: readonly Entry[], after: readonly Entry[]): void {
    if (this.#events === undefined) return;
    const came = before.length === 0;
    const went = after.length === 0;
    if (user === undefined) {
      if (came || went) this.#events.anonymous();
    } else if (came) {
      this.#events.user(user, "came");
    } else if (went) {
      this.#events.user(user, "went");
    } else if (!isSame(newestOf(before)?.info, newestOf(after)?.info)) {
      this.#events.user(user, "info");
    }
  }

  has(user: string): boolean {
    return this.#users.has(user);
  }

  /** Whether the session stands here in other words than these, and newer than `since`, in Unix milliseconds. */
  isElsewhere(entry: Entry, since: number): boolean {
    const map = entry.user === undefined ? this.#anonymous : this.#users;
    const entries = listOf(map.get(entry.user ?? entry.session));
    return entries.some((each) => each !== entry && each.session === entry.session && each.at > since);
  }

  /** What is shown of the user. */
  member(user: string): { readonly user: string; readonly info?: unknown } {
    const info = newestOf(listOf(this.#users.get(user)))?.info;
    return info === undefined ? { user } : { user, info };
  }

  *names(): Generator<string> {
    yield* this.#users.keys();
  }

  /** A page of the users. However many there are, the loop is not held. */
  async page({ after, limit }: MembersQuery): Promise<MembersList> {
    const first = new FirstNames<true>(after, limit);
    await walk(this.#users.keys(), (user) => {
      if (first.wants(user)) first.set(user, true);
    });
    const { entries, more } = first.page();
    const members = entries.flatMap(([user]) => {
      const sessions = new Set(listOf(this.#users.get(user)).map(({ session }) => session)).size;
      // Whoever went while the others were walked over is not shown.
      return sessions > 0 ? [{ ...this.member(user), sessions }] : [];
    });
    const { count, anonymous } = this;
    const next = entries[entries.length - 1]?.[0];
    return { members, count, anonymous, ...(more && next !== undefined ? { next } : {}) };
  }
}
