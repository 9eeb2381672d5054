/**
 * Runs every benchmark, one after the other, and holds the figures against the targets: `npm run bench`.
 *
 * `--quick` takes a minute, and writes nothing. A full run writes `bench/RESULTS.md`, `bench/results/results.jsonl` and
 * `bench/results/results.svg`. A missed target is told and is no failure; a program that fails is one.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { contestants, dialectOf } from "./support/dialects.js";
import { describeMachine, type Machine } from "./support/machine.js";
import { plot } from "./support/plot.js";
import { tell } from "./support/program.js";
import type { Results } from "./support/results.js";
import { markdown, type Table } from "./support/table.js";
import { tablesOf } from "./support/tables.js";
import { judge } from "./support/targets.js";

type Program = { readonly key: keyof Results; readonly file: string; readonly quick: readonly string[] };

const programs: readonly Program[] = [
  { key: "fanOut", file: "fan-out", quick: ["--seconds", "0.5", "--rounds", "2"] },
  {
    key: "idle",
    file: "idle",
    quick: ["--connections", "5000", "--rest", "12", "--contestants", "uws,roomcast-json,roomcast-msgpack"],
  },
  { key: "connect", file: "connect", quick: ["--connects", "1000", "--rounds", "2"] },
  { key: "size", file: "client-size", quick: [] },
  { key: "tokenHello", file: "token-hello", quick: ["--connects", "1000", "--rounds", "3"] },
  { key: "httpPublish", file: "http-publish", quick: ["--requests", "5000", "--rounds", "3"] },
  { key: "permissions", file: "permissions", quick: ["--checks", "2000", "--rounds", "5"] },
  { key: "limits", file: "limits", quick: ["--publishes", "20000", "--addresses", "10000", "--rounds", "5"] },
  { key: "hookCache", file: "hook-cache", quick: ["--joins", "1000", "--rounds", "2"] },
  { key: "hooks", file: "hooks", quick: ["--downMs", "2000", "--timeoutMs", "500", "--retryMs", "500"] },
  { key: "publishRedis", file: "publish-redis", quick: ["--seconds", "0.1", "--rounds", "3"] },
  { key: "publishNats", file: "publish-nats", quick: ["--seconds", "0.1", "--rounds", "3"] },
  {
    key: "presence",
    file: "presence",
    quick: ["--members", "1000", "--seconds", "4", "--rounds", "2", "--beatSeconds", "4"],
  },
  { key: "acrossNodes", file: "across-nodes", quick: ["--rounds", "3"] },
  {
    key: "resubscribe",
    file: "resubscribe",
    quick: ["--rooms", "10000", "--rest", "1", "--away", "1", "--settle", "1"],
  },
];

/** The program's line, or `undefined` when it failed; what it tells people is shown as it comes. */
async function play(file: string, flags: readonly string[]): Promise<object | undefined> {
  const path = fileURLToPath(new URL(`./${file}.js`, import.meta.url));
  const child = spawn(process.execPath, [path, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  const [line, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (code !== 0) process.exitCode = 1;
  return line === "" ? undefined : (JSON.parse(line) as object);
}

function report(machine: Machine, tables: readonly Table[]): string {
  const { cpu, cores, memoryGb, system, node, packages, brokers, load, date } = machine;
  const versions = Object.entries({ ...packages, ...brokers }).map(([name, version]) => `${name} ${version}`);
  const sent = contestants.map((name) => `- ${dialectOf(name).label}: ${dialectOf(name).sends}.`);
  return [
    "# Results",
    "",
    `Written by \`npm run bench\` on ${date}: ${cores} cores of ${cpu}, ${memoryGb} GB, ${system}, Node ${node}, ` +
      `${versions.join(", ")}; load average before the run ${load.toFixed(2)}. Servers and load generator share the machine and talk over loopback. Figures of another ` +
      "machine will differ; the quotients less so.",
    "",
    "![The figures below as bars](results/results.svg)",
    "",
    ...tables.map(markdown),
    "## What is sent",
    "",
    "Every event carries the same 100 bytes of data. Around them a subscriber gets, in the same payload:",
    "",
    ...sent,
    "",
  ].join("\n");
}

function write(name: string, content: string): void {
  const path = fileURLToPath(new URL(`../../bench/${name}`, import.meta.url));
  writeFileSync(path, content);
  tell(`written: bench/${name}`);
}

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const machine = describeMachine(new Date());
const lines: string[] = [];
const results: { [key: string]: object } = {};
for (const { key, file, quick } of programs) {
  const result = await play(file, values.quick ? quick : []);
  if (result === undefined) continue;
  results[key] = result;
  lines.push(JSON.stringify({ ...result, machine }));
  process.stdout.write(`${lines.at(-1)}\n`);
}
const tables = tablesOf(results as Results, judge(results as Results));
for (const table of tables) tell(`\n${markdown(table)}`);
if (!values.quick) {
  mkdirSync(new URL("../../bench/results/", import.meta.url), { recursive: true });
  const caption = `${machine.cores} cores of ${machine.cpu}, Node ${machine.node}, ${machine.date}`;
  write("results/results.jsonl", `${lines.join("\n")}\n`);
  write("results/results.svg", plot(results as Results, caption));
  write("RESULTS.md", report(machine, tables));
}
