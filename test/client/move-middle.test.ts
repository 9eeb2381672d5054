/** What can come in the middle of a move, from the application, the old node and the new one. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ConnectOptions } from "../../client/index.js";
import type { TestConnection } from "../../client/testing.js";
import { answerJoin, connected, event, events, settle } from "./support.js";

const at = (offset: number, epoch = "e") => ({ epoch, offset });
const move = { type: "move", afterMs: 0, deadlineMs: 60_000, reason: "draining" } as const;

/** A client with one room joined, told to move, and all that the application is told of it. */
async function moving(t: TestContext, options: ConnectOptions = {}) {
  const made = await connected(t, options);
  const { client, server } = made;
  const heard: unknown[] = [];
  const told: string[] = [];
  const room = client.room("r");
  room.onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  client.on("state", ({ status }) => told.push(status));
  room.onState(({ status }) => told.push(`room ${status}`));
  room.onReset(() => told.push("reset"));
  server.send(move);
  return { ...made, old: server, room, heard, told };
}

async function result(server: TestConnection) {
  const { id, data } = await server.take("call");
  server.send({ type: "result", id, data });
}

test("a join under way on the old connection is awaited there, then the room is joined on the new one", async (t) => {
  const { client, old, transport } = await moving(t);
  const late = client.room("late");
  const joined = late.join();
  const asked = await old.take("join");
  const next = await transport.next();
  await next.welcome();
  await answerJoin(next, at(3));
  assert.equal(next.sent.filter(({ type }) => type === "join").length, 1);
  old.send({ type: "joined", id: asked.id, room: "late", position: at(9), recovered: false, events: [] });
  await joined;
  assert.equal(old.state, "open");
  assert.deepEqual((await answerJoin(next, at(9))).since, at(9));
  assert.equal(old.state, "closed");
});

test("a join under way on an old connection that is lost is made on the new one", async (t) => {
  const { client, old, transport } = await moving(t);
  const joined = client.room("late").join();
  await old.take("join");
  const next = await transport.next();
  await next.welcome();
  await answerJoin(next, at(3));
  old.cut();
  assert.equal((await answerJoin(next, at(1))).room, "late");
  await joined;
});

test("a room wanted in the middle is joined where it can be at once, and it is awaited", async (t) => {
  const { client, old, transport, told } = await moving(t);
  const next = await transport.next();
  next.accept();
  const early = client.room("early");
  void early.join();
  // The new node has not said welcome: nobody waits for it.
  assert.equal((await answerJoin(old, at(1))).room, "early");
  const { id } = await next.take("hello");
  const limits = { maxFrameBytes: 65_536, maxRooms: 9, maxRequests: 9 };
  next.send({ type: "welcome", id, session: "s", node: "n", resumed: true, heartbeatMs: 20_000, limits });
  const late = client.room("late");
  void late.join();
  for (const name of ["r", "early", "late"]) {
    assert.equal(old.state, "open");
    assert.equal((await answerJoin(next, at(3))).room, name);
  }
  assert.equal(old.state, "closed");
  assert.deepEqual([early.state.status, late.state.status, told], ["joined", "joined", []]);
});

test("a room left in the middle is left on both connections and is not waited for", async (t) => {
  const { room, old, transport } = await moving(t);
  const next = await transport.next();
  await next.welcome();
  await next.take("join");
  room.leave();
  for (const server of [old, next]) assert.equal((await server.take("leave")).room, "r");
  // Its own request is the last one that the old connection waits for.
  old.send({ type: "left", id: old.sent.at(-1)?.id ?? -1 });
  assert.equal(old.state, "closed");
});

test("a second `move` while one is under way changes nothing and leaves no stray connection", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const { old, transport, told } = await moving(t, { random: () => 0.5 });
  const tick = async (ms: number): Promise<void> => {
    t.mock.timers.tick(ms);
    await settle();
  };
  await tick(0);
  const first = await transport.next();
  old.send(move);
  await tick(1000);
  assert.equal(transport.connections.length, 2);
  first.cut();
  // Told again while it waits to try again: it goes by the newer word.
  old.send({ ...move, afterMs: 3000 });
  await tick(2999);
  assert.equal(transport.connections.length, 2);
  await tick(1);
  const second = await transport.next();
  await second.welcome();
  await answerJoin(second, at(3));
  await tick(5000);
  assert.deepEqual([old.state, second.state, transport.connections.length, told], ["closed", "open", 3, []]);
});

