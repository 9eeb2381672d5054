import { setTimeout as pause } from "node:timers/promises";
import type { TcpProxy } from "../../support/proxy.js";
import { isReady, startBehindProxies } from "../behind-proxies.js";
import { check } from "../checker.js";
import { wholeAfterMs } from "../figures.js";
import type { NodeProcess } from "../node-process.js";
import { atLeast, counted, type Row, unbroken, within } from "../row.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    ...{ clients: 200, roomCount: 100, publishers: 30, eventsPerSecond: 300, processes: 1 },
    ...{ holeMs: 60_000, calmMs: 3000, engine: {} },
  },
  reduced: {
    ...{ clients: 20, roomCount: 10, publishers: 5, eventsPerSecond: 100, processes: 1 },
    ...{ holeMs: 1500, calmMs: 500, engine: { engineTimeoutMs: 500, probeMs: 500 } },
  },
};
/** The way from the broker is broken, and nobody publishes through the node: only by looking can it find out. */
const ONE_WAY = "one way, to a node that only listens";
/** How often it is asked whether the nodes are ready, in milliseconds. */
const ASK_MS = 50;
/** The hole is open longer than asked for, up to this, where nobody has noticed it: there is nothing to see before that. */
const LONGEST_MS = 20_000;

/** What the two nodes said of themselves while the first one saw nothing of the broker. */
async function inTheHole(torture: Torture, nodes: readonly NodeProcess[], forMs: number) {
  const [lost, other] = nodes as [NodeProcess, NodeProcess];
  const startedAt = performance.now();
  const seen = { noticedMs: Number.POSITIVE_INFINITY, readyAgain: 0, otherNotReady: 0 };
  const until = () => startedAt + (Number.isFinite(seen.noticedMs) ? forMs : Math.max(forMs, LONGEST_MS));
  while (performance.now() < until()) {
    const [ready, otherReady] = await Promise.all([isReady(lost), isReady(other)]);
    const atMs = performance.now() - startedAt;
    if (!ready) seen.noticedMs = Math.min(seen.noticedMs, atMs);
    else if (atMs > seen.noticedMs) seen.readyAgain++;
    if (!otherReady) seen.otherNotReady++;
    torture.say(`in the hole for ${Math.round(atMs / 1000)} s, ${ready ? "ready" : "not ready"}`);
    await pause(ASK_MS);
  }
  return seen;
}

export const row06: Row = {
  number: 6,
  title: "broker black-holed for one node, 60 s",
  passesWhen: "noticed ≤ 10 s; `/ready` 503; 0 unsignalled holes",
  variants: ["redis", `redis, ${ONE_WAY}`, "nats", `nats, ${ONE_WAY}`],
  async run(torture, size, variant) {
    const { clients, roomCount, publishers, eventsPerSecond, processes, holeMs, calmMs, engine } = sizes[size];
    const settings = { ...engine, kinds: { "*": { history: { size: 1000 } } } };
    const { nodes, proxies } = await startBehindProxies(torture, variant, 2, settings);
    const [node, proxy] = [nodes[0] as NodeProcess, proxies[0] as TcpProxy];
    const crowd = await torture.startCrowd(nodes, processes);
    const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
    await crowd.subscribe({ count: clients, rooms });
    await torture.joined(crowd, clients);
    const oneWay = variant.endsWith(ONE_WAY);
    if (oneWay) await crowd.route(nodes.slice(1).map(({ url }) => url));
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    await torture.load(crowd, calmMs, "calm");
    proxy.blackhole(oneWay ? "toClient" : "both");
    const seen = await inTheHole(torture, nodes, holeMs);
    proxy.heal();
    const healedAt = Date.now();
    await torture.until(() => isReady(node), 20_000);
    const readyMs = Date.now() - healedAt;
    await torture.load(crowd, 2 * calmMs, "healed");
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    const wholeMs = wholeAfterMs(told.records, healedAt);
    return {
      asked: `2 nodes, ${clients} clients in ${roomCount} rooms, ${eventsPerSecond} events/s, one node cut off for at least ${holeMs / 1000} s`,
      findings,
      figures: {
        "noticed after": `${Math.round(seen.noticedMs)} ms`,
        "ready again after": `${readyMs} ms`,
        "whole again after": `${wholeMs} ms`,
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        counted("times the node said it was not ready", Number(Number.isFinite(seen.noticedMs)), 1),
        counted("answers of 200 at `/ready` after that", seen.readyAgain),
        counted("answers of 503 of the other node", seen.otherNotReady),
        counted("resets told to clients", findings.resets),
        counted("sockets closed", told.losses.length),
        atLeast("bytes swallowed", proxy.bytes("toClient").lost),
        within("noticed", seen.noticedMs, 10_000),
      ],
    };
  },
};
