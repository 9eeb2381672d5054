import { eventually } from "../eventually.js";
import { freePort } from "./free-port.js";
import { type Redis, startRedis } from "./redis.js";
import type { Scope } from "./scope.js";

export interface RedisClusterOptions {
  /** Default: 3. */
  readonly primaries?: number;
  /** How many replicas each primary has. Default: 0. */
  readonly replicas?: number;
  /** After what silence a node counts as down, in milliseconds. Default: 1000. */
  readonly nodeTimeoutMs?: number;
  readonly args?: readonly string[];
}

export interface RedisCluster {
  /** First the primaries, then the replicas. */
  readonly nodes: readonly Redis[];
  readonly urls: readonly string[];
}

const SLOTS = 16_384;

/** Starts a Redis Cluster. Resolves once every node says that it works, and every replica copies. */
export async function startRedisCluster(scope: Scope, options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const count = options.primaries ?? 3;
  const perPrimary = options.replicas ?? 0;
  const timeout = options.nodeTimeoutMs ?? 1000;
  const start = () => startClusterNode(scope, timeout, options.args ?? []);
  const nodes = await Promise.all(Array.from({ length: count * (1 + perPrimary) }, start));
  const primaries = nodes.slice(0, count);
  for (const [index, primary] of primaries.entries()) {
    const from = Math.floor((index * SLOTS) / count);
    const to = Math.floor(((index + 1) * SLOTS) / count) - 1;
    await primary.command("CLUSTER", "ADDSLOTSRANGE", from, to);
  }
  await meet(nodes);
  for (const [index, replica] of nodes.slice(count).entries()) {
    const primary = primaries[index % count] as Redis;
    await replica.command("CLUSTER", "REPLICATE", String(await primary.command("CLUSTER", "MYID")));
  }
  for (const node of nodes) await untilWorking(node, nodes.length, count * perPrimary);
  return { nodes, urls: nodes.map(({ url }) => url) };
}

async function startClusterNode(scope: Scope, timeoutMs: number, args: readonly string[]): Promise<Redis> {
  const busPort = await freePort();
  const cluster = ["--cluster-enabled", "yes", "--cluster-port", String(busPort)];
  return startRedis(scope, { args: [...cluster, "--cluster-node-timeout", String(timeoutMs), ...args] });
}

async function meet(nodes: readonly Redis[]): Promise<void> {
  const [first, ...others] = nodes;
  if (first === undefined) return;
  for (const [index, node] of nodes.entries()) await node.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1);
  for (const other of others) {
    const busPort = String(await other.command("CONFIG", "GET", "cluster-port")).split(",")[1] ?? "";
    await first.command("CLUSTER", "MEET", other.host, other.port, busPort);
  }
  for (const node of nodes) {
    await eventually(async () => {
      const known = String(await node.command("CLUSTER", "NODES"))
        .trim()
        .split("\n");
      return known.length === nodes.length && known.every((line) => !line.includes("handshake"));
    }, "the nodes of the cluster never met");
  }
}

async function untilWorking(node: Redis, nodes: number, replicas: number): Promise<void> {
  await eventually(async () => {
    const info = String(await node.command("CLUSTER", "INFO"));
    const known = String(await node.command("CLUSTER", "NODES"))
      .trim()
      .split("\n");
    const slaves = known.filter((line) => line.includes("slave") && line.includes("connected")).length;
    const replication = String(await node.command("INFO", "replication"));
    const copying = replication.includes("role:master") || replication.includes("master_link_status:up");
    return info.includes("cluster_state:ok") && known.length === nodes && slaves === replicas && copying;
  }, "the cluster never worked");
}
