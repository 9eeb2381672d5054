import { Ring } from "../ring.js";
import type { RedisShard } from "./address.js";

/** How many rooms are remembered that are not on the shard that the ring gives. What is forgotten is found again. */
const MOST_FOUND = 100_000;

/** Which shard holds which room, as far as the configuration says and as this node has found. */
export class Places {
  readonly #ring: Ring;
  /** The ring before a change that is being rolled out; `undefined` where there is none. */
  readonly #before: Ring | undefined;
  readonly #found = new Map<string, string>();
  /** Whether there is one shard only. */
  readonly isOne: boolean;

  constructor(shards: readonly Pick<RedisShard, "name" | "weight" | "was">[]) {
    this.#ring = new Ring(shards);
    const isChanging = shards.some(({ weight, was }) => weight !== was) && shards.some(({ was }) => was > 0);
    this.#before = isChanging ? new Ring(shards.map(({ name, was }) => ({ name, weight: was }))) : undefined;
    this.isOne = shards.length === 1;
  }

  /** The shard that the room belongs on. */
  home(room: string): string {
    return this.#ring.of(room);
  }

  /** The shard that it belonged on before; `undefined` where that is the same one. */
  before(room: string): string | undefined {
    if (this.#before === undefined) return undefined;
    const before = this.#before.of(room);
    return before === this.home(room) ? undefined : before;
  }

  /** Where the room is taken to be. */
  of(room: string): string {
    return (this.#found.size === 0 ? undefined : this.#found.get(room)) ?? this.home(room);
  }

  found(room: string, shard: string): void {
    if (this.isOne) return;
    this.#found.delete(room);
    if (shard === this.home(room)) return;
    if (this.#found.size >= MOST_FOUND) this.#found.clear();
    this.#found.set(room, shard);
  }
}
