import type { Log } from "../log.js";
import { Apart } from "./apart.js";
import { ByKind } from "./by-kind.js";
import type { Broker, EngineName, LogRules, OpenBroker } from "./engine.js";
import { MemoryBroker, MemoryLog } from "./memory.js";
import type { SharedStore } from "./store.js";

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
  /** A room of the server's own, with rules of its own, in the first of the engines. */
  readonly own?: OwnRoom | undefined;
};

export type OwnRoom = { readonly room: string; readonly rules: LogRules };

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
  let openOwn: OpenBroker | undefined;
  if (options.nats.length > 0) {
    const { openNats } = await import("./nats/nats.js");
    const common = natsOptions(options, log);
    const { maxHistory, maxKeyWindowMs, own } = demands;
    const { natsStreams: streams, natsRetentionMs: retentionMs } = options;
    opens.set("nats", openNats({ ...common, streams, retentionMs, maxHistory, maxKeyWindowMs, namespace }));
    // How many events a room keeps is a limit of the whole stream there.
    if (own !== undefined && !opens.has("redis")) openOwn = openNats({ ...common, ...ownStream(namespace, own.rules) });
  }
  opens.set("memory", (deliver) => new MemoryBroker(memory, deliver));
  const [first = "memory"] = opens.keys();
  const ownRoom = demands.own?.room;
  const engineOf = (room: string) => (room === ownRoom ? first : demands.engineOf(room));
  return (deliver, suspect) => {
    const brokers = new Map<EngineName, Broker>();
    for (const [name, open] of opens) brokers.set(name, open(deliver, suspect));
    const only = brokers.get("memory");
    const all = brokers.size === 1 && only !== undefined ? only : new ByKind(brokers, engineOf);
    return ownRoom === undefined || openOwn === undefined ? all : new Apart(ownRoom, openOwn(deliver, suspect), all);
  };
}

/** The longest that an answer of a store is waited for, in milliseconds: what is in it can also be had elsewhere. */
const STORE_MS = 500;

/** Opens a store that nodes share, where Redis is configured. `purpose` is a part of its names. */
export async function openStore(options: EngineOptions, purpose: string, log: Log): Promise<SharedStore | undefined> {
  const { redis: shards, redisUsername: username, redisPassword: password, namespace, probeMs } = options;
  if (shards.length === 0) return undefined;
  const { RedisStore } = await import("./redis/store.js");
  const timeoutMs = Math.min(STORE_MS, options.engineTimeoutMs);
  return new RedisStore({ shards, username, password, namespace, purpose, timeoutMs, probeMs, log });
}

export function natsOptions(options: EngineOptions, log: Log) {
  const { natsCredentials: credentials } = options;
  return {
    servers: options.nats,
    replicas: options.natsReplicas,
    storage: options.natsStorage,
    ...(credentials === undefined ? {} : { credentials }),
    timeoutMs: options.engineTimeoutMs,
    probeMs: options.probeMs,
    log,
  };
}

/** A stream beside those of the rooms, which captures none of theirs. */
function ownStream(namespace: string, { history, keyWindowMs }: LogRules) {
  const name = `${namespace}-access`;
  return {
    streams: [name],
    namespace: name,
    maxHistory: history.size,
    maxKeyWindowMs: keyWindowMs,
    retentionMs: history.ageMs,
  };
}
