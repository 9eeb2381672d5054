import { startNats } from "../../support/services/nats.js";
import { startRedis } from "../../support/services/redis.js";
import { check, type Findings } from "../checker.js";
import { latencies, spread, spreadText, wholeAfterMs } from "../figures.js";
import type { Published } from "../records.js";
import { atLeast, counted, type Row, unbroken, type Verdict, within } from "../row.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    ...{ nodes: 3, clients: 600, roomCount: 150, roomsEach: 2, eventsPerSecond: 300, publishers: 50, processes: 2 },
    ...{ beforeMs: 5000, awayMs: 5000, afterMs: 10_000 },
  },
  reduced: {
    ...{ nodes: 2, clients: 30, roomCount: 10, roomsEach: 2, eventsPerSecond: 100, publishers: 10, processes: 1 },
    ...{ beforeMs: 1000, awayMs: 1000, afterMs: 2000 },
  },
};
/** Asks whether publishes are refused, so often a second. */
const PROBES_PER_SECOND = 50;

const variants = ["redis, AOF always", "redis, nothing kept", "nats"] as const;

async function startBroker(torture: Torture, variant: string) {
  if (variant === "nats") {
    const nats = await startNats(torture);
    return { server: nats, settings: { nats: [nats.url] } };
  }
  const redis = await startRedis(torture, { persistent: variant === "redis, AOF always" });
  return { server: redis, settings: { redis: [redis.url] } };
}

/** Those who were in a room all the time and were told nothing. */
function untold(findings: Findings, resetLogs: number): number {
  return findings.subscriptions - resetLogs;
}

export const row03: Row = {
  number: 3,
  title: "`kill -9` of the broker",
  passesWhen:
    "0 sockets closed; nothing acknowledged lost beyond what the server's own persistence loses, and that signalled; publishes fail ≤ 2 s; whole again ≤ 3 s after",
  variants,
  async run(torture, size, variant) {
    const {
      nodes: nodeCount,
      clients,
      roomCount,
      roomsEach,
      eventsPerSecond,
      publishers,
      processes,
      ...times
    } = sizes[size];
    const { server, settings } = await startBroker(torture, variant);
    const kinds = { "*": { history: { size: 5000 } } };
    const nodes = await torture.startNodes(nodeCount, { ...settings, kinds });
    const crowd = await torture.startCrowd(nodes, processes);
    const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
    await crowd.subscribe({ count: clients, rooms, roomsEach });
    await torture.joined(crowd, clients * roomsEach);
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    const isProbe = await crowd.publish({ count: 2, rooms, eventsPerSecond: PROBES_PER_SECOND, manner: "once" });
    await torture.load(crowd, times.beforeMs, "before");
    const killedAt = Date.now();
    await server.kill("SIGKILL");
    await torture.load(crowd, times.awayMs, "broker away");
    await server.start();
    const backAt = Date.now();
    await torture.load(crowd, times.afterMs, "broker back");
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    const probes = told.records.published.filter(isProbe).filter(({ sentAt }) => sentAt >= killedAt && sentAt < backAt);
    const refused = probes.filter(({ outcome }) => outcome === "refused");
    const answerMs = ({ sentAt, answeredAt }: Published) => answeredAt - sentAt;
    const failMs = Math.max(0, ...probes.map(answerMs));
    const firstMs = Math.min(...refused.map(({ answeredAt }) => answeredAt - killedAt));
    const wholeMs = wholeAfterMs(told.records, backAt);
    const resetLogs = told.records.logs.filter(({ entries }) => entries.some(({ type }) => type === "reset")).length;
    const keeps = variant !== "redis, nothing kept";
    const persistence: Verdict[] = keeps
      ? [counted("acknowledged and gone, though the broker kept it", findings.excused)]
      : [counted("subscriptions that were told no reset", untold(findings, resetLogs))];
    return {
      asked: `${nodeCount} nodes, ${clients} clients in ${roomsEach} of ${roomCount} rooms, ${eventsPerSecond} events/s, ${variant}, away ${times.awayMs / 1000} s`,
      findings,
      figures: {
        "first refusal after": `${firstMs} ms`,
        "slowest answer to a publish meanwhile": `${failMs} ms`,
        "whole again after": `${wholeMs} ms`,
        "publishes refused": refused.length,
        "subscriptions reset": resetLogs,
        latency: spreadText(
          spread(latencies(told.records, ({ sentAt }) => sentAt < killedAt || sentAt > backAt + 3000)),
        ),
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        counted("sockets closed", told.losses.length),
        ...unbroken(findings),
        ...persistence,
        atLeast("publishes refused meanwhile", refused.length),
        within("slowest answer to a publish meanwhile", failMs, 2000),
        within("first refusal", firstMs, 2000),
        within("whole again", wholeMs, 3000),
      ],
    };
  },
};
