/** What the application asks of all nodes, over real engines and with real clients. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Server, ServerOptions, SettingsInput } from "../../server/server.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import { connect, startServer } from "../support/start-server.js";
import type { WsClient } from "../support/ws-client.js";

const authenticate: ServerOptions["authenticate"] = ({ token = "" }) => {
  const [user, tenant] = token.split("@");
  return { user: user || undefined, tenant };
};
const COMMON: ServerOptions = {
  authenticate,
  secret: "a secret of the nodes of this test, long enough",
  kinds: { "*": { allow: { anonymous: ["join", "members"] } } },
};
const LONG = { timeoutMs: 30_000 };

const engines: readonly (readonly [name: string, start: (t: TestContext) => Promise<SettingsInput>, nodes: number])[] =
  [
    ["memory", async () => ({}), 1],
    ["Redis", async (t) => ({ redis: [(await startRedis(t)).url] }), 3],
    ["Redis of two shards", async (t) => ({ redis: [(await startRedis(t)).url, (await startRedis(t)).url] }), 2],
    ["NATS", async (t) => ({ nats: [(await startNats(t)).url] }), 2],
  ];

type Engine = (typeof engines)[number];

async function startNodes(t: TestContext, [, startEngine, count]: Engine): Promise<readonly Server[]> {
  const settings = await startEngine(t);
  const all = Array.from({ length: count }, (_, n) => startServer(t, { ...settings, ...COMMON, node: `n${n}` }));
  const servers = await Promise.all(all);
  await eventually(() => servers.every((server) => server.nodes().length === count));
  return servers;
}

const nth = (servers: readonly Server[], n: number): Server => servers[n % servers.length] as Server;

const come = (t: TestContext, server: Server, token: string) =>
  connect(t, server, token === "" ? {} : { hello: { token } });

async function member(t: TestContext, server: Server, token: string, ...rooms: string[]): Promise<WsClient> {
  const client = await come(t, server, token);
  for (const room of rooms) await client.ask("joined", { type: "join", room });
  return client;
}

/** What has come and was not asked for; heartbeats come when they come. */
const unread = (client: WsClient) => client.frames.filter(({ type }) => type !== "heartbeat");

