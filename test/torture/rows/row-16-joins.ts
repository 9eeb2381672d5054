import { check } from "../checker.js";
import { startEngine } from "../engines.js";
import { latencies, spread, spreadText } from "../figures.js";
import { atLeast, counted, type Row, unbroken } from "../row.js";

const sizes = {
  full: { nodes: 2, joiners: 60, eventsPerSecond: 1000, publishers: 20, withinMs: 20_000, processes: 2 },
  reduced: { nodes: 2, joiners: 20, eventsPerSecond: 1000, publishers: 20, withinMs: 1500, processes: 1 },
};
const ROOM = "hot:1";

/** Half of those who come have a position of their own, a moment old, so that both ways in are taken. */
export const row16: Row = {
  number: 16,
  title: "joins at random times during 1,000 events/s",
  passesWhen: "each sees one run, no hole, no repeat",
  variants: ["memory", "redis", "nats"],
  async run(torture, size, variant) {
    const { joiners, eventsPerSecond, publishers, withinMs, processes, ...given } = sizes[size];
    const engine = await startEngine(torture, variant);
    const kinds = { "*": { history: { size: 10_000 } } };
    const nodes = await torture.startNodes(engine.nodes(given.nodes), { ...engine.settings, kinds });
    const crowd = await torture.startCrowd(nodes, processes);
    await crowd.publish({ count: publishers, rooms: [ROOM], eventsPerSecond });
    // Someone must have published for positions to come with.
    await torture.until(async () => (await crowd.progress()).published > 100, 20_000);
    const startedAt = performance.now();
    const coming = crowd.subscribe({ count: joiners, rooms: [ROOM], withinMs, resuming: 0.5 });
    await torture.load(crowd, withinMs, "joining under load");
    await coming;
    await torture.joined(crowd, joiners);
    const { published } = await crowd.progress();
    const rate = Math.round((published * 1000) / (performance.now() - startedAt));
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    return {
      asked: `${nodes.length} nodes, ${joiners} joins within ${withinMs / 1000} s, one room, ${eventsPerSecond} events/s`,
      findings,
      figures: {
        "events per second": rate,
        latency: spreadText(spread(latencies(told.records))),
        "sockets closed": told.losses.length,
      },
      verdicts: [
        ...unbroken(findings),
        counted("resets", findings.resets),
        counted("sockets closed", told.losses.length),
        { ...atLeast("events per second", rate, eventsPerSecond * 0.9), isTiming: true },
      ],
    };
  },
};
