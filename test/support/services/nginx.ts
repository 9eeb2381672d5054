import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { accepts } from "./accepts.js";
import { type Program, startProgram } from "./daemon.js";
import type { Scope } from "./scope.js";

/** An nginx of this process: one that rules, and its workers. */
export type Nginx = Program;

/**
 * Starts nginx with a configuration, as the official image does: in the foreground, with the module "stream" there. The
 * configuration has to listen on free ports of loopback. Resolves once it accepts connections on all of the `ports`. Throws
 * PortTaken when it cannot have one: see `onFreePort`.
 */
export async function startNginx(scope: Scope, configuration: string, ports: readonly number[]): Promise<Nginx> {
  const { dir, args } = await prepared(configuration);
  return startProgram(scope, dir, {
    program: "nginx",
    args,
    endedBy: "SIGTERM",
    ready: async () => {
      for (const port of ports) await accepts(port);
      return true;
    },
  });
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
