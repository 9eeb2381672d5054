import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { SettingsInput } from "../../server/server.js";
import { spawnBound } from "../support/services/daemon.js";
import { onFreePort, PortTaken } from "../support/services/free-port.js";
import type { Scope } from "../support/services/scope.js";

const program = fileURLToPath(new URL("../../server/main.js", import.meta.url));
const OUTPUT_KEPT = 20_000;
/** Longer than any deadline that a row sets: who has not ended by then never does. */
const END_MS = 60_000;
/** What it says when another process has its port. */
const TAKEN = /\bport: expected a free one/;

/** How a node came to its end. Times are Unix milliseconds. */
export type Exit = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly signalledAt: number;
  readonly at: number;
  /** What it logged last of its drain, if it came to that: how many clients moved, and how many were closed. */
  readonly drained: { readonly moved: number; readonly closed: number } | undefined;
};

type Line = { readonly message?: string; readonly moved?: number; readonly closed?: number };

/** A `roomcast serve` that can be killed, stopped and started again with other settings, on the same port. */
export class NodeProcess {
  #settings: SettingsInput;
  #child: ChildProcess | undefined;
  /** Not one that the kernel gives to outgoing connections: it must be free again for the next start. */
  readonly #port: number;
  readonly #dir: string;
  #drained: Exit["drained"];
  /** The end of its log. */
  output = "";

  /** What Node itself is told. */
  readonly #flags: readonly string[];

  private constructor(settings: SettingsInput, port: number, dir: string, flags: readonly string[]) {
    this.#port = port;
    this.#flags = flags;
    this.#dir = dir;
    this.#settings = { page: false, ...settings };
  }

  /** Resolves once it listens. */
  static async start(scope: Scope, settings: SettingsInput = {}, flags: readonly string[] = []): Promise<NodeProcess> {
    const dir = await mkdtemp(join(tmpdir(), "roomcast-node-"));
    scope.after(() => rm(dir, { recursive: true, force: true }));
    return onFreePort(async (port) => {
      const node = new NodeProcess(settings, port, dir, flags);
      scope.after(() => node.kill());
      await node.restart({});
      return node;
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** Kills it, and resolves once the process is gone. */
  async kill(): Promise<void> {
    if (this.#child !== undefined) await this.end("SIGKILL");
  }

  /** Sends a signal, and resolves with how the process ended: killed, where it has not in a minute. Throws where none runs. */
  async end(signal: NodeJS.Signals): Promise<Exit> {
    const child = this.#child;
    if (child === undefined) throw new Error("expected a node that runs");
    // Once it has ended and all it said has been read.
    const closed = once(child, "close");
    const signalledAt = Date.now();
    const exited = once(child, "exit").then(() => Date.now());
    child.kill(signal);
    const killing = setTimeout(() => child.kill("SIGKILL"), END_MS);
    const at = await exited;
    clearTimeout(killing);
    const [code, by] = (await closed) as [number | null, NodeJS.Signals | null];
    return { code, signal: by, signalledAt, at, drained: this.#drained };
  }

  /** Sends a signal that does not end it. */
  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** It stands still, its connections stay open. */
  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  /** Starts it again, once it has ended, with settings set over those it had. Resolves once it listens. */
  async restart(settings: SettingsInput = {}): Promise<void> {
    this.#settings = { ...this.#settings, ...settings };
    this.#drained = undefined;
    const file = join(this.#dir, "settings.json");
    await writeFile(file, JSON.stringify({ ...this.#settings, port: this.#port }));
    const child = spawnBound(process.execPath, [...this.#flags, program, "serve", "--config", file]);
    this.#child = child;
    const keep = (text: string) => {
      this.output = (this.output + text).slice(-OUTPUT_KEPT);
    };
    child.stderr?.setEncoding("utf8").on("data", keep);
    child.once("close", () => {
      if (this.#child === child) this.#child = undefined;
    });
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => {
        const Kind = TAKEN.test(this.output) ? PortTaken : Error;
        reject(new Kind(`a node ended (${signal ?? code}): ${this.output}`));
      });
      if (child.stdout === null) throw new Error("expected a pipe");
      createInterface(child.stdout).on("line", (text) => {
        keep(`${text}\n`);
        const line = readLine(text);
        if (line.message?.startsWith("listening on")) resolve();
        if (line.message === "drained") this.#drained = { moved: line.moved ?? 0, closed: line.closed ?? 0 };
      });
    });
  }
}

/** A line of its log; nothing of one that is not of it. */
function readLine(text: string): Line {
  return text.startsWith("{") ? (JSON.parse(text) as Line) : {};
}
