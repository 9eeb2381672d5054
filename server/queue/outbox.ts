import { setTimeout as pause } from "node:timers/promises";
import { EngineError } from "../engine/engine.js";
import type { RecordKind, RecordLog } from "../engine/queue.js";

export type Entry = {
  readonly kind: RecordKind;
  readonly about: string | undefined;
  /** The entry's own, which no other has. */
  readonly id: string;
  readonly bytes: Buffer;
};

export type OutboxOptions = {
  readonly log: Pick<RecordLog, "append">;
  /** Makes the entry that says how many were lost. */
  readonly lost: (count: number) => Entry;
  /** Something failed that trying again does not mend. */
  readonly failed: (error: unknown) => void;
};

/** The most entries that wait. */
const MOST_WAITING = 10_000;
/** The most that are written at once. */
const MOST_AT_ONCE = 256;
/** The pause before the engine is tried again, in milliseconds, with jitter. */
const AGAIN_MS = 500;

/**
 * What belongs to no room's log waits here until it is written, in the order in which it happened. What does not fit is
 * counted, and told where it would have stood.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  #waiting: Entry[] = [];
  #lost = 0;
  #isWriting = false;
  #isHeld = true;
  #isClosed = false;
  readonly #ending = new AbortController();
  /** How many were written, and how many lost, since the start. */
  written = 0;
  lost = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  put(entry: Entry): void {
    if (this.#isClosed || this.#waiting.length >= MOST_WAITING) {
      this.#lost++;
      this.lost++;
      return;
    }
    if (this.#lost > 0) this.#tellLost();
    this.#waiting.push(entry);
    this.#write();
  }

  #tellLost(): void {
    this.#waiting.push(this.#options.lost(this.#lost));
    this.#lost = 0;
  }

  /** From now on it is written: not before the others know that this node may have something to tell. */
  release(): void {
    this.#isHeld = false;
    this.#write();
  }

  #write(): void {
    if (this.#isWriting || this.#isHeld) return;
    this.#isWriting = true;
    void this.#writeAll();
  }

  /** Never rejects. */
  async #writeAll(): Promise<void> {
    // What comes in one turn is written together.
    await Promise.resolve();
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const some = this.#waiting.slice(0, MOST_AT_ONCE);
      const results = await Promise.allSettled(some.map((entry) => this.#append(entry)));
      const left = some.filter((_, index) => results[index]?.status === "rejected");
      this.written += some.length - left.length;
      this.#waiting.splice(0, some.length, ...left);
      if (this.#lost > 0 && this.#waiting.length < MOST_WAITING) this.#tellLost();
      if (left.length === 0) continue;
      const { signal } = this.#ending;
      await pause(AGAIN_MS * (0.2 + 0.8 * Math.random()), undefined, { signal, ref: false }).catch(() => undefined);
    }
    this.#isWriting = false;
  }

  /** Rejects where it is worth another try. */
  async #append({ kind, about, id, bytes }: Entry): Promise<void> {
    try {
      await this.#options.log.append(kind, about, id, bytes);
    } catch (error) {
      if (error instanceof EngineError) throw error;
      this.#lost++;
      this.lost++;
      this.#options.failed(error);
    }
  }

  /** Gives up what waits. */
  close(): void {
    this.#isClosed = true;
    this.#ending.abort();
    this.lost += this.#waiting.length;
    this.#waiting = [];
  }
}
