import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";

/** How often the event loop is looked at, in milliseconds. */
const RESOLUTION_MS = 10;

/**
 * What is to know of this process. Not by prom-client's own `collectDefaultMetrics`: what that starts cannot be stopped, so
 * that each server made and closed would leave some behind; and it lists every open file at each scrape, which with a
 * socket for each client holds the event loop.
 */
export class ProcessNumbers {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) this.#gcMs += duration;
  });
  #gcMs = 0;

  constructor() {
    this.#delays.enable();
    this.#observer.observe({ entryTypes: ["gc"] });
  }

  /** When the process began, in seconds since 1970. */
  readonly startedAt: number = Date.now() / 1000 - process.uptime();

  get cpuSeconds(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }

  get memory(): NodeJS.MemoryUsage {
    return process.memoryUsage();
  }

  /** How long the garbage collector has held the event loop so far, in seconds. */
  get gcSeconds(): number {
    return this.#gcMs / 1000;
  }

  /** By how much the event loop was late, since this was last asked: in seconds. */
  takeDelays(): { readonly p50: number; readonly p99: number; readonly max: number } {
    // What is measured is the time between two looks.
    const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000);
    const delays = this.#delays;
    const taken = { p50: late(delays.percentile(50)), p99: late(delays.percentile(99)), max: late(delays.max) };
    delays.reset();
    return taken;
  }

  close(): void {
    this.#delays.disable();
    this.#observer.disconnect();
  }
}
