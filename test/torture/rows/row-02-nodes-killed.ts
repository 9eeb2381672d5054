import { setTimeout as pause } from "node:timers/promises";
import { closesText, connectedOf, loadText, nameOf, startBehindBalancer } from "../behind-balancer.js";
import { check } from "../checker.js";
import type { Loss } from "../crowd-protocol.js";
import { latencies, spread, spreadText } from "../figures.js";
import { atLeast, counted, type Row, unbroken, within } from "../row.js";

const sizes = {
  full: {
    ...{ clients: 2000, roomCount: 200, eventsPerSecond: 500, publishers: 50, processes: 2 },
    ...{ checkMs: undefined, beforeMs: 5000, kills: 6, everyMs: 10_000, awayMs: 2000 },
  },
  reduced: {
    ...{ clients: 60, roomCount: 20, eventsPerSecond: 100, publishers: 10, processes: 1, maxDelayMs: 2000 },
    ...{ checkMs: 100, beforeMs: 500, kills: 3, everyMs: 2000, awayMs: 300 },
  },
};
/** A client's absence: from the moment its connection is lost until it is in all of its rooms again. */
const MOST_MS = 3000;

/** How many connections were lost after each kill, and before the next. */
function lostByKill(losses: readonly Loss[], killedAt: readonly number[]): number[] {
  return killedAt.map((from, index) => {
    const until = killedAt[index + 1] ?? Number.POSITIVE_INFINITY;
    return losses.filter(({ at }) => at >= from && at < until).length;
  });
}

export const row02: Row = {
  number: 2,
  title: "`kill -9` of a node every 10 s, 3 nodes behind a load balancer",
  passesWhen: "0 lost, dup, inverted, divergent; p99 recovery < 3 s",
  variants: ["redis, haproxy", "redis, nginx", "nats, haproxy"],
  async run(torture, size, variant) {
    const { beforeMs, kills, everyMs, awayMs, ...load } = sizes[size];
    const { clients, publishers } = load;
    const { nodes, crowd } = await startBehindBalancer(torture, variant, load, {});
    await torture.load(crowd, beforeMs, "before");
    const killedAt: number[] = [];
    for (let n = 0; n < kills; n++) {
      const node = nodes[n % nodes.length];
      killedAt.push(Date.now());
      await node?.kill();
      torture.say(`${nameOf(n % nodes.length)} killed, ${n + 1} of ${kills}`);
      const restarted = pause(awayMs).then(() => node?.restart());
      await Promise.all([torture.load(crowd, everyMs, `${n + 1} of ${kills} killed`), restarted]);
    }
    const connected = await connectedOf(torture, crowd, clients + publishers);
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    const recovery = spread(told.gapsMs);
    return {
      asked: `${loadText(load, variant)}, a node killed every ${everyMs / 1000} s, ${kills} times, and started again ${awayMs / 1000} s later`,
      findings,
      figures: {
        recovery: spreadText(recovery),
        "connections lost, by kill": lostByKill(told.losses, killedAt).join(", "),
        latency: spreadText(spread(latencies(told.records))),
        "a connection opens in": spreadText(spread(told.openMs)),
        "close codes of connections": closesText(told.closes),
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        counted("resets", findings.resets),
        // A third of them each time, where they are spread evenly; the one that came back last may have fewer.
        atLeast("absences", told.gapsMs.length, Math.floor((clients * kills) / 6)),
        within("p99 of the recovery", recovery.p99, MOST_MS),
        counted("clients connected afterwards", connected, clients + publishers),
      ],
    };
  },
};
