/**
 * `npm run torture [-- 3 16] [--reduced] [--variant redis]`: runs rows one after the other, prints what came of them,
 * and, at full size, writes `docs/torture.md`. Ends with code 1 where a row failed.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMachine } from "../../bench/support/machine.js";
import { failureLines, hasPassed, page, type Run, summary } from "./report.js";
import type { Picture, Row, Size } from "./row.js";
import { rows } from "./rows/index.js";
import { Torture } from "./torture.js";

const repository = new URL("../../../", import.meta.url);
const kept = new URL("test/torture/results.json", repository);
const report = new URL("docs/torture.md", repository);
const pictures = new URL("docs/pictures/", repository);
/** So many runs are kept. */
const MOST_RUNS = 200;

/** On a terminal one line that changes; elsewhere a line every few seconds. */
function progressLine(prefix: string): (line: string) => void {
  const { stderr } = process;
  let toldAt = Number.NEGATIVE_INFINITY;
  return (line) => {
    if (stderr.isTTY) {
      stderr.write(`\r\x1b[K${`${prefix}: ${line}`.slice(0, (stderr.columns ?? 100) - 1)}`);
    } else if (performance.now() - toldAt > 5000) {
      toldAt = performance.now();
      stderr.write(`${prefix}: ${line}\n`);
    }
  };
}

function git(...args: string[]): string {
  try {
    return execFileSync("git", args, { cwd: fileURLToPath(repository), encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}

function machineLine(): string {
  const { cpu, cores, memoryGb, system, node, load } = describeMachine(new Date());
  return `${cores} cores (${cpu}), ${memoryGb} GB, ${system}, Node ${node}, load ${load.toFixed(1)} before`;
}

let current: Torture | undefined;

async function runRow(row: Row, variant: string, size: Size): Promise<Run> {
  const say = progressLine(`row ${row.number}, ${variant}`);
  const torture = new Torture(say);
  current = torture;
  const startedAt = performance.now();
  const { number, title, passesWhen } = row;
  const base = {
    ...{ row: number, title, passesWhen, variant, size, date: new Date().toISOString().slice(0, 16).replace("T", " ") },
    ...{ commit: git("rev-parse", "--short", "HEAD"), machine: machineLine() },
  };
  say("starting");
  try {
    const { picture, ...result } = await row.run(torture, size, variant);
    if (!result.verdicts.every(({ passed }) => passed)) showLogs(torture);
    const run = { ...base, tookMs: performance.now() - startedAt, result };
    return picture === undefined ? run : { ...run, picture: draw(picture, size) };
  } catch (error) {
    showLogs(torture);
    return { ...base, tookMs: performance.now() - startedAt, error: String(error) };
  } finally {
    await torture.close();
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  }
}

/** Pictures in the documentation are of full size; others are for whoever looks. */
function draw({ name, alt, svg }: Picture, size: Size): Omit<Picture, "svg"> {
  const folder = size === "full" ? pictures : new URL("dist/", repository);
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(`${name}.svg`, folder), svg);
  return { name, alt };
}

/** What the nodes had to say of a failure. */
function showLogs({ nodes }: Torture): void {
  for (const [index, { output }] of nodes.entries()) {
    if (output !== "") process.stderr.write(`\nnode ${index + 1}:\n${output.slice(-3000)}`);
  }
}

function readArguments() {
  const options = { reduced: { type: "boolean" }, variant: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const numbers = positionals.map(Number);
  const unknown = numbers.find((number) => !rows.some((row) => row.number === number));
  if (unknown !== undefined) {
    throw new Error(
      `expected some of the rows ${rows.map((row) => row.number).join(", ")}, got ${positionals.join(" ")}`,
    );
  }
  const size: Size = values.reduced === true ? "reduced" : "full";
  return { numbers, size, variant: values.variant };
}

async function main(): Promise<void> {
  const { numbers, size, variant: only } = readArguments();
  const runs: Run[] = [];
  for (const row of rows) {
    if (numbers.length > 0 && !numbers.includes(row.number)) continue;
    for (const variant of row.variants) {
      if (only !== undefined && variant !== only) continue;
      const run = await runRow(row, variant, size);
      runs.push(run);
      const lines = [`row ${row.number}, ${variant}: ${hasPassed(run) ? "passed" : "FAILED"}`, ...failureLines(run)];
      process.stderr.write(`${lines.join("\n")}\n`);
      if (size === "full") keep(run);
    }
  }
  process.stdout.write(`${summary(runs)}\n`);
  for (const { row, variant, result } of runs) {
    if (result === undefined) continue;
    const figures = Object.entries(result.figures).map(([name, came]) => `${name}: ${came}`);
    process.stdout.write(`row ${row}, ${variant}: ${figures.join("; ")}\n`);
  }
  if (!runs.every(hasPassed)) process.exitCode = 1;
}

/** Kept at once: a later row may take long, or be interrupted. */
function keep(run: Run): void {
  const before = existsSync(kept) ? (JSON.parse(readFileSync(kept, "utf8")) as Run[]) : [];
  const all = [...before, run].slice(-MOST_RUNS);
  writeFileSync(kept, `${JSON.stringify(all, undefined, 1)}\n`);
  writeFileSync(report, page(all));
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    void (current?.close() ?? Promise.resolve()).then(() => process.exit(1));
  });
}
try {
  await main();
} catch (error) {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 2;
}
