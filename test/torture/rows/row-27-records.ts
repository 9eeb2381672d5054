import { setTimeout as pause } from "node:timers/promises";
import { type Entry, natsEntries, redisEntries } from "../../queue/engines.js";
import { startNats } from "../../support/services/nats.js";
import { startRedis } from "../../support/services/redis.js";
import { connectedOf } from "../behind-balancer.js";
import { check } from "../checker.js";
import { type RoomLog, readLog } from "../room-logs.js";
import { atLeast, counted, type Row, unbroken, within } from "../row.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    ...{ nodes: 3, clients: 200, roomCount: 40, eventsPerSecond: 200, publishers: 20 },
    ...{ beforeMs: 3000, betweenMs: 8000, awayMs: 2000, rounds: 3 },
  },
  reduced: {
    ...{ nodes: 3, clients: 12, roomCount: 4, eventsPerSecond: 60, publishers: 4 },
    ...{ beforeMs: 500, betweenMs: 1500, awayMs: 300, rounds: 1 },
  },
};
const HOUR_MS = 3_600_000;
/** What a killed node has published is told by others within some 20 s of it. */
const TOLD_MS = 60_000;

/** The engine keeps rooms and records; Redis has every write on the disk before it answers. */
async function startKeeper(torture: Torture, variant: string) {
  if (variant === "redis") {
    const server = await startRedis(torture, { persistent: true });
    const settings = { redis: [server.url], queue: "redis" as const };
    return { server, settings, entries: () => redisEntries(server, "roomcast:records") };
  }
  const server = await startNats(torture);
  const settings = { nats: [server.url], queue: "nats" as const };
  return { server, settings, entries: () => natsEntries(server.url, "roomcast-records") };
}

const placeOf = (epoch: string, offset: number): string => `${epoch}:${offset}`;

/** What is told of a room, held against its log. */
function compare(entries: readonly Entry[], room: string, log: RoomLog) {
  const told = entries
    .filter((entry) => entry.type === "published" && entry.room === room)
    .map(({ position }) => placeOf(position?.epoch ?? "", position?.offset ?? 0));
  const there = log.events.map(({ position }) => placeOf(position.epoch, position.offset));
  const known = new Set(told);
  const place = new Map(there.map((at, index) => [at, index]));
  const rising = told.filter(
    (at, index) => index > 0 && (place.get(at) ?? 0) <= (place.get(told[index - 1] ?? "") ?? 0),
  );
  return {
    missing: there.filter((at) => !known.has(at)).length,
    twice: told.length - known.size,
    unknown: told.filter((at) => !place.has(at)).length,
    inverted: rising.length,
  };
}

/** How many are connected, as one knows it who only reads what is told. */
function connectedBy(entries: readonly Entry[]): number {
  const open = new Map<string, string>();
  for (const { type, id, instance = "", connected = "" } of entries) {
    if (type === "connected") open.set(id, instance);
    else if (type === "left") open.delete(connected);
    else if (type === "node_gone") for (const [one, of] of open) if (of === instance) open.delete(one);
  }
  return open.size;
}

const sum = <Of extends string>(all: readonly Readonly<Record<Of, number>>[], of: Of): number =>
  all.reduce((count, one) => count + one[of], 0);

export const row27: Row = {
  number: 27,
  title: "what happened, told over `kill -9` of nodes and of the engine",
  passesWhen: "all of it told once, in the order of each room; who is connected is known from it",
  variants: ["nats", "redis"],
  async run(torture, size, variant) {
    const { nodes: count, clients, roomCount, eventsPerSecond, publishers, ...load } = sizes[size];
    const { server, settings, entries } = await startKeeper(torture, variant);
    const kinds = { "*": { record: true, history: { size: 20_000, ageMs: HOUR_MS } } };
    const records = ["connected" as const, "left" as const];
    const nodes = await torture.startNodes(count, { ...settings, kinds, records, leaseMs: 2000 });
    const rooms = Array.from({ length: roomCount }, (_, index) => `orders:${index + 1}`);
    const crowd = await torture.startCrowd(nodes, 1, 2000);
    await crowd.subscribe({ count: clients, rooms });
    await torture.joined(crowd, clients);
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    await torture.load(crowd, load.beforeMs, "before");
    let killed = 0;
    for (let round = 0; round < load.rounds; round++) {
      for (const node of [nodes[round % count], nodes[(round + 1) % count]]) {
        await node?.kill();
        killed++;
        const restarted = pause(load.awayMs).then(() => node?.restart());
        await Promise.all([torture.load(crowd, load.betweenMs, "a node was killed"), restarted]);
      }
      await server.kill("SIGKILL");
      await pause(load.awayMs);
      await server.start();
      await torture.load(crowd, load.betweenMs, `${variant} was killed`);
    }
    const connected = await connectedOf(torture, crowd, clients + publishers);
    let known = 0;
    await torture.until(async () => {
      known = connectedBy(await entries());
      torture.say(`${known} connected, as is told, of ${connected}`);
      return known === connected;
    }, TOLD_MS);
    const settledAt = performance.now();
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    const logs = await Promise.all(rooms.map((room) => readLog(nodes[0]?.url ?? "", room)));
    let all = await entries();
    const compared = () => logs.map((log, index) => compare(all, rooms[index] ?? "", log));
    await torture.until(async () => {
      all = await entries();
      const missing = sum(compared(), "missing");
      torture.say(`${missing} events are not told yet`);
      return missing === 0;
    }, TOLD_MS);
    const toldMs = performance.now() - settledAt;
    const ofType = (type: string) => all.filter((entry) => entry.type === type).length;
    return {
      asked: `${count} nodes, ${clients} clients and ${publishers} publishers in ${roomCount} rooms, ${eventsPerSecond} events/s; ${killed} times a node killed, ${load.rounds} times ${variant}, each away ${load.awayMs / 1000} s`,
      findings,
      figures: {
        "events in logs": logs.reduce((events, log) => events + log.events.length, 0),
        "entries told": all.length,
        "ends of nodes told": ofType("node_gone"),
        "all told after the last publish": `${(toldMs / 1000).toFixed(1)} s`,
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        counted("events in a log that are not told", sum(compared(), "missing")),
        counted("events told twice", sum(compared(), "twice")),
        counted("events told that are in no log", sum(compared(), "unknown")),
        counted("events told before one that came earlier", sum(compared(), "inverted")),
        counted("gaps and losses told", ofType("gap") + ofType("lost")),
        counted("ends of killed nodes told", ofType("node_gone"), killed),
        counted("connected, as is told", known, connected),
        ...unbroken(findings),
        atLeast("sockets lost with the killed nodes", told.losses.length),
        within("from the last publish until all is told", toldMs, 40_000),
      ],
    };
  },
};
