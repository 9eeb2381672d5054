/** `roomcast serve` with settings that are wrong: what it says, and how it ends. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { HIDDEN } from "./wrong-values.js";

const program = fileURLToPath(new URL("../../../server/main.js", import.meta.url));
/** Who has not ended by then has been started: it is killed, in milliseconds. */
const PATIENCE_MS = 20_000;
/** Longer is no line that a person reads. */
const LONGEST_LINE = 400;

/** One start that has to fail. */
export type Start = {
  readonly args: readonly string[];
  readonly env?: { readonly [name: string]: string };
  /** What its one line begins with: the setting, with the place in it where it has one. */
  readonly named: string;
  /** Where the value came from, as the end of the line has it. */
  readonly from?: string;
};

export type Ending = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
};

/** Starts it in an environment without settings but these, and resolves once it has ended. */
export function serveOnce(args: readonly string[], env: Start["env"] = {}): Promise<Ending> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(ROOMCAST_|NODE_)/.test(name));
  const options = {
    env: { ...Object.fromEntries(inherited), ...env },
    ...({ timeout: PATIENCE_MS, killSignal: "SIGKILL", maxBuffer: 10_000_000 } as const),
  };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [program, "serve", ...args], options, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr }),
    );
  });
}

/** What is wrong with how it ended, in words; nothing where it is as it should be. */
export function faultsOf({ named, from }: Start, { code, signal, stdout, stderr }: Ending): string[] {
  const lines = stderr.split("\n").slice(0, -1);
  const [line = ""] = lines;
  const isNamed = line.startsWith(named) && /^(: |\.|\[)/.test(line.slice(named.length));
  const isClear = /: (expected .+, got .+|no such (setting|option); .+|expected .+)$/.test(line);
  const checks: [boolean, string][] = [
    [signal === null && code === 2, `exit code 2, got ${signal ?? code}`],
    [lines.length === 1 && stderr.endsWith("\n"), `one line, got ${lines.length}`],
    [stdout === "", "nothing on its standard output"],
    [isNamed, `a line about ${named}`],
    [isClear && line.length <= LONGEST_LINE, "a line that says what was expected"],
    [from === undefined || line.endsWith(`(from ${from})`), `the line to name ${from}`],
    [!(stdout + stderr).includes(HIDDEN), "what may be a secret not to be shown"],
    [!/\n\s+at |node:internal|terminate called|Error:/.test(stderr), "no trace of the program"],
  ];
  const text = stderr.slice(0, 300).replaceAll(HIDDEN, "(what is hidden)");
  return checks.filter(([isGood]) => !isGood).map(([, words]) => `expected ${words}: ${JSON.stringify(text)}`);
}
