import { EngineError } from "../engine.js";
import type { Lease, Register } from "../presence.js";
import type { RedisShard } from "./address.js";
import type { Word } from "./connection.js";
import { openShard } from "./open-shard.js";
import { type Script, scripts } from "./scripts.js";
import type { Shard, ShardOptions } from "./shard.js";
import { slotOf } from "./slots.js";
import type { Reply } from "./wire.js";

/**
 * In how many slots of a Redis Cluster presence is. A script finds the registers of a room and the list of what a node
 * has written in one slot, and clearing a node is a call for each slot that it may have written in.
 */
const BUCKETS = 256;
/** How many registers of a node are erased by one call. */
const MOST_CLEARED = 200;
/** How many calls of one clearing are under way at once. */
const AT_ONCE = 8;
/** Where leases are, in a Cluster: all in one slot. */
const LEASES = "leases";

const DIGITS = /^[0-9]+$/;

/**
 * What one shard holds of presence. Its keys, `<namespace>:presence:` before each:
 *
 * - `{<bucket>}:room:<room>`, a hash: of each `<node>/<part>` the register.
 * - `{<bucket>}:of:<node>`, a set: `<part> <room>` of each register that the node has in the bucket.
 * - `{<bucket>}:nodes`, a hash: of each node that has written in the bucket the number of its last call.
 * - `{leases}`, a sorted set: until when each node's lease is good, in Redis's own milliseconds. On one shard only.
 */
export class PresenceShard {
  readonly #shard: Shard;
  readonly #prefix: string;
  readonly #buckets: number;

  constructor(shard: RedisShard, namespace: string, options: Omit<ShardOptions, "nameOf">) {
    this.#prefix = `${namespace}:presence:`;
    this.#buckets = shard.kind === "cluster" ? BUCKETS : 1;
    const nameOf = (bucket: string): string => this.#place(bucket);
    // Nothing is subscribed.
    const events = { published: () => undefined, suspect: () => undefined };
    this.#shard = openShard({ ...shard, name: `${shard.name} (presence)` }, { ...options, nameOf }, events);
  }

  #place(bucket: string): string {
    return `${this.#prefix}{${bucket}}`;
  }

  #bucketOf(room: string): string {
    return String(this.#buckets === 1 ? 0 : slotOf(room) % this.#buckets);
  }

  #room(bucket: string, room: string): string {
    return `${this.#place(bucket)}:room:${room}`;
  }

  #of(bucket: string, node: string): string {
    return `${this.#place(bucket)}:of:${node}`;
  }

  #nodes(bucket: string): string {
    return `${this.#place(bucket)}:nodes`;
  }

  #run(bucket: string, script: Script, keys: readonly string[], words: readonly Word[]): Promise<Reply> {
    return this.#shard.run(bucket, script, keys, words);
  }

  /** `number`: higher than that of any call before. */
  async write(room: string, node: string, part: number, value: Buffer | undefined, number: number): Promise<void> {
    const bucket = this.#bucketOf(room);
    const keys = [this.#room(bucket, room), this.#of(bucket, node), this.#nodes(bucket)];
    const words = [node, part, room, number, ...(value === undefined ? [] : [value])];
    const reply = await this.#run(bucket, scripts.presenceWrite, keys, words);
    if (reply !== 1)
      throw new EngineError("unavailable", `redis ${this.#shard.name}: a later call was there before`, 0);
  }

  async read(room: string): Promise<Register[]> {
    const bucket = this.#bucketOf(room);
    const reply = (await this.#shard.send(bucket, "hgetall", [this.#room(bucket, room)])) as Reply[];
    const registers: Register[] = [];
    for (let at = 0; at < reply.length; at += 2) {
      const [node = "", part = ""] = String(reply[at]).split("/");
      const value = reply[at + 1];
      if (DIGITS.test(part) && Buffer.isBuffer(value)) registers.push({ node, part: Number(part), value });
    }
    return registers;
  }

  async beat(node: string, leaseMs: number): Promise<{ isNew: boolean; leases: Lease[] }> {
    const reply = await this.#run(LEASES, scripts.presenceBeat, [this.#place(LEASES)], [node, Math.ceil(leaseMs)]);
    const [isNew, ...rest] = reply as Reply[];
    const leases: Lease[] = [];
    for (let at = 0; at < rest.length; at += 2) leases.push({ node: String(rest[at]), leftMs: Number(rest[at + 1]) });
    return { isNew: isNew === 1, leases };
  }

  /** Whether the node's lease is not good; then it is forgotten where that is asked for. */
  async hasLapsed(node: string, isToBeForgotten: boolean): Promise<boolean> {
    const words = [node, isToBeForgotten ? 1 : 0];
    return (await this.#run(LEASES, scripts.presenceEnd, [this.#place(LEASES)], words)) === 1;
  }

  /** Erases all registers of the node, some at a time. */
  async clear(node: string): Promise<void> {
    await this.#inAllBuckets(async (bucket) => {
      const keys = [this.#of(bucket, node), this.#nodes(bucket)];
      const words = [node, MOST_CLEARED, this.#room(bucket, "")];
      while ((await this.#run(bucket, scripts.presenceClear, keys, words)) === 1);
    });
  }

  /** The nodes that have written something here. */
  async nodes(): Promise<Set<string>> {
    const nodes = new Set<string>();
    await this.#inAllBuckets(async (bucket) => {
      const reply = (await this.#shard.send(bucket, "hkeys", [this.#nodes(bucket)])) as Reply[];
      for (const node of reply) nodes.add(String(node));
    });
    return nodes;
  }

  async #inAllBuckets(act: (bucket: string) => Promise<void>): Promise<void> {
    let next = 0;
    const turns = Array.from({ length: Math.min(AT_ONCE, this.#buckets) }, async () => {
      while (next < this.#buckets) await act(String(next++));
    });
    await Promise.all(turns);
  }

  problems(): readonly string[] {
    return this.#shard.problems();
  }

  close(): void {
    this.#shard.close();
  }
}
