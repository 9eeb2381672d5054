/** What the application is told, until it has taken it: tried again with growing pauses, in order for each subject. */
import type { Log } from "../log.js";
import type { Endpoint } from "./endpoint.js";
import { Unreachable } from "./unreachable.js";

export type TellingOptions = {
  readonly endpoint: Pick<Endpoint, "ask" | "name" | "host">;
  /** How often each is posted before it is given up. */
  readonly tries: number;
  readonly log: Log;
  /** The first pause, in milliseconds: doubled up to MAX_PAUSE_MS, with jitter; 500 by default. */
  readonly pauseMs?: number;
  /** The most that wait; the oldest are dropped. 10,000 by default. */
  readonly most?: number;
};

const PAUSE_MS = 500;
const MAX_PAUSE_MS = 60_000;
const MOST = 10_000;
/** How many are posted at once. */
const AT_ONCE = 16;
/** How often it is told that some were dropped, in milliseconds. */
const TELL_AGAIN_MS = 10_000;

type Item = {
  readonly subject: string;
  readonly id: string;
  readonly body: string;
  readonly ended: () => void;
  tries: number;
};
/** What is to be told of one subject, in order; `timer` while the first of it waits for its next try. */
type Queue = { readonly items: Item[]; isPosting: boolean; timer: NodeJS.Timeout | undefined };

/** Each is posted under one id, at least once unless it is given up, and never before the one before it of its subject. */
export class Telling {
  readonly #options: TellingOptions;
  readonly #queues = new Map<string, Queue>();
  /** All that wait, the oldest first. */
  readonly #items = new Set<Item>();
  /** Subjects whose first may be posted now. */
  readonly #ready = new Set<string>();
  #posting = 0;
  #dropped = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #closed = false;
  readonly #whenIdle: (() => void)[] = [];

  constructor(options: TellingOptions) {
    this.#options = options;
  }

  /** How many wait, those under way included. */
  get waiting(): number {
    return this.#items.size;
  }

  /** How many were given up; a total. */
  get dropped(): number {
    return this.#dropped;
  }

  /** All tries have the id. `ended` is called once it was taken, or given up; not where this is closed before. */
  tell(subject: string, id: string, body: string, ended: () => void): void {
    if (this.#closed) return;
    const item: Item = { subject, id, body, ended, tries: 0 };
    let queue = this.#queues.get(subject);
    if (queue === undefined) {
      queue = { items: [], isPosting: false, timer: undefined };
      this.#queues.set(subject, queue);
      this.#ready.add(subject);
    }
    queue.items.push(item);
    this.#items.add(item);
    if (this.#items.size > (this.#options.most ?? MOST)) this.#dropOldest();
    this.#postNext();
  }

  /** Resolves once nothing waits any more, or after so long. */
  idle(withinMs: number): Promise<void> {
    if (this.#items.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#whenIdle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #postNext(): void {
    while (this.#posting < AT_ONCE && !this.#closed) {
      const [subject] = this.#ready;
      if (subject === undefined) return;
      this.#ready.delete(subject);
      const queue = this.#queues.get(subject);
      const item = queue?.items[0];
      if (queue !== undefined && item !== undefined) void this.#post(queue, item);
    }
  }

  async #post(queue: Queue, item: Item): Promise<void> {
    this.#posting++;
    queue.isPosting = true;
    item.tries++;
    let retryMs: number | undefined = 0;
    try {
      const { status } = await this.#options.endpoint.ask(item.id, item.body, true);
      if (status < 300) retryMs = undefined;
    } catch (error) {
      if (error instanceof Unreachable) retryMs = error.retryMs;
    }
    this.#posting--;
    queue.isPosting = false;
    if (this.#closed) return;
    if (retryMs === undefined) this.#end(queue, item);
    else if (item.tries >= this.#options.tries) this.#drop(queue, item, "it was tried too often");
    else this.#pause(queue, item, retryMs);
    this.#postNext();
  }

  #pause(queue: Queue, { subject, tries }: Item, retryMs: number): void {
    const { pauseMs = PAUSE_MS } = this.#options;
    const ms = Math.min(pauseMs * 2 ** (tries - 1), MAX_PAUSE_MS) * (0.5 + Math.random() / 2);
    const again = () => {
      queue.timer = undefined;
      this.#ready.add(subject);
      this.#postNext();
    };
    // Those that an open circuit refused do not all come in the moment in which it lets one through.
    queue.timer = setTimeout(again, Math.max(ms, Math.min(retryMs, MAX_PAUSE_MS) * (1 + Math.random()))).unref();
  }

  /** Takes it out; what comes behind it has its turn. */
  #end(queue: Queue, item: Item): void {
    const wasFirst = queue.items[0] === item;
    queue.items.splice(queue.items.indexOf(item), 1);
    this.#items.delete(item);
    if (wasFirst) {
      clearTimeout(queue.timer);
      queue.timer = undefined;
      if (queue.items.length > 0) this.#ready.add(item.subject);
      else {
        this.#queues.delete(item.subject);
        this.#ready.delete(item.subject);
      }
    }
    item.ended();
    if (this.#items.size === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #drop(queue: Queue, item: Item, reason: string): void {
    this.#dropped++;
    this.#end(queue, item);
    const now = performance.now();
    if (now - this.#toldAt < TELL_AGAIN_MS) return;
    this.#toldAt = now;
    const { endpoint, log } = this.#options;
    const fields = { hook: endpoint.name, host: endpoint.host, reason, dropped: this.#dropped };
    log.error("the application was not told what it was to be told", fields);
  }

  /** What is under way is left to its end. */
  #dropOldest(): void {
    for (const item of this.#items) {
      const queue = this.#queues.get(item.subject) as Queue;
      if (queue.isPosting && queue.items[0] === item) continue;
      this.#drop(queue, item, "too much waits");
      return;
    }
  }

  /** Nothing is posted any more; says how much was not. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { timer } of this.#queues.values()) clearTimeout(timer);
    if (this.#items.size > 0) {
      const { endpoint, log } = this.#options;
      log.warn("closing before the application was told everything", { hook: endpoint.name, left: this.#items.size });
    }
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}
