/** When to try again. Knows neither protocol nor timers. */

export type BackoffOptions = {
  /** The bound of the first delay, in milliseconds. */
  readonly minDelayMs: number;
  /** The bound that the growing one stops at. */
  readonly maxDelayMs: number;
  /** From 0 up to 1, as `Math.random`. */
  readonly random: () => number;
};

/** How much the bound grows with each attempt. Slowly: after an absence of seconds, a long delay is an absence of its own. */
const GROWTH = 1.1;

/** How long to wait where a delay was asked for: not before it, and not all at once behind it. In milliseconds. */
export function laterMs(askedMs: number, random: () => number): number {
  return Math.max(askedMs, 10) * (1 + random() / 2);
}

/**
 * Exponential backoff with full jitter: a delay is anywhere between 0 and a bound that grows with each attempt, so that
 * many clients cut off together come back spread out (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture
 * Blog, 2015).
 */
export class Backoff {
  readonly #options: BackoffOptions;
  /** The number of the attempt under way or to come; the first is 1. */
  attempt = 1;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Counts an attempt that failed, and gives the milliseconds to wait before the next. */
  next(): number {
    const { minDelayMs, maxDelayMs, random } = this.#options;
    return Math.round(random() * Math.min(maxDelayMs, minDelayMs * GROWTH ** (this.attempt++ - 1)));
  }

  reset(): void {
    this.attempt = 1;
  }
}
