import { setTimeout as pause } from "node:timers/promises";
import type { Cluster } from "../../server/engine/conformance.js";
import { eventually } from "../support/eventually.js";
import type { Redis } from "../support/services/redis.js";
import type { RedisCluster } from "../support/services/redis-cluster.js";
import { openNode, redisOptions } from "./redis-ground.js";

/** The address of a Cluster, of which these servers are asked first. */
export const urlOf = (nodes: readonly Redis[]): string =>
  `redis+cluster://${nodes.map(({ host, port }) => `${host}:${port}`).join("+")}?name=c`;

/** A Redis Cluster for the conformance suite. In an outage all of its servers are killed and started again. */
export function clusterOf({ nodes }: RedisCluster): Cluster {
  const options = redisOptions([urlOf(nodes)]);
  return {
    node: (deliver, suspect) => openNode(options, deliver, suspect),
    advance: (ms) => pause(ms),
    async outage(during) {
      await Promise.all(nodes.map((node) => node.kill()));
      try {
        await during();
      } finally {
        await Promise.all(nodes.map((node) => node.start()));
        await Promise.all(nodes.map(untilOk));
      }
    },
    async close() {},
  };
}

/** Resolves once the server says that its Cluster works, which after a start takes it some seconds. */
export const untilOk = (node: Redis): Promise<void> =>
  eventually(
    async () => String(await node.command("CLUSTER", "INFO")).includes("cluster_state:ok"),
    "the cluster never worked again",
  );
