/** Three nodes of one engine behind a load balancer, and clients who come through it. */
import type { SettingsInput } from "../../server/server.js";
import { type Changes, startBalancer } from "../support/balancer.js";
import { WsClient } from "../support/ws-client.js";
import type { Crowd, Told } from "./crowd.js";
import { startEngine } from "./engines.js";
import type { NodeProcess } from "./node-process.js";
import { withMembers } from "./presence/settings.js";
import type { Torture } from "./torture.js";

/** So many servers the balancers' configurations have. */
export const NODES = 3;

export type Load = {
  readonly clients: number;
  readonly roomCount: number;
  readonly eventsPerSecond: number;
  readonly publishers: number;
  readonly processes: number;
  /**
   * How often HAProxy looks at a node, in milliseconds, where not as handed out; nginx, which does not look, then leaves a
   * node that was away alone for a second.
   */
  readonly checkMs: number | undefined;
  /** The longest that a client waits before another attempt, in milliseconds. */
  readonly maxDelayMs?: number;
};

export type BehindBalancer = {
  /** The name of `nodes[n]` is what `nameOf(n)` says. */
  readonly nodes: readonly NodeProcess[];
  readonly crowd: Crowd;
  /** The name of the node that the balancer sends a new client to; undefined where it finds none. */
  nextNode(): Promise<string | undefined>;
};

/** As they are handed out, but for a machine that lets a process have fewer files, and clients of one address. */
function changesOf(program: string, checkMs: number | undefined): Changes {
  const faster = (text: string, value: string) => (checkMs === undefined ? {} : { [text]: value });
  if (program === "nginx") {
    const room = { "worker_connections 65536": "worker_connections 12000", "clients 2000": "clients 9000" };
    return { ...room, ...faster("fail_timeout=5s", "fail_timeout=1s") };
  }
  return { "maxconn 90000": "maxconn 9000", ...faster("inter 1s", `inter ${checkMs}ms`) };
}

export const nameOf = (node: number): string => `node-${node + 1}`;

/**
 * `variant` is an engine and a balancer: `redis, haproxy`; with `, presence` behind them every client has a user and is told
 * who is in its room. Resolves once every client is in its room.
 */
export async function startBehindBalancer(
  torture: Torture,
  variant: string,
  load: Load,
  settings: SettingsInput,
): Promise<BehindBalancer> {
  const { clients, roomCount, eventsPerSecond, publishers, processes, checkMs, maxDelayMs } = load;
  const [engineName = "", program, presence] = variant.split(", ") as [string, "haproxy" | "nginx", string?];
  const engine = await startEngine(torture, engineName);
  const star = { history: { size: 5000 } };
  const rules = presence === undefined ? { kinds: { "*": star } } : withMembers(star);
  const nodes: NodeProcess[] = [];
  for (let n = 0; n < NODES; n++) {
    nodes.push(...(await torture.startNodes(1, { ...engine.settings, ...settings, ...rules, node: nameOf(n) })));
  }
  const file = program === "nginx" ? "nginx/nginx.conf" : "haproxy/haproxy.cfg";
  const balancer = await startBalancer(torture, file, nodes, changesOf(program, checkMs));
  const crowd = await torture.startCrowd([balancer], processes, maxDelayMs);
  const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
  await crowd.subscribe({ count: clients, rooms, presence: presence !== undefined });
  await torture.joined(crowd, clients);
  await crowd.publish({ count: publishers, rooms, eventsPerSecond });
  return { nodes, crowd, nextNode: () => nodeAt(balancer.url) };
}

async function nodeAt(url: string): Promise<string | undefined> {
  try {
    const client = await WsClient.connect(url);
    client.end();
    return client.welcome.node;
  } catch {
    return undefined;
  }
}

export const loadText = ({ clients, roomCount, eventsPerSecond, publishers }: Load, variant: string): string =>
  `${NODES} nodes, ${clients} clients in ${roomCount} rooms, ${publishers} publishers, ${eventsPerSecond} events/s, ${variant}`;

/** How many clients have a session, once as many have as expected, or after a while. */
export async function connectedOf(torture: Torture, crowd: Crowd, expected: number): Promise<number> {
  let connected = 0;
  await torture.until(async () => {
    connected = (await crowd.progress()).connected;
    return connected === expected;
  }, 10_000);
  return connected;
}

/** `1000: 12, 4100: 3` */
export const closesText = (closes: Told["closes"]): string =>
  Object.entries(closes)
    .map(([code, count]) => `${code}: ${count}`)
    .join(", ") || "none";
