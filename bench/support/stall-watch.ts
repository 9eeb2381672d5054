import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";

/** How long the event loop stood still, in milliseconds. */
export type Stalls = {
  /** The longest turn. */
  readonly maxMs: number;
  /** The longest turn without the time for which the machine gave its core to others; the same where it does not tell. */
  readonly ownMs: number;
};

const RESOLUTION_MS = 1;

/** Watches the event loop of this process, from its making on. */
export class StallWatch {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #timer: NodeJS.Timeout;
  readonly #file: number | undefined;
  readonly #bytes = Buffer.alloc(128);
  #at = performance.now();
  #waited: number;
  #ownMs = 0;

  constructor() {
    // Of the main thread, whose id is the process's: nanoseconds on a core, nanoseconds of waiting for one, turns.
    const path = `/proc/self/task/${process.pid}/schedstat`;
    this.#file = existsSync(path) ? openSync(path, "r") : undefined;
    this.#waited = this.#waitedMs();
    this.#delays.enable();
    this.#timer = setInterval(() => this.#look(), RESOLUTION_MS);
  }

  #waitedMs(): number {
    if (this.#file === undefined) return 0;
    const length = readSync(this.#file, this.#bytes, 0, this.#bytes.length, 0);
    return Number(this.#bytes.toString("latin1", 0, length).split(" ")[1]) / 1e6;
  }

  #look(): void {
    const at = performance.now();
    const waited = this.#waitedMs();
    const own = at - this.#at - (waited - this.#waited) - RESOLUTION_MS;
    this.#ownMs = Math.max(this.#ownMs, own);
    this.#at = at;
    this.#waited = waited;
  }

  /** What there was since it was last asked. */
  take(): Stalls {
    const maxMs = Math.max(0, this.#delays.max / 1e6 - RESOLUTION_MS);
    const stalls = { maxMs, ownMs: Math.min(maxMs, this.#ownMs) };
    this.#delays.reset();
    this.#ownMs = 0;
    return stalls;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#delays.disable();
    if (this.#file !== undefined) closeSync(this.#file);
  }
}
