/** The limits in the configurations of load balancers that are handed out, made small: who is beyond one harms nobody. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection } from "node:net";
import { type TestContext, test } from "node:test";
import { type Balancer, balancerFiles, startBalancer } from "../support/balancer.js";
import { eventually } from "../support/eventually.js";
import { RawSocket, upgradeText } from "../support/raw-socket.js";
import { connect, type Server, startServer } from "../support/start-server.js";
import type { WsClient } from "../support/ws-client.js";

const haproxyFiles = balancerFiles.filter((file) => file.startsWith("haproxy"));
const NGINX = "nginx/nginx.conf";

const threeServers = (t: TestContext) => Promise.all([startServer(t), startServer(t), startServer(t)]);

/** How many connections the nodes have. */
const all = (servers: readonly Server[]) => servers.reduce((sum, server) => sum + server.connections, 0);

/** So many clients; the place that the look for whether the balancer is there had may be free only in a moment. */
async function clients(t: TestContext, balancer: Balancer, count: number): Promise<WsClient[]> {
  const there: WsClient[] = [];
  await eventually(async () => {
    try {
      there.push(await connect(t, balancer));
    } catch {}
    return there.length === count;
  });
  return there;
}

/** One more who asks for a WebSocket. */
async function oneMore(t: TestContext, balancer: Balancer): Promise<RawSocket> {
  const socket = await RawSocket.connect(balancer.port);
  t.after(() => socket.destroy());
  socket.write(upgradeText());
  return socket;
}

async function unharmed(there: readonly WsClient[]): Promise<void> {
  for (const client of there) {
    await client.ping();
    assert.equal(client.closed, undefined);
  }
}

for (const file of haproxyFiles) {
  const limits = {
    "no node has a place": { "maxconn 60000": "maxconn 1", "timeout queue 5s": "timeout queue 1m" },
    "the balancer has no place": { "maxconn 90000": "maxconn 3" },
  };
  for (const [words, changes] of Object.entries(limits)) {
    test(`${file}: a client for whom ${words} waits, and has that of the next one who goes`, async (t) => {
      const servers = await threeServers(t);
      const balancer = await startBalancer(t, file, servers, changes);
      const [first, ...others] = await clients(t, balancer, 3);
      const waiting = await oneMore(t, balancer);
      let answered = false;
      const answer = waiting.response().then(({ status }) => {
        answered = true;
        return status;
      });
      await unharmed([first as WsClient, ...others]);
      assert.deepEqual([answered, waiting.ended, all(servers)], [false, false, 3]);
      first?.end();
      assert.equal(await answer, 101);
      await unharmed(others);
      assert.equal(all(servers), 3);
    });
  }

  test(`${file}: a client that waits for too long is sent away, and nobody else`, async (t) => {
    const servers = await threeServers(t);
    const changes = { "maxconn 60000": "maxconn 1", "timeout queue 5s": "timeout queue 500ms" };
    const balancer = await startBalancer(t, file, servers, changes);
    const there = await clients(t, balancer, 3);
    const waiting = await oneMore(t, balancer);
    if (file === "haproxy/http.cfg") assert.equal((await waiting.response()).status, 503);
    await waiting.end();
    await unharmed(there);
    assert.equal(all(servers), 3);
  });
}

test(`${NGINX}: an address that has as many connections as one may is sent away, and no other`, async (t) => {
  const servers = await threeServers(t);
  const balancer = await startBalancer(t, NGINX, servers, { "limit_conn clients 2000": "limit_conn clients 3" });
  const there = await clients(t, balancer, 3);
  await (await oneMore(t, balancer)).end();
  const elsewhere = createConnection({ port: balancer.port, host: "127.0.0.1", localAddress: "127.0.0.2" });
  t.after(() => elsewhere.destroy());
  elsewhere.write(upgradeText());
  const [answer] = (await once(elsewhere, "data")) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 101 /);
  await unharmed(there);
});

test(`${NGINX}: a client for whom no node has a place is sent away, and has that of one who has gone`, async (t) => {
  const servers = await threeServers(t);
  const balancer = await startBalancer(t, NGINX, servers, { "max_conns=60000": "max_conns=1" });
  const [first, ...others] = await clients(t, balancer, 3);
  await (await oneMore(t, balancer)).end();
  await unharmed([first as WsClient, ...others]);
  first?.end();
  await clients(t, balancer, 1);
  await unharmed(others);
});

test(`${NGINX}: a client for whom a worker has no place is sent away, and nobody else`, async (t) => {
  const servers = await threeServers(t);
  const changes = {
    "worker_connections 65536": "worker_connections 20",
    "worker_processes auto": "worker_processes 1",
  };
  const balancer = await startBalancer(t, NGINX, servers, changes);
  const there = await clients(t, balancer, 3);
  const more = await Promise.all(Array.from({ length: 20 }, () => oneMore(t, balancer)));
  const open = more.map((socket) =>
    socket.response().then(
      () => true,
      () => false,
    ),
  );
  const taken = (await Promise.all(open)).filter(Boolean).length;
  assert.ok(taken < more.length, `${taken} were taken`);
  await unharmed(there);
  for (const socket of more) socket.destroy();
  await clients(t, balancer, 1);
});
