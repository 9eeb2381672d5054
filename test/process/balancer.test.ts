/** The configurations of load balancers that are handed out, with the addresses of this test in the place of the containers'. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { suite, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { connect as connectClient } from "../../client/index.js";
import { type BalancerFile, balancerFiles, configured, startBalancer } from "../support/balancer.js";
import { ChildServer } from "../support/child-server.js";
import { eventually } from "../support/eventually.js";
import { RawSocket, upgradeText } from "../support/raw-socket.js";
import { freePort } from "../support/services/free-port.js";
import { nginxComplaint } from "../support/services/nginx.js";
import { startRedis } from "../support/services/redis.js";
import { connect, type Server, type ServerOptions, startServer } from "../support/start-server.js";

type Three = [Server, Server, Server];
const NAMES = ["node-1", "node-2", "node-3"];
const ROOM = "chat:1";
const haproxyFiles = balancerFiles.filter((file) => file.startsWith("haproxy"));
/** nginx has no checks. */
const checksEvery = (file: BalancerFile, interval: string) =>
  file.startsWith("haproxy") ? { "inter 1s": `inter ${interval}` } : {};

const threeServers = async (t: TestContext, options: ServerOptions = {}) =>
  (await Promise.all(NAMES.map((node) => startServer(t, { ...options, node })))) as Three;

const status = async (url: string, path: string) =>
  (await fetch(url + path, { headers: { connection: "close" } })).status;

const connectionsOf = (servers: readonly Server[]) => servers.map((server) => server.connections);

