/** A command that asks the nodes of a cluster: it opens the engine and no port, and is in nobody's list. */
import { setTimeout as pause } from "node:timers/promises";
import { Cluster } from "../cluster/cluster.js";
import { ConfigError, enginesIn, type Settings } from "../config.js";
import { EngineError, type EngineName } from "../engine/engine.js";
import { openEngine } from "../engine/open.js";
import { createLog } from "../log.js";
import { type Flags, loadSettings } from "./sources.js";

/** How long the engine may take to be reached, in milliseconds. */
const REACH_MS = 5000;

/** The nodes, what of the engine cannot be reached from here, and the settings that it was reached by. */
export type Asked = { readonly cluster: Cluster; readonly settings: Settings; problems(): readonly string[] };

const fail = (code: number, lines: readonly string[]): void => {
  process.stderr.write(`${lines.join("\n")}\n`);
  process.exitCode = code;
};

/**
 * Does `act` with the cluster that the settings name, and ends what was opened for it. What goes wrong is told on standard
 * error and in `process.exitCode`: 2 where the settings are wrong, 1 where the engine cannot be reached.
 */
export async function asking(
  flags: Flags,
  env: { readonly [name: string]: string | undefined },
  act: (asked: Asked) => Promise<void>,
): Promise<void> {
  try {
    const { settings } = loadSettings(flags, env);
    if (enginesIn(settings)[0] === "memory") {
      throw new ConfigError([
        "redis, nats: expected the address of one of them; with the memory engine a node is by itself, and there is nobody to ask",
      ]);
    }
    await withCluster(settings, act);
  } catch (error) {
    if (error instanceof ConfigError) fail(2, error.lines);
    else if (error instanceof EngineError) fail(1, [`cannot reach the engine: ${error.message}`]);
    else throw error;
  }
}

async function withCluster(settings: Settings, act: (asked: Asked) => Promise<void>): Promise<void> {
  const log = createLog({ level: "silent" });
  // Only the server's own rooms are used here. What streams hold is for the nodes to say: none is made or changed.
  const demands = { engineOf: (): EngineName => "memory", maxHistory: 0, maxKeyWindowMs: 1000 };
  const open = await openEngine({ ...settings, natsStreams: [] }, demands, log);
  const broker = open(
    (room, _epoch, events) => cluster.deliver(room, events),
    () => cluster.suspect(),
  );
  const { leaseMs } = settings;
  const cluster = new Cluster({ name: "", version: "", broker, actions: undefined, leaseMs, log });
  const problems = () => broker.problems();
  try {
    await reach(cluster, problems);
    await act({ cluster, settings, problems });
  } finally {
    await cluster.close();
    await broker.close();
  }
}

async function reach(cluster: Cluster, problems: () => readonly string[]): Promise<void> {
  const ending = new AbortController();
  const late = pause(REACH_MS, true, { signal: ending.signal }).catch(() => false);
  const isLate = await Promise.race([cluster.start().then(() => false), late]);
  ending.abort();
  if (isLate) throw new EngineError("unavailable", problems()[0] ?? `no answer within ${REACH_MS} ms`);
}
