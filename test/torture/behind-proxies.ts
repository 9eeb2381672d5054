/** Nodes of one broker, each with a proxy of its own on the way there. */
import type { SettingsInput } from "../../server/server.js";
import { TcpProxy } from "../support/proxy.js";
import { startNats } from "../support/services/nats.js";
import { type Redis, startRedis } from "../support/services/redis.js";
import type { NodeProcess } from "./node-process.js";
import type { Torture } from "./torture.js";

export type BehindProxies = {
  readonly nodes: readonly NodeProcess[];
  /** `proxies[n]` is on the way from `nodes[n]`. */
  readonly proxies: readonly TcpProxy[];
  /**
   * Resets the connection on which the node is told of events, with NATS the only one it has. Resolves with how many
   * that were: none while it is on its way back.
   */
  cutSubscriber(node: number): Promise<number>;
};

/** `variant` begins with the engine's name. */
export async function startBehindProxies(
  torture: Torture,
  variant: string,
  count: number,
  settings: SettingsInput,
): Promise<BehindProxies> {
  const isNats = variant.startsWith("nats");
  const broker = isNats ? await startNats(torture) : await startRedis(torture);
  const proxies = await Promise.all(Array.from({ length: count }, () => TcpProxy.start(torture, broker)));
  const nodes: NodeProcess[] = [];
  for (const proxy of proxies) {
    const engine = isNats ? { nats: [proxy.url("nats")] } : { redis: [proxy.url("redis")] };
    nodes.push(...(await torture.startNodes(1, { ...settings, ...engine })));
  }
  const cutSubscriber = async (node: number): Promise<number> => {
    const proxy = proxies[node] as TcpProxy;
    const ports = isNats ? [undefined] : await subscribersOf(broker as Redis);
    return ports.reduce((sum: number, port) => sum + proxy.cut(port), 0);
  };
  return { nodes, proxies, cutSubscriber };
}

/** The ports that Redis sees its subscribers come from. */
async function subscribersOf(redis: Redis): Promise<number[]> {
  const list = String(await redis.command("CLIENT", "LIST", "TYPE", "pubsub"));
  return [...list.matchAll(/ addr=[^ ]*:(\d+)/g)].map(([, port]) => Number(port));
}

/** What a node says of itself to a load balancer. */
export async function isReady(node: NodeProcess): Promise<boolean> {
  const answer = await fetch(`${node.url}/ready`, {
    headers: { connection: "close" },
    signal: AbortSignal.timeout(5000),
  });
  // Read to its end: an answer that is left half read keeps its connection, and that the process.
  await answer.text();
  return answer.status === 200;
}
