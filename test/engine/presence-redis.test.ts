import test, { after, before } from "node:test";
import { presenceConformance } from "../../server/engine/conformance-presence.js";
import { type Redis, startRedis } from "../support/services/redis.js";
import { presenceCluster } from "./presence-redis-ground.js";
import { redisOptions } from "./redis-ground.js";

const ends: (() => Promise<void>)[] = [];
let servers: Redis[] = [];
before(async () => {
  const scope = { after: (end: () => Promise<void>) => void ends.push(end) };
  servers = await Promise.all([1, 2, 3].map(() => startRedis(scope, { persistent: true })));
});
after(async () => {
  for (const end of ends) await end();
});

const open = (count: number) => async () => {
  const some = servers.slice(0, count);
  return presenceCluster(redisOptions(some.map(({ url }) => url)), some);
};

presenceConformance("redis, one server", { test, open: open(1) });
presenceConformance("redis, three shards", { test, open: open(3) });
