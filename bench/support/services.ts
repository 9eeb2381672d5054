/** A Redis and a NATS of a program's own: on loopback, in a folder that goes with them. Both must be on the PATH. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const HOST = "127.0.0.1";
const START_MS = 15_000;
const OUTPUT_KEPT = 2000;
/** Where there is one: the kernel ends the broker with the program, however that one ends. */
const SETPRIV = "/usr/bin/setpriv";
/** How many milliseconds a tick of `/proc` is. */
const TICK_MS = 10;

export const brokerNames = ["redis", "nats"] as const;
export type BrokerName = (typeof brokerNames)[number];

/** One of the two, started as a child of this process. */
export class Broker {
  readonly name: BrokerName;
  readonly port: number;
  /** Where NATS answers HTTP; Redis has none. */
  readonly monitorPort: number;
  readonly #folder: string;
  #child: ChildProcess | undefined;
  #output = "";

  /** Resolves once it answers. */
  static async start(name: BrokerName): Promise<Broker> {
    const broker = new Broker(name, await freePort(), await freePort());
    try {
      await broker.start();
    } catch (error) {
      await broker.stop();
      throw error;
    }
    return broker;
  }

  private constructor(name: BrokerName, port: number, monitorPort: number) {
    this.name = name;
    this.port = port;
    this.monitorPort = monitorPort;
    this.#folder = mkdtempSync(join(tmpdir(), `roomcast-bench-${name}-`));
  }

  get url(): string {
    return `${this.name}://${HOST}:${this.port}`;
  }

  /** What a node's settings say of it; `port` is another one where the node is to come through a proxy. */
  settings(port = this.port): { redis: string[] } | { nats: string[] } {
    const url = `${this.name}://${HOST}:${port}`;
    return this.name === "redis" ? { redis: [url] } : { nats: [url] };
  }

  /** Starts it, or starts it again on the same port and folder. Resolves once it answers. */
  async start(): Promise<void> {
    this.#output = "";
    const [program, args] = this.name === "redis" ? this.#redis() : this.#nats();
    const under = existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", "KILL", program, ...args] : [program, ...args];
    const child = spawn(under[0] as string, under.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    const keep = (bytes: Buffer): void => {
      this.#output = (this.#output + bytes.toString()).slice(-OUTPUT_KEPT);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => keep(Buffer.from(String(error))));
    child.once("close", () => {
      if (this.#child === child) this.#child = undefined;
    });
    for (const until = performance.now() + START_MS; !(await this.#answers()); await delay(5)) {
      if (this.#child === undefined) throw new Error(`${this.name} ended: ${this.#output}`);
      if (performance.now() > until) throw new Error(`${this.name} does not answer: ${this.#output}`);
    }
  }

  #redis(): [string, string[]] {
    const at = ["--port", String(this.port), "--bind", HOST, "--dir", this.#folder];
    return ["redis-server", [...at, "--save", "", "--appendonly", "no"]];
  }

  #nats(): [string, string[]] {
    const file = join(this.#folder, "nats.conf");
    const at = [`host: ${HOST}`, `port: ${this.port}`, `http: "${HOST}:${this.monitorPort}"`];
    writeFileSync(file, `${[...at, `jetstream { store_dir: "${join(this.#folder, "store")}" }`].join("\n")}\n`);
    return ["nats-server", ["-c", file]];
  }

  async #answers(): Promise<boolean> {
    try {
      const [ask, answer] = this.name === "redis" ? ["PING\r\n", /^\+PONG/] : ["", /^INFO .*\r\n/];
      return answer.test(await said(this.port, ask, (text) => text.includes("\r\n")));
    } catch {
      return false;
    }
  }

  /** Ends it as a crash would. Resolves once it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The CPU time it has used since its start, in milliseconds; 0 where the system does not tell. */
  cpuMs(): number {
    const path = `/proc/${this.#child?.pid}/stat`;
    if (!existsSync(path)) return 0;
    const text = readFileSync(path, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }

  /** A section of what a Redis says of itself. */
  info(section: string): Promise<string> {
    // It tells the length of what it says.
    const isWhole = (text: string): boolean => {
      const [head, length] = /^\$(\d+)\r\n/.exec(text) ?? [];
      return head !== undefined && text.length >= head.length + Number(length) + 2;
    };
    return said(this.port, `INFO ${section}\r\n`, isWhole);
  }

  /** How many subscriptions its clients have. */
  async subscriptions(): Promise<number> {
    if (this.name === "redis") return Number(/pubsub_channels:(\d+)/.exec(await this.info("stats"))?.[1]);
    const answer = await fetch(`http://${HOST}:${this.monitorPort}/connz`, { signal: AbortSignal.timeout(5000) });
    const { connections } = (await answer.json()) as { connections: readonly { subscriptions: number }[] };
    return connections.reduce((sum, one) => sum + one.subscriptions, 0);
  }
}

/** What comes back over a connection of its own, up to where `whole` says that it is all. */
async function said(port: number, ask: string, whole: (text: string) => boolean): Promise<string> {
  const socket = connect({ port, host: HOST });
  try {
    socket.setTimeout(5000, () => socket.destroy(new Error("no answer within 5 s")));
    await once(socket, "connect");
    if (ask !== "") socket.write(ask);
    let text = "";
    for await (const part of socket.setEncoding("latin1")) {
      text += part;
      if (whole(text)) break;
    }
    return text;
  } finally {
    socket.destroy();
  }
}

/** A loopback port that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen({ port: 0, host: HOST });
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
