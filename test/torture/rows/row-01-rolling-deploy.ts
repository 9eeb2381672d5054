import {
  type BehindBalancer,
  closesText,
  connectedOf,
  loadText,
  NODES,
  nameOf,
  startBehindBalancer,
} from "../behind-balancer.js";
import { check } from "../checker.js";
import type { Told } from "../crowd.js";
import { type Deploy, deployPicture, type NodeTurn } from "../deploy-picture.js";
import { deliveriesOf, latencies, longestByClient, spread, spreadText } from "../figures.js";
import type { Exit } from "../node-process.js";
import { allKnown, quietVerdicts } from "../presence/quiet.js";
import type { Published } from "../records.js";
import { atLeast, counted, type Picture, type Row, unbroken, type Verdict, within } from "../row.js";
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
/** A client's wait for an event that has long been published elsewhere. */
const MOST_MS = 250;
const EXIT_MS = 15_000;
const SAMPLE_MS = 250;

/** With presence nobody is told that anybody came or went. */
const variants = [
  ...["redis, haproxy", "redis, nginx", "nats, haproxy"],
  ...["redis, haproxy, presence", "nats, haproxy, presence"],
] as const;

/** One node's part of the deploy. Times are Unix milliseconds. */
type Turn = { readonly node: string; readonly exit: Exit; readonly takesClientsAt: number };

/** One node after the other: the signal, its end, its start, and the first new client that comes to it. */
async function rollOut(torture: Torture, { nodes, nextNode }: BehindBalancer): Promise<Turn[]> {
  const turns: Turn[] = [];
  for (const [index, process] of nodes.entries()) {
    const node = nameOf(index);
    torture.say(`${node} drains`);
    const exit = await process.end("SIGTERM");
    torture.say(`${node} has ended and starts again`);
    await process.restart();
    const takesClients = await torture.until(async () => (await nextNode()) === node, 60_000);
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
    within("the same, against deadlineMs", slowest, deadlineMs),
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

export const row01: Row = {
  number: 1,
  title: "rolling SIGTERM restart of 3 nodes behind a load balancer",
  passesWhen:
    "0 lost, dup, inverted, divergent; p99 of the clients' longest gaps < 250 ms, a gap being the time that an event takes from its publisher to the client; 0 clients without `move`; each exits by itself ≤ 15 s; with presence: nobody is told that anybody came or went",
  variants,
  async run(torture, size, variant) {
    const { beforeMs, afterMs, drain, ...load } = sizes[size];
    const { clients, publishers } = load;
    const { deadlineMs = 25_000 } = drain as { deadlineMs?: number };
    const behind = await startBehindBalancer(torture, variant, load, drain);
    const { crowd } = behind;
    const withPresence = variant.endsWith("presence");
    if (withPresence) await allKnown(torture, crowd, clients, load.roomCount);
    await crowd.sample(SAMPLE_MS);
    const steadyAt = Date.now();
    await torture.load(crowd, beforeMs, "before");
    const deployAt = Date.now();
    const turns = await rollOut(torture, behind);
    const doneAt = Date.now();
    await torture.load(crowd, afterMs, "after");
    const connected = await connectedOf(torture, crowd, clients + publishers);
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    const [steady, deploy] = [during(steadyAt, deployAt), during(deployAt, doneAt)];
    const longest = longestByClient(told.records, deploy);
    const longestBefore = longestByClient(told.records, steady);
    const asked = loadText(load, variant);
    return {
      asked,
      findings,
      figures: figuresOf(told, turns, { steady, deploy }),
      // One is enough: they look alike.
      ...(variant === variants[0] && {
        picture: picture({
          ...{ caption: asked, samples: told.samples, longest, longestBefore, limitMs: MOST_MS },
          ...{ turns: turns.map(turnOf), deliveries: deliveriesOf(told.records) },
        }),
      }),
      verdicts: [
        ...unbroken(findings),
        counted("resets", findings.resets),
        counted("clients that saw something during the deploy", longest.length, clients),
        within("p99 of each client's longest gap", spread(longest).p99, MOST_MS),
        ...clientVerdicts(told),
        ...(withPresence ? quietVerdicts(told, clients, load.roomCount) : []),
        ...exitVerdicts(
          turns.map(({ exit }) => exit),
          deadlineMs,
          clients + publishers,
        ),
        counted("clients connected afterwards", connected, clients + publishers),
      ],
    };
  },
};

type Share = (one: Published) => boolean;

function figuresOf(told: Told, turns: readonly Turn[], { steady, deploy }: { steady: Share; deploy: Share }) {
  const { records, openMs, sockets, closes, stallMs, errors } = told;
  const exits = turns.map(({ exit }) => exit);
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  return {
    "each client's longest gap, during the deploy": spreadText(spread(longestByClient(records, deploy))),
    "each client's longest gap, before it": spreadText(spread(longestByClient(records, steady))),
    "latency, during the deploy": spreadText(spread(latencies(records, deploy))),
    "latency, before it": spreadText(spread(latencies(records, steady))),
    "from each signal to the end": `${exits.map(({ signalledAt, at }) => seconds(at - signalledAt)).join(", ")} s`,
    "from each end to new clients": `${turns.map(({ exit, takesClientsAt }) => seconds(takesClientsAt - exit.at)).join(", ")} s`,
    "clients moved": exits.map(({ drained }) => drained?.moved ?? "?").join(", "),
    "a connection opens in": spreadText(spread(openMs)),
    "moves of a client": movesText(sockets),
    "longest stall of the clients' own processes": `${Math.round(stallMs)} ms`,
    "close codes of connections": closesText(closes),
    errors: errors.join("; ") || "none",
  };
}

const turnOf = ({ node, exit, takesClientsAt }: Turn): NodeTurn => {
  return { node, signalledAt: exit.signalledAt, endedAt: exit.at, backAt: takesClientsAt };
};

function picture(deploy: Deploy): Picture {
  const alt =
    "Connected clients of each node over a rolling deploy, the events delivered meanwhile, and each client's longest gap";
  return { name: "rolling-deploy", alt, svg: deployPicture(deploy) };
}

/** `12 × 1, 30 × 2` */
function movesText(sockets: readonly number[]): string {
  const counts = new Map<number, number>();
  for (const count of sockets) counts.set(count - 1, (counts.get(count - 1) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([moves, count]) => `${count} clients ${moves}`)
    .join(", ");
}
