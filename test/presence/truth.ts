/** The oracle: who is in a room, by plain rules and with everybody's knowledge. */

export type Times = {
  /** The node's setting, of which the lease of its members is a part. */
  readonly settingMs: number;
  /** How often what is known is compared with the registers. */
  readonly checkMs: number;
  readonly graceMs: number;
  /** How long a lease is good, and how often it is renewed at the least. */
  readonly leaseMs: number;
  readonly beatMs: number;
  readonly intervalMs: number;
};

/** How long news is under way in a cluster where everything works: written, told, and taken; in milliseconds. */
export const NEWS_MS = 700;

/** A session's time in a room on one node. */
export type Stay = {
  readonly room: string;
  readonly session: string;
  readonly user: string | undefined;
  info: unknown;
  readonly node: string;
  /** From when on, and until when, everybody has to know of it. */
  from: number;
  until: number;
  /** Until when somebody may still believe it. */
  mayUntil: number;
  /** Whether the connection is there. */
  held: boolean;
};

/** What everybody knows of one key: a user, or a session that is nobody's. */
const keyOf = ({ session, user }: Stay): string => (user === undefined ? `:${session}` : user);

/** Holds whether the stays, one after the other, leave no moment of the span out. */
function covers(stays: readonly Stay[], from: number, until: number): boolean {
  let at = from;
  for (const stay of [...stays].sort((a, b) => a.from - b.from)) {
    if (stay.from > at) break;
    at = Math.max(at, stay.until);
    if (at > until) return true;
  }
  return false;
}

export class Truth {
  readonly stays = new Set<Stay>();

  /** The sessions whose connection is there. */
  held(room: string): Stay[] {
    return [...this.stays].filter((stay) => stay.held && stay.room === room);
  }

  #byKey(room: string): Map<string, Stay[]> {
    const keys = new Map<string, Stay[]>();
    for (const stay of this.stays) {
      if (stay.room !== room) continue;
      const key = keyOf(stay);
      keys.set(key, [...(keys.get(key) ?? []), stay]);
    }
    return keys;
  }

  /** Who was there at every moment from `from` on until now: keys. */
  steady(room: string, from: number, now: number, which: (stay: Stay) => boolean = () => true): string[] {
    return [...this.#byKey(room)].filter(([, stays]) => covers(stays.filter(which), from, now)).map(([key]) => key);
  }

  /** Who somebody may still believe to be there: keys. */
  possible(room: string, now: number): Set<string> {
    return new Set([...this.stays].filter((stay) => stay.room === room && stay.mayUntil >= now).map(keyOf));
  }

  /** Forgets what nobody may believe any more. */
  prune(now: number): void {
    for (const stay of this.stays) if (stay.mayUntil < now && stay.until < now - 60_000) this.stays.delete(stay);
  }
}
