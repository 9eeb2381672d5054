/** Make before break: the way from a connection that is about to be closed to another one. */
import type { ServerFrame } from "../protocol/frames.js";
import type { Link } from "./link.js";

export interface MoveOwner {
  dial(): Link;
  /** Everything is on `link`: the old one is no longer needed. */
  moved(link: Link): void;
}

/** What a move needs to know of a room. */
export interface Movable {
  settledOn(link: Link): boolean;
}

export class Move {
  /** The new connection, once there is one. */
  link: Link | undefined;
  readonly #owner: MoveOwner;
  readonly #startAt: number;
  readonly #deadlineAt: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor({ afterMs, deadlineMs }: ServerFrame<"move">, owner: MoveOwner) {
    this.#owner = owner;
    this.#startAt = Date.now() + afterMs;
    this.#deadlineAt = Date.now() + deadlineMs;
    this.#dialIn(afterMs);
  }

  /** How long the server still wants to be left alone, in milliseconds. */
  afterMs(): number {
    return Math.max(0, this.#startAt - Date.now());
  }

  /** Something may have been settled. */
  look(rooms: Iterable<Movable>): void {
    const { link } = this;
    if (link?.welcome === undefined || !link.isOpen) return;
    for (const room of rooms) if (!room.settledOn(link)) return;
    this.#owner.moved(link);
  }

  /** The new connection did not come about. After the deadline the old one is closed, and reconnecting does the rest. */
  failed(retryInMs: number | undefined): void {
    this.link = undefined;
    if (retryInMs !== undefined && Date.now() + retryInMs < this.#deadlineAt) this.#dialIn(retryInMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #dialIn(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.link = this.#owner.dial();
    }, delayMs);
  }
}
