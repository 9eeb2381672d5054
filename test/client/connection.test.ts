import assert from "node:assert/strict";
import { test } from "node:test";
import { type ClientState, connect, RoomcastError } from "../../client/index.js";
import { Backoff } from "../../client/reconnect.js";
import { TestTransport } from "../../client/testing.js";
import { webSocketTransport } from "../../client/websockets.js";
import { connected, rig, settle } from "./support.js";

test("a URL without a path is completed, one with a path is kept, another is refused", async () => {
  const asked: [string, string][] = [
    ["https://example.test", "wss://example.test/v1/socket"],
    ["http://127.0.0.1:8000/", "ws://127.0.0.1:8000/v1/socket"],
    ["wss://example.test/live?a=1", "wss://example.test/live?a=1"],
    ["ws://example.test?a=1", "ws://example.test/v1/socket?a=1"],
  ];
  for (const [given, wanted] of asked) {
    const transport = new TestTransport();
    const client = connect(given, { transport });
    assert.equal((await transport.next()).url, wanted);
    client.close();
  }
  for (const wrong of ["", "/live", "example.test", "ftp://example.test"]) {
    assert.throws(() => connect(wrong, { transport: new TestTransport() }), /url: expected http/);
  }
});

test("it says hello with the token and is connected once it is welcomed", async (t) => {
  const { client, transport, states } = rig(t, { token: "secret" });
  assert.deepEqual(client.state, { status: "connecting", attempt: 1 });
  const server = await transport.next();
  assert.equal(server.subprotocol, "roomcast.v1.json");
  const hello = await server.welcome({ user: "ann", session: "s_1", node: "n_1" });
  assert.equal(hello.token, "secret");
  assert.equal(hello.session, undefined);
  assert.deepEqual(states, [{ status: "connected", session: "s_1", user: "ann", node: "n_1" }]);
});

test("a listener that was taken away hears no more", async (t) => {
  const { client, transport } = rig(t);
  const heard: ClientState[] = [];
  const stop = client.on("state", (state) => heard.push(state));
  const server = await transport.next();
  await server.welcome();
  stop();
  server.cut();
  assert.deepEqual(
    heard.map(({ status }) => status),
    ["connected"],
  );
});

test("a lost connection is waited for and made again, with the session to resume and a fresh token", async (t) => {
  let tokens = 0;
  const { transport, states } = rig(t, { token: async () => `token-${++tokens}` });
  const first = await transport.next();
  assert.equal((await first.welcome({ session: "s_7" })).token, "token-1");
  first.cut();
  const second = await transport.next();
  const hello = await second.welcome();
  assert.deepEqual([hello.token, hello.session], ["token-2", "s_7"]);
  assert.deepEqual(
    states.map(({ status }) => status),
    ["connected", "waiting", "connecting", "connected"],
  );
});

test("a token function that fails is told, and asked again", async (t) => {
  let asked = 0;
  const { transport, errors } = rig(t, {
    token: () => {
      if (++asked < 3) throw new Error("no token today");
      return "late";
    },
  });
  const server = await transport.next();
  assert.equal((await server.welcome()).token, "late");
  assert.deepEqual(
    errors.map(({ message }) => message),
    ["no token today", "no token today"],
  );
});

test("delays are anywhere between 0 and a bound that grows slowly up to the greatest", () => {
  for (const random of [0, 0.25, 0.999]) {
    const backoff = new Backoff({ minDelayMs: 500, maxDelayMs: 700, random: () => random });
    const delays = Array.from({ length: 6 }, () => backoff.next());
    assert.deepEqual(
      delays,
      [500, 550, 605, 665.5, 700, 700].map((bound) => Math.round(bound * random)),
    );
    assert.equal(backoff.attempt, 7);
    backoff.reset();
    assert.equal(backoff.next(), Math.round(500 * random));
  }
});

