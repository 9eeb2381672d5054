import { startNats } from "../../support/services/nats.js";
import { check } from "../checker.js";
import { latencies, spread, spreadText, wholeAfterMs } from "../figures.js";
import { counted, type Row, unbroken, within } from "../row.js";

const sizes = {
  full: {
    ...{ nodes: 3, clients: 300, roomCount: 60, eventsPerSecond: 200, publishers: 30, processes: 2 },
    ...{ awayMs: [5000, 20_000, 300_000, 10_000, 5000], betweenMs: 10_000 },
  },
  reduced: {
    ...{ nodes: 2, clients: 20, roomCount: 6, eventsPerSecond: 60, publishers: 6, processes: 1 },
    ...{ awayMs: [3000, 3000], betweenMs: 2500 },
  },
};
const HOUR_MS = 3_600_000;

export const row17: Row = {
  number: 17,
  title: "NATS killed again and again, once for 5 minutes",
  passesWhen: "always back ≤ 3 s after; 0 lost, 0 dup, 0 inverted",
  variants: ["nats"],
  async run(torture, size) {
    const { nodes: count, clients, roomCount, eventsPerSecond, publishers, processes, awayMs, betweenMs } = sizes[size];
    const nats = await startNats(torture);
    // Nothing must be forgotten for its age meanwhile: that is another promise.
    const kinds = { "*": { history: { size: 5000, ageMs: HOUR_MS } } };
    const nodes = await torture.startNodes(count, { nats: [nats.url], kinds });
    const crowd = await torture.startCrowd(nodes, processes);
    const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
    await crowd.subscribe({ count: clients, rooms });
    await torture.joined(crowd, clients);
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    await torture.load(crowd, betweenMs, "before");
    const absences: { readonly killedAt: number; readonly backAt: number }[] = [];
    for (const [index, ms] of awayMs.entries()) {
      const killedAt = Date.now();
      await nats.kill("SIGKILL");
      await torture.load(crowd, ms, `NATS away, ${index + 1} of ${awayMs.length}`);
      await nats.start();
      absences.push({ killedAt, backAt: Date.now() });
      await torture.load(crowd, betweenMs, `NATS back, ${index + 1} of ${awayMs.length}`);
    }
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    const whole = absences.map(({ backAt }, index) =>
      wholeAfterMs(told.records, backAt, absences[index + 1]?.killedAt),
    );
    const isOutside = ({ sentAt }: { readonly sentAt: number }) =>
      !absences.some(({ killedAt, backAt }) => sentAt >= killedAt && sentAt <= backAt + 3000);
    return {
      asked: `${count} nodes, ${clients} clients in ${roomCount} rooms, ${eventsPerSecond} events/s, NATS away ${awayMs.map((ms) => `${ms / 1000} s`).join(", ")}`,
      findings,
      figures: {
        "whole again after": whole.map((ms) => `${Math.round(ms)} ms`).join(", "),
        "latency while NATS is there": spreadText(spread(latencies(told.records, isOutside))),
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        counted("acknowledged and gone, though NATS kept it", findings.excused),
        counted("sockets closed", told.losses.length),
        ...whole.map((ms, index) => within(`whole again, absence ${index + 1}`, ms, 3000)),
      ],
    };
  },
};
