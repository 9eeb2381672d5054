/** One address of the application: what is posted there, how much of it at once, and whether it answers at all. */
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { type BulkheadPolicy, bulkhead } from "cockatiel";
import type { Log } from "../log.js";
import type { Addresses } from "./addresses.js";
import { Circuit, type CircuitState } from "./circuit.js";
import { type Answered, Failed, Post } from "./post.js";
import type { HookName } from "./settings.js";
import { signHook } from "./signature.js";
import { Unreachable } from "./unreachable.js";

/** What becomes of a post; the last two were not sent. */
export const hookResults = ["answered", "rejected", "failed", "timeout", "refused", "busy"] as const;
export type HookResult = (typeof hookResults)[number];

export type EndpointOptions = {
  readonly name: HookName;
  readonly url: URL;
  readonly secrets: readonly string[];
  readonly addresses: Addresses;
  /** How long an answer may take, with everything that comes before it, in milliseconds. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /** How many posts are under way at once; as many again wait. */
  readonly concurrency: number;
  readonly failures: number;
  readonly retryMs: number;
  readonly log: Log;
};

/** A connection on which nothing is posted is closed after so long, in milliseconds: before most servers close it. */
const IDLE_MS = 4000;
const MAX_IDLE_SOCKETS = 32;
/** When a client may try again after a failure that has not opened the circuit, in milliseconds. */
const AGAIN_MS = 1000;
/** How often failures are told, in milliseconds. */
const TELL_AGAIN_MS = 10_000;

const late = (timeoutMs: number) => new Failed("timeout", `it did not answer within ${timeoutMs} ms`);

/** Asks by POST with JSON. */
export class Endpoint {
  readonly name: HookName;
  readonly #options: EndpointOptions;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #bulkhead: BulkheadPolicy;
  readonly #circuit: Circuit;
  readonly #calls = new Map<HookResult, number>(hookResults.map((result) => [result, 0]));
  #seconds = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #closed = false;
  readonly #underWay = new Set<Post>();

  constructor(options: EndpointOptions) {
    const { name, url, concurrency, failures, retryMs } = options;
    this.name = name;
    this.#options = options;
    const sockets = { keepAlive: true, maxSockets: concurrency, maxFreeSockets: MAX_IDLE_SOCKETS, timeout: IDLE_MS };
    this.#agent = url.protocol === "https:" ? new HttpsAgent(sockets) : new HttpAgent(sockets);
    this.#bulkhead = bulkhead(concurrency, concurrency);
    const counts = (error: unknown) => error instanceof Failed && error.counts;
    this.#circuit = new Circuit({ failures, retryMs, counts, onChange: (state) => this.#tellState(state) });
  }

  /** The name or address and port of where it is: what of the address may be told. */
  get host(): string {
    return this.#options.url.host;
  }

  get state(): CircuitState {
    return this.#circuit.state;
  }

  /** How many posts came to what; totals. */
  get calls(): ReadonlyMap<HookResult, number> {
    return this.#calls;
  }

  /** How long the application was waited for in all posts together, in seconds. */
  get seconds(): number {
    return this.#seconds;
  }

  /**
   * Posts the body, JSON, under the id, and resolves with a status below 300 and its JSON, or with a status from 400 to
   * 499. Rejects with `Unreachable` for anything else, and at once where the circuit is open or too many wait.
   * `repeats`: what was sent on a connection that the other side closed at the same moment is sent again, once.
   */
  async ask(id: string, body: string, repeats: boolean): Promise<Answered> {
    this.#checkCircuit();
    const { timeoutMs } = this.#options;
    let post: Post | undefined;
    let timer: NodeJS.Timeout | undefined;
    let isLate = false;
    try {
      return await new Promise<Answered>((resolve, reject) => {
        timer = setTimeout(() => {
          isLate = true;
          post?.end(late(timeoutMs));
          // One that only waited for its turn says nothing of the application.
          if (post === undefined) reject(late(timeoutMs));
        }, timeoutMs);
        const run = async (): Promise<Answered> => {
          if (isLate) throw late(timeoutMs);
          this.#checkCircuit();
          return this.#circuit.run(() => {
            post = this.#post(id, body, repeats);
            return this.#timed(post);
          });
        };
        this.#bulkhead.execute(run).then(resolve, reject);
      });
    } catch (error) {
      throw this.#unreachable(error);
    } finally {
      clearTimeout(timer);
    }
  }

  #checkCircuit(): void {
    const refusesMs = this.#closed ? AGAIN_MS : this.#circuit.refusesMs();
    if (refusesMs === 0) return;
    this.#count("refused");
    throw new Unreachable(`the hook ${this.name} is not asked now: it failed before`, Math.ceil(refusesMs));
  }

  #post(id: string, body: string, repeats: boolean): Post {
    const { url, secrets, addresses, maxBytes, timeoutMs } = this.#options;
    const headers = () => ({ ...signHook(id, body, secrets, Date.now()) });
    return new Post({
      url,
      agent: this.#agent,
      addresses,
      maxBytes,
      timeoutMs,
      headers,
      body,
      repeats,
      wantsJson: this.name !== "rooms",
    });
  }

  async #timed(post: Post): Promise<Answered> {
    const startedAt = performance.now();
    this.#underWay.add(post);
    try {
      const answered = await post.send();
      this.#count(answered.status >= 400 ? "rejected" : "answered");
      return answered;
    } finally {
      this.#underWay.delete(post);
      this.#seconds += (performance.now() - startedAt) / 1000;
    }
  }

  #count(result: HookResult): void {
    this.#calls.set(result, (this.#calls.get(result) ?? 0) + 1);
  }

  #unreachable(error: unknown): Unreachable {
    if (error instanceof Unreachable) return error;
    if (!(error instanceof Failed)) {
      // The bulkhead's: whatever else is thrown here is a Failed.
      this.#count("busy");
      this.#tell("too many questions wait");
      return new Unreachable(`the hook ${this.name} has too many questions waiting`, AGAIN_MS);
    }
    this.#count(error.result);
    this.#tell(error.message);
    const retryMs = Math.max(error.retryMs ?? AGAIN_MS, Math.ceil(this.#circuit.refusesMs()));
    return new Unreachable(`the hook ${this.name} failed: ${error.message}`, retryMs, { cause: error });
  }

  #tell(problem: string): void {
    const now = performance.now();
    if (now - this.#toldAt < TELL_AGAIN_MS || this.#closed) return;
    this.#toldAt = now;
    this.#options.log.warn("a hook failed", { hook: this.name, host: this.host, problem });
  }

  #tellState(state: CircuitState): void {
    const fields = { hook: this.name, host: this.host };
    if (state === "closed") this.#options.log.info("a hook answers again", fields);
    if (state === "open") this.#options.log.debug("a hook is not asked for a while", fields);
  }

  /** Ends what is under way. */
  close(): void {
    this.#closed = true;
    for (const post of this.#underWay) post.end(new Failed("failed", "the server is closing"));
    this.#agent.destroy();
  }
}
