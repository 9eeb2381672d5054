/** How many members a room may have on all nodes together. Pure, as `UserShares`. */
import { ElsewhereCounts, MAX_WATCHED, type Told, tellFrom } from "./elsewhere.js";

/** Rooms that have about as many members as they may, counted on all nodes as sessions of users are (see `UserShares`). */
export class RoomShares {
  readonly #elsewhere = new ElsewhereCounts();
  /** Those the others are to be told of, each with its limit. */
  readonly #watched = new Map<string, number>();
  #nodes = 1;
  /** Called when the others should hear of a room before the second is over. */
  onNews: () => void = () => undefined;

  /** How many rooms are remembered. */
  get size(): number {
    return this.#watched.size + this.#elsewhere.size;
  }

  /** Whether a room that has so many members here, the one who asks among them, has no more than `limit` on all nodes. */
  fits(room: string, here: number, limit: number, now: number): boolean {
    if (here + (this.#elsewhere.size === 0 ? 0 : this.#elsewhere.of(room, now)) > limit) return false;
    if (here < tellFrom(limit, this.#nodes)) return true;
    if (this.#watched.size < MAX_WATCHED) this.#watched.set(room, limit);
    this.onNews();
    return true;
  }

  /** What the others are to be told, the fullest first, as `UserShares.tell`. `sizeOf`: how many members a room has here. */
  tell(fits: (name: string) => boolean, nodes: number, sizeOf: (room: string) => number): Told["rooms"] {
    this.#nodes = nodes;
    const full: [room: string, members: number, weight: number][] = [];
    for (const [room, limit] of this.#watched) {
      const members = sizeOf(room);
      if (members < tellFrom(limit, nodes)) this.#watched.delete(room);
      else full.push([room, members, members / limit]);
    }
    return full
      .sort((a, b) => b[2] - a[2])
      .filter(([room]) => fits(room))
      .map(([room, members]) => [room, members] as const);
  }

  /** Takes what another node told. */
  hear(node: string, rooms: Told["rooms"], now: number): void {
    for (const [room, members] of rooms) this.#elsewhere.hear(node, room, members, now);
  }

  /** Forgets what has lapsed. To be called about once a second. */
  sweep(now: number): void {
    this.#elsewhere.sweep(now);
  }
}
