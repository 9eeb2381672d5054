import type { NewEvent } from "../../../protocol/event.js";
import { firstOf } from "../by-kind.js";
import { type LogRules, RESERVED } from "../engine.js";
import type { MovesOptions } from "./moves.js";
import { scripts } from "./scripts.js";
import type { Shard } from "./shard.js";
import { KIND, plain } from "./wire.js";

/**
 * Publishing in rooms without history. While shards change, a room that gets another home is on both: nodes that have the
 * configuration before listen and publish where it was, all others listen on both, publish at its home, and put a copy where
 * it was, which is passed over by whoever listens on both. So everybody gets each event once.
 */
export class PlainRooms {
  readonly #options: Pick<MovesOptions, "places" | "shards" | "names" | "nameOn">;
  /** The last publish with a key, of each room that is on two shards. */
  readonly #keyed = new Map<string, Promise<unknown>>();

  constructor(options: Pick<MovesOptions, "places" | "shards" | "names" | "nameOn">) {
    this.#options = options;
  }

  /** The room's home, and while shards change the shard that it was on. */
  shardsOf(room: string): readonly [Shard, Shard | undefined] {
    const { places, shards } = this.#options;
    const before = places.before(room);
    return [shards.get(places.home(room)) as Shard, before === undefined ? undefined : shards.get(before)];
  }

  /** `record`: the event's. Resolves once a server has it. */
  async publish(room: string, event: NewEvent, record: Buffer, rules: LogRules): Promise<undefined> {
    const { names, shards } = this.#options;
    const key = event.key === undefined ? undefined : names.key(room, event.from, event.key);
    const publish = (shard: Shard, bytes: Buffer) => this.#publishOn(shard, room, bytes, key, rules);
    const [home, before] = this.shardsOf(room);
    if (room.startsWith(RESERVED)) {
      const bytes = plain(record);
      await firstOf([...shards.values()].map((shard) => publish(shard, bytes)));
    } else if (before === undefined) await publish(home, plain(record));
    else {
      const copy = () => publish(before, plain(record, KIND.copy));
      await this.#publishTwice(room, key !== undefined, copy, () => publish(home, plain(record)));
    }
    return undefined;
  }

  /** Resolves with whether it was published: it was not where its key has been seen. */
  async #publishOn(
    shard: Shard,
    room: string,
    bytes: Buffer,
    key: string | undefined,
    rules: LogRules,
  ): Promise<boolean> {
    const name = this.#options.nameOn(shard, room);
    if (key !== undefined) {
      return (await shard.run(room, scripts.once, [key], [bytes, name, shard.publishes, rules.keyWindowMs])) === 1;
    }
    await shard.send(room, shard.publishes.toLowerCase(), [name, bytes]);
    return true;
  }

  async #publishTwice(
    room: string,
    hasKey: boolean,
    copy: () => Promise<boolean>,
    publish: () => Promise<boolean>,
  ): Promise<void> {
    const last = this.#keyed.get(room);
    if (!hasKey && last === undefined) {
      copy().catch(() => undefined);
      await publish();
      return;
    }
    // Nodes that have the configuration before look for keys where it was, so that is asked first; and in order.
    const sent = (last ?? Promise.resolve()).then(async () => {
      const isFirst = await copy().catch(() => true);
      if (isFirst) await publish();
    });
    const settled = sent.catch(() => undefined);
    this.#keyed.set(room, settled);
    await sent.finally(() => {
      if (this.#keyed.get(room) === settled) this.#keyed.delete(room);
    });
  }
}
