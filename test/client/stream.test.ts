/** The client on streams of server-sent events, against a server that does what the test says. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { type Client, type ConnectOptions, connect } from "../../client/index.js";
// Loaded before, so that rooms with presence are joined together with the others.
import "../../client/presence.js";
import { streams } from "../../client/stream-transport.js";
import { eventually } from "../support/eventually.js";
import { StreamServer } from "./stream-server.js";

type Rig = {
  readonly client: Client;
  readonly server: StreamServer;
  readonly states: string[];
  readonly errors: Error[];
  /** How often streams were given up. */
  readonly stops: () => number;
};

/** A client that has nothing but streams. */
async function onStreams(t: TestContext, options: ConnectOptions = {}): Promise<Rig> {
  const server = await StreamServer.start(t);
  let stops = 0;
  const transport = streams(WebSocket, () => stops++);
  const client = connect(server.url, { transport, random: () => 0, minDelayMs: 5, ...options });
  const states: string[] = [];
  const errors: Error[] = [];
  client.on("state", ({ status }) => states.push(status));
  client.on("error", (error) => errors.push(error));
  t.after(() => client.close());
  return { client, server, states, errors, stops: () => stops };
}

function hear(client: Client, name: string): { readonly data: unknown[]; readonly told: string[] } {
  const data: unknown[] = [];
  const told: string[] = [];
  const room = client.room(name);
  room.onAny((event) => data.push(event.data));
  room.onState(({ status }) => told.push(status));
  room.onReset(({ reason }) => told.push(`reset ${reason}`));
  return { data, told };
}

/** A client with the room `r` joined at 3. */
async function joined(t: TestContext, options: ConnectOptions = {}) {
  const made = await onStreams(t, options);
  const r = hear(made.client, "r");
  const stream = await made.server.next();
  stream.welcome();
  stream.joined("r", 3, { recovered: false });
  await eventually(() => made.client.room("r").state.status === "joined");
  return { ...made, r, stream };
}

test("where no WebSocket opens twice while the server answers, the client goes on with streams", async (t) => {
  const server = await StreamServer.start(t);
  const client = connect(server.url, { WebSocket, minDelayMs: 5, token: "abc" });
  t.after(() => client.close());
  const r = hear(client, "r");
  const stream = await server.next();
  assert.deepEqual(stream.rooms, ["r"]);
  assert.equal(stream.headers.authorization, "Bearer abc");
  assert.ok(server.looks >= 2 && server.upgrades >= 2, `${server.looks} looks, ${server.upgrades} upgrades`);
  const { upgrades } = server;
  stream.welcome({ user: "ann" });
  stream.joined("r", 3);
  stream.event("r", 4);
  await eventually(() => r.data.length === 1);
  assert.equal(client.state.status === "connected" && client.state.user, "ann");
  stream.cut();
  // It comes back with a stream, and the session that it had.
  const second = await server.next();
  assert.equal(second.headers["roomcast-session"], "s_1");
  assert.equal(second.headers["last-event-id"], "r=e:4");
  assert.equal(server.upgrades, upgrades);
});

test("nothing but the server's own word that it is there has the client leave WebSockets", async (t) => {
  for (const lookStatus of [200, 404, 502]) {
    const server = await StreamServer.start(t);
    server.lookStatus = lookStatus;
    const client = connect(server.url, { WebSocket, minDelayMs: 1 });
    t.after(() => client.close());
    await eventually(() => server.upgrades >= 5);
    assert.equal(server.streams.length, 0, `${lookStatus}`);
    client.close();
  }
});

test("with fallback: false nobody looks, and no stream is opened", async (t) => {
  const server = await StreamServer.start(t);
  const client = connect(server.url, { WebSocket, minDelayMs: 1, fallback: false });
  t.after(() => client.close());
  await eventually(() => server.upgrades >= 5);
  assert.deepEqual([server.looks, server.streams.length], [0, 0]);
});

