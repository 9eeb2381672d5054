/** This node's lease with one engine, and what is known of the others'. */
import { EngineError } from "../engine/engine.js";
import type { Lease, Presence } from "../engine/presence.js";
import type { Log } from "../log.js";
import type { Clock } from "./clock.js";

export type LeasesOptions = {
  readonly engine: Presence;
  /** This node's instance. */
  readonly instance: string;
  /** How long a lease is good, in milliseconds. */
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** The nodes that rosters go by, and when each was heard of first. */
  readonly heard: () => ReadonlyMap<string, number>;
  /** A node's lease has lapsed, or is not there any more. */
  readonly gone: (node: string) => void;
  /** This node goes by another name: what it wrote under the one before may have been erased. */
  readonly renamed: () => void;
  /** The engine can be reached again. */
  readonly back: () => void;
};

/** How many times it is renewed while it is good. */
const BEATS = 3.5;
/** The pause before a renewal that failed is tried again, in milliseconds, with jitter. */
const RETRY_MS = 400;
/** The longest that is waited for the first, in milliseconds. */
const MOST_WAIT_MS = 2000;
/** How long after another's lease should have lapsed it is looked whether it has, in milliseconds. */
const LOOK_MS = 20;

export class Leases {
  readonly #options: LeasesOptions;
  #life = 0;
  #isStarted = false;
  #closed = false;
  /** Whether this name has had its lease. */
  #isKnown = false;
  /** Until when it is good, if nobody hears of this node any more. */
  #goodUntil = Number.NEGATIVE_INFINITY;
  #hasFailed = false;
  /** Until then a lease that is missing says nothing: the engine has lost what it had. */
  #emptyUntil = Number.NEGATIVE_INFINITY;
  /** Until then one that has lapsed says nothing either: the engine was away for all, and others are about to renew theirs. */
  #doubtfulUntil = Number.NEGATIVE_INFINITY;
  #lapsed: ReadonlySet<string> = new Set();
  readonly #waiting: (() => void)[] = [];
  #cancel: (() => void) | undefined;
  /** How many renewals there were, leases of others that lapsed, and own ones that were lost. */
  beats = 0;
  others = 0;
  lost = 0;

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  /** What this node is called in registers. */
  get node(): string {
    return `${this.#options.instance}.${this.#life}`;
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** Whether it is one of this process's own names. */
  isOwn(node: string): boolean {
    return node.startsWith(`${this.#options.instance}.`);
  }

  isGone(node: string): boolean {
    return this.#lapsed.has(node);
  }

  /** Resolves once this node has a lease, whatever became of it since. */
  leased(): Promise<void> {
    this.#start();
    if (this.#isKnown || this.#closed) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves once it is known which nodes are there; rejects where the engine cannot be asked now. */
  async beaten(): Promise<void> {
    this.#start();
    if (this.#isKnown) return;
    const waits = new Promise<void>((resolve) => this.#waiting.push(resolve));
    let cancel = (): void => undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const words = "it is not known yet which nodes are there";
      cancel = this.#options.clock.after(MOST_WAIT_MS, () => reject(new EngineError("unavailable", words)));
    });
    await Promise.race([waits, late]).finally(() => cancel());
  }

  #start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    void this.#beat();
  }

  /** Never rejects. */
  async #beat(): Promise<void> {
    const { engine, leaseMs, clock } = this.#options;
    const sentAt = clock.now();
    const node = this.node;
    try {
      this.beats++;
      const { isNew, leases } = await engine.beat(node, leaseMs);
      if (this.#closed) return;
      const hasLapsed = sentAt >= this.#goodUntil;
      const isLate = this.#isKnown ? sentAt >= this.#goodUntil - leaseMs / 2 : this.#hasFailed;
      if (isLate) this.#doubtfulUntil = clock.now() + leaseMs / BEATS;
      if (this.#isKnown && (isNew || hasLapsed)) {
        if (!hasLapsed) this.#emptyUntil = clock.now() + leaseMs;
        this.#rename(node);
        return;
      }
      this.#took(leases, sentAt);
    } catch {
      this.#hasFailed = true;
      if (!this.#closed) this.#later(RETRY_MS * (0.5 + Math.random()));
    }
  }

  #later(ms: number): void {
    this.#cancel = this.#options.clock.after(ms, () => {
      this.#cancel = undefined;
      void this.#beat();
    });
  }

  /**
   * Others have taken this node to be gone, or soon will: whatever they do to what it wrote under this name, under the next
   * one it is written anew. What is left of the old is ended once that has had its time.
   */
  #rename(node: string): void {
    const { engine, leaseMs, clock } = this.#options;
    this.lost++;
    this.#life++;
    this.#isKnown = false;
    clock.after(leaseMs / 2, () => {
      if (!this.#closed)
        void engine
          .beat(node, 0)
          .then(() => engine.clear(node))
          .catch(() => undefined);
    });
    void this.#beat();
  }

  #took(leases: readonly Lease[], sentAt: number): void {
    const { leaseMs, clock, renamed, back } = this.#options;
    const now = clock.now();
    const isFirst = !this.#isKnown;
    this.#isKnown = true;
    this.#goodUntil = sentAt + leaseMs;
    for (const resolve of this.#waiting.splice(0)) resolve();
    if (isFirst && this.#life > 0) renamed();
    if (this.#hasFailed) back();
    this.#hasFailed = false;
    this.#judge(leases, sentAt, now);
    const soonest = Math.min(...leases.filter(({ leftMs }) => leftMs > 0).map(({ leftMs }) => leftMs));
    const usual = (leaseMs / BEATS) * (0.8 + 0.2 * Math.random());
    const nextMs = now < this.#doubtfulUntil ? this.#doubtfulUntil - now : Math.min(usual, soonest);
    this.#later(nextMs + LOOK_MS);
  }

  #judge(leases: readonly Lease[], sentAt: number, now: number): void {
    if (now < this.#doubtfulUntil) return;
    const { heard, gone } = this.#options;
    const leftMs = new Map(leases.map((lease) => [lease.node, lease.leftMs]));
    const lapsed = new Set(leases.filter((lease) => lease.leftMs <= 0).map(({ node }) => node));
    // Who wrote after the engine had lost its lease, and was killed before the next: nobody else clears that.
    for (const [node, since] of heard()) {
      if (!leftMs.has(node) && since < sentAt && now >= this.#emptyUntil) lapsed.add(node);
    }
    this.#lapsed = lapsed;
    for (const [node] of [...heard()]) {
      if (!lapsed.has(node)) continue;
      this.others++;
      gone(node);
    }
    this.#clear(leases);
  }

  /** One of those that are there clears what the others have left. */
  #clear(leases: readonly Lease[]): void {
    const { engine } = this.#options;
    const first = leases.reduce((least, { node, leftMs }) => (leftMs > 0 && node < least ? node : least), this.node);
    if (first !== this.node) return;
    for (const node of this.#lapsed) void engine.clear(node).catch(() => undefined);
  }

  /**
   * Ends it: what the node wrote is to be believed for so long yet, in milliseconds; 0: there is nothing. Never rejects.
   */
  async close(leftMs: number): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    for (const resolve of this.#waiting.splice(0)) resolve();
    if (!this.#isKnown) return;
    const { engine } = this.#options;
    try {
      await engine.beat(this.node, leftMs);
      if (leftMs <= 0) await engine.clear(this.node);
    } catch {
      // Then it lapses.
    }
  }
}
