/** The real program, and connections that do to it what is in the corpus. */
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import type { SettingsInput } from "../../server/server.js";
import { freePort } from "../support/services/free-port.js";
import type { Scope } from "../support/services/scope.js";
import { NodeProcess } from "../torture/node-process.js";
import { scrape } from "../torture/scrape.js";
import { type Attack, bytesOf, sentBy } from "./attack.js";
import { Bystanders } from "./bystanders.js";
import { judge } from "./judge.js";

/** How long the server may take to let go of a connection whose client has said its last, in milliseconds. */
const PATIENCE_MS = 20_000;
/** It is looked so often whether connections have gone. */
const MOST_LOOKS = 100;
/** All connections are from one address, and as many as can be made; and those who behave ask for more than anybody. */
export const ROOMY = {
  ...{ addressRate: 1_000_000, addressConnections: 1_000_000, connectRate: 1_000_000, maxHandshakes: 100_000 },
  ...{ requestRate: 1_000_000, byteRate: 1_073_741_824, userPublishRate: 1_000_000 },
};
/** A line of the log that nobody's bytes may cause. */
const FAILED = /"level":"(error|fatal)"|\bat .*\.js:\d+|Error:/;

/** One connection, and all that came on it. */
class Connection {
  readonly #socket: Socket;
  readonly #parts: Buffer[] = [];
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#parts.push(bytes));
    // A reset is one way in which a server ends a connection.
    socket.on("error", () => undefined);
    socket.once("close", () => {
      this.#closed = true;
    });
  }

  static async open(port: number): Promise<Connection | undefined> {
    const socket = createConnection({ port, host: "127.0.0.1", allowHalfOpen: true });
    const connection = new Connection(socket);
    try {
      await once(socket, "connect");
      return connection;
    } catch {
      return undefined;
    }
  }

  get received(): Buffer {
    return Buffer.concat(this.#parts);
  }

  step(step: Attack["steps"][number] | undefined): void {
    if (step === undefined || !this.#socket.writable) return;
    const bytes = bytesOf(step);
    if (bytes === undefined) this.#socket.end();
    else this.#socket.write(bytes);
  }

  /** Says that there is no more, and resolves with all that came until the server let go, or `undefined` if it does not. */
  async ended(): Promise<Buffer | undefined> {
    this.#socket.end();
    if (!this.#closed) {
      const late = setTimeout(() => this.#socket.destroy(new Error("waited too long")), PATIENCE_MS);
      let isLate = false;
      this.#socket.once("error", (error) => {
        isLate = error.message === "waited too long";
      });
      await once(this.#socket, "close").catch(() => undefined);
      clearTimeout(late);
      if (isLate) return undefined;
    }
    return this.received;
  }
}

export class Victim {
  readonly #node: NodeProcess;
  /** None where the node serves no metrics: then it is not looked whether connections are left. */
  readonly metricsPort: number | undefined;
  #bystanders: Bystanders;
  /** Connections of others, who stay. */
  #others = 0;
  /** How often the process has ended, or was started again because of what was done to it. */
  harmed = 0;

  private constructor(node: NodeProcess, metricsPort: number | undefined, bystanders: Bystanders) {
    this.#node = node;
    this.metricsPort = metricsPort;
    this.#bystanders = bystanders;
  }

  /** A node of its own. */
  static async start(scope: Scope, settings: SettingsInput = {}): Promise<Victim> {
    const metricsPort = await freePort();
    const node = await NodeProcess.start(scope, { ...ROOMY, page: true, metricsPort, ...settings });
    return Victim.of(scope, node, metricsPort);
  }

  /** A node that has been started, where everybody else is connected already. */
  static async of(scope: Scope, node: NodeProcess, metricsPort?: number): Promise<Victim> {
    const victim = new Victim(node, metricsPort, await Bystanders.join(node.url));
    scope.after(() => Promise.resolve(victim.#bystanders.end()));
    victim.#others = (await victim.#connections()) - victim.#bystanders.count;
    return victim;
  }

  get port(): number {
    return this.#node.port;
  }

  /** Makes all attacks at once, step by step. What is wrong with what came of each, in their order. */
  async attack(attacks: readonly Attack[], port = this.port): Promise<(string | undefined)[]> {
    const answers = await this.answers(attacks, port);
    const harm = await this.harm();
    return attacks.map((attack, index) => {
      const answer = answers[index];
      return harm ?? (answer === undefined ? "the connection was not let go" : judge(sentBy(attack), answer));
    });
  }

  /**
   * As `attack`: all that came on each connection, `undefined` where the server did not let go of it. An answer that may
   * take a while is waited for: until `enough` of it is there, or for a hundred turns of the server.
   */
  async answers(
    attacks: readonly Attack[],
    port = this.port,
    enough: (received: Buffer, attack: number) => boolean = () => true,
  ): Promise<(Buffer | undefined)[]> {
    const connections = await Promise.all(attacks.map(() => Connection.open(port)));
    const most = Math.max(...attacks.map(({ steps }) => steps.length));
    for (let at = 0; at < most && this.#node.isRunning; at++) {
      for (const [index, { steps }] of attacks.entries()) connections[index]?.step(steps[at]);
      await this.#bystanders.barrier().catch(() => undefined);
    }
    const waits = (): boolean => connections.some((one, index) => one !== undefined && !enough(one.received, index));
    for (let looks = 0; looks < MOST_LOOKS && waits(); looks++) await this.#bystanders.barrier().catch(() => undefined);
    return Promise.all(connections.map((connection) => connection?.ended()));
  }

  /** What has been done to the process or to those who behave. After harm there is another process, and there are others. */
  async harm(): Promise<string | undefined> {
    const harm = this.#node.isRunning ? await this.#bystanders.harm() : "the process has ended";
    const line = this.#node.output.split("\n").find((one) => FAILED.test(one));
    const left = harm === undefined && line === undefined ? await this.#left() : undefined;
    const what = harm ?? (line === undefined ? left : `logged ${line.slice(0, 300)}`);
    if (what !== undefined) await this.#again();
    return what;
  }

  async #connections(): Promise<number> {
    return this.metricsPort === undefined ? 0 : (await scrape(this.metricsPort))("roomcast_connections");
  }

  /** Those who attacked have gone: their connections must have, too. */
  async #left(): Promise<string | undefined> {
    if (this.metricsPort === undefined) return undefined;
    for (let tries = 0; ; tries++) {
      const left = (await this.#connections()) - this.#others - this.#bystanders.count;
      if (left <= 0) return undefined;
      if (tries === MOST_LOOKS) return `${left} connections are left`;
      await this.#bystanders.barrier();
    }
  }

  async #again(): Promise<void> {
    this.harmed++;
    this.#bystanders.end();
    await this.#node.kill();
    this.#node.output = "";
    await this.#node.restart();
    this.#others = 0;
    this.#bystanders = await Bystanders.join(this.#node.url);
  }
}
