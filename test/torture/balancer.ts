/** The load balancers that are handed out, with the nodes of a row in the place of the containers. */
import { readFileSync } from "node:fs";
import { onFreePort } from "../support/services/free-port.js";
import { startHaproxy } from "../support/services/haproxy.js";
import { WsClient } from "../support/ws-client.js";
import type { NodeProcess } from "./node-process.js";
import type { Torture } from "./torture.js";

export type Balancer = {
  readonly url: string;
  /** The name of the node that a new client is sent to; undefined where there is none. */
  nextNode(): Promise<string | undefined>;
};

const MOST_CONNECTIONS = 9000;

/**
 * Starts it in front of three nodes. `checkMs` is how often it looks at a node, by default what is handed out; only
 * HAProxy looks, nginx finds out by trying.
 */
export async function startBalancer(
  torture: Torture,
  program: "haproxy" | "nginx",
  nodes: readonly NodeProcess[],
  checkMs?: number,
): Promise<Balancer> {
  const port = await onFreePort(async (free) => {
    const configuration = configured(program, nodes, free, checkMs);
    await startHaproxy(torture, configuration, [free]);
    return free;
  });
  const url = `http://127.0.0.1:${port}`;
  return { url, nextNode: () => nodeAt(url) };
}

const handedOut = (file: string): string => readFileSync(new URL(`../../../deploy/${file}`, import.meta.url), "utf8");

function configured(program: string, nodes: readonly NodeProcess[], port: number, checkMs: number | undefined): string {
  let text = handedOut(`${program}/${program}.cfg`).replace("bind :8000", `bind 127.0.0.1:${port}`);
  // What is handed out is for more clients than a machine for tests lets a process have.
  text = text.replaceAll(/maxconn \d+/g, `maxconn ${MOST_CONNECTIONS}`);
  if (checkMs !== undefined) text = text.replaceAll(/ inter \w+/g, ` inter ${checkMs}ms`);
  for (const [index, node] of nodes.entries()) {
    text = text.replaceAll(`node-${index + 1}:8000`, `127.0.0.1:${node.port}`);
  }
  const left = [...text.matchAll(/^.*:8000.*$/gm)].map(([line]) => line);
  if (left.length > 0) throw new Error(`expected every address to be replaced, got ${left.join("; ")}`);
  return text;
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
