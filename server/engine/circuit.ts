import type { Log } from "../log.js";
import { EngineError, LOST_RETRY_MS } from "./engine.js";

/** How many failures in a row open a circuit that nobody has tripped. */
const MOST_FAILURES = 5;
/**
 * When a refused caller may try again, in milliseconds: after as long as the connection has been away, within these. Most
 * losses are over in a moment, and nothing but this process is asked meanwhile.
 */
const RETRY_MS = [LOST_RETRY_MS, 1000] as const;

/**
 * The circuit breaker of one connection. Closed, calls go out; open, they are refused at once and not sent. Only the
 * connection's own probe goes through an open circuit, and closes it when it succeeds (half-open, in other words, is the
 * probe's alone: no client's publish is spent on finding out).
 */
export class Circuit {
  /** What it leads to, as people are told: never with a password. */
  readonly name: string;
  readonly #log: Log;
  #failures = 0;
  #problem: string | undefined = "not connected yet";
  #openSince = performance.now();

  constructor(name: string, log: Log) {
    this.name = name;
    this.#log = log;
  }

  get isOpen(): boolean {
    return this.#problem !== undefined;
  }

  /** What is wrong, a line; `undefined` while it is closed. */
  get problem(): string | undefined {
    return this.#problem === undefined ? undefined : `${this.name}: ${this.#problem}`;
  }

  /** The refusal that a call gets while the circuit is open, `undefined` while it is closed. */
  refusal(): EngineError | undefined {
    const { problem } = this;
    if (problem === undefined) return undefined;
    const [least, most] = RETRY_MS;
    const retryMs = Math.round(Math.min(most, Math.max(least, performance.now() - this.#openSince)));
    return new EngineError("unavailable", problem, retryMs);
  }

  /** A call had no answer in time. Several in a row open the circuit; one that had an answer begins the count again. */
  failed(reason: string): void {
    if (++this.#failures >= MOST_FAILURES) this.trip(reason);
  }

  answered(): void {
    this.#failures = 0;
  }

  /** Opens it: the connection is known to be gone. */
  trip(reason: string): void {
    if (this.#problem === undefined) {
      this.#openSince = performance.now();
      this.#log.warn("engine: connection lost", { engine: this.name, reason });
    }
    this.#problem = reason;
  }

  /** Opens it for good, without a word in the log: whoever has it ends. */
  end(): void {
    this.#problem = "closed";
  }

  /** A probe came back, and everything that this node wants of the connection is set up on it. */
  close(): void {
    if (this.#problem !== undefined) this.#log.info("engine: connected", { engine: this.name });
    this.#failures = 0;
    this.#problem = undefined;
  }
}
