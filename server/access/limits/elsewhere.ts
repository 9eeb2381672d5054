/** What other nodes tell of those who use much. Pure: the time is given, in milliseconds of a clock that never goes back. */

/** What another node said lapses after so long. */
export const LAPSE_MS = 3000;
/** The most that are looked at once a second. */
export const MAX_WATCHED = 10_000;

/** One that uses much: who or what, and how much of it there is. */
export type Told = {
  /** Users: their key, their sessions on the node, and what they published there since the node told of them before. */
  readonly users: readonly (readonly [user: string, sessions: number, published: number])[];
  /** Rooms, and how many clients of the node are in each. */
  readonly rooms: readonly (readonly [room: string, members: number])[];
};

/**
 * From how many on a node tells of it: so that what nobody tells of is no more than a quarter of the limit. `scale` is more
 * than 1 where there would be too many to tell of.
 */
export const tellFrom = (limit: number, nodes: number, scale = 1): number =>
  Math.min(limit, Math.max(1, Math.ceil((limit * scale) / (4 * nodes))));

/** How many of something there are on the other nodes, as they said it last. */
export class ElsewhereCounts {
  readonly #byName = new Map<string, Map<string, { count: number; at: number }>>();

  get size(): number {
    return this.#byName.size;
  }

  hear(node: string, name: string, count: number, now: number): void {
    let said = this.#byName.get(name);
    if (said === undefined) {
      said = new Map();
      this.#byName.set(name, said);
    }
    said.set(node, { count, at: now });
  }

  of(name: string, now: number): number {
    let sum = 0;
    for (const { count, at } of this.#byName.get(name)?.values() ?? []) if (now - at < LAPSE_MS) sum += count;
    return sum;
  }

  sweep(now: number): void {
    for (const [name, said] of this.#byName) {
      for (const [node, { at }] of said) if (now - at >= LAPSE_MS) said.delete(node);
      if (said.size === 0) this.#byName.delete(name);
    }
  }
}
