/** A rolling deploy over time, and what it cost each client, as one picture. */
import { quantile } from "../../bench/support/statistics.js";
import type { Sample } from "./crowd-protocol.js";
import type { Delivery } from "./figures.js";
import {
  box,
  frame,
  LEFT,
  label,
  legend,
  line,
  linear,
  type Panel,
  type Point,
  RIGHT,
  type Scale,
  ticks,
  values,
  WIDTH,
} from "./plot.js";

/** When a node was told to end, had ended, and took clients again. All moments are Unix milliseconds. */
export type NodeTurn = {
  readonly node: string;
  readonly signalledAt: number;
  readonly endedAt: number;
  readonly backAt: number;
};

export type Deploy = {
  readonly caption: string;
  /** How many clients were on each node. */
  readonly samples: readonly Sample[];
  readonly turns: readonly NodeTurn[];
  readonly deliveries: readonly Delivery[];
  /** Each client's longest gap during the deploy and before it, in milliseconds. */
  readonly longest: readonly number[];
  readonly longestBefore: readonly number[];
  /** What the 99th percentile of `longest` must stay below. */
  readonly limitMs: number;
};

const colours = ["#1f6feb", "#d4720b", "#1a7f37", "#8250df", "#bf3989"];
const GREY = "#8a94a6";
const RED = "#cf222e";
const INK = "#24292f";
/** What is shown of the time before the deploy, and after it, in milliseconds. */
const BEFORE_MS = 6000;
const AFTER_MS = 4000;
const BIN_MS = 500;

const clients: Panel = { top: 128, height: 200 };
const rates: Panel = { top: 384, height: 80 };
const slowest: Panel = { top: 520, height: 80 };
const gaps: Panel = { top: 696, height: 180 };
const HEIGHT = 938;

export function deployPicture(deploy: Deploy): string {
  const from = Math.min(...deploy.turns.map(({ signalledAt }) => signalledAt));
  const until = Math.max(...deploy.turns.map(({ backAt }) => backAt));
  const [start, end] = [from - BEFORE_MS, until + AFTER_MS];
  const x = linear(start, end, LEFT, WIDTH - RIGHT);
  const seconds: [number, string][] = [];
  for (let at = from; at <= end; at += 10_000) seconds.push([at, `${(at - from) / 1000} s`]);
  const shown = { ...deploy, samples: deploy.samples.filter(({ at }) => at >= start && at <= end) };
  return frame(HEIGHT, "A rolling deploy", deploy.caption, [
    ...deploy.turns.map((turn, index) => drawTurn(turn, colours[index % colours.length] as string, x)),
    drawClients(shown, x),
    ticks(clients, x, seconds),
    ...drawDeliveries(deploy, x, start, end),
    ticks(rates, x, seconds),
    ticks(slowest, x, seconds),
    drawGaps(deploy),
  ]);
}

/** A band from the signal to the end, and a darker one until it is back. */
function drawTurn({ node, signalledAt, endedAt, backAt }: NodeTurn, colour: string, x: Scale): string {
  const height = slowest.top + slowest.height - clients.top;
  const mark = (at: number) => {
    const where = x(at);
    return `<line x1="${where.toFixed(1)}" x2="${where.toFixed(1)}" y1="${clients.top - 14}" y2="${clients.top + height}" stroke="${colour}" stroke-width="1" stroke-dasharray="3 3"/>`;
  };
  return [
    box(x(signalledAt), clients.top, x(endedAt) - x(signalledAt), height, colour, 0.07),
    box(x(endedAt), clients.top, x(backAt) - x(endedAt), height, colour, 0.22),
    ...[signalledAt, endedAt].map(mark),
    label(x(signalledAt) + 4, clients.top - 6, `${node}: SIGTERM`, "tick"),
  ].join("\n");
}

function drawClients({ samples, turns }: Deploy, x: Scale): string {
  const total = ({ nodes }: Sample) => Object.values(nodes).reduce((sum, count) => sum + count, 0);
  const { y, drawn } = values(clients, Math.max(...samples.map(total), 1) * 1.08, "connected clients");
  const parts = [label(24, clients.top - 42, "Connected clients, by node", "title"), drawn];
  const all = samples.map((one): Point => [x(one.at), y(total(one))]);
  const lines: [string, readonly Point[], string, string][] = [["all nodes", all, GREY, 'stroke-dasharray="5 3"']];
  for (const [index, { node }] of turns.entries()) {
    const points = samples.map(({ at, nodes }): Point => [x(at), y(nodes[node] ?? 0)]);
    lines.push([node, points, colours[index % colours.length] as string, ""]);
  }
  let next = 330;
  for (const [name, points, colour, style] of lines) {
    const [key, end] = legend(next, clients.top - 42, name, colour, style);
    parts.push(line(points, colour, style), key);
    next = end;
  }
  parts.push(box(next, clients.top - 51, 14, 11, GREY, 0.15), label(next + 20, clients.top - 42, "drains", "note"));
  parts.push(box(next + 74, clients.top - 51, 14, 11, GREY, 0.45));
  parts.push(label(next + 94, clients.top - 42, "is away", "note"));
  return parts.join("\n");
}

