import { eventually } from "../eventually.js";
import { type Redis, type Reply, startRedis } from "./redis.js";
import type { Scope } from "./scope.js";

export interface SentinelOptions {
  /** How many sentinels; more than half of them have to agree. Default: 3. */
  readonly count?: number;
  /** What they call the primary. Default: mymaster. */
  readonly name?: string;
  /** After what silence a primary counts as down, in milliseconds. Default: 1000. */
  readonly downAfterMs?: number;
  /** What Sentinel calls failover-timeout, in milliseconds. Default: 2000. */
  readonly failoverTimeoutMs?: number;
}

export interface Sentinels {
  readonly nodes: readonly Redis[];
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly urls: readonly string[];
  readonly masterName: string;
  /** The port of the primary that they all name, or undefined while they differ. */
  primary(): Promise<number | undefined>;
  /** Makes a replica the primary, with the primary's consent. Resolves once all name the new one, with its port. */
  failover(): Promise<number>;
  /** Resolves once all of them name another primary than that one, with its port. */
  primaryAfter(port: number): Promise<number>;
}

/**
 * How often they look and tell each other, in milliseconds: by default some of it takes many seconds, which would be most
 * of a test's time. Less than this breaks their own rules on a busy machine. Once a primary is down they look at replicas
 * once a second, whatever this says, and choose none that they have not looked at within five periods of PING (three of
 * INFO while the primary is up). Who has not heard of a failover for four periods of PUBLISH undoes it.
 */
const periods = Object.entries({ "INFO-PERIOD": 500, "PUBLISH-PERIOD": 1000, "PING-PERIOD": 500 });

/** Longer than three elections that come to nothing: the next comes after twice failoverTimeoutMs, and a second. */
const ELECTIONS_MS = 60_000;

/** Starts sentinels that watch `primary` and its replicas. Resolves once each knows all the replicas and the others. */
export async function startSentinels(scope: Scope, primary: Redis, options: SentinelOptions = {}): Promise<Sentinels> {
  const count = options.count ?? 3;
  const masterName = options.name ?? "mymaster";
  const nodes = await Promise.all(Array.from({ length: count }, () => startRedis(scope, { sentinel: true })));
  const { downAfterMs = 1000, failoverTimeoutMs = 2000 } = options;
  for (const [index, node] of nodes.entries()) {
    for (const [name, value] of periods) await node.command("SENTINEL", "DEBUG", name, value);
    // The first is ahead of the others and starts a failover by itself; a majority has to vote for it all the same. If
    // all saw the primary's end in the same moment, each would vote for itself, and nothing come of it for seconds.
    const first = index === 0;
    const quorum = first ? 1 : Math.floor(count / 2) + 1;
    await node.command("SENTINEL", "MONITOR", masterName, primary.host, primary.port, quorum);
    await node.command("SENTINEL", "SET", masterName, "down-after-milliseconds", first ? downAfterMs : 2 * downAfterMs);
    await node.command("SENTINEL", "SET", masterName, "failover-timeout", failoverTimeoutMs);
  }
  const replicas = await replicasOf(primary);
  for (const node of nodes) await untilKnown(node, masterName, { replicas, others: count - 1 });
  return sentinels(nodes, masterName);
}

function sentinels(nodes: readonly Redis[], masterName: string): Sentinels {
  const primary = async () => {
    const named = await Promise.all(nodes.map((node) => namedBy(node, masterName)));
    return named.every((port) => port === named[0]) ? named[0] : undefined;
  };
  const primaryAfter = async (old: number) => {
    let port: number | undefined;
    const named = async () => {
      port = await primary();
      return port !== undefined && port !== old;
    };
    await eventually(named, "the sentinels name no new primary", ELECTIONS_MS);
    return port as number;
  };
  const failover = async () => {
    const old = await primary();
    await nodes[0]?.command("SENTINEL", "FAILOVER", masterName);
    return primaryAfter(old ?? 0);
  };
  const hosts = nodes.map(({ host, port }) => ({ host, port }));
  return { nodes, hosts, urls: nodes.map(({ url }) => url), masterName, primary, failover, primaryAfter };
}

/** Undefined of a sentinel that does not run. */
async function namedBy(node: Redis, masterName: string): Promise<number | undefined> {
  const address = await node.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName).catch(() => null);
  return Array.isArray(address) ? Number(address[1]) : undefined;
}

async function replicasOf(primary: Redis): Promise<number> {
  const info = String(await primary.command("INFO", "replication"));
  return Number(/connected_slaves:(\d+)/.exec(info)?.[1] ?? 0);
}

async function untilKnown(
  node: Redis,
  masterName: string,
  wanted: { readonly replicas: number; readonly others: number },
): Promise<void> {
  await eventually(async () => {
    const state = pairs(await node.command("SENTINEL", "MASTER", masterName));
    const replicas = await node.command("SENTINEL", "REPLICAS", masterName);
    const up = Array.isArray(replicas) && replicas.every((each) => pairs(each).get("master-link-status") === "ok");
    return (
      up &&
      state.get("num-slaves") === String(wanted.replicas) &&
      state.get("num-other-sentinels") === String(wanted.others)
    );
  }, "the sentinels never found each other and the replicas");
}

/** An answer of names and values in turn. */
function pairs(reply: Reply): Map<Reply, Reply> {
  const list = Array.isArray(reply) ? reply : [];
  return new Map(list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1] ?? null]] : [])));
}
