/** Make before break: the way from a connection that is about to be closed to another one. */
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

/** Goes on until it has come about, or the old connection has ended. */
export class Move {
  /** The new connection, once there is one. */
  link: Link | undefined;
  readonly #owner: MoveOwner;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(afterMs: number, owner: MoveOwner) {
    this.#owner = owner;
    this.dialIn(afterMs);
  }

  /** Opens a connection after so many milliseconds. The one before it, where there was one, did not come about. */
  dialIn(delayMs: number): void {
    this.link = undefined;
    this.#timer = setTimeout(() => {
      this.link = this.#owner.dial();
    }, delayMs);
  }

  /** Something may have been settled. */
  look(rooms: Iterable<Movable>): void {
    const { link } = this;
    if (!link?.welcome || !link.isOpen) return;
    for (const room of rooms) if (!room.settledOn(link)) return;
    this.#owner.moved(link);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
