/** The configuration of HAProxy that is handed out, with the addresses of this test in the place of the containers'. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { freePort, onFreePort } from "../support/services/free-port.js";
import { startHaproxy } from "../support/services/haproxy.js";
import { connect, type Server, startServer } from "../support/start-server.js";

const handedOut = readFileSync(new URL("../../../deploy/haproxy/haproxy.cfg", import.meta.url), "utf8");

/** The configuration for `servers` in the place of node-1 to node-3, on `port`. */
function configured(port: number, servers: readonly Server[]): string {
  let text = handedOut.replace("bind :8000", `bind 127.0.0.1:${port}`).replaceAll("inter 2s", "inter 50ms");
  for (const [index, server] of servers.entries()) {
    text = text.replaceAll(`node-${index + 1}:8000`, `127.0.0.1:${server.port}`);
  }
  const left = [...text.matchAll(/^.*(?::8000|inter 2s).*$/gm)].map(([line]) => line);
  assert.deepEqual(left, []);
  return text;
}

const balanced = (t: TestContext, servers: readonly Server[]) =>
  onFreePort(async (port) => {
    await startHaproxy(t, configured(port, servers), [port]);
    return { url: `http://127.0.0.1:${port}` };
  });

const threeServers = (t: TestContext, options = {}) =>
  Promise.all(["node-1", "node-2", "node-3"].map((node) => startServer(t, { ...options, node })));

const status = async (url: string, path: string) =>
  (await fetch(url + path, { headers: { connection: "close" } })).status;

test("clients are spread over the nodes, and those of a node that closes come to the others", async (t) => {
  const servers = await threeServers(t);
  const balancer = await balanced(t, servers);
  for (let n = 0; n < 9; n++) await connect(t, balancer);
  assert.deepEqual(
    servers.map((server) => server.connections),
    [3, 3, 3],
  );
  const [first, ...others] = servers as [Server, ...Server[]];
  await first.close();
  for (let n = 0; n < 4; n++) await connect(t, balancer);
  assert.deepEqual(
    others.map((server) => server.connections),
    [5, 5],
  );
});

test("a node that is not ready gets no new clients", async (t) => {
  const nowhere = `redis://127.0.0.1:${await freePort()}`;
  const servers = await Promise.all([startServer(t, { redis: [nowhere] }), startServer(t), startServer(t)]);
  assert.equal(await status(servers[0].url, "/ready"), 503);
  const balancer = await balanced(t, servers);
  // At first HAProxy takes every node to be ready.
  await eventually(async () => {
    const before = servers[0].connections;
    await Promise.all(Array.from({ length: 6 }, () => connect(t, balancer)));
    return servers[0].connections === before;
  });
});

test("while no node is ready, those that live take the clients", async (t) => {
  const nowhere = `redis://127.0.0.1:${await freePort()}`;
  const servers = await threeServers(t, { redis: [nowhere], kinds: { here: { engine: "memory" } } });
  const balancer = await balanced(t, servers);
  // Not ready through the balancer either: it has found that out of all three, and passes on nevertheless.
  await eventually(async () => (await status(balancer.url, "/ready")) === 503);
  const client = await connect(t, balancer);
  const joined = await client.ask("joined", { type: "join", room: "here:1" });
  assert.equal(joined.room, "here:1");
});
