/** The most keys that a memory log remembers, over all rooms. An entry takes some 200 bytes. */
export const MAX_KEYS = 200_000;

type Entry = { readonly offset: number; readonly untilMs: number };

/**
 * The keys of recent publishes, and what became of each. At most `max` are kept: beyond it the oldest sixteenth is
 * forgotten, before its window has passed.
 */
export class MemoryKeys {
  readonly #max: number;
  // Oldest first. It is emptied from the front in batches, since finding a Map's first entry costs a step for every
  // entry deleted before it.
  readonly #entries = new Map<string, Entry>();

  constructor(max = MAX_KEYS) {
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What names a publish: lengths go first, so that no two senders' names can run into each other's keys. */
  static id(room: string, from: string | undefined, key: string): string {
    const sender = from ?? "";
    return `${room.length} ${sender.length} ${room}${sender}${key}`;
  }

  /** The offset that the first publish with this id got, or `undefined` where there was none within its window. */
  find(id: string, now: number): number | undefined {
    const entry = this.#entries.get(id);
    return entry === undefined || entry.untilMs <= now ? undefined : entry.offset;
  }

  remember(id: string, offset: number, untilMs: number): void {
    this.#entries.delete(id);
    this.#entries.set(id, { offset, untilMs });
    if (this.#entries.size > this.#max) this.#drop(1 + (this.#max >> 4));
  }

  /** Forgets keys whose window has passed. One behind a key with a longer window waits for it. */
  expire(now: number): void {
    for (const [id, entry] of this.#entries) {
      if (entry.untilMs > now) return;
      this.#entries.delete(id);
    }
  }

  clear(): void {
    this.#entries.clear();
  }

  #drop(count: number): void {
    let left = count;
    for (const id of this.#entries.keys()) {
      if (left-- === 0) return;
      this.#entries.delete(id);
    }
  }
}
