import { setTimeout as pause } from "node:timers/promises";
import { startBehindProxies } from "../behind-proxies.js";
import { check } from "../checker.js";
import { latencies, spread, spreadText } from "../figures.js";
import { atLeast, counted, type Row, unbroken, within } from "../row.js";

const sizes = {
  full: {
    ...{ clients: 200, roomCount: 100, publishers: 30, eventsPerSecond: 3000, processes: 2 },
    ...{ cuts: 50, calmMs: 10_000, everyMs: [300, 900], afterMs: 3000 },
  },
  reduced: {
    ...{ clients: 20, roomCount: 10, publishers: 5, eventsPerSecond: 500, processes: 1 },
    ...{ cuts: 6, calmMs: 500, everyMs: [100, 300], afterMs: 500 },
  },
};
const NODES = 2;

/** The nodes lose their connection in turn, so that there is always one of each sort. */
export const row05: Row = {
  number: 5,
  title: "subscriber connection reset × 50 under 3,000 events/s",
  passesWhen: "H: 0 lost; added p99 < 500 ms",
  variants: ["redis", "nats"],
  async run(torture, size, variant) {
    const { clients, roomCount, publishers, eventsPerSecond, processes, cuts, ...times } = sizes[size];
    const kinds = { "*": { history: { size: 1000 } } };
    const { nodes, cutSubscriber } = await startBehindProxies(torture, variant, NODES, { kinds });
    const crowd = await torture.startCrowd(nodes, processes);
    const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
    await crowd.subscribe({ count: clients, rooms });
    await torture.joined(crowd, clients);
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    await torture.load(crowd, times.calmMs, "calm");
    // What a start on a busy machine has left behind is nothing that a reset did.
    await torture.until(async () => (await crowd.progress()).waiting < eventsPerSecond / 20, 30_000);
    const before = (await crowd.progress()).published;
    const firstCutAt = Date.now();
    let done = 0;
    while (done < cuts) {
      await torture.until(async () => (await cutSubscriber(done % NODES)) > 0, 20_000);
      done++;
      torture.say(`connection ${done} of ${cuts} cut`);
      const [least = 0, most = 0] = times.everyMs;
      await pause(least + Math.random() * (most - least));
    }
    const lastCutAt = Date.now();
    const rate = Math.round((((await crowd.progress()).published - before) * 1000) / (lastCutAt - firstCutAt));
    await torture.load(crowd, times.afterMs, "after");
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    // Neither while the crowd starts, nor while it hands in what it wrote down: that takes all of its processor.
    const between = (from: number, to: number) =>
      spread(latencies(told.records, ({ sentAt }) => sentAt >= from && sentAt < to));
    const calm = between(firstCutAt - times.calmMs / 2, firstCutAt);
    const cut = between(firstCutAt, lastCutAt + times.afterMs / 2);
    return {
      asked: `${NODES} nodes, ${clients} clients in ${roomCount} rooms, ${eventsPerSecond} events/s, ${cuts} resets`,
      findings,
      figures: {
        "events per second during the resets": rate,
        "latency before": spreadText(calm),
        "latency during the resets": spreadText(cut),
        "added p99": `${Math.round(cut.p99 - calm.p99)} ms`,
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        counted("connections reset", done, cuts),
        counted("resets told to clients", findings.resets),
        counted("sockets closed", told.losses.length),
        within("added p99", cut.p99 - calm.p99, 500),
        { ...atLeast("events per second", rate, eventsPerSecond * 0.9), isTiming: true },
      ],
    };
  },
};
