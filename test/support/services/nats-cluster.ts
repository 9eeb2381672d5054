import { randomBytes } from "node:crypto";
import { eventually } from "../eventually.js";
import { freePort } from "./free-port.js";
import { type Nats, startNats } from "./nats.js";
import type { Scope } from "./scope.js";

export interface NatsCluster {
  readonly nodes: readonly Nats[];
  readonly urls: readonly string[];
  /** The node that leads JetStream; undefined while there is none, or the others do not know it yet. */
  leader(): Promise<Nats | undefined>;
}

/** Starts NATS servers with JetStream that are one cluster. Resolves once all of them know who leads. */
export async function startNatsCluster(
  scope: Scope,
  count = 3,
  options: { readonly configLines?: readonly string[] } = {},
): Promise<NatsCluster> {
  const name = `test-${randomBytes(6).toString("hex")}`;
  const ports = await Promise.all(Array.from({ length: count }, () => freePort()));
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
  const nodes = await Promise.all(
    ports.map((port) => {
      const cluster = `cluster { name: ${name}, host: 127.0.0.1, port: ${port}, no_advertise: true, routes: [${routes}] }`;
      return startNats(scope, { configLines: [cluster, ...(options.configLines ?? [])] });
    }),
  );
  const leader = async () => {
    const states = await Promise.all(nodes.map((node) => leaderNamedBy(node)));
    return nodes.find((node) => states.every((state) => state?.name === node.serverName && state.size === count));
  };
  await eventually(async () => (await leader()) !== undefined, "JetStream got no leader");
  for (const node of nodes) {
    const healthy = async () => (await node.monitor("/healthz"))["status"] === "ok";
    await eventually(healthy, "a node never became healthy");
  }
  return { nodes, urls: nodes.map(({ url }) => url), leader };
}

async function leaderNamedBy(node: Nats): Promise<{ name: unknown; size: unknown } | undefined> {
  try {
    const meta = (await node.monitor("/jsz"))["meta_cluster"] as Record<string, unknown> | undefined;
    return meta && { name: meta["leader"], size: meta["cluster_size"] };
  } catch {
    return undefined;
  }
}
