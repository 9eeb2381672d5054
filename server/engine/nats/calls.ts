import { EngineError } from "../engine.js";
import type { Incoming } from "./incoming.js";

/** Takes an answer; says whether it was the last one. */
export type Receive = (reply: Incoming) => boolean;

type Call = { readonly receive: Receive; readonly fail: (error: EngineError) => void; readonly deadline: number };

/** The most calls under way. */
const MAX_CALLS = 65_536;
const LOOK_MS = 50;

/** What waits for answers on one connection. Each call settles, at the latest when its time is up. */
export class Calls {
  readonly #timeoutMs: number;
  /** In the order of their deadlines, since all have the same time. */
  readonly #calls = new Map<string, Call>();
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** The call's name, `undefined` where it was refused, and `fail` was called. */
  add(receive: Receive, fail: (error: EngineError) => void): string | undefined {
    if (this.#calls.size >= MAX_CALLS) {
      fail(new EngineError("unavailable", "NATS: too many calls are under way"));
      return undefined;
    }
    const token = (this.#next++).toString(36);
    this.#calls.set(token, { receive, fail, deadline: performance.now() + this.#timeoutMs });
    this.#timer ??= setTimeout(() => this.#expire(), Math.min(LOOK_MS, this.#timeoutMs));
    return token;
  }

  drop(token: string): void {
    this.#calls.delete(token);
  }

  take(token: string, reply: Incoming): void {
    if (this.#calls.get(token)?.receive(reply)) this.#calls.delete(token);
  }

  failAll(error: EngineError): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { fail } of calls) fail(error);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #expire(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [token, call] of this.#calls) {
      if (call.deadline > now) break;
      this.#calls.delete(token);
      call.fail(new EngineError("timeout", `NATS: no answer within ${this.#timeoutMs} ms`));
    }
    if (this.#calls.size > 0) this.#timer ??= setTimeout(() => this.#expire(), LOOK_MS);
  }
}