for (const engine of engines) {
  const [name] = engine;

  test(`${name}: the rooms of all nodes are listed with their clients, page by page`, async (t) => {
    const servers = await startNodes(t, engine);
    const nodes = servers.length;
    await member(t, nth(servers, 0), "ann", "chat:1", "chat:2", "order:1");
    await member(t, nth(servers, 1), "bob", "chat:2", "chat:3");
    await member(t, nth(servers, 2), "ann", "chat:2", "a");
    const rooms = { a: 1, "chat:1": 1, "chat:2": 3, "chat:3": 1, "order:1": 1 };
    const all = Object.entries(rooms).map(([room, clients]) => ({ room, clients }));
    for (const server of servers) assert.deepEqual(await server.rooms(), { rooms: all, nodes, missing: [] });
    const first = await nth(servers, 1).rooms({ limit: 2 });
    assert.deepEqual([first.rooms, first.next], [all.slice(0, 2), "chat:1"]);
    const second = await nth(servers, 1).rooms({ limit: 2, after: first.next });
    assert.deepEqual([second.rooms, second.next], [all.slice(2, 4), "chat:3"]);
    const last = await nth(servers, 1).rooms({ limit: 2, after: second.next });
    assert.deepEqual([last.rooms, last.next], [all.slice(4), undefined]);
    const chats = await nth(servers, 1).rooms({ prefix: "chat:", after: "chat:1" });
    assert.deepEqual(chats.rooms, all.slice(2, 4));
    assert.deepEqual((await nth(servers, 1).rooms({ tenant: "acme" })).rooms, []);
  });

  test(`${name}: a room that was left is listed no more, while it lingers`, async (t) => {
    const servers = await startNodes(t, engine);
    const client = await member(t, nth(servers, 1), "ann", "chat:1", "chat:2");
    await client.ask("left", { type: "leave", room: "chat:1" });
    assert.deepEqual((await nth(servers, 0).rooms()).rooms, [{ room: "chat:2", clients: 1 }]);
  });

  test(`${name}: the members of a room are users with their sessions on all nodes, and how many are nobody`, async (t) => {
    const servers = await startNodes(t, engine);
    const enter = async (n: number, token: string, room: string, presence = true) => {
      const client = await come(t, nth(servers, n), token);
      await client.ask("joined", { type: "join", room, presence });
    };
    await enter(0, "ann", "chat:1");
    await enter(1, "ann", "chat:1");
    await enter(1, "bob", "chat:1");
    await enter(0, "", "chat:1");
    await enter(1, "", "chat:1");
    await enter(1, "carl", "chat:2");
    await enter(0, "ann@acme", "chat:1");
    await enter(0, "dora", "chat:1", false);
    const members = [
      { user: "ann", sessions: 2 },
      { user: "bob", sessions: 1 },
    ];
    const whole = { members, count: 4, anonymous: 2 };
    for (const server of servers) {
      await eventually(async () => (await server.members("chat:1")).count === 4);
      assert.deepEqual(await server.members("chat:1"), whole);
    }
    const page = await nth(servers, 0).members("chat:1", { limit: 1 });
    assert.deepEqual(page, { ...whole, members: members.slice(0, 1), next: "ann" });
    const next = await nth(servers, 0).members("chat:1", { limit: 1, after: "ann" });
    assert.deepEqual(next, { ...whole, members: members.slice(1) });
    const ofTenant = await nth(servers, 0).members("chat:1", { tenant: "acme" });
    assert.deepEqual(ofTenant, { members: [{ user: "ann", sessions: 1 }], count: 1, anonymous: 0 });
    assert.deepEqual(await nth(servers, 1).members("nowhere"), { members: [], count: 0, anonymous: 0 });
  });

  test(`${name}: a user's sessions on all nodes are asked, and answer; those of another tenant's are not`, async (t) => {
    const servers = await startNodes(t, engine);
    const clients = await Promise.all(servers.map((server) => member(t, server, "ann@acme")));
    const others = [await member(t, nth(servers, 1), "ann"), await member(t, nth(servers, 0), "ann@other")];
    const data = { deep: JSON.parse(`${"[".repeat(60)}${"]".repeat(60)}`), text: '"\\ü' };
    const asked = nth(servers, 1).call("ann", "where/are-you", data, { tenant: "acme", ...LONG });
    for (const [index, client] of clients.entries()) {
      const call = await client.next("call");
      assert.deepEqual([call.method, call.data], ["where/are-you", data]);
      client.send({ type: "answer", id: call.id, data: [index, data] });
    }
    const { answers, ...counts } = await asked;
    assert.deepEqual(counts, { sessions: servers.length, nodes: servers.length, missing: [] });
    const told = answers.map((answer) =>
      "data" in answer ? (answer.data as [number, unknown]) : assert.fail("error"),
    );
    assert.deepEqual(
      told.sort(([a], [b]) => a - b),
      clients.map((_, index) => [index, data]),
    );
    for (const client of others) {
      await client.ping();
      assert.deepEqual(unread(client), []);
    }
  });

  test(`${name}: answers of the largest size reach the application as far as nodes can tell them`, async (t) => {
    const servers = await startNodes(t, engine);
    const clients = await Promise.all([0, 0, 0, 1].map((n) => member(t, nth(servers, n), "ann")));
    const asked = nth(servers, 1).call("ann", "m", "x".repeat(16_000), LONG);
    for (const client of clients) {
      client.send({ type: "answer", id: (await client.next("call")).id, data: "y".repeat(16_000) });
    }
    const { answers, sessions } = await asked;
    assert.deepEqual([answers.length, sessions], [4, 4]);
    const codes = answers.map((answer) => ("error" in answer ? answer.error.code : (answer.data as string).length));
    // One of them fits with what is left for the others, on each node.
    const fit = codes.filter((code) => code === 16_000).length;
    assert.equal(fit, servers.length === 1 ? 1 : 2);
    assert.equal(codes.filter((code) => code === "too_large").length, 4 - fit);
  });

  test(`${name}: the application reads a room's history, forwards and back`, async (t) => {
    const servers = await startNodes(t, engine);
    const server = nth(servers, 0);
    const position = await server.publish("chat:1", "n", { n: 1 }, { from: "ann", key: "k" });
    assert.ok(position);
    for (let n = 2; n <= 5; n++) await server.publish("chat:1", "n", { n, bytes: new Uint8Array([n]) });
    const all = await nth(servers, 1).history("chat:1");
    const [first] = all.events ?? [];
    assert.deepEqual(first, {
      ...{ offset: position.offset, event: "n", data: { n: 1 }, from: "ann", at: first?.at, key: "k" },
    });
    assert.deepEqual(
      all.events?.map(({ data }) => data),
      [{ n: 1 }, ...[2, 3, 4, 5].map((n) => ({ n, bytes: Buffer.from([n]).toString("base64") }))],
    );
    const on = await nth(servers, 1).history("chat:1", { since: position, limit: 2 });
    assert.deepEqual([on.events?.length, on.more, on.position], [2, true, all.position]);
    const back = await nth(servers, 1).history("chat:1", { before: on.position, limit: 10 });
    assert.deepEqual([back.events?.length, back.more], [4, false]);
    const lost = await server.history("chat:1", { since: { epoch: "another", offset: 1 } });
    assert.deepEqual([lost.events, lost.more], [undefined, false]);
    assert.deepEqual((await server.history("chat:1", { tenant: "acme" })).events, []);
  });

  test(`${name}: what was remembered is forgotten on every node`, async (t) => {
    const servers = await startNodes(t, engine);
    assert.deepEqual(await nth(servers, 0).forget({ user: "ann" }), { nodes: servers.length, missing: [] });
    assert.deepEqual(await nth(servers, 1).forget(), { nodes: servers.length, missing: [] });
  });
}

