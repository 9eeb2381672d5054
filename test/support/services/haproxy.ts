import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { accepts } from "./accepts.js";
import { type Program, startProgram } from "./daemon.js";
import type { Scope } from "./scope.js";

/** A haproxy of this process. */
export type Haproxy = Program;

/**
 * Starts haproxy with a configuration, which has to bind free ports of loopback. Resolves once it accepts connections
 * on all of the `ports`. Throws PortTaken when it cannot bind one: see `onFreePort`.
 */
export async function startHaproxy(scope: Scope, configuration: string, ports: readonly number[]): Promise<Haproxy> {
  const dir = await mkdtemp(join(tmpdir(), "roomcast-haproxy-"));
  const file = join(dir, "haproxy.cfg");
  await writeFile(file, `${configuration}\n`);
  return startProgram(scope, dir, {
    program: "haproxy",
    args: ["-db", "-f", file],
    ready: async () => {
      for (const port of ports) await accepts(port);
      return true;
    },
  });
}