test("rooms that are wanted together are asked for together; a later one has a new stream, and nothing is lost or repeated", async (t) => {
  const { client, server } = await onStreams(t);
  const a = hear(client, "a");
  const b = hear(client, "b");
  const first = await server.next();
  assert.deepEqual(first.rooms, ["a", "b"]);
  first.welcome();
  first.joined("a", 10, { recovered: false });
  first.joined("b", undefined, { recovered: false });
  first.event("a", 11);
  first.event("b", undefined, "x");
  await eventually(() => a.data.length + b.data.length === 2);
  const c = hear(client, "c");
  const second = await server.next();
  assert.deepEqual(second.rooms, ["a", "b", "c"]);
  assert.equal(second.headers["last-event-id"], "a=e:11");
  // The first is still read: what it brings is new, and what the second brings again is not.
  first.event("a", 12);
  first.event("b", undefined, "y");
  await eventually(() => a.data.length === 2 && b.data.length === 2);
  second.welcome();
  second.event("a", 12);
  second.event("a", 13);
  second.joined("a", 13);
  second.joined("b", undefined, { recovered: false });
  second.event("b", undefined, "y");
  second.event("b", undefined, "z");
  first.event("a", 14);
  second.event("a", 14);
  second.joined("c", 1, { recovered: false });
  second.event("c", 2);
  await eventually(() => c.data.length === 1 && first.isClosed);
  assert.deepEqual([a.data, b.data, c.data], [[11, 12, 13, 14], ["x", "y", "z"], [2]]);
  for (const { told } of [a, b]) assert.deepEqual(told, ["joined"]);
});

test("a room that is refused does not cost the others anything", async (t) => {
  const { client, server, states } = await onStreams(t);
  const good = hear(client, "good");
  const bad = client.room("bad").join();
  const stream = await server.next();
  stream.welcome();
  stream.frame("error", { room: "bad", code: "forbidden", message: "no" });
  stream.joined("good", 1, { recovered: false });
  await assert.rejects(bad, { code: "forbidden", message: "no" });
  stream.event("good", 2);
  await eventually(() => good.data.length === 1);
  assert.deepEqual(states, ["connected"]);
});

test("what was lost between two streams is told as a reset, and the latest event comes behind it", async (t) => {
  const { client, server, r } = await joined(t);
  client.room("s").onAny(() => {});
  const second = await server.next();
  second.welcome();
  second.event("r", 9, "latest");
  second.joined("r", 9, { recovered: false, epoch: "f" });
  second.joined("s", 0, { recovered: false });
  second.event("r", 10);
  await eventually(() => r.data.length === 2);
  assert.deepEqual(r.data, ["latest", 10]);
  assert.deepEqual(r.told, ["joined", "reset history_lost"]);
  assert.deepEqual(client.room("r").position, { epoch: "f", offset: 10 });
});

test("a join that resumes nothing has the latest event where the server gives it", async (t) => {
  const { client, server } = await onStreams(t);
  const r = hear(client, "r");
  const stream = await server.next();
  stream.welcome();
  stream.event("r", 7, "latest");
  stream.joined("r", 7, { recovered: false });
  await eventually(() => r.data.length === 1);
  assert.deepEqual(client.room("r").position, { epoch: "e", offset: 7 });
});

test("a publish goes out again with its key until it is answered, and those of a room keep their order", async (t) => {
  const { client, server } = await joined(t, { inFlight: 3 });
  let offset = 3;
  server.answer = () => {
    if (server.asked.length === 1) return { status: 503, body: { code: "unavailable", detail: "later", retryMs: 1 } };
    if (server.asked.length === 2) return { status: 502, body: "no JSON of ours" };
    return { body: { position: { epoch: "e", offset: ++offset } } };
  };
  const room = client.room("chat:1/a");
  const published = await Promise.all([room.publish("message", 1), room.publish("message", 2, { key: "k" })]);
  const bodies = server.asked.map(({ body }) => body as { key: string; data: number });
  const keys = new Map(bodies.map(({ key, data }) => [key, data]));
  assert.equal(keys.size, 2);
  assert.equal(keys.get("k"), 2);
  assert.deepEqual(new Set(published.map((position) => position?.offset)).size, 2);
  assert.deepEqual(new Set(server.asked.map(({ path }) => path)), new Set(["/v1/rooms/chat%3A1%2Fa/events"]));
});