test("a new node that is itself about to stop is passed over, while the old one serves", async (t) => {
  const { old, transport, heard, told } = await moving(t);
  const second = await transport.next();
  await second.welcome();
  second.send(move);
  assert.equal(second.state, "closed");
  old.send(events("r", 3, 4));
  const third = await transport.next();
  await third.welcome();
  await answerJoin(third, at(4));
  third.send(events("r", 4, 5));
  // Where it has arrived, it moves again when it is told to.
  third.send(move);
  const fourth = await transport.next();
  await fourth.welcome();
  await answerJoin(fourth, at(5));
  assert.deepEqual([old.state, third.state, fourth.state], ["closed", "closed", "open"]);
  assert.deepEqual([heard, told], [[4, 5], []]);
});

test("`move` on a connection that was left already costs it no answer", async (t) => {
  const { client, old, transport } = await moving(t);
  const call = client.call("slow", "done");
  const next = await transport.next();
  await next.welcome();
  await answerJoin(next, at(3));
  old.send(move);
  assert.equal(old.state, "open");
  await result(old);
  assert.equal(await call, "done");
  assert.deepEqual([old.state, transport.connections.length], ["closed", 2]);
});

test("an old connection that owes an answer for ever is closed once the answer is late", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const { client, old, transport } = await moving(t, { requestTimeoutMs: 10_000 });
  const abandoned = client.room("abandoned");
  void abandoned.join();
  await old.take("join");
  abandoned.leave();
  t.mock.timers.tick(0);
  await settle();
  const next = await transport.next();
  await next.welcome();
  await answerJoin(next, at(3));
  for (let second = 0; second < 9; second++) {
    t.mock.timers.tick(1000);
    old.send({ type: "heartbeat" });
  }
  assert.equal(old.state, "open");
  t.mock.timers.tick(6000);
  assert.deepEqual(old.closedWith, { code: 1000, reason: "moved" });
});

test("a delay that the new node asks for is kept, also when the old connection is lost meanwhile", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const { client, old, transport, told } = await moving(t);
  t.mock.timers.tick(0);
  await settle();
  (await transport.next()).cut(4101, '{"retryMs":7000}');
  t.mock.timers.tick(4000);
  await settle();
  assert.deepEqual([transport.connections.length, told], [2, []]);
  old.cut();
  assert.equal(client.state.status === "waiting" && client.state.delayMs, 3000);
});

test("a welcome that does not come in time costs nothing but the attempt", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const { old, transport, heard, told } = await moving(t, { connectTimeoutMs: 2000 });
  t.mock.timers.tick(0);
  await settle();
  const late = await transport.next();
  late.accept();
  old.send(events("r", 3, 4));
  t.mock.timers.tick(2000);
  assert.equal(late.state, "closed");
  t.mock.timers.tick(0);
  await settle();
  const next = await transport.next();
  await next.welcome();
  assert.deepEqual((await answerJoin(next, at(4))).since, at(4));
  assert.deepEqual([heard, told, old.state], [[4], [], "closed"]);
  assert.equal(old.sent.filter(({ type }) => type === "join").length, 1);
});

test("a new connection refused for good ends the move, and the old one is used to its end", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const { client, old, transport, told } = await moving(t);
  t.mock.timers.tick(0);
  await settle();
  (await transport.next()).cut(4200, "unauthorized");
  t.mock.timers.tick(1000);
  await settle();
  assert.equal(transport.connections.length, 2);
  const call = client.call("echo", 1);
  await result(old);
  assert.deepEqual([await call, told], [1, []]);
  old.cut(4100, "moving");
  assert.deepEqual(told, ["waiting", "room joining"]);
});

