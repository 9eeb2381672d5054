/** What nodes remember together, on Redis. */
import type { Log } from "../../log.js";
import type { Counted, SharedStore, Stored } from "../store.js";
import { openFirst } from "./open-shard.js";
import { scripts } from "./scripts.js";
import type { Shard } from "./shard.js";
import type { Reply } from "./wire.js";

export type RedisStoreOptions = {
  /** The addresses of the shards: see `parseRedisShard`. The first that holds rooms has the store. */
  readonly shards: readonly string[];
  /** For a shard whose address has none. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly namespace: string;
  /** What the store is for: a part of its names, and of what people are told of it. */
  readonly purpose: string;
  /** How long Redis may take to answer, in milliseconds. */
  readonly timeoutMs: number;
  readonly probeMs: number;
  readonly log: Log;
};

/** The slot of all counts in a Cluster: they are counted up together. Values are in slots of their own. */
const COUNTS = "counts";

/** Connects in the background and for ever. Throws a `TypeError` where an address cannot be read. */
export class RedisStore implements SharedStore {
  readonly #shard: Shard;
  readonly #prefix: string;

  constructor(options: RedisStoreOptions) {
    const { namespace, purpose } = options;
    this.#prefix = `${namespace}:${purpose}:`;
    this.#shard = openFirst(options, purpose, (name) => this.#place(name));
  }

  #place(name: string): string {
    return `${this.#prefix}{${name}}`;
  }

  async read(name: string): Promise<Stored | undefined> {
    const reply = await this.#shard.run(name, scripts.remembered, [this.#place(name)], []);
    const [value, leftMs] = reply as Reply[];
    return Buffer.isBuffer(value) && typeof leftMs === "number" ? { value, leftMs } : undefined;
  }

  async write(name: string, value: Buffer, ageMs: number): Promise<void> {
    await this.#shard.send(name, "set", [this.#place(name), value, "PX", Math.ceil(ageMs)]);
  }

  async erase(name: string): Promise<void> {
    await this.#shard.send(name, "del", [this.#place(name)]);
  }

  async counts(names: readonly string[]): Promise<Counted> {
    const reply = await this.#shard.send(COUNTS, "mget", this.#countNames(names));
    const [latest = 0, ...counts] = (reply as Reply[]).map((text) => (Buffer.isBuffer(text) ? Number(text) : 0));
    return { latest, counts };
  }

  async countUp(names: readonly string[], ageMs: number): Promise<void> {
    await this.#shard.run(COUNTS, scripts.countUp, this.#countNames(names), [Math.ceil(ageMs)]);
  }

  /** The latest count's name before the others'. */
  #countNames(names: readonly string[]): string[] {
    const place = this.#place(COUNTS);
    return [place, ...names.map((name) => `${place}:${name}`)];
  }

  problems(): readonly string[] {
    return this.#shard.problems();
  }

  close(): void {
    this.#shard.close();
  }
}
