import type { Log } from "../../log.js";
import { EngineError } from "../engine.js";
import type { Places } from "./places.js";
import { scripts } from "./scripts.js";
import type { Shard } from "./shard.js";
import { type Elsewhere, KIND, type Names, type Reply, readWhere } from "./wire.js";

export type MovesOptions = {
  readonly places: Places;
  readonly shards: ReadonlyMap<string, Shard>;
  readonly names: Names;
  /** What a room is called in a shard's pub/sub. */
  readonly nameOn: (shard: Shard, room: string) => string;
  /** An epoch that nobody has used. */
  readonly newEpoch: () => string;
  readonly log: Log;
};

/** For how long what a log needs is kept, in milliseconds. */
export type Kept = { readonly ageMs: number; readonly endMs: number };

/** How many shards a room is followed over. */
const MOST_HOPS = 8;
/** How many bytes of a log go with it; of a longer one its newest events. */
const MOST_BYTES = 16 * 1024 * 1024;

type Moved = Exclude<Elsewhere, { kind: "key" }>;
type At = { readonly shard: Shard; readonly where: Moved | undefined };

/**
 * Finds rooms that are not where they are looked for, and takes them where they belong. A log that is to go elsewhere is
 * frozen where it is by one script (`leave`), and written where it goes by another (`adopt`). Every node may do it, at
 * the same time too, and any node finishes what one has begun that is gone: what is frozen stays to be read.
 */
export class Moves {
  readonly #options: MovesOptions;

  constructor(options: MovesOptions) {
    this.#options = options;
  }

  /** The shard that holds the room, or where it is to be made. `where` is what `shard` has answered. */
  async locate(room: string, shard: Shard, where: Moved, kept: Kept): Promise<Shard> {
    let at: At = { shard, where };
    for (let hop = 0; at.where !== undefined; hop++) {
      if (hop === MOST_HOPS) throw new EngineError("unavailable", "redis: a room was not found where it is said to be");
      at = await this.#step(room, at.shard, at.where, kept);
    }
    return at.shard;
  }

  #step(room: string, shard: Shard, where: Moved, kept: Kept): Promise<At> | At {
    const { places, shards } = this.#options;
    const before = shards.get(places.before(room) ?? "");
    const isHome = shard.name === places.home(room);
    if (where.kind === "absent") {
      if (!isHome) return this.#look(room, shards.get(places.home(room)) as Shard);
      return before === undefined ? { shard, where: undefined } : this.#move(room, before, shard, 0, kept);
    }
    const target = shards.get(where.shard);
    if (target === undefined) return this.#begin(room, shard, where.move, kept);
    // It has left for there in an earlier change, which this one takes back.
    if (isHome && target === before) return this.#move(room, target, shard, where.move, kept);
    return this.#follow(room, shard, target, where.move, kept);
  }

  async #look(room: string, shard: Shard): Promise<At> {
    const reply = await shard.send(room, "hmget", [this.#options.names.end(room), "epoch", "moved", "move"]);
    return { shard, where: readWhere(reply) as Moved | undefined };
  }

  /** From where the room has left, to where it says it has gone. */
  async #follow(room: string, shard: Shard, target: Shard, move: number, kept: Kept): Promise<At> {
    const there = await this.#look(room, target);
    if (there.where === undefined || (there.where.kind === "moved" && there.where.move > move)) return there;
    // It has not arrived: whoever took it away did not get further.
    return this.#move(room, shard, target, move, kept);
  }

  /** `move`: the most moves of the room that are known of. */
  async #move(room: string, from: Shard, to: Shard, move: number, kept: Kept): Promise<At> {
    const { names, nameOn, newEpoch } = this.#options;
    const keys = [names.end(room), names.log(room)];
    const notice = Buffer.from([KIND.moved]);
    const reply = (await from.run(room, scripts.leave, keys, [
      ...[to.name, move, kept.endMs, notice, nameOn(from, room), from.publishes, MOST_BYTES],
    ])) as Reply[];
    const [left, by, epoch, offset, gaps, floor, ...events] = reply.map((one) => one as Buffer);
    if (left !== undefined && left.length > 0) {
      const [shard = "", number] = left.toString("latin1", 1).split(" ");
      return { shard: from, where: { kind: "moved", shard, move: Number(number) } };
    }
    const end = epoch?.length === 0 ? [newEpoch(), 0, "", ""] : [epoch, offset, gaps, floor];
    await to.run(room, scripts.adopt, keys, [by, from.name, ...end, kept.endMs, kept.ageMs, ...events] as Buffer[]);
    return this.#look(room, to);
  }

  /** The room has gone to a shard that is not configured any more: it begins anew. */
  async #begin(room: string, shard: Shard, move: number, kept: Kept): Promise<At> {
    const { names, newEpoch, log } = this.#options;
    log.warn("engine: a room was on a shard that is not configured; its log begins anew", { engine: "redis", room });
    const words = [move + 1, shard.name, newEpoch(), 0, "", "", kept.endMs, kept.ageMs];
    await shard.run(room, scripts.adopt, [names.end(room), names.log(room)], words);
    return this.#look(room, shard);
  }
}
