import { freePort } from "../../support/services/free-port.js";
import { startHaproxy } from "../../support/services/haproxy.js";
import { startRedis } from "../../support/services/redis.js";
import { check } from "../checker.js";
import { Crowd } from "../crowd.js";
import { type Spread, spread, spreadText } from "../figures.js";
import { LogReads } from "../log-reads.js";
import type { NodeProcess } from "../node-process.js";
import type { Records } from "../records.js";
import { atLeast, counted, type Row, unbroken, type Verdict, within } from "../row.js";
import { settleAll } from "../settle.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    ...{ nodes: 3, clients: 5000, roomCount: 200, roomsEach: 2, processes: 4, settings: {} },
    ...{ publishers: 20, eventsPerSecond: 100, calmMs: 5000, patienceMs: 60_000 },
  },
  // So many that each node sends some of them to the back of the line.
  reduced: {
    ...{ nodes: 2, clients: 150, roomCount: 20, roomsEach: 2, processes: 1, settings: { connectRate: 50 } },
    ...{ publishers: 5, eventsPerSecond: 50, calmMs: 500, patienceMs: 15_000 },
  },
};

type Balancer = {
  readonly url: string;
  /** Kills it, and with it every connection, and starts it again on the same port. */
  restart(): Promise<void>;
};

async function startBalancer(torture: Torture, nodes: readonly NodeProcess[], connections: number): Promise<Balancer> {
  const port = await freePort();
  const servers = nodes.map((node, index) => `    server node-${index + 1} 127.0.0.1:${node.port}`);
  const configuration = `
global
    maxconn ${2 * connections}
defaults
    mode tcp
    option redispatch
    retries 3
    timeout connect 3s
    timeout client 1m
    timeout server 1m
    timeout tunnel 1h
    timeout check 3s
listen nodes
    bind 127.0.0.1:${port}
    balance leastconn
    option httpchk
    http-check send meth GET uri /ready ver HTTP/1.1 hdr Host localhost hdr Connection close
    http-check expect status 200
    default-server check inter 2s fall 2 rise 1
${servers.join("\n")}`;
  const haproxy = await startHaproxy(torture, configuration, [port]);
  const restart = async () => {
    await haproxy.kill();
    await haproxy.start();
  };
  return { url: `http://127.0.0.1:${port}`, restart };
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
  passesWhen: "95 % back ≤ 5 s, all ≤ 15 s; log reads ≤ 2 × rooms",
  variants: ["haproxy, redis"],
  async run(torture, size) {
    const { clients, roomCount, roomsEach, publishers, eventsPerSecond, processes, calmMs, patienceMs } = sizes[size];
    const redis = await startRedis(torture);
    const kinds = { "*": { history: { size: 1000 } } };
    const { settings, nodes: count } = sizes[size];
    const nodes = await torture.startNodes(count, { redis: [redis.url], kinds, ...settings });
    const balancer = await startBalancer(torture, nodes, clients);
    const reads = await LogReads.start(torture, redis);
    const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
    // Not behind the balancer: there is something to catch up on.
    const writing = await torture.startCrowd(nodes);
    await writing.publish({ count: publishers, rooms, eventsPerSecond });
    const crowd = await Crowd.start(torture, [balancer.url], processes);
    await crowd.subscribe({ count: clients, rooms, roomsEach });
    const joins = clients * roomsEach;
    await torture.joined(crowd, joins);
    await torture.load(writing, calmMs, "calm");
    const readsBefore = reads.count;
    const { cutAt, downMs } = await storm(torture, balancer, crowd, joins, patienceMs);
    const stormReads = reads.count - readsBefore;
    await torture.load(writing, calmMs, "after the storm");
    const told = await settleAll(torture, writing, [crowd]);
    const findings = check(told.records);
    const backMs = backAfterMs(told.records, cutAt);
    const { verdicts, times } = backVerdicts(backMs, clients);
    return {
      asked: `${count} nodes behind HAProxy (TCP), ${clients} clients in ${roomsEach} of ${roomCount} rooms each, ${eventsPerSecond} events/s, HAProxy killed and started again`,
      findings,
      figures: {
        back: spreadText(times),
        "most back in one second": mostInASecond(backMs.filter(Number.isFinite)),
        "HAProxy was away": `${downMs} ms`,
        "log reads as the rooms were opened": readsBefore,
        "log reads in the storm": stormReads,
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        ...verdicts,
        counted("connections lost", told.losses.length, clients),
        counted("resets told to clients", findings.resets),
        // Else it is not known that reads are seen.
        atLeast("log reads as the rooms were opened", readsBefore, roomCount),
        { ...within("log reads", stormReads, 2 * roomCount, "reads"), isTiming: false },
      ],
    };
  },
};
