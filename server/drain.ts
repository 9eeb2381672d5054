/** The slow end of a node: every client is moved to another one, each in its slot, before anything is closed. */
import type { Log } from "./log.js";

export type DrainTimes = {
  /** How long new clients are still taken, in milliseconds, while `/ready` says no already. */
  readonly noticeMs: number;
  /** The time over which the clients are told to move, in milliseconds. */
  readonly drainMs: number;
  /** From the signal to the end, in milliseconds. */
  readonly deadlineMs: number;
};

/** The clients, as far as a drain has to do with them. */
export interface Moving {
  /** All that are connected. */
  readonly size: number;
  readonly untold: number;
  readonly moved: number;
  readonly sentAway: number;
  moveNext(count: number, withinMs: number, deadlineMs: number): void;
  sendAway(reasonFor: () => string, count?: number): void;
}

export type DrainParts = {
  readonly clients: Moving;
  readonly log: Log;
  /** Takes no further connections. */
  readonly stopTaking: () => void;
  /** Whether there is no other node that clients could move to. */
  readonly isAlone: () => boolean;
  /** Sends what waits in the rooms: what the log has a client gets before the goodbye. */
  readonly flush: () => void;
};

/** How often it is the turn of some clients, in milliseconds. */
const TICK_MS = 100;
/** A client that is alone does not wait: so much of the window is used for each client at the most, in milliseconds. */
const SLOT_MS = 20;
/** How often the log is told how far it is, in milliseconds. */
const PROGRESS_MS = 1000;
/** Of the time that is left once the clients should have gone: for closing the others, and then for the engine. */
const CLOSING_SHARE = 0.3;
const CLOSING_MS = 3000;
const ENDING_SHARE = 0.1;
const ENDING_MS = 1000;
/** Those who are closed are told to come back within this time, each at a moment of its own, in milliseconds. */
const COME_BACK_MS = 2000;

/** A close reason that says when to come back. */
export const comeBack = (): string => JSON.stringify({ retryMs: Math.floor(Math.random() * COME_BACK_MS) });

/**
 * Notice, moves, closes. `run` resolves when no client is left, or when those that are have been closed: that is before
 * `deadlineMs`. Clients are served as ever until they go.
 */
export class Drain {
  readonly #times: DrainTimes;
  readonly #parts: DrainParts;
  readonly #startedAt = performance.now();
  #hurried = false;
  #wake: (() => void) | undefined;

  constructor(times: DrainTimes, parts: DrainParts) {
    this.#times = times;
    this.#parts = parts;
  }

  /** Milliseconds since the drain began. */
  get #elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  async run(): Promise<void> {
    const { clients, log, stopTaking } = this.#parts;
    const { noticeMs, drainMs, deadlineMs } = this.#times;
    if (!this.#isPointless()) {
      log.info("draining: taking clients until the balancer knows", { clients: clients.size, noticeMs });
      await this.#pause(noticeMs);
    }
    stopTaking();
    const restMs = deadlineMs - noticeMs - drainMs;
    const endAt = deadlineMs - Math.min(ENDING_MS, restMs * ENDING_SHARE);
    const closeAt = endAt - Math.min(CLOSING_MS, restMs * CLOSING_SHARE);
    const began = clients.size;
    await this.#moveAll(closeAt);
    await this.#closeAll(endAt);
    const { moved, sentAway: closed } = clients;
    log.info("drained", { clients: began, moved, closed, ms: Math.round(this.#elapsedMs) });
  }

  /** Cuts it short: those who are still here are closed now. */
  hurry(): void {
    this.#hurried = true;
    this.#wake?.();
  }

  /** Whether there is nobody to move clients to: then they are closed at once. */
  #isPointless(): boolean {
    if (this.#hurried || !this.#parts.isAlone()) return this.#hurried;
    this.#parts.log.info("no other node to move clients to", { clients: this.#parts.clients.size });
    this.#hurried = true;
    return true;
  }

  /** Tells everyone in turn, and waits until all have gone, or it is time to close the rest. */
  async #moveAll(closeAt: number): Promise<void> {
    const { clients, log } = this.#parts;
    const windowMs = Math.min(this.#times.drainMs, clients.untold * SLOT_MS);
    const toldAt = Math.min(closeAt, this.#elapsedMs + windowMs);
    let sayAt = this.#elapsedMs;
    while (clients.size > 0 && this.#elapsedMs < closeAt && !this.#hurried) {
      const now = this.#elapsedMs;
      if (now >= sayAt) {
        if (this.#isPointless()) return;
        log.info("moving clients", { left: clients.size, untold: clients.untold, moved: clients.moved });
        sayAt += PROGRESS_MS;
      }
      // Those who came in the meantime share what is left of the window.
      const ticksLeft = Math.max(1, (toldAt - now) / TICK_MS);
      clients.moveNext(Math.ceil(clients.untold / ticksLeft), Math.min(TICK_MS, windowMs), closeAt - now);
      await this.#pause(TICK_MS);
    }
  }

  /** Closes the others one after the other: those who do not know how to move come back at once, whatever they are told. */
  async #closeAll(endAt: number): Promise<void> {
    const { clients, log, flush } = this.#parts;
    if (clients.size > 0) log.info("closing clients that have not moved", { clients: clients.size });
    while (clients.size > 0) {
      const ticksLeft = this.#hurried ? 1 : Math.max(1, (endAt - this.#elapsedMs) / TICK_MS);
      flush();
      clients.sendAway(comeBack, Math.ceil(clients.size / ticksLeft));
      if (clients.size > 0) await this.#pause(TICK_MS);
    }
  }

  #pause(ms: number): Promise<void> {
    if (this.#hurried) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
