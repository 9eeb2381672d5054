import { setTimeout as pause } from "node:timers/promises";
import type { NodeInfo } from "../cluster/cluster.js";
import { type Asked, asking } from "./asking.js";
import { nodesHelp } from "./help.js";
import { readFlags } from "./sources.js";

/** How long the nodes' answers are waited for, and how often it is asked again, in milliseconds. */
const ANSWERS_MS = 500;
const WATCH_MS = 1000;

/** `roomcast nodes`: lists the nodes of a cluster. */
export async function nodes(
  args: readonly string[],
  env: { readonly [name: string]: string | undefined },
): Promise<void> {
  const flags = readFlags(args, ["json", "watch", "help"]);
  const { switches } = flags;
  if (switches.has("help")) return print(nodesHelp());
  await asking(flags, env, async (asked) => {
    const show = () => print(switches.has("json") ? jsonText(asked, switches.has("watch")) : tableText(asked));
    await pause(ANSWERS_MS);
    if (switches.has("watch")) await watch(asked, show, switches.has("json"));
    else show();
  });
}

/** Shows it again and again, until a signal ends it. */
async function watch({ cluster }: Asked, show: () => void, asJson: boolean): Promise<void> {
  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort());
  while (!ending.signal.aborted) {
    // From the top of an empty screen.
    if (process.stdout.isTTY && !asJson) process.stdout.write("\u001b[H\u001b[J");
    show();
    cluster.suspect();
    await pause(WATCH_MS, undefined, { signal: ending.signal }).catch(() => undefined);
  }
}

type Totals = {
  readonly nodes: number;
  readonly connections: number;
  readonly sessions: number;
  readonly rooms: number;
};

function totalsOf(nodes: readonly NodeInfo[]): Totals {
  const sum = (of: (node: NodeInfo) => number) => nodes.reduce((total, node) => total + of(node), 0);
  return {
    nodes: nodes.length,
    connections: sum((node) => node.connections),
    sessions: sum((node) => node.sessions),
    rooms: sum((node) => node.rooms),
  };
}

function jsonText({ cluster, problems }: Asked, inOneLine: boolean): string {
  const nodes = cluster.nodes().map(({ self: _, ...node }) => node);
  const all = { nodes, totals: totalsOf(cluster.nodes()), problems: problems() };
  return JSON.stringify(all, null, inOneLine ? 0 : 2);
}

const COLUMNS = ["node", "address", "version", "up since", "connections", "sessions", "rooms", "state"] as const;
const NUMBERS: ReadonlySet<string> = new Set<(typeof COLUMNS)[number]>(["connections", "sessions", "rooms"]);

/** What others say of themselves goes to a terminal: nothing that would do something there. */
const shown = (text: string): string => text.replace(/\p{Cc}/gu, "?");

function rowOf(node: NodeInfo): string[] {
  const state = [...(node.draining ? ["draining"] : []), ...node.problems];
  return [
    ...[node.name, node.address ?? `${node.host} (${node.pid})`, node.version].map(shown),
    new Date(node.startedAt).toISOString().slice(0, 19).replace("T", " "),
    ...[node.connections, node.sessions, node.rooms].map(String),
    shown(state.length === 0 ? "ok" : state.join("; ")),
  ];
}

function tableText({ cluster, problems }: Asked): string {
  const nodes = cluster.nodes();
  const totals = totalsOf(nodes);
  const last = [
    `${totals.nodes} in all`,
    "",
    "",
    "",
    ...[totals.connections, totals.sessions, totals.rooms].map(String),
  ];
  const rows = [[...COLUMNS], ...nodes.map(rowOf), [...last, ""]];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const lineOf = (row: readonly string[]) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return NUMBERS.has(COLUMNS[column] ?? "") ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  const lines = nodes.length === 0 ? ["no node answered"] : rows.map(lineOf);
  return [...lines, ...problems().map((problem) => `not reached from here: ${problem}`)].join("\n");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
