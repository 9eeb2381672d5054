import { parseRedisShard, type RedisShard } from "./address.js";
import { Cluster } from "./cluster.js";
import type { Word } from "./connection.js";
import { together } from "./interest.js";
import { Primary } from "./primary.js";
import type { Script } from "./scripts.js";
import type { Shard, ShardEvents, ShardOptions } from "./shard.js";
import type { Reply } from "./wire.js";

/** Makes the way to a shard, which connects in the background and for ever. */
export function openShard(shard: RedisShard, options: ShardOptions, events: ShardEvents): Shard {
  return shard.kind === "cluster" ? new Cluster(shard, options, events) : new OnePrimary(shard, options, events);
}

/** What is needed to reach a shard for something else than rooms. */
export type OpenFirst = Pick<ShardOptions, "timeoutMs" | "probeMs" | "log"> & {
  readonly shards: readonly string[];
  /** For a shard whose address has none. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
};

/**
 * Makes the way to the first shard that holds rooms, for `purpose`, which people are told of it; nothing is subscribed there.
 * Throws a `TypeError` where an address cannot be read.
 */
export function openFirst(options: OpenFirst, purpose: string, nameOf = (name: string) => name): Shard {
  const { timeoutMs, probeMs, log } = options;
  const shards = options.shards.map((text) => parseRedisShard(text));
  const first = shards.find(({ weight }) => weight > 0);
  if (first === undefined) throw new TypeError("expected a shard with a weight above 0");
  const { username = options.username, password = options.password } = first;
  const shard = { ...first, username, password, name: `${first.name} (${purpose})` };
  const events = { published: () => undefined, suspect: () => undefined };
  return openShard(shard, { timeoutMs, probeMs, log, nameOf }, events);
}

/** One server, or the one that Sentinels name. */
class OnePrimary implements Shard {
  readonly name: string;
  readonly publishes = "PUBLISH";
  readonly #primary: Primary;

  constructor(shard: RedisShard, options: ShardOptions, events: ShardEvents) {
    this.name = shard.name;
    const subscribing = together(options.nameOf);
    this.#primary = new Primary({ ...options, name: `redis ${shard.name}`, target: shard, subscribing }, events);
  }

  send(_room: string, command: string, words: readonly Word[]): Promise<Reply> {
    return this.#primary.send(command, words);
  }

  run(_room: string, script: Script, keys: readonly string[], words: readonly Word[]): Promise<Reply> {
    return this.#primary.run(script, keys, words);
  }

  subscribe(room: string, isKept: boolean): Promise<void> {
    return this.#primary.subscribe(room, isKept);
  }

  unsubscribe(room: string): void {
    this.#primary.unsubscribe(room);
  }

  problems(): readonly string[] {
    const problem = this.#primary.problem;
    return problem === undefined ? [] : [problem];
  }

  close(): void {
    this.#primary.close();
  }
}
