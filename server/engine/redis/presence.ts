/** Presence on Redis: a room's registers are on the shard that the ring gives, all leases on one of them. */
import type { Beat, Lease, OpenPresence, Presence, Register } from "../presence.js";
import { parseRedisShard, type RedisShard } from "./address.js";
import { Places } from "./places.js";
import { PresenceShard } from "./presence-shard.js";
import type { RedisOptions } from "./redis.js";

export type RedisPresenceOptions = RedisOptions & {
  /** How often a node looks for what others have left and have no lease for any more, in milliseconds. Default: 60,000. */
  readonly sweepMs?: number;
};

const SWEEP_MS = 60_000;
/** What the ring is asked for the leases by. */
const LEASES = "leases";

/** Makes a way to open nodes' presence. Throws a `TypeError` where an address cannot be read. */
export function openRedisPresence(options: RedisPresenceOptions): OpenPresence {
  const shards = options.shards.map((text) => {
    const shard = parseRedisShard(text);
    const { username = options.username, password = options.password } = shard;
    return { ...shard, username, password };
  });
  const places = new Places(shards);
  return () => new RedisPresence(options, shards, places);
}

/**
 * While shards change, a room that gets another home is written on both, and read on both: nodes that have the
 * configuration before know the old one alone, nodes of the next one the new one alone. So it is with the leases.
 */
class RedisPresence implements Presence {
  readonly #places: Places;
  readonly #shards = new Map<string, PresenceShard>();
  readonly #sweepMs: number;
  #sweptAt = performance.now();
  /** Who had something and no lease at the last look. */
  #suspects: ReadonlySet<string> = new Set();
  /** Of the last call that wrote: higher in a node that started later. */
  #number = Date.now() * 1000;

  constructor(options: RedisPresenceOptions, shards: readonly RedisShard[], places: Places) {
    const { namespace, timeoutMs, probeMs, log, sweepMs = SWEEP_MS } = options;
    this.#places = places;
    this.#sweepMs = sweepMs;
    for (const shard of shards) {
      this.#shards.set(shard.name, new PresenceShard(shard, namespace, { timeoutMs, probeMs, log }));
    }
  }

  /** Its home, and while shards change, after it, the shard that it was on. */
  #shardsOf(room: string): PresenceShard[] {
    const before = this.#places.before(room);
    const names = [this.#places.home(room), ...(before === undefined ? [] : [before])];
    return names.map((name) => this.#shards.get(name) as PresenceShard);
  }

  async write(room: string, node: string, part: number, value: Buffer | undefined): Promise<void> {
    const number = ++this.#number;
    await Promise.all(this.#shardsOf(room).map((shard) => shard.write(room, node, part, value, number)));
  }

  async read(room: string): Promise<readonly Register[]> {
    const [home = [], before = []] = await Promise.all(this.#shardsOf(room).map((shard) => shard.read(room)));
    if (before.length === 0) return home;
    const nameOf = ({ node, part }: Register): string => `${node}/${part}`;
    return [...new Map([...before, ...home].map((register) => [nameOf(register), register])).values()];
  }

  async beat(node: string, leaseMs: number): Promise<Beat> {
    const beats = await Promise.all(this.#shardsOf(LEASES).map((shard) => shard.beat(node, leaseMs)));
    const leases = new Map<string, Lease>();
    for (const lease of beats.flatMap((beat) => beat.leases)) {
      if (lease.leftMs > (leases.get(lease.node)?.leftMs ?? Number.NEGATIVE_INFINITY)) leases.set(lease.node, lease);
    }
    if (performance.now() - this.#sweptAt > this.#sweepMs) void this.#sweep(leases);
    return { isNew: beats.some(({ isNew }) => isNew), leases: [...leases.values()] };
  }

  async clear(node: string): Promise<boolean> {
    if (!(await hasLapsed(this.#shardsOf(LEASES), node, false))) return false;
    const all = [...this.#shards.values()];
    await Promise.all(all.map((shard) => shard.clear(node)));
    // In the end: where this is cut off, another node finds the lease and goes on. On all, since it may have been elsewhere
    // before shards changed.
    return hasLapsed(all, node, true);
  }

  /**
   * Clears who has no lease at two looks: the leases were lost, or a call came when its node had been cleared. Else nobody
   * would. Never rejects: what could not be done is done at a later look.
   */
  async #sweep(leases: ReadonlyMap<string, Lease>): Promise<void> {
    this.#sweptAt = performance.now();
    try {
      const nodes = await Promise.all([...this.#shards.values()].map((shard) => shard.nodes()));
      const left = new Set(nodes.flatMap((some) => [...some]).filter((node) => !leases.has(node)));
      const due = [...left].filter((node) => this.#suspects.has(node));
      this.#suspects = left;
      for (const node of due) await this.clear(node);
    } catch {
      return;
    }
  }

  problems(): readonly string[] {
    return [...this.#shards.values()].flatMap((shard) => shard.problems());
  }

  async close(): Promise<void> {
    for (const shard of this.#shards.values()) shard.close();
  }
}

/** Whether none of the shards has a good lease of the node; where they have one that lapsed they forget it, if told so. */
async function hasLapsed(shards: readonly PresenceShard[], node: string, isToBeForgotten: boolean): Promise<boolean> {
  const all = await Promise.all(shards.map((shard) => shard.hasLapsed(node, isToBeForgotten)));
  return all.every((lapsed) => lapsed);
}
