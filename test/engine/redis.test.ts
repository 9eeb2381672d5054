import test, { after, before } from "node:test";
import { conformance } from "../../server/engine/conformance.js";
import { type Redis, startRedis } from "../support/services/redis.js";
import { redisCluster } from "./redis-ground.js";

const ends: (() => Promise<void>)[] = [];
let servers: Redis[] = [];
before(async () => {
  const scope = { after: (end: () => Promise<void>) => void ends.push(end) };
  servers = await Promise.all([1, 2, 3].map(() => startRedis(scope, { persistent: true })));
});
after(async () => {
  for (const end of ends) await end();
});

conformance("redis, one server", { test, open: async () => redisCluster(servers.slice(0, 1)) });
conformance("redis, three shards", { test, open: async () => redisCluster(servers) });
