/** The hook `rooms`, on one node and on several. */
import assert from "node:assert/strict";
import test from "node:test";
import type { ServerOptions } from "../../server/server.js";
import { HttpApplication, type Posted } from "../support/application.js";
import { ChildServer } from "../support/child-server.js";
import { eventually } from "../support/eventually.js";
import { startRedis } from "../support/services/redis.js";
import { connect, startServer } from "../support/start-server.js";

const told = (posts: readonly Posted[]) => posts.map(({ body }) => [body["type"], body["room"]]);

test("the application is told that rooms are occupied and vacated, with their tenant, in kinds that it asks for", async (t) => {
  const application = await HttpApplication.start(t, () => 204);
  const asked = application.asked("rooms");
  const hooks = { rooms: { url: `${application.url}/rooms`, kinds: ["chat"] } };
  const server = await startServer(t, { ...asked, hooks, authenticate: () => ({ user: "ada", tenant: "acme" }) });
  const first = await connect(t, server);
  const second = await connect(t, server);
  for (const client of [first, second]) {
    for (const room of ["chat:1", "other:1"]) await client.ask("joined", { type: "join", room });
  }
  await eventually(() => application.posts.length === 1);
  first.end();
  await second.ask("left", { type: "leave", room: "chat:1" });
  await eventually(() => application.posts.length === 2);
  const [occupied, vacated] = application.posts.map(({ body }) => ({ ...body, id: "", at: 0 }));
  assert.deepEqual(occupied, { type: "occupied", id: "", at: 0, room: "chat:1", tenant: "acme" });
  assert.deepEqual(vacated, { type: "vacated", id: "", at: 0, room: "chat:1", tenant: "acme" });
  // Nobody is asked for leave by this hook alone: it only hears.
  assert.deepEqual(new Set(application.posts.map(({ path }) => path)), new Set(["/rooms"]));
});

test("a server that closes tells of its rooms before it ends", async (t) => {
  const application = await HttpApplication.start(t, () => ({}));
  const server = await startServer(t, application.asked("rooms"));
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "chat:1" });
  await eventually(() => application.posts.length === 1);
  await server.close();
  assert.deepEqual(told(application.posts), [
    ["occupied", "chat:1"],
    ["vacated", "chat:1"],
  ]);
});

test("on several nodes it is told what holds for all; a client that moves from node to node vacates nothing", async (t) => {
  const redis = await startRedis(t);
  const application = await HttpApplication.start(t, () => ({}));
  const options: ServerOptions = { ...application.asked("rooms"), redis: [redis.url], leaseMs: 1500 };
  const servers = await Promise.all(["a", "b", "c"].map((node) => startServer(t, { ...options, node })));
  const [a, b, c] = servers as [(typeof servers)[0], (typeof servers)[0], (typeof servers)[0]];
  await eventually(() => servers.every((server) => server.nodes().length === 3));
  const rooms = Array.from({ length: 12 }, (_, index) => `chat:${index}`);
  const clients = await Promise.all([a, b].map((server) => connect(t, server)));
  for (const room of rooms) for (const client of clients) await client.ask("joined", { type: "join", room });
  await eventually(() => application.posts.length === rooms.length);
  const moved = await connect(t, c);
  for (const room of rooms) await moved.ask("joined", { type: "join", room });
  for (const client of clients) client.end();
  await eventually(() => a.connections === 0 && b.connections === 0);
  // The node with the clients stays, and has all of the count in the end.
  await a.close();
  await b.close();
  assert.deepEqual(new Set(told(application.posts).map(([type]) => type)), new Set(["occupied"]));
  moved.end();
  await eventually(() => application.posts.length === 2 * rooms.length);
  await c.close();
  for (const room of rooms) {
    const types = told(application.posts).flatMap(([type, name]) => (name === room ? [type] : []));
    assert.deepEqual(types, ["occupied", "vacated"]);
  }
});

test("all rooms of a node that was killed are vacated where nobody else is, each told once", async (t) => {
  const redis = await startRedis(t);
  const application = await HttpApplication.start(t, () => ({}));
  const options = { ...application.asked("rooms"), redis: [redis.url], leaseMs: 1500 } satisfies ServerOptions;
  const survivors = await Promise.all(["a", "b"].map((node) => startServer(t, { ...options, node })));
  const killed = await ChildServer.start(t, { ...options, port: 0, node: "killed", logLevel: "silent" });
  await eventually(() => survivors.every((server) => server.nodes().length === 3));
  const client = await connect(t, killed);
  const stays = await connect(t, survivors[0] as (typeof survivors)[0]);
  const rooms = Array.from({ length: 40 }, (_, index) => `chat:${index}`);
  for (const room of rooms) await client.ask("joined", { type: "join", room });
  await stays.ask("joined", { type: "join", room: "chat:0" });
  const all = (type: string) => application.of(type).map(({ body }) => String(body["room"]));
  const of = (type: string) => all(type).filter((room) => rooms.includes(room));
  await eventually(() => rooms.every((room) => of("occupied").includes(room)));
  killed.child.kill("SIGKILL");
  await eventually(() => of("vacated").length === rooms.length - 1);
  stays.end();
  await eventually(() => of("vacated").length === rooms.length);
  assert.equal(of("vacated").at(-1), "chat:0");
  assert.equal(new Set(of("vacated")).size, rooms.length);
});