test("what is sent without a wish for an answer is the latest alone while one is on its way", async (t) => {
  const { client, server } = await joined(t);
  const held: (() => void)[] = [];
  server.answer = () => new Promise((resolve) => held.push(() => resolve({})));
  const room = client.room("r");
  room.send("at", 1);
  await eventually(() => held.length === 1);
  for (const n of [2, 3, 4]) room.send("at", n);
  room.send("other", 5);
  held.shift()?.();
  await eventually(() => held.length === 1);
  held.shift()?.();
  await eventually(() => held.length === 1);
  held.shift()?.();
  assert.deepEqual(
    server.asked.map(({ body }) => (body as { data: number }).data),
    [1, 4, 5],
  );
});

test("history, call and ping are requests; what is wrong with them is an error with its code", async (t) => {
  const { client, server } = await joined(t, { token: () => "abc" });
  server.answer = ({ path, headers, method, body }) => {
    assert.equal(headers.authorization, "Bearer abc");
    assert.equal(headers["roomcast-session"], "s_1");
    if (path.endsWith("/v1/call")) return { body: { data: { method, body } } };
    if (path.includes("limit=2")) return { body: { events: [], more: false, position: { epoch: "e", offset: 9 } } };
    return { status: 403, body: { code: "forbidden", detail: "not you" } };
  };
  const called = await client.call("m", [1]);
  assert.deepEqual(called, { method: "POST", body: { method: "m", data: [1] } });
  const page = await client.room("r").history({ limit: 2, since: { epoch: "e", offset: 1 } });
  assert.deepEqual(page.position, { epoch: "e", offset: 9 });
  assert.equal(server.asked.at(-1)?.path, "/v1/rooms/r/history?limit=2&since=e%3A1");
  await assert.rejects(client.room("r").history(), { code: "forbidden", message: "not you" });
  assert.ok((await client.ping()) >= 0);
  assert.equal(server.looks, 1);
});

test("a token that ends soon is renewed by a stream with the new one, and nothing is told of it", async (t) => {
  let tokens = 0;
  const { server, states, r, stream } = await joined(t, { token: () => `t${++tokens}` });
  stream.frame("renew", { expiresInMs: 60_000 });
  const second = await server.next();
  assert.equal(second.headers.authorization, "Bearer t2");
  second.welcome({ session: "s_2" });
  second.joined("r", 3);
  second.event("r", 4);
  await eventually(() => r.data.length === 1 && stream.isClosed);
  assert.deepEqual([states, r.told], [["connected"], ["joined"]]);
  second.cut();
  assert.equal((await server.next()).headers["roomcast-session"], "s_2");
});

test("the server's close is the client's: for good, or for as long as it says", async (t) => {
  const { client, server, stream } = await joined(t);
  stream.frame("close", { code: 4101, reason: "full", retryMs: 30 });
  stream.end();
  await eventually(() => client.state.status === "waiting");
  const { state } = client;
  assert.equal(state.status === "waiting" && state.code, 4101);
  assert.ok(state.status === "waiting" && state.delayMs >= 30);
  const second = await server.next();
  second.refuse(401, { code: "unauthorized", detail: "who are you?" });
  await eventually(() => client.state.status === "closed");
  assert.equal(client.state.status === "closed" && client.state.code, 4200);
});

test("a stream that a proxy ends is opened anew, and nobody is told; where that goes on the client says so", async (t) => {
  const { server, states, r, stream } = await joined(t);
  stream.end();
  const second = await server.next();
  assert.equal(second.headers["last-event-id"], "r=e:3");
  second.welcome();
  second.event("r", 4);
  second.joined("r", 4);
  await eventually(() => r.data.length === 1);
  assert.deepEqual(states, ["connected"]);
  second.end();
  await eventually(() => states.includes("waiting"));
});

test("a stream that says nothing any more is replaced, also while requests are answered", async (t) => {
  const { client, server } = await onStreams(t);
  const r = hear(client, "r");
  server.answer = () => ({ body: { data: 1 } });
  const stream = await server.next();
  stream.welcome({ heartbeatMs: 100 });
  stream.joined("r", 3, { recovered: false });
  const asking = setInterval(() => void client.call("m").catch(() => {}), 20);
  t.after(() => clearInterval(asking));
  const second = await server.next();
  second.welcome({ heartbeatMs: 100 });
  second.event("r", 4);
  second.joined("r", 4);
  await eventually(() => r.data.length === 1 && stream.isClosed);
});

