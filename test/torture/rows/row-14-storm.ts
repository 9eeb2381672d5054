import { setTimeout as pause } from "node:timers/promises";
import type { SettingsInput } from "../../../server/server.js";
import { configured } from "../../support/balancer.js";
import { freePort, onFreePort } from "../../support/services/free-port.js";
import { startHaproxy } from "../../support/services/haproxy.js";
import { startNginx } from "../../support/services/nginx.js";
import { startRedis } from "../../support/services/redis.js";
import { check } from "../checker.js";
import { Crowd, type Told } from "../crowd.js";
import { type Spread, spread, spreadText } from "../figures.js";
import { LogReads } from "../log-reads.js";
import type { NodeProcess } from "../node-process.js";
import { allKnown, quietVerdicts } from "../presence/quiet.js";
import { withMembers } from "../presence/settings.js";
import type { Records } from "../records.js";
import { atLeast, counted, type Row, unbroken, type Verdict, within } from "../row.js";
import { scrape } from "../scrape.js";
import { settleAll } from "../settle.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    ...{ clients: 5000, roomCount: 200, roomsEach: 2, processes: 4, settings: {}, leastRefused: 0 },
    ...{ publishers: 20, eventsPerSecond: 100, calmMs: 5000, patienceMs: 60_000 },
  },
  // So few connections a second that nodes have to send clients away for a while.
  reduced: {
    ...{ clients: 150, roomCount: 15, roomsEach: 2, processes: 1, settings: { connectRate: 20 }, leastRefused: 1 },
    ...{ publishers: 5, eventsPerSecond: 50, calmMs: 500, patienceMs: 15_000 },
  },
};

/** How often it is looked whether all are back, in milliseconds. */
const LOOK_MS = 250;
/** How late a node's event loop was since it was asked last. */
const LOOP = "roomcast_event_loop_delay_seconds";

type Balancer = {
  readonly url: string;
  /** Kills it, and with it every connection, and starts it again on the same port. */
  restart(): Promise<void>;
};

/** What of the files that are handed out a machine may be too small for, and that all clients come from one address. */
const CHANGES = {
  haproxy: { "maxconn 90000": "maxconn 6000" },
  nginx: { "worker_connections 65536": "worker_connections 12000", "clients 2000": "clients 6000" },
};

async function startBalancer(torture: Torture, variant: string, nodes: readonly NodeProcess[]): Promise<Balancer> {
  const isNginx = variant.startsWith("nginx");
  const start = isNginx ? startNginx : startHaproxy;
  const file = isNginx ? "nginx/nginx.conf" : "haproxy/haproxy.cfg";
  return onFreePort(async (port) => {
    const changes = isNginx ? CHANGES.nginx : CHANGES.haproxy;
    const program = await start(torture, configured(file, port, nodes, changes), [port]);
    const restart = async () => {
      await program.kill();
      await program.start();
    };
    return { url: `http://127.0.0.1:${port}`, restart };
  });
}

/** Starts three nodes whose metrics can be read. */
async function startScraped(torture: Torture, settings: SettingsInput) {
  const ports = [await freePort(), await freePort(), await freePort()];
  const nodes: NodeProcess[] = [];
  for (const metricsPort of ports) nodes.push(...(await torture.startNodes(1, { ...settings, metricsPort })));
  return { nodes, metrics: () => Promise.all(ports.map(scrape)) };
}

