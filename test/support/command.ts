import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

type Test = { after(close: () => unknown): void };
type Exit = { readonly code: number | null; readonly signal: string | null };
export type LogLine = { readonly level: string; readonly message: string; readonly [field: string]: unknown };

const main = fileURLToPath(new URL("../../server/main.js", import.meta.url));

/** The command `roomcast` in a process of its own, ended with the test. */
export class Command {
  readonly child: ChildProcess;
  /** Resolves once the process has ended and all it said has been read. */
  readonly exited: Promise<Exit>;
  stdout = "";
  stderr = "";
  readonly #lines: LogLine[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(
    t: Test,
    args: readonly string[],
    env: { readonly [name: string]: string } = {},
    node: readonly string[] = [],
    program = main,
  ) {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(ROOMCAST_|NODE_)/.test(name));
    const options = { env: { ...Object.fromEntries(inherited), ...env }, stdio: ["ignore", "pipe", "pipe"] as const };
    this.child = spawn(process.execPath, [...node, program, ...args], { ...options, stdio: [...options.stdio] });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    if (this.child.stdout === null) throw new Error("expected a pipe");
    createInterface(this.child.stdout).on("line", (line) => this.#read(line));
    this.exited = new Promise((resolve) => this.child.once("close", (code, signal) => resolve({ code, signal })));
    t.after(async () => {
      this.child.kill("SIGKILL");
      await this.exited;
    });
  }

  #read(line: string): void {
    this.stdout += `${line}\n`;
    if (line.startsWith('{"level"')) this.#lines.push(JSON.parse(line) as LogLine);
    for (const look of this.#waiting) look();
  }

  /** The first line of its log that `matches` the text, once it is there; rejects when the process ends without it. */
  line(matches: RegExp): Promise<LogLine> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.#lines.find((line) => matches.test(line.message));
        if (found === undefined) return;
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
      look();
      void this.exited.then(() => reject(new Error(`ended without ${matches}: ${this.stdout}${this.stderr}`)));
    });
  }

  /** What it wrote to standard error, line by line. */
  get errors(): readonly string[] {
    return this.stderr.split("\n").slice(0, -1);
  }
}
