/** What can happen to the connections in the middle of a move. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { answerCall, answerJoin, at, connected, event, events, move, moving, settle } from "./support.js";

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
  await answerCall(old);
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
  await answerCall(old);
  assert.deepEqual([await call, told], [1, []]);
  old.cut(4100, "moving");
  assert.deepEqual(told, ["waiting", "room joining"]);
});

test("a connection that is kept for an answer has no say any more once the next move has begun", async (t) => {
  const { client, old, transport } = await moving(t);
  const heard: unknown[] = [];
  const plain = { type: "events", room: "c", events: [event(undefined, "once")] } as const;
  client.room("c").onAny(({ data }) => heard.push(data));
  await answerJoin(old, undefined);
  void client.call("slow").catch(() => {});
  const second = await transport.next();
  await second.welcome();
  await answerJoin(second, at(3));
  await answerJoin(second, undefined);
  second.send(move);
  const third = await transport.next();
  await third.welcome();
  second.send(plain);
  old.send(plain);
  await answerJoin(third, at(3));
  await answerJoin(third, undefined);
  third.send(plain);
  assert.deepEqual([old.state, second.state, heard], ["open", "closed", ["once"]]);
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
