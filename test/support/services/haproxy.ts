import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { accepts } from "./accepts.js";
import { Daemon } from "./daemon.js";
import type { Scope } from "./scope.js";

/** A haproxy of this process. */
export interface Haproxy {
  readonly pid: number;
  readonly dir: string;
  kill(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts haproxy with a configuration, which has to bind free ports of loopback. Resolves once it accepts connections
 * on all of the `ports`. Throws PortTaken when it cannot bind one: see `onFreePort`.
 */
export async function startHaproxy(scope: Scope, configuration: string, ports: readonly number[]): Promise<Haproxy> {
  const dir = await mkdtemp(join(tmpdir(), "roomcast-haproxy-"));
  const file = join(dir, "haproxy.cfg");
  await writeFile(file, `${configuration}\n`);
  const daemon = new Daemon({
    program: "haproxy",
    args: ["-db", "-f", file],
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
