import { type Balancer, startBalancer } from "../balancer.js";
import { check } from "../checker.js";
import type { Crowd, Told } from "../crowd.js";
import { startEngine } from "../engines.js";
import { latencies, longestByClient, spread, spreadText } from "../figures.js";
import type { Exit, NodeProcess } from "../node-process.js";
import type { Published } from "../records.js";
import { atLeast, counted, type Row, type Size, unbroken, type Verdict, within } from "../row.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    ...{ clients: 2000, roomCount: 200, eventsPerSecond: 500, publishers: 50, processes: 2 },
    ...{ beforeMs: 20_000, afterMs: 5000, checkMs: undefined },
    drain: {},
  },
  reduced: {
    ...{ clients: 60, roomCount: 20, eventsPerSecond: 100, publishers: 10, processes: 1 },
    ...{ beforeMs: 1000, afterMs: 500, checkMs: 100 },
    drain: { noticeMs: 700, drainMs: 800, deadlineMs: 6000 },
  },
};
const NODES = 3;
/** A client's wait for an event that has long been published elsewhere. */
const MOST_MS = 250;
const EXIT_MS = 15_000;
const SAMPLE_MS = 250;

const variants = ["redis, haproxy", "redis, nginx", "nats, haproxy"] as const;

/** One node's part of the deploy. Times are Unix milliseconds. */
export type Turn = { readonly node: string; readonly exit: Exit; readonly takesClientsAt: number };

/** One node after the other: the signal, its end, its start, and the first new client that comes to it. */
async function rollOut(torture: Torture, balancer: Balancer, nodes: readonly NodeProcess[]): Promise<Turn[]> {
  const turns: Turn[] = [];
  for (const [index, process] of nodes.entries()) {
    const node = `node-${index + 1}`;
    torture.say(`${node} drains`);
    const exit = await process.end("SIGTERM");
    torture.say(`${node} has ended and starts again`);
    await process.restart();
    const takesClients = await torture.until(async () => (await balancer.nextNode()) === node, 60_000);
    if (!takesClients) throw new Error(`expected clients to come to ${node} again, got none`);
    turns.push({ node, exit, takesClientsAt: Date.now() });
  }
  return turns;
}

const during = (from: number, until: number) => (one: Published) => one.sentAt >= from && one.sentAt < until;

function exitVerdicts(exits: readonly Exit[], deadlineMs: number, clients: number): Verdict[] {
  const sum = (of: (exit: Exit) => number | undefined) => exits.reduce((total, exit) => total + (of(exit) ?? 0), 0);
  const slowest = Math.max(...exits.map(({ signalledAt, at }) => at - signalledAt));
  return [
    counted("nodes that ended by themselves, with code 0", exits.filter(({ code }) => code === 0).length, NODES),
    counted("nodes that drained", exits.filter(({ drained }) => drained !== undefined).length, NODES),
    atLeast(
      "clients that moved, by what the nodes say",
      sum(({ drained }) => drained?.moved),
      clients,
    ),
    counted(
      "clients that a node has closed, by what it says",
      sum(({ drained }) => drained?.closed),
    ),
    within("from the signal to the end of the process", slowest, EXIT_MS),
    within("the same, and its deadline", slowest, deadlineMs),
  ];
}

/** The SDK's part: nobody has noticed anything. */
function clientVerdicts({ disturbed, closes, sockets, losses }: Told): Verdict[] {
  return [
    counted("clients that were shown another state than connected", disturbed),
    counted("connections lost", losses.length),
    counted("connections closed with 4100", closes["4100"] ?? 0),
    counted("clients that have not moved", sockets.filter((count) => count < 2).length),
  ];
}

