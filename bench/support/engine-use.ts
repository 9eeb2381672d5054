/** What an engine's server has been asked to write so far, and what it holds. */
import type { Broker } from "./services.js";

export type EngineUse = {
  /** Redis: commands that change what is kept, those of scripts among them. NATS: what was put into streams. */
  readonly writes: number;
  /** What is held, in bytes: Redis's memory, the streams of NATS. */
  readonly bytes: number;
};

/** Commands that write nothing, or that connections are looked after with. What else is called counts as a write. */
const OTHERS = new Set([
  ...[
    "ping",
    "info",
    "hello",
    "auth",
    "select",
    "client",
    "config",
    "command",
    "cluster",
    "monitor",
    "time",
    "readonly",
  ],
  ...["get", "mget", "hget", "hmget", "hgetall", "hkeys", "hvals", "hlen", "hexists", "hscan", "exists", "ttl", "pttl"],
  ...[
    "zrange",
    "zrangebyscore",
    "zscore",
    "zcard",
    "zcount",
    "scard",
    "smembers",
    "sismember",
    "sscan",
    "type",
    "scan",
  ],
  ...[
    "xrange",
    "xrevrange",
    "xlen",
    "xread",
    "xinfo",
    "xpending",
    "strlen",
    "memory",
    "object",
    "dbsize",
    "role",
    "wait",
  ],
  // What a script does is counted, not that it ran; and what is told to others is not kept.
  ...["eval", "evalsha", "eval_ro", "evalsha_ro", "script", "fcall", "fcall_ro", "function"],
  ...["publish", "spublish", "subscribe", "unsubscribe", "ssubscribe", "sunsubscribe", "psubscribe", "punsubscribe"],
]);

type Streams = {
  readonly account_details?: readonly {
    readonly stream_detail?: readonly { readonly state: { readonly last_seq: number; readonly bytes: number } }[];
  }[];
};

export async function engineUse(broker: Broker): Promise<EngineUse> {
  return broker.name === "redis" ? redisUse(broker) : natsUse(broker);
}

async function redisUse(broker: Broker): Promise<EngineUse> {
  const stats = await broker.info("commandstats");
  const calls = [...stats.matchAll(/^cmdstat_([a-z_]+)(?:\|[a-z_-]+)?:calls=(\d+)/gm)];
  const writes = calls
    .filter(([, name = ""]) => !OTHERS.has(name))
    .reduce((sum, [, , count]) => sum + Number(count), 0);
  const memory = await broker.info("memory");
  return { writes, bytes: Number(/^used_memory:(\d+)/m.exec(memory)?.[1]) };
}

async function natsUse(broker: Broker): Promise<EngineUse> {
  const answer = await fetch(`http://127.0.0.1:${broker.monitorPort}/jsz?accounts=true&streams=true`, {
    signal: AbortSignal.timeout(5000),
  });
  const { account_details: accounts = [] } = (await answer.json()) as Streams;
  const states = accounts.flatMap(({ stream_detail: streams = [] }) => streams.map(({ state }) => state));
  return {
    writes: states.reduce((sum, state) => sum + state.last_seq, 0),
    bytes: states.reduce((sum, state) => sum + state.bytes, 0),
  };
}
