import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";

/** What the figures depend on. */
export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
  readonly packages: { readonly [name: string]: string };
  /** The brokers' versions, `unknown` where one is not on the PATH. */
  readonly brokers: { readonly [name: string]: string };
  /** The load average of the last minute, before the run: above some 0.2, others were at work too. */
  readonly load: number;
  readonly date: string;
};

type Lock = { readonly packages: { readonly [path: string]: { readonly version: string } } };

function versionOf(program: string): string {
  const { stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
  return /\d+\.\d+\.\d+/.exec(stdout ?? "")?.[0] ?? "unknown";
}

export function describeMachine(now: Date): Machine {
  const lock = JSON.parse(readFileSync(new URL("../../../package-lock.json", import.meta.url), "utf8")) as Lock;
  const names = ["uWebSockets.js", "ws", "socket.io", "ioredis", "nats"];
  const packages = names.map((name) => [name, lock.packages[`node_modules/${name}`]?.version ?? "unknown"]);
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.version,
    packages: Object.fromEntries(packages),
    brokers: { Redis: versionOf("redis-server"), NATS: versionOf("nats-server") },
    load: loadavg()[0] ?? 0,
    date: now.toISOString().slice(0, 10),
  };
}
