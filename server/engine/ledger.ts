/**
 * The contract of a ledger: short entries, one by room, that all nodes read and change in turn. `test/engine/ledger.ts` is its
 * test. Nodes note in it what they tell the application of a room, so that no two of them tell it.
 */

/** A change of a room's entry: from what it is to be now, to what it is then; `undefined`: none. */
export type Swap = { readonly room: string; readonly from: string | undefined; readonly to: string | undefined };

/** A room and its entry. */
export type Noted = readonly [room: string, entry: string];

/** Every method may reject with an `EngineError`, and settles within a bounded time. Entries have 1 to 256 characters. */
export interface Ledger {
  /**
   * Makes those changes whose `from` is the room's entry; each is made or not by itself, and none in part. Resolves with what
   * each entry is now, made or not: so `undefined` to `undefined` reads it. At most `MOST_SWAPS` at once, of different rooms.
   * What rejects may have been made all the same: whoever never writes the same entry twice finds out by the next swap.
   */
  swap(swaps: readonly Swap[]): Promise<readonly (string | undefined)[]>;
  /**
   * All entries, in bounded pages and in any order. What is changed meanwhile stands in it as it was or as it is, and may
   * do so twice, or in its new form alone.
   */
  scan(): AsyncIterable<readonly Noted[]>;
  /** What cannot be reached now, a line each without any secret, beginning with the engine's name. */
  problems(): readonly string[];
  /** Ends connections and timers. What is still under way rejects. */
  close(): Promise<void>;
}

export const MOST_SWAPS = 200;
