/** SIGTERM to one of two nodes, as a deploy sends it: real processes on one Redis. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { type Client, connect as connectClient } from "../../client/index.js";
import { Command } from "../support/command.js";
import { eventually } from "../support/eventually.js";
import { frameBytes, RawSocket } from "../support/raw-socket.js";
import { type Redis, startRedis } from "../support/services/redis.js";
import { type ConnectOptions, clientCodecs, WsClient } from "../support/ws-client.js";

const ROOM = "chat:1";
const byItself = { code: 0, signal: null };

type Node = { readonly command: Command; readonly url: string; readonly port: number };

async function startNode(t: TestContext, redis: Redis, settings: { readonly [flag: string]: number } = {}) {
  const quick = { "notice-ms": 0, "drain-ms": 300, "deadline-ms": 4000, port: 0, ...settings };
  const flags = Object.entries(quick).map(([name, value]) => `--${name}=${value}`);
  const command = new Command(t, ["serve", `--redis=${redis.url}`, ...flags]);
  const { url, port } = await command.line(/^listening on /);
  return { command, url: String(url), port: Number(port) };
}

/** Two nodes that know of each other; the second is there for whoever has to leave the first. */
async function twoNodes(t: TestContext, settings: { readonly [flag: string]: number } = {}): Promise<[Node, Node]> {
  const redis = await startRedis(t);
  const nodes = await Promise.all([startNode(t, redis, settings), startNode(t, redis, settings)]);
  const listed = () => nodesSeenBy(t, redis);
  await eventually(async () => (await listed()) === 2, "the nodes never saw each other");
  return nodes as [Node, Node];
}

async function nodesSeenBy(t: TestContext, redis: Redis): Promise<number> {
  const command = new Command(t, ["nodes", "--json", `--redis=${redis.url}`]);
  await command.exited;
  return (JSON.parse(command.stdout) as { readonly nodes: readonly unknown[] }).nodes.length;
}

async function open(t: TestContext, node: Node, options: ConnectOptions = {}): Promise<WsClient> {
  const client = await WsClient.connect(node.url, options);
  t.after(() => client.end());
  return client;
}

const textFrame = (frame: object): Buffer => frameBytes({ payload: JSON.stringify(frame) });
const status = async ({ url }: Node, path: string) =>
  (await fetch(url + path, { headers: { connection: "close" } })).status;

/** SDK clients whose every connection goes to `way.to`. */
function sdkClients(t: TestContext, way: { to: Node }, count: number): Client[] {
  const Routed = class extends WebSocket {
    constructor(_: string, protocols: string[]) {
      super(`${way.to.url.replace("http", "ws")}/v1/socket`, protocols);
    }
  };
  return Array.from({ length: count }, () => {
    const client = connectClient("http://nodes", { WebSocket: Routed });
    t.after(() => client.close());
    return client;
  });
}

test("SDK clients move: they notice nothing, miss nothing, and the node ends by itself with code 0", async (t) => {
  const [first, second] = await twoNodes(t);
  const way = { to: first };
  const clients = sdkClients(t, way, 20);
  const heard: number[][] = [];
  const states: string[] = [];
  for (const [index, client] of clients.entries()) {
    const room = client.room<{ n: number }>(ROOM);
    const seen: number[] = [];
    heard[index] = seen;
    room.on("n", ({ data }) => seen.push(data));
    room.onReset(({ reason }) => states.push(`reset: ${reason}`));
    await room.joined;
    client.on("state", ({ status: word }) => states.push(word));
    room.onState(({ status: word }) => states.push(`room: ${word}`));
  }
  // The first of them publishes all the time, one after the other answered.
  const published: number[] = [];
  let isEnding = false;
  const publishing = (async () => {
    for (let n = 1; !isEnding; n++) {
      await clients[0]?.room(ROOM).publish("n", n);
      published.push(n);
    }
  })();
  await eventually(() => published.length > 50);
  way.to = second;
  first.command.child.kill("SIGTERM");
  assert.deepEqual(await first.command.exited, byItself);
  const sofar = published.length;
  await eventually(() => published.length > sofar + 50);
  isEnding = true;
  await publishing;
  await eventually(() => heard.every((seen) => seen.length >= published.length), "not everyone has everything");
  for (const seen of heard) assert.deepEqual(seen, published);
  assert.deepEqual(states, []);
  const line = await first.command.line(/^drained$/);
  assert.deepEqual([line["clients"], line["moved"], line["closed"]], [20, 20, 0]);
});

for (const codec of clientCodecs) {
  test(`over ${codec.name}: who does not know how to move is served until it is closed, late, and told when to come back`, async (t) => {
    const [first, second] = await twoNodes(t, { "deadline-ms": 1500 });
    const [bare, other] = await Promise.all([open(t, first, { codec }), open(t, second)]);
    await bare.ask("joined", { type: "join", room: ROOM });
    first.command.child.kill("SIGTERM");
    const move = await bare.next("move");
    assert.equal(move.reason, "draining");
    assert.ok(move.afterMs <= 300 && move.deadlineMs <= 1500, JSON.stringify(move));
    // Told to go, it publishes and hears as before.
    await bare.ask("published", { type: "publish", room: ROOM, event: "n", data: 1 });
    assert.equal((await bare.next("events")).events[0]?.data, 1);
    await other.ask("published", { type: "publish", room: ROOM, event: "n", data: 2 });
    assert.equal((await bare.next("events")).events[0]?.data, 2);
    const { code, reason } = await bare.close();
    assert.equal(code, 4100);
    assert.match(reason, /^\{"retryMs":\d+\}$/);
    assert.deepEqual(await first.command.exited, byItself);
    const line = await first.command.line(/^drained$/);
    assert.deepEqual([line["moved"], line["closed"]], [0, 1]);
  });
}

