import type { Log } from "../log.js";
import type { EngineName } from "./engine.js";
import { MemoryPresence, MemoryRegisters } from "./memory-presence.js";
import { type EngineOptions, natsOptions } from "./open.js";
import type { OpenPresence } from "./presence.js";

/**
 * The ways to the presence of every engine that is configured; what leads to Redis or NATS is loaded only where there is an
 * address for it. Nothing is connected to before it is opened.
 */
export async function openPresences(options: EngineOptions, log: Log): Promise<ReadonlyMap<EngineName, OpenPresence>> {
  const opens = new Map<EngineName, OpenPresence>();
  if (options.redis.length > 0) {
    const { openRedisPresence } = await import("./redis/presence.js");
    const { redis: shards, redisUsername: username, redisPassword: password, namespace, probeMs } = options;
    const login = { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) };
    opens.set(
      "redis",
      openRedisPresence({ shards, ...login, namespace, timeoutMs: options.engineTimeoutMs, probeMs, log }),
    );
  }
  if (options.nats.length > 0) {
    const { openNatsPresence } = await import("./nats/presence.js");
    opens.set("nats", openNatsPresence({ ...natsOptions(options, log), namespace: options.namespace }));
  }
  const registers = new MemoryRegisters();
  opens.set("memory", () => new MemoryPresence(registers));
  return opens;
}
