/**
 * What does a room's presence cost to be read where very many other rooms have members, and a dead node to be cleared?
 *
 * Three nodes' ways to the presence of each broker, in this process, without anything of a server around them: each of the
 * other rooms has one register, of one of the nodes; the room that is read has some of each. Not part of `npm run bench`.
 */
import { setTimeout as delay } from "node:timers/promises";
import { openPresences } from "../server/engine/open-presence.js";
import type { Presence } from "../server/engine/presence.js";
import { Closing, emit, readFlags, tell } from "./support/program.js";
import { Broker } from "./support/services.js";
import { quantile, round } from "./support/statistics.js";

const flags = readFlags({ others: 50_000, reads: 500, cleared: 10_000, parts: [1, 10] });
const NODES = ["a.0", "b.0", "c.0"] as const;
const LONG_MS = 600_000;
/** As large as 64 members are, and 3. */
const [FULL, SMALL] = [Buffer.alloc(2900, "x"), Buffer.alloc(136, "x")];
const AT_ONCE = 200;

const nothing = (): void => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

async function inTurns(count: number, act: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++) await act(n);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await act();
  return performance.now() - start;
}

async function open(broker: Broker, closing: Closing): Promise<Presence[]> {
  const common = { redis: [], nats: [], natsStreams: [], natsReplicas: 1, natsStorage: "file" as const };
  const limits = { memoryMaxBytes: 0, natsRetentionMs: 60_000, engineTimeoutMs: 5000, probeMs: 2000 };
  const options = { ...common, ...limits, namespace: "bench", ...broker.settings() };
  const way = (await openPresences(options, log)).get(broker.name);
  if (way === undefined) throw new Error(`no presence on ${broker.name}`);
  const nodes = NODES.map(() => way());
  for (const node of nodes) closing.add(() => node.close());
  while (nodes.some((node) => node.problems().length > 0)) await delay(10);
  return nodes;
}

async function measured(broker: Broker, closing: Closing): Promise<object> {
  const nodes = await open(broker, closing);
  const of = (n: number): [Presence, string] => [
    nodes[n % NODES.length] as Presence,
    NODES[n % NODES.length] as string,
  ];
  for (const n of NODES.keys()) {
    const [presence, name] = of(n);
    await presence.beat(name, LONG_MS);
  }
  const writing = await timed(() =>
    inTurns(flags.others, (n) => {
      const [presence, name] = of(n);
      return presence.write(`chat:other-${n}`, name, 0, SMALL);
    }),
  );
  const reads: object[] = [];
  for (const parts of flags.parts) {
    for (let n = 0; n < NODES.length * parts; n++) {
      const [presence, name] = of(n);
      await presence.write(`chat:of-${parts}`, name, Math.floor(n / NODES.length), FULL);
    }
    const times: number[] = [];
    for (let n = 0; n < flags.reads; n++) times.push(await timed(() => of(0)[0].read(`chat:of-${parts}`)));
    reads.push({ parts, p50Ms: round(quantile(times, 0.5), 2), p99Ms: round(quantile(times, 0.99), 2) });
  }
  const clearing = await clear(of);
  return { writesPerSecond: Math.round((flags.others / writing) * 1000), reads, ...clearing };
}

/** How long it takes to clear a dead node, and how long a write and a read of others take meanwhile at the most. */
async function clear(of: (n: number) => [Presence, string]): Promise<object> {
  const [presence] = of(0);
  await presence.beat("dead.0", LONG_MS);
  await inTurns(flags.cleared, (n) => presence.write(`chat:left-${n}`, "dead.0", 0, SMALL));
  await presence.beat("dead.0", 1);
  await delay(50);
  let [isOver, longest] = [false, 0];
  const [other, name] = of(1);
  const meanwhile = (async (): Promise<void> => {
    while (!isOver) {
      const took = await timed(async () => {
        await other.write("chat:probe", name, 0, SMALL);
        await other.read("chat:probe");
      });
      longest = Math.max(longest, took);
    }
  })();
  const took = await timed(() => of(2)[0].clear("dead.0"));
  isOver = true;
  await meanwhile;
  return { clearedMs: Math.round(took), longestMeanwhileMs: Math.round(longest) };
}

const results: { [broker: string]: object } = {};
for (const name of flags.brokers) {
  const closing = new Closing();
  try {
    const broker = await Broker.start(name);
    closing.add(() => broker.stop());
    results[name] = await measured(broker, closing);
  } catch (error) {
    tell(`presence-read failed: ${(error as Error).message}`);
    process.exitCode = 1;
  } finally {
    await closing.close();
  }
}
emit(results);
