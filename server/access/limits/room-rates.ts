/** How fast is published in each room. Pure: the time is given, in milliseconds, of a clock that never goes back. */
import { Rate, waitMsOf } from "./bucket.js";

/** So much of the rate may be published at once. */
const BURST_MS = 1000;
/** The most rooms that are remembered. */
const MAX_ROOMS = 100_000;

type RoomUse = {
  readonly rate: Rate;
  fullAt: number;
  line: number;
  /** How many deliveries of the room have been counted, and when. */
  seen: number;
  seenAt: number;
  /** Publishes of this node that were counted, and have not been delivered. */
  own: number;
};

/**
 * The rooms in which clients of this node publish, each with a bucket. Where a room is open here, what others publish is in it
 * as well, on all nodes and by the application: its deliveries are counted, when somebody publishes. Publishes of this
 * node are counted at once, and not again when they are delivered; so a node holds its clients to the limit exactly, and
 * several nodes do but for what is on its way between them. Where the room is not open here, the node knows its own only.
 *
 * An entry goes when its bucket is full: `sweep`.
 */
export class RoomRates {
  readonly #rooms = new Map<string, RoomUse>();
  readonly #rates = new Map<number, Rate>();

  /** How many rooms are remembered. */
  get size(): number {
    return this.#rooms.size;
  }

  /**
   * Counts a publish: 0. Or refuses it: after how many milliseconds to try again. `delivered`: how many events the room
   * was handed since it was opened here; `undefined` where it is not open.
   */
  publish(room: string, perSecond: number, delivered: number | undefined, now: number): number {
    const use = this.#find(room, perSecond, delivered, now);
    if (delivered !== undefined) look(use, delivered, now);
    const after = use.rate.after(use.fullAt, now);
    if (use.rate.holds(after, now)) {
      use.fullAt = after;
      if (delivered !== undefined) use.own++;
      return 0;
    }
    use.line = use.rate.lineAfter(use.line, now, after);
    return waitMsOf(use.line, now);
  }

  #find(room: string, perSecond: number, delivered: number | undefined, now: number): RoomUse {
    let use = this.#rooms.get(room);
    if (use !== undefined) return use;
    let rate = this.#rates.get(perSecond);
    if (rate === undefined) {
      rate = new Rate(perSecond, BURST_MS);
      this.#rates.set(perSecond, rate);
    }
    use = { rate, fullAt: 0, line: 0, seen: delivered ?? 0, seenAt: now, own: 0 };
    if (this.#rooms.size >= MAX_ROOMS) this.#forgetOldest();
    this.#rooms.set(room, use);
    return use;
  }

  #forgetOldest(): void {
    const [oldest] = this.#rooms.keys();
    if (oldest !== undefined) this.#rooms.delete(oldest);
  }

  /** Forgets the rooms whose buckets are full. To be called about once a second. */
  sweep(now: number): void {
    for (const [room, { fullAt }] of this.#rooms) if (fullAt <= now) this.#rooms.delete(room);
  }
}

/** Counts what was delivered since the last look, as if it had come evenly; and not what is this node's own. */
function look(use: RoomUse, delivered: number, now: number): void {
  const { rate, seen, seenAt, own } = use;
  // A room that was opened anew has been handed fewer.
  const fresh = delivered < seen ? delivered : delivered - seen;
  use.seen = delivered;
  use.seenAt = now;
  use.own = Math.max(0, own - fresh);
  const others = Math.max(0, fresh - own);
  if (others === 0) return;
  const most = now + rate.burstMs * 2;
  use.fullAt = Math.min(most, Math.max(use.fullAt, seenAt) + others * rate.eachMs);
}
