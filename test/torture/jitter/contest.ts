/** One contestant's run: its clients join, then one of them publishes while the connections of all others break. */
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { quantile } from "../../../bench/support/statistics.js";
import { check, type Findings } from "../checker.js";
import { latencies } from "../figures.js";
import { unpack } from "../packed.js";
import { Part } from "../part.js";
import type { Records } from "../records.js";
import type { Torture } from "../torture.js";
import type { Collected, Contestant, Order, Progress } from "./orders.js";
import type { Kills } from "./way.js";

const clientsProgram = fileURLToPath(new URL("./clients-program.js", import.meta.url));
const servers = {
  "plain uWS": fileURLToPath(new URL("./uws-server.js", import.meta.url)),
  "Socket.IO": fileURLToPath(new URL("./socket-io-server.js", import.meta.url)),
};

export type Scenario = Kills & {
  readonly clients: number;
  readonly eventsPerSecond: number;
  /** The clients live in so many; the publisher has one of its own. */
  readonly processes: number;
  /** How long what is missing at the end is waited for, in milliseconds. */
  readonly patienceMs: number;
};

export type Outcome = {
  readonly findings: Findings;
  readonly delayMs: { readonly p50: number; readonly p95: number; readonly p99: number; readonly max: number };
  /** Pairs of client and event: those that should have come, and those that did, each counted once. */
  readonly owed: number;
  readonly delivered: number;
  readonly cuts: number;
  readonly unrecovered: number;
};

/** Starts a comparator's server in a process of its own, which ends with the torture; resolves with its port. */
export function startServer(torture: Torture, contestant: keyof typeof servers): Promise<number> {
  return new Part(torture, servers[contestant]).ask<number>({ type: "port" });
}

/** Runs the scenario against servers that listen on these ports. The clients' processes are ended. */
export async function contest(
  torture: Torture,
  contestant: Contestant,
  ports: readonly number[],
  scenario: Scenario,
): Promise<Outcome> {
  const { clients, eventsPerSecond, processes } = scenario;
  const args = [contestant, ...ports.map(String)];
  const [publisher, ...parts] = Array.from(
    { length: processes + 1 },
    () => new Part<Order>(torture, clientsProgram, args),
  );
  const line = new Line(publisher as Part<Order>, parts);
  const told = (text: string) => torture.say(`${contestant}: ${text}`);
  try {
    await line.each((part) => {
      const [first, end] = [part, part + 1].map((of) => Math.floor((clients * of) / processes)) as [number, number];
      return { type: "subscribe", count: end - first, first };
    });
    const all = await torture.until(async () => (await line.progress()).joined === clients, 60_000);
    if (!all) throw new Error(`${contestant}: expected ${clients} clients in, got ${(await line.progress()).joined}`);
    await line.publisher.ask({ type: "publish", eventsPerSecond });
    // The first event is one that everyone has: Socket.IO knows nobody who has seen none.
    await torture.until(async () => (await line.progress()).deliveries >= clients, 10_000);
    await line.each(() => ({ type: "kill", ...scenario }));
    const until = performance.now() + scenario.forMs;
    for (let leftMs = scenario.forMs; leftMs > 0; leftMs = until - performance.now()) {
      const { joined, deliveries, published } = await line.progress();
      told(`${Math.ceil(leftMs / 1000)} s left, ${joined} connected, ${published} published, ${deliveries} seen`);
      await pause(Math.min(Math.max(0, until - performance.now()), 1000));
    }
    await line.publisher.ask({ type: "stop" });
    await torture.until(async () => {
      const { deliveries, published } = await line.progress();
      told(`settling: ${deliveries} of ${published * clients} seen`);
      return deliveries >= published * clients;
    }, scenario.patienceMs);
    // What should not come any more may be on its way: a repeat, say.
    await pause(500);
    return judge(await line.collect());
  } finally {
    await line.end();
  }
}

/** The processes of a run: one that publishes, and those that are cut. */
class Line {
  readonly publisher: Part<Order>;
  readonly #parts: readonly Part<Order>[];

  constructor(publisher: Part<Order>, parts: readonly Part<Order>[]) {
    this.publisher = publisher;
    this.#parts = parts;
  }

  each<T>(orderFor: (part: number) => Order): Promise<T[]> {
    return Promise.all(this.#parts.map((part, index) => part.ask<T>(orderFor(index))));
  }

  async progress(): Promise<Progress> {
    const { published } = await this.publisher.ask<Progress>({ type: "progress" });
    const all = await this.each<Progress>(() => ({ type: "progress" }));
    const sum = (of: (one: Progress) => number) => all.reduce((total, one) => total + of(one), 0);
    return { published, joined: sum(({ joined }) => joined), deliveries: sum(({ deliveries }) => deliveries) };
  }

  async collect(): Promise<Collection> {
    const { records } = await this.publisher.ask<Collected>({ type: "collect" });
    const all = await this.each<Collected>(() => ({ type: "collect" }));
    const { published } = unpack(records);
    return {
      records: { published, logs: all.flatMap((one) => unpack(one.records).logs) },
      cuts: all.reduce((total, { cuts }) => total + cuts, 0),
      unrecovered: all.reduce((total, { unrecovered }) => total + unrecovered, 0),
    };
  }

  async end(): Promise<void> {
    await Promise.all([this.publisher, ...this.#parts].map((part) => part.end()));
  }
}

type Collection = { readonly records: Records; readonly cuts: number; readonly unrecovered: number };

function judge({ records, cuts, unrecovered }: Collection): Outcome {
  const delays = latencies(records);
  const [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1].map((share) => quantile(delays, share)) as Four;
  const acknowledged = records.published.filter(({ outcome }) => outcome === "acknowledged");
  const known = new Set(acknowledged.map(({ counter }) => counter));
  let delivered = 0;
  for (const { entries } of records.logs) {
    const seen = new Set(entries.map((entry) => (entry.type === "event" ? entry.counter : -1)));
    for (const counter of known) delivered += Number(seen.has(counter));
  }
  const owed = acknowledged.length * records.logs.length;
  return { findings: check(records), delayMs: { p50, p95, p99, max }, owed, delivered, cuts, unrecovered };
}

type Four = [number, number, number, number];