test("during the notice a node is not ready and takes clients all the same, and after it takes none", async (t) => {
  const [first] = await twoNodes(t, { "notice-ms": 1500 });
  const early = await open(t, first);
  first.command.child.kill("SIGTERM");
  await eventually(async () => (await status(first, "/ready")) === 503);
  assert.equal(await status(first, "/live"), 200);
  const late = await open(t, first);
  const joined = await late.ask("joined", { type: "join", room: ROOM });
  assert.equal(joined.room, ROOM);
  assert.deepEqual(early.frames, []);
  await Promise.all([early.next("move"), late.next("move")]);
  await assert.rejects(once(connectTcp(first.port, "127.0.0.1"), "connect"), { code: "ECONNREFUSED" });
  early.end();
  late.end();
  assert.deepEqual(await first.command.exited, byItself);
});

test("idle, busy, half-open and silent connections: each ends, and the node by itself", async (t) => {
  const [first] = await twoNodes(t, { "deadline-ms": 2500 });
  const idle = await open(t, first);
  const busy = await open(t, first);
  await busy.ask("joined", { type: "join", room: ROOM });
  // It has asked for much, and reads none of it.
  const slow = await RawSocket.open(first.port);
  t.after(() => slow.destroy());
  slow.write(textFrame({ type: "hello", id: 1 }));
  await slow.json("welcome");
  for (let id = 2; id < 30; id++) slow.write(textFrame({ type: "history", id, room: ROOM }));
  const halfOpen = await RawSocket.open(first.port);
  t.after(() => halfOpen.destroy());
  const silent = await open(t, first, { hello: false });
  const greeting = await open(t, first, { hello: false });
  const publishing = setInterval(
    () => busy.send({ type: "publish", room: ROOM, event: "n", data: "x".repeat(1000) }),
    5,
  );
  t.after(() => clearInterval(publishing));
  first.command.child.kill("SIGTERM");
  await Promise.all([idle.next("move"), busy.next("move")]);
  // Who says hello only now is welcomed, and told to move as well.
  await greeting.hello();
  await greeting.next("move");
  idle.end();
  const codes = await Promise.all([busy, silent, greeting].map((client) => client.close()));
  assert.deepEqual(
    codes.map(({ code }) => code),
    [4100, 4100, 4100],
  );
  assert.deepEqual(await first.command.exited, byItself);
  const line = await first.command.line(/^drained$/);
  assert.deepEqual([line["moved"], line["closed"]], [1, 5]);
});

test("a session that was told to move may be resumed on the same node, and the old connection stays until it is let go", async (t) => {
  const [first] = await twoNodes(t);
  const old = await open(t, first);
  const second = await open(t, first, { hello: false });
  await old.ask("joined", { type: "join", room: ROOM });
  first.command.child.kill("SIGTERM");
  await old.next("move");
  const { resumed } = await second.hello({ session: old.welcome.session });
  assert.equal(resumed, true);
  await second.ask("joined", { type: "join", room: ROOM });
  await second.ask("published", { type: "publish", room: ROOM, event: "n", data: 1 });
  assert.equal((await old.next("events")).events[0]?.data, 1);
  await old.ping();
  old.end();
  await second.next("move");
  await second.ping();
  second.end();
  assert.deepEqual(await first.command.exited, byItself);
});

test("a second signal in the middle of a drain ends the node at once", async (t) => {
  const [first] = await twoNodes(t, { "drain-ms": 60_000, "deadline-ms": 3_600_000 });
  const client = await open(t, first);
  first.command.child.kill("SIGTERM");
  await client.next("move");
  const again = setInterval(() => first.command.child.kill("SIGTERM"), 50);
  t.after(() => clearInterval(again));
  assert.deepEqual(await first.command.exited, { code: 1, signal: null });
});

test("where all nodes end there is none to move to: clients are closed at once and told to come back", async (t) => {
  const nodes = await twoNodes(t, { "drain-ms": 60_000, "deadline-ms": 3_600_000 });
  const [first, second] = nodes;
  const client = await open(t, first);
  second.command.child.kill("SIGTERM");
  assert.deepEqual(await second.command.exited, byItself);
  first.command.child.kill("SIGTERM");
  assert.equal((await client.close()).code, 4100);
  assert.deepEqual(client.frames, []);
  assert.deepEqual(await first.command.exited, byItself);
});

test("where all nodes are told to end at the same moment, none waits for the others to take its clients", async (t) => {
  const nodes = await twoNodes(t, { "notice-ms": 500, "drain-ms": 60_000, "deadline-ms": 3_600_000 });
  const clients = await Promise.all(nodes.map((node) => open(t, node)));
  for (const { command } of nodes) command.child.kill("SIGTERM");
  for (const client of clients) assert.equal((await client.close()).code, 4100);
  for (const { command } of nodes) assert.deepEqual(await command.exited, byItself);
});
