import type { Log } from "../log.js";
import type { Ledger } from "./ledger.js";
import { MemoryLedger } from "./memory-ledger.js";
import type { EngineOptions } from "./open.js";

/** Opens the ledger in the first engine that nodes share: Redis, else NATS. Without either it is this node's own. */
export async function openLedger(options: EngineOptions, log: Log): Promise<Ledger> {
  const { namespace, engineTimeoutMs: timeoutMs, probeMs } = options;
  if (options.redis.length > 0) {
    const { RedisLedger } = await import("./redis/ledger.js");
    const { redis: shards, redisUsername: username, redisPassword: password } = options;
    return new RedisLedger({ shards, username, password, namespace, timeoutMs, probeMs, log });
  }
  if (options.nats.length > 0) {
    const { NatsLedger } = await import("./nats/ledger.js");
    const { nats: servers, natsReplicas: replicas, natsStorage: storage, natsCredentials: credentials } = options;
    return new NatsLedger({ servers, replicas, storage, credentials, namespace, timeoutMs, probeMs, log });
  }
  return new MemoryLedger();
}