/** How long after `cutAt` each client was in all of its rooms again, in milliseconds; in rising order. */
function backAfterMs(records: Records, cutAt: number): number[] {
  const backAt = new Map<string, number>();
  for (const { subscriber, entries } of records.logs) {
    const at = entries.find((entry) => entry.type === "joined" && entry.at >= cutAt)?.at ?? Number.POSITIVE_INFINITY;
    backAt.set(subscriber, Math.max(at, backAt.get(subscriber) ?? 0));
  }
  return [...backAt.values()].map((at) => at - cutAt).sort((a, b) => a - b);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** `1006: 5000, 4101: 20` */
function endsText(told: readonly Told[]): string {
  const counts = new Map<string, number>();
  for (const [code, count] of told.flatMap(({ closes }) => Object.entries(closes))) {
    counts.set(code, (counts.get(code) ?? 0) + count);
  }
  return [...counts].map(([code, count]) => `${code}: ${count}`).join(", ");
}

/** How many came back within the busiest second. */
function mostInASecond(backMs: readonly number[]): number {
  return Math.max(...backMs.map((from) => backMs.filter((ms) => ms >= from && ms < from + 1000).length));
}

/** Cuts everybody, and waits until they are all in their rooms again. Resolves with when that began. */
async function storm(torture: Torture, balancer: Balancer, crowd: Crowd, joins: number, withinMs: number) {
  const cutAt = Date.now();
  await balancer.restart();
  const downMs = Date.now() - cutAt;
  await torture.until(async () => (await crowd.progress()).joined < joins, 5000);
  await torture.until(async () => {
    // Seldom: to answer takes time from the clients that are coming back.
    await pause(LOOK_MS);
    const { joined } = await crowd.progress();
    torture.say(`${joined} of ${joins} joined again`);
    return joined >= joins;
  }, withinMs);
  return { cutAt, downMs };
}

function backVerdicts(backMs: readonly number[], clients: number): { verdicts: Verdict[]; times: Spread } {
  const back = backMs.filter(Number.isFinite);
  // Of all clients, not of those who came back.
  const most95 = backMs[Math.ceil(clients * 0.95) - 1] ?? Number.POSITIVE_INFINITY;
  const verdicts = [
    counted("clients back", back.length, clients),
    within("95 % back", most95, 5000),
    within("all back", backMs.at(-1) ?? Number.POSITIVE_INFINITY, 15_000),
  ];
  return { verdicts, times: spread(back) };
}

export const row14: Row = {
  number: 14,
  title: "5,000 clients cut at once",
  passesWhen:
    "95 % back ≤ 5 s, all ≤ 15 s; log reads ≤ 2 × rooms; with presence: nobody is told that anybody came or went",
  variants: ["haproxy", "nginx", "haproxy, presence"],
  async run(torture, size, variant) {
    const { clients, roomCount, publishers, eventsPerSecond, processes, calmMs, patienceMs } = sizes[size];
    const { settings, leastRefused } = sizes[size];
    const withPresence = variant.endsWith("presence");
    // Each join tells who is there, and is told to who is: the clients' own processes have to read it.
    const roomsEach = withPresence ? 1 : sizes[size].roomsEach;
    const redis = await startRedis(torture);
    const star = { history: { size: 1000 } };
    // Where nodes send clients away for load, they come back later than in 10 seconds: that is not what is shown here.
    const presence = size === "reduced" ? { presence: { graceMs: patienceMs } } : {};
    const rules = withPresence ? withMembers({ ...star, ...presence }) : { kinds: { "*": star } };
    const { nodes, metrics } = await startScraped(torture, { redis: [redis.url], ...rules, ...settings });
    const balancer = await startBalancer(torture, variant, nodes);
    const reads = await LogReads.start(torture, redis);
    const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
    // Not behind the balancer: there is something to catch up on.
    const writing = await torture.startCrowd(nodes);
    await writing.publish({ count: publishers, rooms, eventsPerSecond });
    const crowd = await Crowd.start(torture, [balancer.url], processes);
    await crowd.subscribe({ count: clients, rooms, roomsEach, presence: withPresence });
    const joins = clients * roomsEach;
    await torture.joined(crowd, joins, 120_000);
    if (withPresence) await allKnown(torture, crowd, joins, roomCount);
    await torture.load(writing, calmMs, "calm");
    const readsBefore = reads.count;
    const before = await metrics();
    const { cutAt, downMs } = await storm(torture, balancer, crowd, joins, patienceMs);
    const stormReads = reads.count - readsBefore;
    const after = await metrics();
    const grown = (name: string) => sum(after.map((one) => one(name))) - sum(before.map((one) => one(name)));
    const refused = grown("roomcast_refused_connections_total");
    const longestTurnMs = 1000 * Math.max(...after.map((one) => one(LOOP, "max")));
    await torture.load(writing, calmMs, "after the storm");
    const { records, told } = await settleAll(torture, writing, [crowd]);
    const findings = check(records);
    const backMs = backAfterMs(records, cutAt);
    const { verdicts, times } = backVerdicts(backMs, clients);
    return {
      asked: `3 nodes on Redis behind ${variant}, ${clients} clients in ${roomsEach} of ${roomCount} rooms each, ${eventsPerSecond} events/s, the balancer killed and started again`,
      findings,
      figures: {
        back: spreadText(times),
        "most back in one second": mostInASecond(backMs.filter(Number.isFinite)),
        "the balancer was away": `${downMs} ms`,
        "longest turn of a node's event loop": `${Math.round(longestTurnMs)} ms`,
        "processor time of the nodes": `${grown("process_cpu_seconds_total").toFixed(1)} s`,
        "attempts refused for load": refused,
        "connections that ended, by their codes": endsText(told),
        "log reads as the rooms were opened": readsBefore,
        "log reads in the storm": stormReads,
        "log reads as the nodes counted them": grown("roomcast_log_reads_total"),
        errors: told.flatMap(({ errors }) => errors).join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        ...verdicts,
        ...(withPresence ? quietVerdicts(told[1] as Told, joins, roomCount) : []),
        counted("connections lost", told.flatMap(({ losses }) => losses).length, clients),
        counted("resets told to clients", findings.resets),
        ...(leastRefused > 0 ? [atLeast("attempts refused for load", refused, leastRefused)] : []),
        // Else it is not known that reads are seen.
        atLeast("log reads as the rooms were opened", readsBefore, roomCount),
        { ...within("log reads", stormReads, 2 * roomCount, "reads"), isTiming: false },
      ],
    };
  },
};
