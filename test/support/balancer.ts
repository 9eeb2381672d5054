/** The configurations of load balancers that are handed out in deploy/, run as they are but for what a test must change. */
import { readFileSync } from "node:fs";
import { onFreePort } from "./services/free-port.js";
import { startHaproxy } from "./services/haproxy.js";
import { startNginx } from "./services/nginx.js";
import type { Scope } from "./services/scope.js";

/** Files in deploy/. */
export const balancerFiles = ["haproxy/haproxy.cfg", "haproxy/http.cfg", "nginx/nginx.conf"] as const;
export type BalancerFile = (typeof balancerFiles)[number];

export type Balancer = { readonly url: string; readonly port: number };

/** In a file, each by what it is to be; one that is not there is an error. */
export type Changes = { readonly [from: string]: string };

/** A test's machine may let a process have fewer files than the file asks for. */
const FEWER_CONNECTIONS: { readonly [program: string]: Changes } = {
  haproxy: { "maxconn 90000": "maxconn 4000" },
  nginx: { "worker_rlimit_nofile 200000;": "", "worker_connections 65536": "worker_connections 4000" },
};

const handedOut = (file: BalancerFile): string =>
  readFileSync(new URL(`../../../deploy/${file}`, import.meta.url), "utf8");

function changed(text: string, changes: Changes): string {
  return Object.entries(changes).reduce((before, [from, to]) => {
    if (!before.includes(from)) throw new Error(`expected the configuration to have "${from}"`);
    return before.replaceAll(from, to);
  }, text);
}

/** The file's text for the three ports of `nodes` in the place of node-1 to node-3, listening on `port`. */
export function configured(
  file: BalancerFile,
  port: number,
  nodes: readonly { readonly port: number }[],
  changes: Changes = {},
): string {
  const program = file.startsWith("haproxy") ? "haproxy" : "nginx";
  // What a test changes comes first: it may be one of the numbers that are made smaller for all.
  let text = changed(handedOut(file), changes);
  for (const [from, to] of Object.entries(FEWER_CONNECTIONS[program] ?? {})) text = text.replaceAll(from, to);
  text = changed(text, { [program === "haproxy" ? "bind :8000" : "listen 8000"]: listening(program, port) });
  for (const [index, node] of nodes.entries()) {
    text = changed(text, { [`node-${index + 1}:8000`]: `127.0.0.1:${node.port}` });
  }
  const left = [...text.matchAll(/^[^#\n]*:8000.*$/gm)].map(([line]) => line);
  if (left.length > 0) throw new Error(`expected every address to be replaced, got ${left.join("; ")}`);
  return text;
}

const listening = (program: string, port: number): string =>
  program === "haproxy" ? `bind 127.0.0.1:${port}` : `listen 127.0.0.1:${port}`;

/** Starts the program with the file, in front of three nodes. Resolves once it takes connections. */
export async function startBalancer(
  scope: Scope,
  file: BalancerFile,
  nodes: readonly { readonly port: number }[],
  changes: Changes = {},
): Promise<Balancer> {
  return onFreePort(async (port) => {
    const start = file.startsWith("haproxy") ? startHaproxy : startNginx;
    await start(scope, configured(file, port, nodes, changes), [port]);
    return { port, url: `http://127.0.0.1:${port}` };
  });
}
