/** What every benchmark program does alike: read its flags, tell people how it goes, print its one line. */
import { parseArgs } from "node:util";
import { type Contestant, contestants } from "./dialects.js";
import { type BrokerName, brokerNames } from "./services.js";

type Setting = number | readonly number[];
type Settings = { readonly [name: string]: Setting };
export type Flags<Given extends Settings> = {
  readonly [name in keyof Given]: Given[name] extends number ? number : readonly number[];
} & { readonly contestants: readonly Contestant[]; readonly brokers: readonly BrokerName[] };

/**
 * Reads `--name N` for each setting (`--name N,N` where it is a list), `--contestants a,b` and `--brokers a,b`. A wrong
 * flag ends the program with exit code 2.
 */
export function readFlags<Given extends Settings>(defaults: Given): Flags<Given> {
  try {
    const names = [...Object.keys(defaults), "contestants", "brokers"];
    const { values } = parseArgs({
      options: Object.fromEntries(names.map((name) => [name, { type: "string" as const }])),
    });
    const texts = values as { [name: string]: string | undefined };
    const read = Object.entries(defaults).map(([name, value]) => [name, settingOf(name, texts[name], value)]);
    return {
      ...Object.fromEntries(read),
      contestants: someOf("contestants", contestants, texts["contestants"]),
      brokers: someOf("brokers", brokerNames, texts["brokers"]),
    };
  } catch (error) {
    tell((error as Error).message);
    process.exit(2);
  }
}

function settingOf(name: string, text: string | undefined, fallback: Setting): Setting {
  if (text === undefined) return fallback;
  const values = typeof fallback === "number" ? [Number(text)] : text.split(",").map(Number);
  if (!values.every((value) => value > 0)) throw new Error(`--${name}: expected a number above 0, got "${text}"`);
  return typeof fallback === "number" ? (values[0] as number) : values;
}

function someOf<Name extends string>(flag: string, all: readonly Name[], text: string | undefined): readonly Name[] {
  if (text === undefined) return all;
  const names = text.split(",");
  const wrong = names.find((name) => !all.includes(name as Name));
  if (wrong !== undefined) throw new Error(`--${flag}: expected some of ${all.join(",")}, got "${wrong}"`);
  return all.filter((name) => names.includes(name));
}

/** For people: one line on stderr. */
export function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** For programs: the one line on stdout. */
export function emit(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** Closes in reverse order what was opened, whatever happens in between. */
export class Closing {
  readonly #steps: (() => Promise<void> | void)[] = [];

  add(step: () => Promise<void> | void): void {
    this.#steps.push(step);
  }

  async close(): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) await step();
  }
}

/** Throws where this process may not hold so many files and sockets open. */
export function needOpenFiles(count: number): void {
  const report = process.report.getReport() as { userLimits?: { open_files?: { hard?: number | "unlimited" } } };
  const most = report.userLimits?.open_files?.hard;
  if (typeof most === "number" && most < count) {
    throw new Error(`this takes ${count} open files and the limit is ${most}: raise it with "ulimit -n ${count}"`);
  }
}