test("a join that the new node refuses for the moment is tried again there, and the old one serves until then", async (t) => {
  const { old, transport, heard, told } = await moving(t);
  const next = await transport.next();
  await next.welcome();
  const { id } = await next.take("join");
  next.send({ type: "error", id, code: "rate_limited", message: "slowly", retryMs: 10 });
  old.send(events("r", 3, 4));
  assert.deepEqual((await answerJoin(next, at(5), { missed: [event(5)] })).since, at(4));
  assert.deepEqual([heard, told, old.state], [[4, 5], [], "closed"]);
});

test("a room that the new node refuses, or that either node removes, fails; the move goes on without it", async (t) => {
  for (const end of ["refused", "removed by the old", "removed by the new"]) {
    const { room, old, transport } = await moving(t);
    const next = await transport.next();
    await next.welcome();
    const { id } = await next.take("join");
    if (end === "refused") next.send({ type: "error", id, code: "forbidden", message: "not you" });
    else (end === "removed by the old" ? old : next).send({ type: "removed", room: "r", code: "forbidden" });
    assert.equal(room.state.status === "failed" && room.state.code, "forbidden", end);
    // A join without an answer is the new connection's own affair.
    assert.deepEqual([old.state, next.state], ["closed", "open"], end);
  }
});

test("a log that is lost in the middle is told, and both connections agree afterwards", async (t) => {
  const { old, transport, heard, told } = await moving(t);
  const next = await transport.next();
  await next.welcome();
  old.send({ type: "reset", room: "r", position: at(2, "f"), reason: "history_lost" });
  await answerJoin(next, at(4, "f"), { recovered: false });
  next.send(events("r", 4, 5));
  assert.deepEqual([heard, told.filter((each) => each === "reset").length > 0], [[5], true]);
});

test("with several publishes of a room on their way, none goes out on the new connection before all are answered", async (t) => {
  const { room, old, transport } = await moving(t, { inFlight: 2 });
  const all = [1, 2, 3].map((data) => room.publish("message", data));
  const next = await transport.next();
  await next.welcome();
  await answerJoin(next, at(3));
  const sent = old.sent.filter((frame) => frame.type === "publish");
  old.send({ type: "published", id: sent[0]?.id ?? -1, position: at(4) });
  assert.equal(
    next.sent.some(({ type }) => type === "publish"),
    false,
  );
  old.cut();
  for (const offset of [5, 6]) {
    const { id = -1, key, data } = await next.take("publish");
    if (offset === 5) assert.equal(key, sent[1]?.key);
    assert.equal(data, offset - 3);
    next.send({ type: "published", id, position: at(offset) });
  }
  assert.deepEqual(
    await Promise.all(all),
    [4, 5, 6].map((offset) => at(offset)),
  );
});

test("the new connection asks for a token of its own, and resumes with the session of the last renewal", async (t) => {
  let tokens = 0;
  const { server: old, transport } = await connected(t, { token: () => `token ${++tokens}` });
  old.send({ type: "renew", expiresInMs: 60_000 });
  const { id, token } = await old.take("renew");
  old.send({ type: "renewed", id, expiresInMs: 60_000, session: "s_renewed" });
  assert.equal(token, "token 2");
  old.send(move);
  const hello = await (await transport.next()).welcome();
  assert.deepEqual([hello.token, hello.session], ["token 3", "s_renewed"]);
});

test("an old connection that is lost before the new one is welcomed leaves it as the only one", async (t) => {
  const { old, transport, room, told } = await moving(t);
  const published = room.publish("message", 1);
  const { key } = await old.take("publish");
  const next = await transport.next();
  next.accept();
  old.cut();
  assert.deepEqual(told, ["connecting", "room joining"]);
  const { id } = await next.take("hello");
  const limits = { maxFrameBytes: 65_536, maxRooms: 9, maxRequests: 9 };
  next.send({ type: "welcome", id, session: "s", node: "n", resumed: true, heartbeatMs: 20_000, limits });
  await answerJoin(next, at(3));
  const again = next.sent.filter((frame) => frame.type === "publish");
  assert.deepEqual(
    again.map((frame) => frame.key),
    [key],
  );
  next.send({ type: "published", id: again[0]?.id ?? -1, position: at(4) });
  assert.deepEqual(await published, at(4));
  assert.deepEqual(told.slice(2), ["connected", "room joined"]);
  assert.equal(transport.connections.length, 2);
});
