/** What nodes remember together: values that lapse, and counts that say what came after what. */

/** A value, and for how long it is kept yet, in milliseconds. */
export type Stored = { readonly value: Buffer; readonly leftMs: number };

/** The highest count that was given to any name, and the counts of the names that were asked for; 0 where there is none. */
export type Counted = { readonly latest: number; readonly counts: readonly number[] };

/**
 * A store that nodes share. Every method may reject with an `EngineError`, and settles within a bounded time: a store that
 * is away is found out, and from then on calls are refused at once. It may lose what it holds.
 */
export interface SharedStore {
  read(name: string): Promise<Stored | undefined>;
  write(name: string, value: Buffer, ageMs: number): Promise<void>;
  erase(name: string): Promise<void>;
  counts(names: readonly string[]): Promise<Counted>;
  /** Gives the names a count that is higher than any that was given before, also by a store that has lost it since. */
  countUp(names: readonly string[], ageMs: number): Promise<void>;
  /** What of it cannot be reached now, a line each without any secret. */
  problems(): readonly string[];
  /** Ends connections and timers. What is still under way rejects. */
  close(): void;
}
