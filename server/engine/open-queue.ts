import type { Log } from "../log.js";
import type { Queues } from "./queue.js";

/** See the settings of the same names. */
export type QueueEngineOptions = {
  readonly queue: "redis" | "nats";
  readonly redis: readonly string[];
  readonly redisUsername?: string | undefined;
  readonly redisPassword?: string | undefined;
  readonly nats: readonly string[];
  readonly natsReplicas: number;
  readonly natsStorage: "file" | "memory";
  readonly natsCredentials?: string | undefined;
  readonly namespace: string;
  readonly engineTimeoutMs: number;
  readonly probeMs: number;
};

/** The way to the queue on the engine that keeps it. What leads to it is loaded only here. */
export async function openQueues(options: QueueEngineOptions, log: Log): Promise<Queues> {
  const { namespace, engineTimeoutMs: timeoutMs, probeMs } = options;
  if (options.queue === "redis") {
    const { redisQueues } = await import("./redis/queues.js");
    const { redis: shards, redisUsername: username, redisPassword: password } = options;
    const login = { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) };
    return redisQueues({ shards, ...login, namespace, timeoutMs, probeMs, log });
  }
  const { natsQueues } = await import("./nats/queues.js");
  const { nats: servers, natsReplicas: replicas, natsStorage: storage, natsCredentials: credentials } = options;
  return natsQueues({ servers, replicas, storage, credentials, namespace, timeoutMs, probeMs, log });
}
