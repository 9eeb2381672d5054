import type { Mark, RecordLog } from "../engine/queue.js";
import type { CatchUp } from "./catch-up.js";
import { MARK_MS } from "./marks.js";

export type SweepOptions = {
  readonly log: Pick<RecordLog, "marked" | "unmark">;
  readonly catchUp: Pick<CatchUp, "bringUp">;
  /** How long a publish may take to its effect in the log, in milliseconds. */
  readonly publishMs: number;
  /** After how long a node's mark means that it has ended, in milliseconds. */
  readonly leaseMs: number;
  /** Whether nodes that are there have had the time to say so. */
  readonly isSteady: () => boolean;
  /** Whether a mark is a node's. */
  readonly isNode: (mark: Mark) => boolean;
  /** A node has ended without a word. Rejects where that cannot be told now. */
  readonly gone: (mark: Mark) => Promise<void>;
  /** How many nodes there are: they share the work. */
  readonly nodes: () => number;
  readonly failed: (error: unknown) => void;
};

/** How often one of the nodes looks, in milliseconds. */
const SWEEP_MS = 3000;
/** A room that was marked so long ago, and not since, is looked at by others than its publisher, in milliseconds. */
export const STALE_MS = 10_000;
/** How many marks are looked at in one sweep, and how many rooms at once. */
const MOST_MARKS = 500;
const AT_ONCE = 8;

/**
 * Brings rooms up to date whose publisher has gone quiet, since it may have ended, and takes back the marks of those in
 * which no publish can be under way any more. Every node does it, at times of its own.
 */
export class Sweep {
  readonly #options: SweepOptions;
  /** Marks of which this node has brought the room up to date, by room. */
  readonly #seen = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: SweepOptions) {
    this.#options = options;
  }

  start(): void {
    this.#later();
  }

  #later(): void {
    if (this.#isClosed) return;
    const ms = SWEEP_MS * (0.5 + Math.random()) * Math.max(1, this.#options.nodes());
    this.#timer = setTimeout(() => void this.#sweep(), ms).unref();
  }

  /** Never rejects: what the engine cannot do now is done at the next. */
  async #sweep(): Promise<void> {
    try {
      await this.#lookForNodes();
      await this.#takeBack();
      await this.#bringUp();
    } catch (error) {
      this.#options.failed(error);
    }
    this.#later();
  }

  async #lookForNodes(): Promise<void> {
    const { log, leaseMs, isSteady, isNode, gone } = this.#options;
    if (!isSteady()) return;
    for (const mark of await log.marked(leaseMs, MOST_MARKS)) {
      if (!isNode(mark) || this.#isClosed) continue;
      await gone(mark);
      await log.unmark(mark, undefined);
    }
  }

  async #takeBack(): Promise<void> {
    const { log, catchUp, publishMs } = this.#options;
    await this.#each(await log.marked(MARK_MS + publishMs, MOST_MARKS), async (mark) => {
      const recorded = await catchUp.bringUp(mark.room);
      await log.unmark(mark, recorded);
      this.#seen.delete(mark.room);
    });
  }

  async #bringUp(): Promise<void> {
    const { log, catchUp } = this.#options;
    const marks = await log.marked(STALE_MS, MOST_MARKS);
    await this.#each(
      marks.filter(({ room, token }) => this.#seen.get(room) !== token),
      async ({ room, token }) => {
        await catchUp.bringUp(room);
        this.#seen.set(room, token);
      },
    );
    const there = new Set(marks.map(({ room }) => room));
    for (const room of this.#seen.keys()) if (!there.has(room)) this.#seen.delete(room);
  }

  /** A few at a time. One that fails does not keep the others from it; the last failure is thrown. */
  async #each(marks: readonly Mark[], act: (mark: Mark) => Promise<void>): Promise<void> {
    const rooms = marks.filter((mark) => !this.#options.isNode(mark)).values();
    const failures: unknown[] = [];
    const work = async () => {
      for (const mark of rooms) {
        if (this.#isClosed) return;
        await act(mark).catch((error: unknown) => failures.splice(0, 1, error));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (failures.length > 0) throw failures[0];
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}
