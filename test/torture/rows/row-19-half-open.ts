import { TcpProxy } from "../../support/proxy.js";
import { freePort } from "../../support/services/free-port.js";
import { check } from "../checker.js";
import { Crowd } from "../crowd.js";
import { latencies, spread, spreadText } from "../figures.js";
import { atLeast, counted, type Row, unbroken, within } from "../row.js";
import { scrape } from "../scrape.js";
import { settleAll } from "../settle.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    ...{ halfOpen: 1000, others: 200, roomCount: 50, publishers: 10, eventsPerSecond: 100, processes: 2 },
    ...{ calmMs: 5000, maxDelayMs: 30_000, settings: { idleTimeoutMs: 60_000, heartbeatMs: 20_000 } },
  },
  reduced: {
    ...{ halfOpen: 50, others: 10, roomCount: 10, publishers: 5, eventsPerSecond: 50, processes: 1 },
    ...{ calmMs: 500, maxDelayMs: 500, settings: { idleTimeoutMs: 8000, heartbeatMs: 1000 } },
  },
};
/** The hole is open until everybody has noticed, and no longer than this, in milliseconds. */
const LONGEST_MS = 120_000;

/** Waits until the node has no more than `others` connections, and the clients in the hole have no more than none. */
async function inTheHole(torture: Torture, holed: Crowd, metricsPort: number, others: number) {
  const since = Date.now();
  let freedMs = Number.POSITIVE_INFINITY;
  await torture.until(async () => {
    const connections = (await scrape(metricsPort))("roomcast_connections");
    if (connections <= others) freedMs = Math.min(freedMs, Date.now() - since);
    const { connected } = await holed.progress();
    const atMs = Date.now() - since;
    torture.say(
      `in the hole for ${Math.round(atMs / 1000)} s: the node has ${connections}, ${connected} think they are`,
    );
    return Number.isFinite(freedMs) && connected === 0;
  }, LONGEST_MS);
  return { freedMs, connections: (await scrape(metricsPort))("roomcast_connections") };
}

export const row19: Row = {
  number: 19,
  title: "1,000 half-open clients",
  passesWhen: "freed ≤ idle limit + 4 s; SDK notices ≤ 30 s",
  variants: ["memory"],
  async run(torture, size) {
    const { halfOpen, others, roomCount, publishers, eventsPerSecond, processes } = sizes[size];
    const { calmMs, maxDelayMs, settings } = sizes[size];
    const metricsPort = await freePort();
    const kinds = { "*": { history: { size: 10_000 } } };
    const [node] = await torture.startNodes(1, { ...settings, kinds, metricsPort });
    if (node === undefined) throw new Error("expected a node");
    const proxy = await TcpProxy.start(torture, { host: "127.0.0.1", port: node.port });
    const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
    const beside = await torture.startCrowd([node]);
    await beside.subscribe({ count: others, rooms });
    await beside.publish({ count: publishers, rooms, eventsPerSecond });
    await torture.joined(beside, others);
    const holed = await Crowd.start(torture, [proxy.url("http")], processes, maxDelayMs);
    await holed.subscribe({ count: halfOpen, rooms });
    await torture.joined(holed, halfOpen);
    await torture.load(beside, calmMs, "calm");
    const holedAt = Date.now();
    proxy.blackhole();
    const { freedMs, connections } = await inTheHole(torture, holed, metricsPort, others + publishers);
    const healedAt = Date.now();
    proxy.heal();
    await torture.joined(holed, halfOpen, 2 * maxDelayMs + 30_000);
    const backMs = Date.now() - healedAt;
    await torture.load(beside, calmMs, "healed");
    const { records, told } = await settleAll(torture, beside, [holed]);
    const [toldBeside, toldHoled] = told;
    const findings = check(records);
    const noticedMs = (toldHoled?.losses ?? []).map(({ at }) => at - holedAt);
    const inHole = latencies(
      toldBeside === undefined ? records : { ...records, logs: toldBeside.records.logs },
      (one) => {
        return one.sentAt >= holedAt && one.sentAt < healedAt;
      },
    );
    return {
      asked: `1 node, ${halfOpen} clients whose network swallows everything, ${others} others in the same ${roomCount} rooms, ${eventsPerSecond} events/s, idle limit ${settings.idleTimeoutMs / 1000} s, a heartbeat within ${settings.heartbeatMs / 1000} s`,
      findings,
      figures: {
        "freed after": `${freedMs} ms`,
        "the SDK noticed": spreadText(spread(noticedMs)),
        "latency of the others meanwhile": spreadText(spread(inHole)),
        "all back after": `${backMs} ms`,
        errors: told.flatMap(({ errors }) => errors).join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        counted("resets told to clients", findings.resets),
        counted("connections of the others that were lost", toldBeside?.losses.length ?? -1),
        counted("clients that noticed", noticedMs.length, halfOpen),
        counted("connections left", connections, others + publishers),
        atLeast("bytes swallowed", proxy.bytes("toClient").lost),
        within("freed", freedMs, settings.idleTimeoutMs + 4000),
        within("noticed by the SDK", Math.max(...noticedMs), 30_000),
      ],
    };
  },
};
