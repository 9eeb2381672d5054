/**
 * `node dist/test/fuzz/run.js [--target socket|http|json|msgpack] [--seed N] [--count N]`: tries the corpus and then
 * inputs that follow from the seed, keeps what fails in `test/vectors/corpus`, and ends with code 1 where something did.
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { type Kept, keep, kept } from "./corpus.js";
import { type Finding, findIn, fuzz } from "./target.js";
import { openTarget, type TargetName, targetNames } from "./targets.js";

const DEFAULT_COUNT = 20_000;
/** How often it is told how far it is, in milliseconds. */
const TELL_MS = 5000;

function readArguments() {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { target: text, seed: text, count: text } });
  const names = targetNames.filter((name) => values.target === undefined || values.target === name);
  if (names.length === 0) throw new Error(`--target: expected one of ${targetNames.join(", ")}, got ${values.target}`);
  return {
    names,
    seed: whole("seed", values.seed, randomInt(2 ** 31)),
    count: whole("count", values.count, DEFAULT_COUNT),
  };
}

function whole(name: string, given: string | undefined, otherwise: number): number {
  const number = given === undefined ? otherwise : Number(given);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`--${name}: expected a whole number, got ${given}`);
  return number;
}

async function run(name: TargetName, seed: number, count: number): Promise<Finding[]> {
  const ends: (() => Promise<void>)[] = [];
  try {
    const target = await openTarget(name, { after: (end) => ends.push(end) });
    const corpus: Kept<unknown>[] = kept(name);
    const again = await findIn(
      target,
      corpus.map(({ input }) => input),
    );
    let toldAt = performance.now();
    const told = (done: number): void => {
      if (performance.now() - toldAt < TELL_MS) return;
      toldAt = performance.now();
      process.stderr.write(`${name}: ${done} of ${count}\n`);
    };
    const fresh = await fuzz(target, { seed, count, told });
    for (const finding of fresh) process.stdout.write(`${name}: ${finding.what}; kept in ${keep(finding)}\n`);
    for (const { what } of again) process.stdout.write(`${name}: one of the corpus again: ${what}\n`);
    process.stdout.write(
      `${name}: ${corpus.length} of the corpus and ${count} of seed ${seed}: ${fresh.length + again.length} findings\n`,
    );
    return [...again, ...fresh];
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

try {
  const { names, seed, count } = readArguments();
  for (const name of names) if ((await run(name, seed, count)).length > 0) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 2;
}