/** How many there were in each half second, and how long the slowest of them took. */
function drawDeliveries({ deliveries, limitMs }: Deploy, x: Scale, from: number, until: number): string[] {
  const bins = Array.from({ length: Math.floor((until - from) / BIN_MS) }, () => ({ perSecond: 0, mostMs: 0 }));
  for (const [at, tookMs] of deliveries) {
    const bin = bins[Math.floor((at - from) / BIN_MS)];
    if (bin === undefined) continue;
    bin.perSecond += 1000 / BIN_MS;
    bin.mostMs = Math.max(bin.mostMs, tookMs);
  }
  const rate = values(rates, Math.max(...bins.map((bin) => bin.perSecond), 1) * 1.15, "per second");
  const most = values(slowest, Math.max(limitMs, ...bins.map((bin) => bin.mostMs)) * 1.1, "milliseconds");
  const middle = (bin: number) => x(from + (bin + 0.5) * BIN_MS);
  const width = x(from + BIN_MS) - x(from) - 1;
  return [
    label(24, rates.top - 14, "Events delivered to all clients together", "title"),
    rate.drawn,
    line(
      bins.map(({ perSecond }, bin): Point => [middle(bin), rate.y(perSecond)]),
      INK,
    ),
    label(24, slowest.top - 14, "The slowest of these deliveries, in each half second", "title"),
    most.drawn,
    ...bins.map(({ mostMs }, bin) =>
      box(middle(bin) - width / 2, most.y(mostMs), width, most.y(0) - most.y(mostMs), INK, 0.6),
    ),
    across(most.y(limitMs)),
  ];
}

/** The limit. */
const across = (y: number): string =>
  line(
    [
      [LEFT, y],
      [WIDTH - RIGHT, y],
    ],
    RED,
    'stroke-dasharray="5 3"',
  );

/** Without the points that nobody could tell from the one before; always with the last. */
function thinned(points: readonly Point[]): Point[] {
  const kept: Point[] = [];
  for (const point of points) {
    const last = kept.at(-1);
    if (last === undefined || Math.abs(point[0] - last[0]) + Math.abs(point[1] - last[1]) > 0.8) kept.push(point);
  }
  const end = points.at(-1);
  return end === undefined || kept.at(-1) === end ? kept : [...kept, end];
}

/** The clients sorted by their longest gap; the fewer are left, the wider they are drawn. */
function drawGaps({ longest, longestBefore, limitMs, turns }: Deploy): string {
  const count = Math.max(longest.length, longestBefore.length, 10);
  const nines = linear(0, Math.log10(count), LEFT, WIDTH - RIGHT);
  const x: Scale = (share) => nines(Math.min(Math.log10(count), -Math.log10(1 - share)));
  const most = Math.max(limitMs, ...longest, ...longestBefore) * 1.12;
  const { y, drawn } = values(gaps, most, "milliseconds");
  const curve = (all: readonly number[]) =>
    thinned([...all].sort((a, b) => a - b).map((ms, index): Point => [x(index / all.length), y(ms)]));
  const shares = [0, 0.5, 0.9, 0.99, 0.999].filter((share) => share <= 1 - 1 / count);
  const marks = shares.map((share) => [share, `${Number((share * 100).toFixed(1))} %`] as const);
  const [during, next] = legend(430, gaps.top - 34, "during the deploy", colours[0] as string);
  const [before, after] = legend(next, gaps.top - 34, "before it", GREY);
  const [limit] = legend(after, gaps.top - 34, `limit for 99 %: ${limitMs} ms`, RED, 'stroke-dasharray="5 3"');
  const middle = LEFT + (WIDTH - LEFT - RIGHT) / 2;
  const below = "share of the clients whose longest gap is not above the curve";
  const restarts = turns.length === 1 ? "" : `, over ${turns.length} restarts`;
  return [
    label(24, gaps.top - 34, `Each client's longest gap${restarts}`, "title"),
    label(24, gaps.top - 16, "The longest time that an event took from its publisher to this client.", "note"),
    ...[during, before, limit, drawn],
    across(y(limitMs)),
    line(curve(longestBefore), GREY),
    line(curve(longest), colours[0] as string),
    ...[0.5, 0.99].map((share) => dot(x(share), y(quantile(longest, share)), quantile(longest, share))),
    ticks(gaps, x, marks),
    label(middle, gaps.top + gaps.height + 38, below, "note middle"),
  ].join("\n");
}

function dot(x: number, y: number, ms: number): string {
  const place = x > WIDTH / 2 ? [x - 8, "note end"] : [x + 6, "note"];
  return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3.5" fill="${colours[0]}"/>
${label(place[0] as number, y - 8, `${Math.round(ms)} ms`, place[1] as string)}`;
}
