/** Engines that keep a queue, as servers in tests are given them, and as backends read what they keep. */
import type { TestContext } from "node:test";
import { Circuit } from "../../server/engine/circuit.js";
import { parseNatsServer } from "../../server/engine/nats/address.js";
import { Connection } from "../../server/engine/nats/connection.js";
import { JetStream } from "../../server/engine/nats/jetstream.js";
import type { SettingsInput } from "../../server/server.js";
import { uniqueName } from "../engine/nats-support.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { type Redis, startRedis } from "../support/services/redis.js";

/** An entry of the stream of what happened. */
export type Entry = {
  readonly type: string;
  readonly id: string;
  readonly at: number;
  readonly node?: string;
  readonly instance?: string;
  readonly room?: string;
  readonly tenant?: string;
  readonly position?: { readonly epoch: string; readonly offset: number };
  readonly event?: string;
  readonly data?: unknown;
  readonly dataBytes?: number;
  readonly from?: unknown;
  readonly to?: unknown;
  readonly key?: string;
  readonly user?: string;
  readonly session?: string;
  readonly resumed?: boolean;
  readonly connected?: string;
  readonly code?: number;
  readonly reason?: string;
  readonly count?: number;
};

export type Engine = {
  readonly settings: SettingsInput;
  kill(): Promise<void>;
  start(): Promise<void>;
  /** What is kept of what happened, oldest first. */
  entries(): Promise<readonly Entry[]>;
};

const nothing = (): void => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
const quick = { engineTimeoutMs: 1000, probeMs: 500 };

async function onRedis(t: TestContext): Promise<Engine> {
  const redis = await startRedis(t, { persistent: true });
  const namespace = uniqueName();
  return {
    settings: { redis: [redis.url], queue: "redis", namespace, ...quick },
    kill: () => redis.kill(),
    start: () => redis.start(),
    entries: () => redisEntries(redis, `${namespace}:records`),
  };
}

async function onNats(t: TestContext): Promise<Engine> {
  const nats = await startNats(t);
  const namespace = uniqueName();
  return {
    settings: { nats: [nats.url], queue: "nats", namespace, ...quick },
    kill: () => nats.kill(),
    start: () => nats.start(),
    entries: () => natsEntries(nats.url, `${namespace}-records`),
  };
}

export async function redisEntries(redis: Pick<Redis, "command">, stream: string): Promise<readonly Entry[]> {
  const reply = (await redis.command("XRANGE", stream, "-", "+")) as [string, string[]][];
  return reply.map(([, fields]) => JSON.parse(fields[fields.indexOf("record") + 1] ?? "") as Entry);
}

export async function natsEntries(url: string, stream: string): Promise<readonly Entry[]> {
  const circuit = new Circuit("nats test", log);
  const options = { servers: [parseNatsServer(url)], timeoutMs: 2000, probeMs: 1000, log, circuit };
  const connection = new Connection(options, nothing, nothing);
  try {
    await eventually(() => !circuit.isOpen, "no connection for the test");
    const jetstream = new JetStream(connection);
    const entries: Entry[] = [];
    for (let from = 1; ; ) {
      const stored = await jetstream.message(stream, `${stream}.>`, false, from);
      if (stored === undefined) return entries;
      entries.push(JSON.parse(stored.data.toString()) as Entry);
      from = stored.seq + 1;
    }
  } finally {
    await connection.close();
  }
}

export const engines = { Redis: onRedis, NATS: onNats } as const;