test("every file is one that its program takes", async () => {
  for (const file of haproxyFiles) {
    const path = fileURLToPath(new URL(`../../../deploy/${file}`, import.meta.url));
    const { status, stderr } = spawnSync("haproxy", ["-c", "-f", path], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
  }
  // nginx looks names up as it reads them.
  const ports = [1, 2, 3].map((port) => ({ port }));
  assert.equal(await nginxComplaint(configured("nginx/nginx.conf", await freePort(), ports)), undefined);
});

const connectedOf = (clients: readonly { readonly closed: unknown }[]): number =>
  clients.filter(({ closed }) => closed === undefined).length;

/** Whether none of some new clients comes to the server. */
async function passedOver(t: TestContext, balancer: { readonly url: string }, server: Server): Promise<boolean> {
  const before = server.connections;
  const clients = await Promise.all(Array.from({ length: 6 }, () => connect(t, balancer)));
  const passed = server.connections === before;
  for (const client of clients) client.end();
  return passed;
}

/** An SDK client in the room: the events it gets, while `noticed` has whatever else it or its application is told. */
async function reader(t: TestContext, url: string, noticed: string[]): Promise<number[]> {
  const client = connectClient(url, { WebSocket });
  t.after(() => client.close());
  const room = client.room<{ n: number }>(ROOM);
  const events: number[] = [];
  room.on("n", ({ data }) => events.push(data));
  room.onReset(({ reason }) => noticed.push(`reset: ${reason}`));
  await room.joined;
  client.on("state", ({ status }) => noticed.push(status));
  room.onState(({ status }) => noticed.push(`room: ${status}`));
  return events;
}

// Mostly waiting.
suite("in front of three nodes", { concurrency: 4 }, () => {
  for (const file of balancerFiles) {
    test(`${file}: clients are spread over the nodes, and those of a node that closes come to the others`, async (t) => {
      const servers = await threeServers(t);
      const balancer = await startBalancer(t, file, servers);
      for (let n = 0; n < 9; n++) await connect(t, balancer);
      assert.deepEqual(connectionsOf(servers), [3, 3, 3]);
      const [first, ...others] = servers;
      await first.close();
      for (let n = 0; n < 4; n++) await connect(t, balancer);
      assert.deepEqual(connectionsOf(others), [5, 5]);
    });

    test(`${file}: a node that was killed is passed over, before any check has found out`, async (t) => {
      const child = await ChildServer.start(t);
      const others = [await startServer(t), await startServer(t)] as const;
      const nodes = [child, ...others];
      const balancer = await startBalancer(t, file, nodes, checksEvery(file, "1h"));
      // It has clients of its own, which come past the balancer; and where those at once go is for the balancer to say.
      const own = (await child.report()).connections;
      const clients = [await connect(t, balancer), await connect(t, balancer), await connect(t, balancer)];
      while (clients.length < 12 && (await child.report()).connections === own)
        clients.push(await connect(t, balancer));
      assert.ok((await child.report()).connections > own, "none of them came to the node");
      child.child.kill("SIGKILL");
      await once(child.child, "exit");
      await eventually(() => clients.some(({ closed }) => closed !== undefined));
      // It has the fewest connections now, so that every one of these would be its own.
      for (let n = 0; n < 6; n++) await connect(t, balancer);
      for (const client of clients.filter(({ closed }) => closed === undefined)) await client.ping();
      assert.equal(
        connectionsOf(others).reduce((sum, count) => sum + count),
        6 + connectedOf(clients),
      );
    });

    test(`${file}: a node that drains gets no new clients, and its own move without noticing`, async (t) => {
      const redis = await startRedis(t);
      // HAProxy looks at /ready and is to have seen it before the port is closed; for nginx the closed port is the word.
      const noticeMs = file.startsWith("haproxy") ? 3000 : 0;
      const servers = await threeServers(t, { redis: [redis.url], noticeMs, drainMs: 300, deadlineMs: 15_000 });
      await eventually(() => servers.every((server) => server.nodes().length === 3), "the nodes never saw each other");
      const balancer = await startBalancer(t, file, servers, checksEvery(file, "50ms"));
      const [first, second] = servers;
      const noticed: string[] = [];
      const heard = await Promise.all(Array.from({ length: 9 }, () => reader(t, balancer.url, noticed)));
      assert.ok(first.connections > 0);

      let drained = false;
      const drain = first.drain().then(() => {
        drained = true;
      });
      let published = 0;
      if (noticeMs > 0) {
        await eventually(async () => {
          await second.publish(ROOM, "n", ++published);
          return passedOver(t, balancer, first);
        });
        assert.equal(await status(first.url, "/ready"), 503, "the node takes connections still");
      }
      while (!drained) {
        await second.publish(ROOM, "n", ++published);
        const passing = await connect(t, balancer);
        passing.end();
      }
      await drain;
      assert.equal(first.connections, 0);
      await second.publish(ROOM, "n", ++published);
      const all = Array.from({ length: published }, (_, index) => index + 1);
      await eventually(() => heard.every((events) => events.length >= published));
      for (const events of heard) assert.deepEqual(events, all);
      assert.deepEqual(noticed, []);
      assert.equal(
        connectionsOf(servers).reduce((sum, count) => sum + count),
        9,
      );
    });

    test(`${file}: a connection that only heartbeats pass stays, for longer than the balancer lets one be silent`, async (t) => {
      const [from, to] = file.startsWith("haproxy")
        ? ["timeout tunnel 1h", "timeout tunnel 2s"]
        : ["proxy_timeout 1h", "proxy_timeout 2s"];
      const beating = await threeServers(t, { heartbeatMs: 200 });
      const kept = await connect(t, await startBalancer(t, file, beating, { [from as string]: to as string }));
      const silent = await threeServers(t, { heartbeatMs: 60_000 });
      const cut = await connect(t, await startBalancer(t, file, silent, { [from as string]: to as string }));
      await cut.close();
      // Longer than the one that was silent was let be.
      const soFar = kept.messages;
      await kept.until("heartbeats", () => kept.messages >= soFar + 5);
      await kept.ping();
    });
  }

  test("haproxy/http.cfg: no connection that was kept brings a client to a node that drains", async (t) => {
    const redis = await startRedis(t);
    const servers = await threeServers(t, { redis: [redis.url], drainMs: 0, deadlineMs: 10_000 });
    await eventually(() => servers.every((server) => server.nodes().length === 3), "the nodes never saw each other");
    const balancer = await startBalancer(t, "haproxy/http.cfg", servers, checksEvery("haproxy/http.cfg", "1h"));
    const sockets = await Promise.all(Array.from({ length: 6 }, () => RawSocket.connect(balancer.port)));
    t.after(() => sockets.map((socket) => socket.destroy()));
    for (const socket of sockets) {
      socket.write("GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
      assert.equal((await socket.response()).status, 200);
    }
    // Someone who does not move holds the node, so that connections to it that wait for a request stay open.
    const [first] = servers;
    const holding = await connect(t, first);
    const drained = first.drain();
    await holding.next("move");
    for (const socket of sockets) {
      socket.write(upgradeText());
      assert.equal((await socket.response()).status, 101);
    }
    holding.end();
    await drained;
  });

  for (const file of haproxyFiles) {
    test(`${file}: a node that is not ready gets no new clients`, async (t) => {
      const nowhere = `redis://127.0.0.1:${await freePort()}`;
      const servers = await Promise.all([startServer(t, { redis: [nowhere] }), startServer(t), startServer(t)]);
      assert.equal(await status(servers[0].url, "/ready"), 503);
      const balancer = await startBalancer(t, file, servers, checksEvery(file, "50ms"));
      // At first HAProxy takes every node to be ready.
      await eventually(() => passedOver(t, balancer, servers[0]));
    });

    test(`${file}: while no node is ready, those that live take the clients`, async (t) => {
      const nowhere = `redis://127.0.0.1:${await freePort()}`;
      const servers = await threeServers(t, { redis: [nowhere], kinds: { here: { engine: "memory" } } });
      const balancer = await startBalancer(t, file, servers, checksEvery(file, "50ms"));
      // Not ready through the balancer either: it has found that out of all three, and passes on nevertheless.
      await eventually(async () => (await status(balancer.url, "/ready")) === 503);
      const client = await connect(t, balancer);
      const joined = await client.ask("joined", { type: "join", room: "here:1" });
      assert.equal(joined.room, "here:1");
    });
  }
});
