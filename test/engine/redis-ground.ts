import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Cluster } from "../../server/engine/conformance.js";
import type { Broker, Deliver, Suspect } from "../../server/engine/engine.js";
import { openRedis, type RedisOptions } from "../../server/engine/redis/redis.js";
import type { Log } from "../../server/log.js";
import { eventually } from "../support/eventually.js";
import type { Redis } from "../support/services/redis.js";

const nothing = (): void => undefined;
export const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** Options of a broker on these shards, in a namespace that nobody else uses. */
export function redisOptions(shards: readonly string[], more: Partial<RedisOptions> = {}): RedisOptions {
  const namespace = `test-${randomBytes(6).toString("hex")}`;
  return { shards, namespace, timeoutMs: 1500, probeMs: 500, log: silent, ...more };
}

/** Opens a node's broker; resolves once it has no problems. */
export async function openNode(
  options: RedisOptions,
  deliver: Deliver = nothing,
  suspect: Suspect = nothing,
): Promise<Broker> {
  const broker = openRedis(options)(deliver, suspect);
  await untilWell(broker);
  return broker;
}

export const untilWell = (broker: Broker): Promise<void> =>
  eventually(() => broker.problems().length === 0, "the engine never came up");

/**
 * A cluster for the conformance suite. Redis has no clock to move: time passes as it does. In an outage the servers are
 * killed and started again; they must be persistent.
 */
export function redisCluster(servers: readonly Redis[]): Cluster {
  const options = redisOptions(servers.map(({ url }) => url));
  return {
    node: (deliver, suspect) => openNode(options, deliver, suspect),
    advance: (ms) => pause(ms),
    async outage(during) {
      await Promise.all(servers.map((server) => server.kill()));
      try {
        await during();
      } finally {
        await Promise.all(servers.map((server) => server.start()));
      }
    },
    async close() {},
  };
}