test("streams that do not come about have the client try WebSockets again", async (t) => {
  const server = await StreamServer.start(t);
  const client = connect(server.url, { WebSocket, minDelayMs: 1 });
  t.after(() => client.close());
  const stream = await server.next();
  const { upgrades } = server;
  stream.refuse(404, { title: "an older server" });
  await eventually(() => server.upgrades > upgrades);
});

test("once WebSockets open again the client moves to one, and nothing is told", async (t) => {
  const server = await StreamServer.start(t);
  let stops = 0;
  const opened: string[] = [];
  class Socket {
    binaryType = "";
    onopen: (() => void) | null = null;
    onclose: (() => void) | null = null;
    onmessage = null;
    onerror = null;
    constructor(url: string) {
      opened.push(url);
      // The first is blocked, and of the third nothing is heard.
      const { length } = opened;
      if (length < 3) setImmediate(() => (length === 1 ? this.onclose?.() : this.onopen?.()));
    }
    send(): void {}
    close(): void {}
  }
  const client = connect(server.url, { transport: streams(Socket, () => stops++, 5), random: () => 0 });
  t.after(() => client.close());
  const states: string[] = [];
  client.on("state", ({ status }) => states.push(status));
  const stream = await server.next();
  stream.welcome();
  // The transport of this test has nothing but streams: the move is to another of them.
  const second = await server.next();
  assert.equal(second.headers["roomcast-session"], "s_1");
  second.welcome();
  await eventually(() => stream.isClosed);
  assert.equal(stops, 1);
  assert.deepEqual(states, ["connected"]);
});

test("who is there is told over streams, for the rooms that ask for it; a new stream makes no news of who stays", async (t) => {
  const { client, server } = await onStreams(t);
  const room = client.room("r", { presence: true });
  const told: string[] = [];
  room.onEnter(({ user }) => told.push(`+${user}`));
  room.onLeave(({ user }) => told.push(`-${user}`));
  const namesOf = () => [...room.members].map(({ user }) => user).join(" ");
  hear(client, "plain");
  const first = await server.next();
  assert.deepEqual([first.rooms, first.presence], [["plain", "r"], ["r"]]);
  first.welcome();
  first.joined("plain", 1);
  first.joined("r", 1, { members: [{ user: "ann" }, { user: "bob" }] });
  first.frame("presence", { room: "r", entered: [{ user: "carl" }], left: [], count: 4 });
  await eventually(() => namesOf() === "ann bob carl");
  assert.equal(room.members.count, 4);
  hear(client, "later");
  const second = await server.next();
  assert.deepEqual(second.presence, ["r"]);
  second.welcome();
  second.joined("plain", 1);
  second.joined("r", 1, { members: [{ user: "dora" }, { user: "carl" }, { user: "ann" }] });
  // What the stream before says now is for nobody.
  first.frame("presence", { room: "r", entered: [], left: [{ user: "ann" }], count: 1 });
  second.joined("later", 1);
  second.frame("presence", { room: "r", entered: [], left: [], count: 9 });
  await eventually(() => room.members.count === 9);
  assert.deepEqual(told, ["+carl", "-bob", "+dora"]);
  // Nobody is listed any more, and nobody has left.
  second.frame("presence", { room: "r", entered: [], left: [], count: 900, countOnly: true });
  await eventually(() => room.members.count === 900);
  assert.deepEqual([namesOf(), told.length], ["", 3]);
});

test("a page of members is asked for by a request", async (t) => {
  const { client, server } = await joined(t);
  server.answer = () => ({ body: { members: [{ user: "b" }], count: 7, anonymous: 2, next: "b" } });
  const { members, count, anonymous, next } = await client.room("r").members.page({ after: "a b", limit: 1 });
  assert.deepEqual(
    { members, count, anonymous, next },
    { members: [{ user: "b" }], count: 7, anonymous: 2, next: "b" },
  );
  assert.deepEqual(
    server.asked.map(({ method, path }) => `${method} ${path}`),
    ["GET /v1/rooms/r/members?after=a+b&limit=1"],
  );
  server.answer = () => ({ status: 403, body: { code: "forbidden", detail: "not you" } });
  await assert.rejects(client.room("r").members.page(), { code: "forbidden", message: "not you" });
});