for (const [code, reason, wanted] of [
  [1006, "", { status: "waiting", delayMs: 250 }],
  [1012, "", { status: "waiting", delayMs: 250 }],
  [4008, "too slow", { status: "waiting", delayMs: 250 }],
  [4077, "new", { status: "waiting", delayMs: 250 }],
  [4101, '{"retryMs":7000}', { status: "waiting", delayMs: 7250 }],
  [4150, "new", { status: "waiting", delayMs: 1250 }],
  [4200, "unauthorized", { status: "closed" }],
  [4299, "new", { status: "closed" }],
] as const) {
  test(`close code ${code} leads to ${wanted.status}`, async (t) => {
    const { server, client } = await connected(t, { random: () => 0.5 });
    server.cut(code, reason);
    const { status, delayMs } = { delayMs: undefined, ...client.state };
    assert.deepEqual({ status, delayMs }, { delayMs: undefined, ...wanted });
  });
}

test("after a refusal for good nothing is tried, and whatever waits is rejected", async (t) => {
  const { client, server, states } = await connected(t);
  const room = client.room("chat:1");
  const joined = room.join();
  const published = room.publish("message", 1);
  server.cut(4201, "go away");
  await assert.rejects(published, { code: "closed" });
  await assert.rejects(joined, { code: "closed" });
  await assert.rejects(client.call("x", 1), { code: "closed" });
  assert.deepEqual(room.state, { status: "failed", code: "closed", message: "go away" });
  assert.deepEqual(states.at(-1), { status: "closed", code: 4201, reason: "go away" });
});

test("an attempt without a welcome is given up in time", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const { transport, client } = rig(t, { connectTimeoutMs: 10_000, random: () => 0.5 });
  const server = await transport.next();
  server.accept();
  t.mock.timers.tick(10_000);
  assert.equal(server.state, "closed");
  assert.equal(client.state.status, "waiting");
});

test("a hello that is refused for the moment is tried again after the delay asked for", async (t) => {
  const { transport, client, errors } = rig(t);
  const server = await transport.next();
  server.accept();
  const { id } = await server.take("hello");
  server.send({ type: "error", id, code: "unavailable", message: "hook down", retryMs: 3000 });
  assert.deepEqual(client.state.status === "waiting" && client.state.delayMs, 3000);
  assert.ok(errors[0] instanceof RoomcastError && errors[0].code === "unavailable");
});

test("a listener that closes the client while it tries again leaves no connection behind", async (t) => {
  const { client, server, transport } = await connected(t);
  client.on("state", ({ status }) => status === "connecting" && client.close());
  server.cut();
  await new Promise<void>((resolve) => client.on("state", ({ status }) => status === "closed" && resolve()));
  await settle();
  assert.deepEqual([transport.connections.length, client.state.status], [1, "closed"]);
});

test("what is not of the protocol closes the connection with 4202, and another is made", async (t) => {
  const { transport, server, errors } = await connected(t);
  server.sendRaw("{");
  assert.equal(server.closedWith?.code, 4202);
  assert.equal(errors[0]?.name, "ProtocolError");
  const second = await transport.next();
  await second.welcome();
  second.send({ type: "surprise" } as never);
  assert.equal(second.state, "open");
});

test("a listener that throws is told of and harms nobody else", async (t) => {
  const { client, transport, errors } = rig(t);
  const heard: string[] = [];
  client.on("state", () => {
    throw new Error("listener");
  });
  client.on("state", ({ status }) => heard.push(status));
  await (await transport.next()).welcome();
  assert.deepEqual(heard, ["connected"]);
  assert.deepEqual(
    errors.map(({ message }) => message),
    ["listener"],
  );
});

