import { TcpProxy } from "../../support/proxy.js";
import { startRedis, startReplica } from "../../support/services/redis.js";
import { startSentinels } from "../../support/services/sentinel.js";
import { check } from "../checker.js";
import type { SubscriberLog } from "../records.js";
import { atLeast, counted, type Row, unbroken, within } from "../row.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    ...{ nodes: 3, clients: 400, roomCount: 100, eventsPerSecond: 300, publishers: 50, processes: 2 },
    ...{ beforeMs: 5000, tailMs: 3000, afterMs: 15_000 },
  },
  reduced: {
    ...{ nodes: 2, clients: 30, roomCount: 10, eventsPerSecond: 100, publishers: 10, processes: 1 },
    ...{ beforeMs: 1000, tailMs: 1000, afterMs: 4000 },
  },
};
/** The share of the clients that are away while the tail is written that will be lost. */
const AWAY = 0.2;

/**
 * A primary, a replica that copies it through a proxy, and Sentinels. What is written while the proxy swallows everything
 * is acknowledged, and gone after the failover.
 */
async function startFailing(torture: Torture) {
  const primary = await startRedis(torture, { persistent: true });
  const link = await TcpProxy.start(torture, primary);
  const replica = await startReplica(torture, link);
  // So long that the Sentinels leave the replica behind its proxy.
  const sentinels = await startSentinels(torture, primary, { failoverTimeoutMs: 180_000 });
  const hosts = sentinels.hosts.map(({ host, port }) => `${host}:${port}`).join("+");
  return { primary, link, replica, sentinels, url: `redis+sentinel://${hosts}/${sentinels.masterName}` };
}

/** When a subscriber was first told of the loss; infinite where it never was. */
function toldAt({ entries }: SubscriberLog, since: number): number {
  return entries.find(({ type, at }) => type === "reset" && at >= since)?.at ?? Number.POSITIVE_INFINITY;
}

const cameBack = ({ entries }: SubscriberLog, since: number): boolean =>
  entries.some(({ type, at }) => type === "joined" && at >= since);

export const row04: Row = {
  number: 4,
  title: "Sentinel failover that loses the tail",
  passesWhen: "0 divergent; every affected client gets `reset` ≤ 10 s",
  variants: ["redis"],
  async run(torture, size) {
    const { nodes: count, clients, roomCount, eventsPerSecond, publishers, processes, ...times } = sizes[size];
    const { primary, link, replica, sentinels, url } = await startFailing(torture);
    const kinds = { "*": { history: { size: 5000 } } };
    const nodes = await torture.startNodes(count, { redis: [url], kinds });
    const crowd = await torture.startCrowd(nodes, processes);
    const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
    await crowd.subscribe({ count: clients, rooms });
    await torture.joined(crowd, clients);
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    await torture.load(crowd, times.beforeMs, "before");
    await crowd.cut(AWAY, times.tailMs + 3000);
    link.blackhole();
    const tailAt = Date.now();
    await torture.load(crowd, times.tailMs, "the replica is left behind");
    const { port } = primary;
    await primary.kill("SIGKILL");
    const killedAt = Date.now();
    torture.say("failing over");
    // There is nothing any more to point the replica at, and a second election, if need be, is not to wait for minutes.
    for (const sentinel of sentinels.nodes) {
      await sentinel.command("SENTINEL", "SET", sentinels.masterName, "failover-timeout", 2000);
    }
    let newPort: number | undefined;
    await torture.until(async () => {
      newPort = await sentinels.primary();
      return newPort !== undefined && newPort !== port;
    }, 60_000);
    // Sentinel speaks of the new primary from the moment it wants it to be one.
    await torture.until(async () => String(await replica.command("ROLE")).startsWith("master"), 20_000);
    const promotedAt = Date.now();
    await torture.load(crowd, times.afterMs, "after the failover");
    if (size === "full") {
      // It comes back with what the others have lost, and for a while it takes itself for the primary.
      await primary.start();
      await torture.load(crowd, times.afterMs, "the old primary is back");
    }
    await torture.until(async () => (await crowd.progress()).joined === clients, 30_000);
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    const tail = told.records.published.filter(
      ({ outcome, sentAt, answeredAt }) => outcome === "acknowledged" && sentAt > tailAt + 100 && answeredAt < killedAt,
    );
    const losing = new Set(tail.map(({ room }) => room));
    // Who has seen something that is not in the log any more, and who has missed it.
    const hit = told.records.logs.filter(({ room }) => losing.has(room));
    const untold = hit.filter((log) => toldAt(log, killedAt) === Number.POSITIVE_INFINITY);
    // Those who were away are told when they come back, which is theirs to say.
    const here = hit.filter((log) => !untold.includes(log) && !cameBack(log, killedAt));
    const lastMs = Math.max(...here.map((log) => toldAt(log, killedAt) - promotedAt));
    return {
      asked: `${count} nodes, 3 Sentinels, ${clients} clients (${AWAY * 100} % away meanwhile) in ${roomCount} rooms, ${eventsPerSecond} events/s, ${times.tailMs / 1000} s of acknowledged events lost`,
      findings,
      figures: {
        "failover took": `${promotedAt - killedAt} ms`,
        "acknowledged events that the failover lost": tail.length,
        "subscriptions in their rooms": hit.length,
        "last reset after the failover": `${lastMs} ms`,
        "new primary": newPort === replica.port ? "the replica" : "unexpected",
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        atLeast("acknowledged events that the failover lost", tail.length, 10),
        counted("affected subscriptions that were told no reset", untold.length),
        within("last reset after the failover", lastMs, 10_000),
      ],
    };
  },
};
