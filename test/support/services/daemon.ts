import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { eventually } from "../eventually.js";
import { PortTaken } from "./free-port.js";
import type { Scope } from "./scope.js";

/** Where there is one: the kernel ends the daemon with the process that started it, however that one ends. */
const SETPRIV = "/usr/bin/setpriv";
const OUTPUT_KEPT = 4000;

export interface DaemonOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** Whether it answers; `pid` is the process started here, which may not be the one that answers. May throw: not yet. */
  readonly ready: (pid: number) => Promise<boolean>;
  /** What ends it. Default: SIGKILL, which a program that has processes of its own cannot pass on to them. */
  readonly endedBy?: "SIGKILL" | "SIGTERM";
}

/** Starts a program that `endedBy` ends with this process, where the kernel can see to that. Its output is piped. */
export function spawnBound(
  program: string,
  args: readonly string[],
  endedBy: "SIGKILL" | "SIGTERM" = "SIGKILL",
): ChildProcess {
  const stdio = ["ignore", "pipe", "pipe"] as const;
  if (!existsSync(SETPRIV)) return spawn(program, args, { stdio: [...stdio] });
  return spawn(SETPRIV, ["--pdeathsig", endedBy.slice(3), program, ...args], { stdio: [...stdio] });
}

/** One server program, started, ended and started again as a child of this process. */
export class Daemon {
  readonly #options: DaemonOptions;
  #child: ChildProcess | undefined;
  #output = "";

  constructor(options: DaemonOptions) {
    this.#options = options;
  }

  /** The process's id. Throws while none runs. */
  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.#options.program} is not running`);
    return pid;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** The end of what it has printed. */
  get output(): string {
    return this.#output;
  }

  /** Resolves once it answers. Throws PortTaken, or with what it printed, when it ends before that. */
  async start(): Promise<void> {
    if (this.#child !== undefined) throw new Error(`${this.#options.program} runs already`);
    this.#output = "";
    const child = spawnBound(this.#options.program, this.#options.args, this.#options.endedBy);
    this.#child = child;
    const keep = (text: string) => {
      this.#output = (this.#output + text).slice(-OUTPUT_KEPT);
    };
    child.stdout?.setEncoding("utf8").on("data", keep);
    child.stderr?.setEncoding("utf8").on("data", keep);
    child.on("error", (error) => keep(String(error)));
    child.once("close", () => {
      if (this.#child === child) this.#child = undefined;
    });
    try {
      await eventually(() => this.#ready(child), `${this.#options.program} does not answer`);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** Resolves once the process is gone. */
  async kill(signal: NodeJS.Signals = this.#options.endedBy ?? "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const closed = once(child, "close");
    child.kill(signal);
    await closed;
  }

  /** The process stands still; its connections stay open, and the kernel goes on accepting new ones. */
  pause(): void {
    process.kill(this.pid, "SIGSTOP");
  }

  resume(): void {
    process.kill(this.pid, "SIGCONT");
  }

  async #ready(child: ChildProcess): Promise<boolean> {
    if (this.#child !== child || child.pid === undefined) {
      if (/in use|failed listening|cannot bind/i.test(this.#output)) throw new PortTaken(this.#output);
      throw new Error(`${this.#options.program} ended: ${this.#output}`);
    }
    return this.#options.ready(child.pid).catch(() => false);
  }
}

/** Starts it, to end with the scope, and its folder with it. Resolves with what ends it earlier. */
export async function startWith(scope: Scope, daemon: Daemon, dir: string | undefined): Promise<() => Promise<void>> {
  const stop = async () => {
    await daemon.kill();
    if (dir !== undefined) await rm(dir, { recursive: true, force: true });
  };
  try {
    await daemon.start();
  } catch (error) {
    await stop();
    throw error;
  }
  scope.after(stop);
  return stop;
}

/** A program that is only started and ended. */
export interface Program {
  /** Of the process that was started, which may have others of its own. */
  readonly pid: number;
  readonly dir: string;
  /** Default: what ends it and its own processes. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a program that lives in `dir`, to end with the scope. */
export async function startProgram(scope: Scope, dir: string, options: DaemonOptions): Promise<Program> {
  const daemon = new Daemon(options);
  const stop = await startWith(scope, daemon, dir);
  return {
    get pid() {
      return daemon.pid;
    },
    dir,
    kill: (signal) => daemon.kill(signal),
    start: () => daemon.start(),
    stop,
  };
}