test("a request waits for the connection, gets its answer, and is lost with the connection", async (t) => {
  const { client, transport } = rig(t);
  const early = client.call("add", [1, 2]);
  const server = await transport.next();
  await server.welcome();
  const call = await server.take("call");
  assert.deepEqual([call.method, call.data], ["add", [1, 2]]);
  server.send({ type: "result", id: call.id, data: 3 });
  assert.equal(await early, 3);
  const refused = client.call("nope");
  server.send({ type: "error", id: (await server.take("call")).id, code: "unknown_method", message: "none" });
  await assert.rejects(refused, { name: "RoomcastError", code: "unknown_method", message: "none" });
  const ping = client.ping();
  server.send({ type: "pong", id: (await server.take("ping")).id });
  assert.equal(typeof (await ping), "number");
  const lost = client.call("add", [1, 2]);
  server.cut();
  await assert.rejects(lost, { code: "disconnected" });
});

test("no more requests are open at once than the server allows", async (t) => {
  const { client, transport } = rig(t);
  const server = await transport.next();
  await server.welcome({ limits: { maxFrameBytes: 1000, maxRooms: 10, maxRequests: 2 } });
  const calls = [1, 2, 3].map((data) => client.call("echo", data));
  assert.equal(server.sent.filter(({ type }) => type === "call").length, 2);
  for (let count = 0; count < 3; count++) {
    const { id, data } = await server.take("call");
    server.send({ type: "result", id, data });
  }
  assert.deepEqual(await Promise.all(calls), [1, 2, 3]);
});

test("an answer that does not come in time rejects with timeout", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const { client, server } = await connected(t, { requestTimeoutMs: 1000 });
  const call = client.call("slow");
  await server.take("call");
  t.mock.timers.tick(1500);
  await assert.rejects(call, { code: "timeout" });
});

test("the server's wish for a newer token is met from the token function", async (t) => {
  let tokens = 0;
  const { transport } = rig(t, { token: () => `token-${++tokens}` });
  const server = await transport.next();
  await server.welcome();
  server.send({ type: "renew", expiresInMs: 60_000 });
  assert.equal((await server.take("renew")).token, "token-2");
});

test("a token function that fails at a renewal is told, and asked again after a quarter of the time left", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  let asked = 0;
  const { transport, errors } = rig(t, {
    token: () => {
      if (++asked === 2) throw new Error("no token today");
      return `token-${asked}`;
    },
  });
  const server = await transport.next();
  await server.welcome();
  server.send({ type: "renew", expiresInMs: 60_000 });
  await settle();
  t.mock.timers.tick(14_999);
  assert.equal(asked, 2);
  t.mock.timers.tick(1);
  assert.equal((await server.take("renew")).token, "token-3");
  assert.deepEqual(
    errors.map(({ message }) => message),
    ["no token today"],
  );
});

test("close ends the connection, and nothing is tried after it", async (t) => {
  const { client, server, transport, states } = await connected(t);
  client.close();
  client.close();
  assert.deepEqual(server.closedWith, { code: 1000, reason: "closed by the application" });
  assert.deepEqual(states.at(-1), { status: "closed", code: 1000, reason: "closed by the application" });
  await settle();
  assert.equal(transport.connections.length, 1);
  assert.equal(client.room("late").state.status, "left");
});

test("close during a token that is still being fetched starts no connection", async (t) => {
  let give: (token: string) => void = () => {};
  const { client, transport } = rig(t, {
    token: () =>
      new Promise((resolve) => {
        give = resolve;
      }),
  });
  await settle();
  client.close();
  give("too late");
  await settle();
  assert.equal(transport.connections.length, 0);
});

test("without a WebSocket anywhere, connect says what it needs", (t) => {
  const original = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
  t.after(() => original && Object.defineProperty(globalThis, "WebSocket", original));
  Object.defineProperty(globalThis, "WebSocket", { value: undefined, configurable: true });
  assert.throws(() => connect("ws://example.test"), /WebSocket: expected options.WebSocket/);
});

test("a WebSocket class that throws counts as an attempt that failed", async (t) => {
  class Refusing {
    constructor() {
      throw new Error("blocked");
    }
  }
  const { client, errors } = rig(t, { transport: webSocketTransport(Refusing as never), random: () => 0.5 });
  await settle();
  assert.equal(client.state.status, "waiting");
  assert.equal(errors[0]?.message, "blocked");
});
