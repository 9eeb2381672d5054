import test, { after, before } from "node:test";
import { conformance } from "../../server/engine/conformance.js";
import { type RedisCluster, startRedisCluster } from "../support/services/redis-cluster.js";
import { clusterOf } from "./redis-cluster-ground.js";

const ends: (() => Promise<void>)[] = [];
let cluster: RedisCluster;
before(async () => {
  const scope = { after: (end: () => Promise<void>) => void ends.push(end) };
  const args = ["--appendonly", "yes", "--appendfsync", "always", "--cluster-require-full-coverage", "no"];
  cluster = await startRedisCluster(scope, { args });
});
after(async () => {
  for (const end of ends) await end();
});

conformance("redis cluster, three primaries", { test, open: async () => clusterOf(cluster) });
