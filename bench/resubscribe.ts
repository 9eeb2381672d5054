/**
 * How long does a node take to have all its rooms again after its broker was restarted, and does it stand still meanwhile?
 *
 * 100,000 rooms with history are joined on one node, over a few connections. The broker is killed, away for a moment, and
 * started again on the same port. The time is from its first answer until it says that as many rooms are subscribed as
 * before. The longest turn of the node's event loop is taken from the kill until a look has been had at every room; and
 * before the kill over some seconds of rest, to tell what the machine adds. In the end events go into some of the rooms,
 * and each must arrive.
 *
 * Redis comes back empty: every room has lost its log, and each reader is told `reset`, which is the more work.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Crowd } from "./support/crowd.js";
import { inRooms } from "./support/dialects.js";
import { NodeProcess } from "./support/node-process.js";
import { Closing, emit, readFlags, tell } from "./support/program.js";
import type { ResubscribeResult, ResubscribeRow } from "./support/results.js";
import { Broker, type BrokerName } from "./support/services.js";
import { round } from "./support/statistics.js";

const flags = readFlags({ rooms: 100_000, sessions: 10, away: 2, rest: 3, published: 1000, settle: 3 });

const AT_ONCE = 250;
const LOOK_MS = 10;
/** How long to wait until all is subscribed, at the most. */
const PATIENCE_MS = 30_000;

async function subscribed(broker: Broker, count: number, patienceMs: number): Promise<number> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const now = await broker.subscriptions().catch(() => 0);
    if (now >= count) return now;
    if (performance.now() > until) throw new Error(`${count} subscriptions expected, got ${now}`);
    await delay(LOOK_MS);
  }
}

const nameOf = (index: number): string => `bench:${index}`;

/** The readers of all rooms: a connection for every part of them. */
async function joinAll(port: number, resets: () => void): Promise<Crowd[]> {
  const each = Math.ceil(flags.rooms / flags.sessions);
  const onOther = (payload: Buffer) => {
    if (payload.includes('"type":"reset"')) resets();
  };
  const opening = Array.from({ length: flags.sessions }, (_, part) => {
    const length = Math.min(each, flags.rooms - part * each);
    const dialect = inRooms(
      Array.from({ length }, (_, index) => nameOf(part * each + index)),
      AT_ONCE,
    );
    return Crowd.open({ dialect, role: "subscriber", port, size: 1, concurrency: 1, onOther });
  });
  return Promise.all(opening);
}

/** Publishes in some of the rooms, among them the first and the last; how many of the events came. */
async function arrived(node: NodeProcess, crowds: readonly Crowd[]): Promise<{ published: number; delivered: number }> {
  const count = Math.min(flags.published, flags.rooms);
  const step = (flags.rooms - 1) / Math.max(1, count - 1);
  const rooms = Array.from({ length: count }, (_, index) => nameOf(Math.round(index * step)));
  for (const crowd of crowds) crowd.zero();
  await node.publish(rooms, 5000);
  const total = (): number => crowds.reduce((sum, crowd) => sum + crowd.tally().events, 0);
  for (const until = performance.now() + 5000; total() < count && performance.now() < until; ) await delay(LOOK_MS);
  return { published: count, delivered: total() };
}

async function play(name: BrokerName, closing: Closing): Promise<ResubscribeRow> {
  const broker = await Broker.start(name);
  closing.add(() => broker.stop());
  const before = await broker.subscriptions();
  const node = await NodeProcess.start({ ...broker.settings(), maxRooms: 10_000, maxRequests: AT_ONCE + 1 });
  closing.add(() => node.stop());
  tell(`resubscribe, ${name}: ${flags.rooms} rooms are joined`);
  let resets = 0;
  const joinStart = performance.now();
  const crowds = await joinAll(node.port, () => resets++);
  const joinSeconds = (performance.now() - joinStart) / 1000;
  closing.add(() => {
    for (const crowd of crowds) crowd.close();
  });
  const all = await subscribed(broker, before + flags.rooms, 1000);
  await delay(1000);
  await node.stalls();
  await delay(flags.rest * 1000);
  const rest = await node.stalls();

  const killed = performance.now();
  await broker.kill();
  await delay(flags.away * 1000);
  const awayMs = performance.now() - killed;
  await broker.start();
  const back = performance.now();
  await subscribed(broker, all, PATIENCE_MS);
  const againMs = performance.now() - back;
  // Every room is compared with its log now, which is part of it. A Redis that has kept nothing tells all readers: an event
  // that is published before its room has been looked at is part of what they are told.
  const told = name === "redis" ? flags.rooms : 0;
  const until = performance.now() + PATIENCE_MS;
  for (let seen = -1; (seen !== resets || resets < told) && performance.now() < until; ) {
    seen = resets;
    await delay(flags.settle * 1000);
  }
  const stalls = await node.stalls();
  const { published, delivered } = await arrived(node, crowds);
  const [trouble] = crowds.flatMap((crowd) => crowd.troubles);
  if (trouble !== undefined) throw new Error(`${name}: ${trouble}`);
  tell(
    `  again after ${againMs.toFixed(0)} ms, longest turn ${stalls.maxMs.toFixed(1)} ms, its own ` +
      `${stalls.ownMs.toFixed(1)} ms (at rest ${rest.maxMs.toFixed(1)} and ${rest.ownMs.toFixed(1)} ms); ` +
      `${resets} resets; ${delivered} of ${published} events came`,
  );
  return {
    engine: name,
    joinSeconds: round(joinSeconds, 1),
    awayMs: round(awayMs, 0),
    againMs: round(againMs, 0),
    stallMs: round(stalls.maxMs, 1),
    ownStallMs: round(stalls.ownMs, 1),
    restStallMs: round(rest.maxMs, 1),
    ownRestStallMs: round(rest.ownMs, 1),
    published,
    delivered,
    resets,
  };
}

try {
  const rows: ResubscribeRow[] = [];
  for (const name of flags.brokers) {
    const closing = new Closing();
    try {
      rows.push(await play(name, closing));
    } finally {
      await closing.close();
    }
  }
  const { rooms, sessions } = flags;
  emit({ program: "resubscribe", rooms, sessions, rows } satisfies ResubscribeResult);
} catch (error) {
  tell(`resubscribe failed: ${(error as Error).message}`);
  process.exitCode = 1;
}
