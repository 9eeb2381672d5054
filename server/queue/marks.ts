import type { RecordLog } from "../engine/queue.js";

/** After so long a mark is made anew, beside the publishes, in milliseconds. */
const RENEW_MS = 5000;
/** For so long a mark counts, in milliseconds: where it cannot be made anew by then, publishes are refused. */
export const MARK_MS = 30_000;
/** How long it is until another try to make it anew, in milliseconds. */
const AGAIN_MS = 1000;
/** The most rooms with a mark that are remembered. */
const MOST_ROOMS = 20_000;

type Marked = {
  /** When the last one was asked for that was made, as `performance.now()` counts. */
  at: number;
  /** When it was last tried. */
  triedAt: number;
  /** While the first one is being made: publishes wait for it. */
  making: Promise<void> | undefined;
};

/**
 * The rooms that this node publishes in. Each is marked in the engine before anything is published there, so that another
 * node looks into its log if this one ends before it has recorded what it published.
 */
export class Marks {
  readonly #log: Pick<RecordLog, "mark">;
  readonly #rooms = new Map<string, Marked>();

  constructor(log: Pick<RecordLog, "mark">) {
    this.#log = log;
  }

  /** What a publish in the room has to wait for; nothing where the room is marked. Rejects where it cannot be marked now. */
  hold(room: string): Promise<void> | undefined {
    const now = performance.now();
    const marked = this.#rooms.get(room);
    if (marked === undefined) return this.#mark(room, now);
    if (marked.making !== undefined) return marked.making;
    if (now - marked.at < RENEW_MS) return undefined;
    if (now - marked.at >= MARK_MS) return this.#mark(room, now);
    if (now - marked.triedAt >= AGAIN_MS) this.#renew(room, marked, now);
    return undefined;
  }

  #mark(room: string, now: number): Promise<void> {
    const marked: Marked = { at: now, triedAt: now, making: undefined };
    // Those who wait go on in the order they came, and before whoever comes later: this is the first of what follows.
    const making = this.#log.mark(room).then(
      () => undefined,
      (error: unknown) => {
        if (this.#rooms.get(room) === marked) this.#rooms.delete(room);
        throw error;
      },
    );
    marked.making = making;
    making.then(
      () => {
        marked.making = undefined;
      },
      () => undefined,
    );
    this.#rooms.delete(room);
    this.#rooms.set(room, marked);
    this.#forgetOld(now);
    return making;
  }

  #renew(room: string, marked: Marked, now: number): void {
    marked.triedAt = now;
    this.#log.mark(room).then(
      () => {
        marked.at = now;
      },
      () => undefined,
    );
  }

  /** From the head on, which has been there for longest. */
  #forgetOld(now: number): void {
    let looks = 0;
    for (const [room, { at, making }] of this.#rooms) {
      const isOld = now - at >= MARK_MS || this.#rooms.size > MOST_ROOMS;
      if (!isOld || making !== undefined || looks++ === 16) return;
      this.#rooms.delete(room);
    }
  }
}
