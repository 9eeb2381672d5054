import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Daemon, startWith } from "./daemon.js";
import { freePort, onFreePort } from "./free-port.js";
import type { Scope } from "./scope.js";

export interface NatsOptions {
  /** Whether it has JetStream. Default: true. */
  readonly jetstream?: boolean;
  /** More arguments of nats-server. */
  readonly args?: readonly string[];
  /** More lines of its configuration file. */
  readonly configLines?: readonly string[];
  /** Default: a free one. */
  readonly port?: number;
  /** Default: a name nobody else has. */
  readonly serverName?: string;
}

/** A nats-server of this process, on loopback. */
export interface Nats {
  readonly host: string;
  readonly port: number;
  /** Where it answers HTTP requests about itself, such as `/jsz`. */
  readonly monitorPort: number;
  readonly serverName: string;
  readonly url: string;
  readonly dir: string;
  /** Throws while it does not run. */
  readonly pid: number;
  /** The end of what it has printed, to be looked at when a test fails. */
  readonly output: string;
  /** What its monitoring answers for `path`, such as `/connz?subs=1`. */
  monitor(path: string): Promise<Record<string, unknown>>;
  /** Ends the process. Resolves once it is gone. Default: SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port and folder. Resolves once it answers. */
  start(): Promise<void>;
  /** The process stands still, its connections stay open. */
  pause(): void;
  resume(): void;
  /** Ends it for good and removes its temporary folder. Called by the scope. */
  stop(): Promise<void>;
}

const HOST = "127.0.0.1";

/** Starts a nats-server. Resolves once it answers. */
export async function startNats(scope: Scope, options: NatsOptions = {}): Promise<Nats> {
  if (options.port !== undefined) return startOn(scope, options.port, options);
  return onFreePort((port) => startOn(scope, port, options));
}

async function startOn(scope: Scope, port: number, options: NatsOptions): Promise<Nats> {
  const dir = await mkdtemp(join(tmpdir(), "roomcast-nats-"));
  const monitorPort = await freePort();
  const serverName = options.serverName ?? `test-${randomBytes(6).toString("hex")}`;
  const file = join(dir, "nats.conf");
  await writeFile(file, configuration({ port, monitorPort, serverName, dir }, options));
  const daemon = new Daemon({
    program: "nats-server",
    args: ["-c", file, ...(options.args ?? [])],
    // Another test's server may have taken the port: the name tells them apart.
    ready: async () => (await firstLine(port)).includes(`"server_name":"${serverName}"`),
  });
  const stop = await startWith(scope, daemon, dir);
  return {
    host: HOST,
    port,
    monitorPort,
    serverName,
    url: `nats://${HOST}:${port}`,
    dir,
    get pid() {
      return daemon.pid;
    },
    get output() {
      return daemon.output;
    },
    monitor: (path) => fetchJson(`http://${HOST}:${monitorPort}${path}`),
    kill: (signal) => daemon.kill(signal),
    start: () => daemon.start(),
    pause: () => daemon.pause(),
    resume: () => daemon.resume(),
    stop,
  };
}

function configuration(
  at: { port: number; monitorPort: number; serverName: string; dir: string },
  options: NatsOptions,
): string {
  const lines = [`host: ${HOST}`, `port: ${at.port}`, `http: "${HOST}:${at.monitorPort}"`];
  lines.push(`server_name: ${at.serverName}`);
  if (options.jetstream !== false) lines.push(`jetstream { store_dir: "${join(at.dir, "store")}" }`);
  return [...lines, ...(options.configLines ?? []), ""].join("\n");
}

/** What a server says of itself before anything was asked. */
async function firstLine(port: number): Promise<string> {
  const socket = connect({ port, host: HOST });
  try {
    await once(socket, "connect");
    let received = "";
    for await (const chunk of socket.setEncoding("utf8")) {
      received += chunk;
      if (received.includes("\r\n")) return received;
    }
    return received;
  } finally {
    socket.destroy();
  }
}

async function fetchJson(url: string): Promise<Record<string, unknown>> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
  return (await answer.json()) as Record<string, unknown>;
}
