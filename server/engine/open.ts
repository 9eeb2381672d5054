import type { Log } from "../log.js";
import { ByKind } from "./by-kind.js";
import type { Broker, EngineName, OpenBroker } from "./engine.js";
import { MemoryBroker, MemoryLog } from "./memory.js";

export type EngineOptions = {
  /** The most that the memory engine's events may weigh, in bytes. */
  readonly memoryMaxBytes: number;
  /** See the settings of the same names. */
  readonly redis: readonly string[];
  readonly redisUsername?: string | undefined;
  readonly redisPassword?: string | undefined;
  readonly nats: readonly string[];
  readonly natsStreams: readonly string[];
  readonly natsReplicas: number;
  readonly natsStorage: "file" | "memory";
  readonly natsRetentionMs: number;
  readonly natsCredentials?: string | undefined;
  readonly namespace: string;
  readonly engineTimeoutMs: number;
  readonly probeMs: number;
};

/** What the kinds of rooms ask of the engines, taken together. */
export type EngineDemands = {
  readonly engineOf: (room: string) => EngineName;
  /** The largest `history.size` of a kind that NATS holds. */
  readonly maxHistory: number;
  /** The longest `keyWindowMs` of one, in milliseconds. */
  readonly maxKeyWindowMs: number;
};

/**
 * Makes the way to open brokers on the engines that are configured. What leads to Redis or NATS is loaded only where
 * there is an address for it. The memory engine's log is shared by all brokers of one answer.
 */
export async function openEngine(options: EngineOptions, demands: EngineDemands, log: Log): Promise<OpenBroker> {
  const memory = new MemoryLog({ maxBytes: options.memoryMaxBytes });
  const opens = new Map<EngineName, OpenBroker>();
  const { namespace, engineTimeoutMs: timeoutMs, probeMs } = options;
  if (options.redis.length > 0) {
    const { openRedis } = await import("./redis/redis.js");
    const { redis: shards, redisUsername: username, redisPassword: password } = options;
    const login = { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) };
    opens.set("redis", openRedis({ shards, ...login, namespace, timeoutMs, probeMs, log }));
  }
  if (options.nats.length > 0) {
    const { openNats } = await import("./nats/nats.js");
    const { natsCredentials: credentials } = options;
    opens.set(
      "nats",
      openNats({
        servers: options.nats,
        streams: options.natsStreams,
        replicas: options.natsReplicas,
        storage: options.natsStorage,
        retentionMs: options.natsRetentionMs,
        ...(credentials === undefined ? {} : { credentials }),
        maxHistory: demands.maxHistory,
        maxKeyWindowMs: demands.maxKeyWindowMs,
        namespace,
        timeoutMs,
        probeMs,
        log,
      }),
    );
  }
  opens.set("memory", (deliver) => new MemoryBroker(memory, deliver));
  return (deliver, suspect) => {
    const brokers = new Map<EngineName, Broker>();
    for (const [name, open] of opens) brokers.set(name, open(deliver, suspect));
    const only = brokers.get("memory");
    return brokers.size === 1 && only !== undefined ? only : new ByKind(brokers, demands.engineOf);
  };
}
