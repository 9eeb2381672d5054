/** Refuses at once what would fail: after so many failures in a row nothing is tried for a while, then one. */
import {
  CircuitState as Breaker,
  type CircuitBreakerPolicy,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
  type IBackoff,
} from "cockatiel";

export const circuitStates = ["closed", "open", "half_open"] as const;
export type CircuitState = (typeof circuitStates)[number];

export type CircuitOptions = {
  /** After how many failures in a row it opens. */
  readonly failures: number;
  /** How long after it opened one is tried, in milliseconds. */
  readonly retryMs: number;
  /** Whether what was thrown counts as a failure. */
  readonly counts: (error: unknown) => boolean;
  readonly onChange: (state: CircuitState) => void;
};

/** After a try that failed slowly the next one comes sooner, but not before this part of `retryMs`. */
const LEAST_PART = 4;

/** A circuit breaker, cockatiel's; while its one try is under way all others are refused at once, too. */
export class Circuit {
  readonly #breaker: CircuitBreakerPolicy;
  readonly #options: CircuitOptions;
  #dueAt = 0;
  #triedAt = 0;

  constructor(options: CircuitOptions) {
    this.#options = options;
    this.#breaker = circuitBreaker(handleWhen(options.counts), {
      breaker: new ConsecutiveBreaker(options.failures),
      halfOpenAfter: { next: () => this.#pause(true) },
    });
    this.#breaker.onStateChange(() => options.onChange(this.state));
  }

  /**
   * Until the next try, by a clock that nobody sets: cockatiel compares what it takes to be a duration with the time of
   * day, which would leave a circuit open for as long as that was set back.
   */
  #pause(isFirst: boolean): IBackoff<unknown> {
    const now = performance.now();
    const { retryMs } = this.#options;
    // From the start of the try: an endpoint that never answers must not be out for retryMs and its time limit.
    const dueAt = isFirst ? now + retryMs : Math.max(this.#triedAt + retryMs, now + retryMs / LEAST_PART);
    this.#dueAt = dueAt;
    return {
      get duration() {
        return performance.now() >= dueAt ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
      },
      next: () => this.#pause(false),
    };
  }

  get state(): CircuitState {
    const { state } = this.#breaker;
    if (state === Breaker.Closed) return "closed";
    return state === Breaker.HalfOpen ? "half_open" : "open";
  }

  /** For how long everything is refused, in milliseconds; 0: something may be tried now. */
  refusesMs(): number {
    const { state } = this;
    if (state === "closed") return 0;
    if (state === "half_open") return this.#options.retryMs;
    return Math.max(0, this.#dueAt - performance.now());
  }

  /** Runs it, and counts how it went. Only where `refusesMs` is 0, in the same turn. */
  run<T>(act: () => Promise<T>): Promise<T> {
    if (this.state !== "closed") this.#triedAt = performance.now();
    return this.#breaker.execute(act);
  }
}
