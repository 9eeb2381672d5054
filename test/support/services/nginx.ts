import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { accepts } from "./accepts.js";
import { Daemon } from "./daemon.js";
import type { Scope } from "./scope.js";

/** An nginx of this process: one that rules, and its workers. */
export interface Nginx {
  /** Of the process that rules. */
  readonly pid: number;
  readonly dir: string;
  /** Ends it and its workers. Default: SIGTERM, at once and with all connections; with SIGKILL its workers would live on. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts nginx with a configuration, as the official image does: in the foreground, with the module "stream" there. The
 * configuration has to listen on free ports of loopback. Resolves once it accepts connections on all of the `ports`. Throws
 * PortTaken when it cannot have one: see `onFreePort`.
 */
export async function startNginx(scope: Scope, configuration: string, ports: readonly number[]): Promise<Nginx> {
  const { dir, args } = await prepared(configuration);
  const daemon = new Daemon({
    program: "nginx",
    args,
    endedBy: "SIGTERM",
    ready: async () => {
      for (const port of ports) await accepts(port);
      return true;
    },
  });
  const stop = async () => {
    await daemon.kill();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await daemon.start();
  } catch (error) {
    await stop();
    throw error;
  }
  scope.after(stop);
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

/** What nginx says is wrong with a configuration; undefined where it takes it. */
export async function nginxComplaint(configuration: string): Promise<string | undefined> {
  const { dir, args } = await prepared(configuration);
  const { status, stderr } = spawnSync("nginx", ["-t", ...args], { encoding: "utf8" });
  await rm(dir, { recursive: true, force: true });
  return status === 0 ? undefined : stderr;
}

/** A folder of its own for everything that nginx writes, and the arguments that have it stay there. */
async function prepared(configuration: string): Promise<{ readonly dir: string; readonly args: readonly string[] }> {
  const dir = await mkdtemp(join(tmpdir(), "roomcast-nginx-"));
  const file = join(dir, "nginx.conf");
  await writeFile(file, `${loadStream()}${configuration}\n`);
  return { dir, args: ["-p", dir, "-c", file, "-e", "stderr", "-g", `daemon off; pid ${join(dir, "nginx.pid")};`] };
}

/** The line that Debian's nginx needs; "" for one that has the module built in, as the official image's. */
function loadStream(): string {
  const built = spawnSync("nginx", ["-V"], { encoding: "utf8" }).stderr;
  if (!built.includes("--with-stream=dynamic")) return "";
  const folder = /--modules-path=(\S+)/.exec(built)?.[1] ?? "modules";
  return `load_module ${join(folder, "ngx_stream_module.so")};\n`;
}
