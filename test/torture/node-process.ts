import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { SettingsInput } from "../../server/server.js";
import { freePort } from "../support/services/free-port.js";
import type { Scope } from "../support/services/scope.js";

const program = fileURLToPath(new URL("./node-program.js", import.meta.url));
const OUTPUT_KEPT = 20_000;

/** A node that can be killed, stopped and started again with other settings, on the same port. */
export class NodeProcess {
  #settings: SettingsInput;
  #child: ChildProcess | undefined;
  /** Not one that the kernel gives to outgoing connections: it must be free again for the next start. */
  readonly #port: number;
  /** The end of its log. */
  output = "";

  private constructor(settings: SettingsInput, port: number) {
    this.#port = port;
    this.#settings = { page: false, logLevel: "warn", ...settings };
  }

  /** Resolves once it listens. */
  static async start(scope: Scope, settings: SettingsInput = {}): Promise<NodeProcess> {
    const node = new NodeProcess(settings, await freePort());
    scope.after(() => node.kill());
    await node.restart({});
    return node;
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

  /** Sends a signal, and resolves once the process is gone. Default: SIGKILL. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
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
    const child = fork(program, [JSON.stringify({ ...this.#settings, port: this.#port })], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output = (this.output + text).slice(-OUTPUT_KEPT);
      });
    }
    child.once("exit", () => {
      if (this.#child === child) this.#child = undefined;
    });
    const ended = once(child, "exit").then(([code, signal]) => {
      throw new Error(`a node ended (${signal ?? code}): ${this.output}`);
    });
    await Promise.race([once(child, "message"), ended]);
    // It ends one day, and by then nobody waits.
    ended.catch(() => undefined);
  }
}