async function start(torture: Torture, size: Size, variant: string) {
  const { clients, roomCount, eventsPerSecond, publishers, processes, checkMs, drain } = sizes[size];
  const [engine = "", program] = variant.split(", ") as [string, "haproxy" | "nginx"];
  const { settings } = await startEngine(torture, engine);
  const kinds = { "*": { history: { size: 5000 } } };
  const nodes: NodeProcess[] = [];
  for (let n = 1; n <= NODES; n++) {
    nodes.push(...(await torture.startNodes(1, { ...settings, ...drain, kinds, node: `node-${n}` })));
  }
  const balancer = await startBalancer(torture, program, nodes, checkMs);
  const crowd = await torture.startCrowd([balancer], processes);
  const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
  await crowd.subscribe({ count: clients, rooms });
  await torture.joined(crowd, clients);
  await crowd.publish({ count: publishers, rooms, eventsPerSecond });
  return { nodes, balancer, crowd };
}

/** How many clients have a session, once all have, or after a while. */
async function connectedOf(torture: Torture, crowd: Crowd, expected: number): Promise<number> {
  let connected = 0;
  await torture.until(async () => {
    connected = (await crowd.progress()).connected;
    return connected === expected;
  }, 10_000);
  return connected;
}

export const row01: Row = {
  number: 1,
  title: "rolling SIGTERM restart of 3 nodes behind a load balancer",
  passesWhen:
    "0 lost, dup, inverted, divergent; p99 of a client's gap < 250 ms; 0 clients without `move`; each exits by itself ≤ 15 s",
  variants,
  async run(torture, size, variant) {
    const { clients, roomCount, eventsPerSecond, publishers, beforeMs, afterMs, drain } = sizes[size];
    const { deadlineMs = 25_000 } = drain as { deadlineMs?: number };
    const { nodes, balancer, crowd } = await start(torture, size, variant);
    await crowd.sample(SAMPLE_MS);
    const steadyAt = Date.now();
    await torture.load(crowd, beforeMs, "before");
    const deployAt = Date.now();
    const turns = await rollOut(torture, balancer, nodes);
    const doneAt = Date.now();
    await torture.load(crowd, afterMs, "after");
    const connected = await connectedOf(torture, crowd, clients + publishers);
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    const steady = during(steadyAt, deployAt);
    const longest = longestByClient(told.records, during(deployAt, doneAt));
    const exits = turns.map(({ exit }) => exit);
    const seconds = (exit: Exit) => ((exit.at - exit.signalledAt) / 1000).toFixed(1);
    return {
      asked: `${NODES} nodes, ${clients} clients in ${roomCount} rooms, ${publishers} publishers, ${eventsPerSecond} events/s, ${variant}`,
      findings,
      figures: {
        "each client's longest gap, during the deploy": spreadText(spread(longest)),
        "each client's longest gap, before it": spreadText(spread(longestByClient(told.records, steady))),
        "latency, during the deploy": spreadText(spread(latencies(told.records, during(deployAt, doneAt)))),
        "latency, before it": spreadText(spread(latencies(told.records, steady))),
        "the deploy took": `${((doneAt - deployAt) / 1000).toFixed(1)} s`,
        "from each signal to the end": `${exits.map(seconds).join(", ")} s`,
        "clients moved": exits.map(({ drained }) => drained?.moved ?? "?").join(", "),
        "moves of a client": movesText(told.sockets),
        "close codes of connections": closesText(told.closes),
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        counted("resets", findings.resets),
        counted("clients that saw something during the deploy", longest.length, clients),
        within("p99 of each client's longest gap", spread(longest).p99, MOST_MS),
        ...clientVerdicts(told),
        ...exitVerdicts(exits, deadlineMs, clients + publishers),
        counted("clients connected afterwards", connected, clients + publishers),
      ],
    };
  },
};

/** `12 × 1, 30 × 2` */
function movesText(sockets: readonly number[]): string {
  const counts = new Map<number, number>();
  for (const count of sockets) counts.set(count - 1, (counts.get(count - 1) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([moves, count]) => `${count} clients ${moves}`)
    .join(", ");
}

const closesText = (closes: Told["closes"]): string =>
  Object.entries(closes)
    .map(([code, count]) => `${code}: ${count}`)
    .join(", ") || "none";
