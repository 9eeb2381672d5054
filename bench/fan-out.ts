/**
 * What does it cost to hand one event to one subscriber, and how long does it take?
 *
 * 1,000 subscribers in one room; a publisher sends events of 100 bytes at an even rate. Every server runs in a process of
 * its own, all at the same time; they are measured one after the other, in rounds, so that what disturbs the machine
 * disturbs all of them. CPU is that of the server's whole process over the round; latency is from the publisher's write
 * to a sampled subscriber's read. A lost, repeated or reordered event fails the program.
 */

import { Child } from "./support/child.js";
import { ContestantServer } from "./support/contestant-server.js";
import { Crowd } from "./support/crowd.js";
import type { Contestant } from "./support/dialects.js";
import { DATA_BYTES, nowUs } from "./support/event-data.js";
import type { LoadAnswer, LoadQuestion } from "./support/load.js";
import { Closing, emit, readFlags, tell } from "./support/program.js";
import { Publisher } from "./support/publisher.js";
import type { FanOutResult, FanOutRow } from "./support/results.js";
import { median, quantile, round } from "./support/statistics.js";

type Runner = {
  readonly name: Contestant;
  readonly server: ContestantServer;
  readonly publisher: Publisher;
  readonly sample: Crowd;
  /** What the sample saw in this round. */
  readonly latenciesMs: number[];
};
type Round = {
  readonly cpuUsPerDelivery: number;
  readonly cpuPercent: number;
  readonly stretch: number;
  readonly deliveries: number;
  readonly bytes: number;
  readonly latenciesMs: readonly number[];
};

/** How long to go on waiting when nothing arrives any more. */
const PATIENCE_MS = 10_000;

const flags = readFlags({ subscribers: 1000, sample: 10, seconds: 2, rounds: 5, rates: [200, 500] });
const bulk = flags.subscribers - flags.sample;
const closing = new Closing();

async function start(name: Contestant, load: Child): Promise<Runner> {
  const server = await ContestantServer.start(name);
  closing.add(() => server.stop());
  const { dialect, port } = server;
  await load.ask<LoadAnswer>({ open: name, port, size: bulk } satisfies LoadQuestion);
  const latenciesMs: number[] = [];
  const onEvent = (stampUs: number) => void latenciesMs.push((nowUs() - stampUs) / 1000);
  const sample = await Crowd.open({ dialect, role: "subscriber", port, size: flags.sample, concurrency: 1, onEvent });
  closing.add(() => sample.close());
  const publisher = await Publisher.start(name, port);
  closing.add(() => publisher.stop());
  return { name, server, publisher, sample, latenciesMs };
}

async function play(runner: Runner, load: Child, perSecond: number, seconds: number): Promise<Round> {
  const { name, server, publisher, sample, latenciesMs } = runner;
  const events = Math.max(1, Math.round(perSecond * seconds));
  await load.ask<LoadAnswer>({ zero: name } satisfies LoadQuestion);
  sample.zero();
  latenciesMs.length = 0;
  const before = await server.usage();
  const startUs = nowUs();
  const counted = load.ask<LoadAnswer>({ count: name, each: events, patienceMs: PATIENCE_MS } satisfies LoadQuestion);
  const { troubles, lateP99Us } = await publisher.publish({ events, perSecond });
  const [tally, seen] = await Promise.all([counted, sample.counted(events, PATIENCE_MS)]);
  const tookUs = nowUs() - startUs;
  const stretch = tookUs / ((events * 1_000_000) / perSecond);
  const cpuUs = (await server.usage()).cpuUs - before.cpuUs;
  const faults = [...troubles, ...tally.troubles, ...sample.troubles];
  for (const { least, most } of [tally, seen]) {
    if (least !== events || most !== events)
      faults.push(`each should get ${events} events; they got ${least} to ${most}`);
  }
  if (faults.length > 0) throw new Error(`${name} at ${perSecond}/s: ${faults.slice(0, 5).join("; ")}`);
  const deliveries = tally.events + seen.events;
  const cpuUsPerDelivery = cpuUs / deliveries;
  tell(
    `  ${name.padEnd(17)} ${cpuUsPerDelivery.toFixed(2).padStart(6)} µs/delivery, p99 ${quantile(latenciesMs, 0.99).toFixed(1)} ms` +
      `, publisher late by p99 ${(lateP99Us / 1000).toFixed(1)} ms`,
  );
  const cpuPercent = (100 * cpuUs) / tookUs;
  const bytes = tally.bytes + seen.bytes;
  return { cpuUsPerDelivery, cpuPercent, stretch, deliveries, bytes, latenciesMs: [...latenciesMs] };
}

function rowOf(
  contestant: Contestant,
  eventsPerSecond: number,
  rounds: readonly Round[],
  uws?: readonly Round[],
): FanOutRow {
  const cpu = rounds.map((one) => one.cpuUsPerDelivery);
  const deliveries = rounds.reduce((sum, one) => sum + one.deliveries, 0);
  const latenciesMs = rounds.flatMap((one) => one.latenciesMs);
  const times = uws?.map((one, index) => (cpu[index] as number) / one.cpuUsPerDelivery);
  return {
    contestant,
    eventsPerSecond,
    cpuUsPerDelivery: round(median(cpu), 3),
    cpuUsRange: [round(Math.min(...cpu), 3), round(Math.max(...cpu), 3)],
    ...(times === undefined ? {} : { timesUws: round(median(times), 3) }),
    p50Ms: round(quantile(latenciesMs, 0.5), 2),
    p99Ms: round(quantile(latenciesMs, 0.99), 2),
    bytesPerDelivery: round(rounds.reduce((sum, one) => sum + one.bytes, 0) / deliveries, 1),
    deliveries,
    cpuPercent: round(median(rounds.map((one) => one.cpuPercent)), 1),
    stretch: round(median(rounds.map((one) => one.stretch)), 2),
  };
}

async function atRate(runners: readonly Runner[], load: Child, perSecond: number): Promise<FanOutRow[]> {
  const rounds = new Map<Contestant, Round[]>(runners.map(({ name }) => [name, []]));
  // The first time is for the compilers.
  for (const runner of runners) await play(runner, load, perSecond, flags.seconds / 2);
  for (let turn = 1; turn <= flags.rounds; turn++) {
    tell(`fan-out, ${perSecond}/s × ${flags.subscribers}, round ${turn} of ${flags.rounds}`);
    for (const runner of runners) rounds.get(runner.name)?.push(await play(runner, load, perSecond, flags.seconds));
  }
  return runners.map(({ name }) => rowOf(name, perSecond, rounds.get(name) ?? [], rounds.get("uws")));
}

try {
  const load = new Child("load", "./load.js", []);
  closing.add(() => load.stop());
  const runners: Runner[] = [];
  for (const name of flags.contestants) runners.push(await start(name, load));
  const rows: FanOutRow[] = [];
  for (const perSecond of flags.rates) rows.push(...(await atRate(runners, load, perSecond)));
  const { subscribers, seconds, rounds } = flags;
  emit({ program: "fan-out", subscribers, dataBytes: DATA_BYTES, seconds, rounds, rows } satisfies FanOutResult);
} catch (error) {
  tell(`fan-out failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await closing.close();
}