test("a session that ends while it is asked is told by its node, and one that moved is asked where it is now", async (t) => {
  const servers = await startNodes(t, engines[1] as Engine);
  const [a, b, c] = servers as [Server, Server, Server];
  const leaving = await member(t, a, "ann");
  const { session } = leaving.welcome;
  const ending = await member(t, b, "ann");
  const draining = a.drain();
  await leaving.next("move");
  const moved = await connect(t, c, { hello: { token: "ann", session } });
  const asked = c.call("ann", "m", 1, LONG);
  moved.send({ type: "answer", id: (await moved.next("call")).id, data: "here" });
  await ending.next("call");
  ending.end();
  const { answers, sessions } = await asked;
  assert.equal(sessions, 2);
  assert.deepEqual(answers.map((answer) => ("data" in answer ? answer.data : answer.error.code)).sort(), [
    "here",
    "unavailable",
  ]);
  assert.ok(!leaving.frames.some(({ type }) => type === "call"));
  leaving.end();
  await draining;
});

test("what cannot be asked for is refused by its name", async (t) => {
  const server = await startServer(t);
  const refused: [Promise<unknown>, RegExp][] = [
    [server.rooms({ limit: 0 }), /^ProtocolError: limit: expected a whole number from 1 to 1000, got 0$/],
    [server.rooms({ limit: 1001 }), /^ProtocolError: limit: /],
    [server.rooms({ prefix: "$" }), /^ProtocolError: prefix: /],
    [server.rooms({ after: "x".repeat(257) }), /^ProtocolError: after: /],
    [server.rooms({ tenant: "|" }), /^ProtocolError: tenant: /],
    [server.members("$nodes"), /^ProtocolError: room: /],
    [server.members("a", { limit: 1.5 }), /^ProtocolError: limit: /],
    [server.members("a", { after: "\ud800" }), /^ProtocolError: after: /],
    [server.history(""), /^ProtocolError: room: /],
    [server.history("a", { limit: 1001 }), /^ProtocolError: limit: /],
    [server.history("a", { since: 7 as never }), /^ProtocolError: since: expected a position: {epoch, offset}, got 7$/],
    [server.history("a", { since: { epoch: "e", offset: -1 } }), /^ProtocolError: since.offset: /],
    [server.history("a", { before: { offset: 1 } as never }), /^ProtocolError: before.epoch: /],
    [
      server.history("a", { since: { epoch: "e", offset: 1 }, before: { epoch: "e", offset: 2 } }),
      /^ProtocolError: before: expected either since or before, got both$/,
    ],
    [server.forget({ user: "" }), /^ProtocolError: user: /],
    [server.forget({ room: "$x" }), /^ProtocolError: room: /],
    [server.forget({ tenant: " " }), /^ProtocolError: tenant: /],
  ];
  for (const [asked, words] of refused) await assert.rejects(asked, words);
});

test("a room without history has an empty one, without a position", async (t) => {
  const server = await startServer(t, { kinds: { live: { history: { size: 0 } } } });
  await server.publish("live:1", "n", 1);
  assert.deepEqual(await server.history("live:1"), { events: [], more: false });
});

test("a history that is larger than a page is cut there and says so", async (t) => {
  const server = await startServer(t, { kinds: { "*": { history: { size: 100 } } } });
  for (let n = 0; n < 20; n++) await server.publish("a", "n", "x".repeat(30_000));
  const page = await server.history("a", {
    since: { epoch: (await server.history("a")).position?.epoch ?? "", offset: 0 },
  });
  assert.equal(page.more, true);
  assert.deepEqual(
    page.events?.map(({ offset }) => offset),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
});
