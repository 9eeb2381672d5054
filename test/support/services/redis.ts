import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../eventually.js";
import { Daemon, startWith } from "./daemon.js";
import { onFreePort } from "./free-port.js";
import { type Reply, redisCommands, type Word } from "./resp.js";
import type { Scope } from "./scope.js";

export interface RedisOptions {
  /** More arguments of redis-server, after those that are always given. */
  readonly args?: readonly string[];
  /** Default: a free one. */
  readonly port?: number;
  /** Where it keeps its files. Default: a temporary folder, removed in the end. */
  readonly dir?: string;
  /** Whether every write is on the disk before it is answered. Default: nothing is kept over a restart. */
  readonly persistent?: boolean;
  /** Whether it is to watch others instead of keeping data: see `startSentinels`. */
  readonly sentinel?: boolean;
}

/** A redis-server of this process, on loopback. */
export interface Redis {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly dir: string;
  /** Throws while it does not run. */
  readonly pid: number;
  /** The end of what it has printed, to be looked at when a test fails. */
  readonly output: string;
  /** Sends one command over a connection of its own. Throws RedisError for an error in the answer. */
  command(...words: Word[]): Promise<Reply>;
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

/** Starts a redis-server. Resolves once it answers. */
export async function startRedis(scope: Scope, options: RedisOptions = {}): Promise<Redis> {
  if (options.port !== undefined) return startOn(scope, options.port, options);
  return onFreePort((port) => startOn(scope, port, options));
}

/** Starts a redis-server that copies `primary`. Resolves once it has all of its data. */
export async function startReplica(
  scope: Scope,
  primary: { readonly host: string; readonly port: number },
  options: RedisOptions = {},
): Promise<Redis> {
  const args = ["--replicaof", primary.host, String(primary.port), ...(options.args ?? [])];
  const replica = await startRedis(scope, { ...options, args });
  await untilCopied(replica);
  return replica;
}

async function untilCopied(replica: Redis): Promise<void> {
  await eventually(async () => {
    const info = String(await replica.command("INFO", "replication"));
    return info.includes("master_link_status:up") && info.includes("master_sync_in_progress:0");
  }, "the replica never got its primary's data");
}

async function startOn(scope: Scope, port: number, options: RedisOptions): Promise<Redis> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), "roomcast-redis-")));
  const args = options.args ?? [];
  const passwordAt = args.indexOf("--requirepass");
  const login: Word[][] = passwordAt === -1 ? [] : [["AUTH", args[passwordAt + 1] ?? ""]];
  const command = async (...words: Word[]) => (await redisCommands(port, ...login, words)).at(-1) ?? null;
  const daemon = new Daemon({
    program: "redis-server",
    args: options.sentinel ? await sentinelArgs(port, dir) : [...baseArgs(port, dir, options.persistent), ...args],
    // Not only PING: another test's Redis may have taken the port, and would answer that as well.
    ready: async (pid) => {
      const info = String(await command("INFO"));
      return info.includes(`process_id:${pid}\r\n`) && !info.includes("loading:1\r\n");
    },
  });
  const stop = await startWith(scope, daemon, options.dir === undefined ? dir : undefined);
  return {
    host: HOST,
    port,
    url: `redis://${HOST}:${port}`,
    dir,
    get pid() {
      return daemon.pid;
    },
    get output() {
      return daemon.output;
    },
    command,
    kill: (signal) => daemon.kill(signal),
    start: () => daemon.start(),
    pause: () => daemon.pause(),
    resume: () => daemon.resume(),
    stop,
  };
}

function baseArgs(port: number, dir: string, persistent = false): string[] {
  const common = ["--port", String(port), "--bind", HOST, "--dir", dir, "--save", ""];
  // Without a delay and a pause, so that a test's replica is there at once.
  const replication = ["--repl-diskless-sync-delay", "0"];
  const keeping = persistent ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
  return [...common, ...replication, ...keeping];
}

/** A sentinel wants a file, in which it notes what it finds out. */
async function sentinelArgs(port: number, dir: string): Promise<string[]> {
  const file = join(dir, "sentinel.conf");
  await writeFile(file, `port ${port}\nbind ${HOST}\ndir "${dir}"\n`);
  return [file, "--sentinel"];
}

export type { Reply };
