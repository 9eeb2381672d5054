import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestConnection } from "../../client/testing.js";
import { answerJoin, at, connected, event, events, move, settle } from "./support.js";

async function acceptJoined(server: TestConnection, offset: number) {
  await server.welcome({ node: "n_new" });
  return answerJoin(server, at(offset));
}

test("a move opens another connection, resumes there, and only then closes the old one", async (t) => {
  const { client, server, transport, states } = await connected(t);
  const room = client.room("r");
  const heard: unknown[] = [];
  const roomStates: string[] = [];
  room.onAny(({ data }) => heard.push(data));
  room.onState(({ status }) => roomStates.push(status));
  await answerJoin(server, at(3));
  server.send(move);
  const next = await transport.next();
  const hello = await next.welcome({ node: "n_new" });
  assert.equal(hello.session, "s_test");
  server.send(events("r", 3, 4));
  assert.equal(server.state, "open");
  next.send(events("r", 3, 4, 5));
  await answerJoin(next, at(6), { missed: [event(5), event(6)] });
  assert.deepEqual(server.closedWith, { code: 1000, reason: "moved" });
  next.send(events("r", 6, 7));
  assert.deepEqual(heard, [4, 5, 6, 7]);
  assert.deepEqual(roomStates, ["joined"]);
  assert.deepEqual(
    states.map(({ status }) => status),
    ["connected"],
  );
  assert.equal(client.state.status === "connected" && client.state.node, "n_new");
});

test("the old connection serves until the last room is joined on the new one", async (t) => {
  const { client, server, transport } = await connected(t);
  const heard: string[] = [];
  for (const name of ["a", "b"]) {
    client.room(name).onAny(({ data }) => heard.push(`${name}${data}`));
    await answerJoin(server, at(3));
  }
  server.send(move);
  const next = await transport.next();
  await acceptJoined(next, 3);
  server.send(events("b", 3, 4));
  // Already at home on the new one: the old one's are of no interest.
  server.send(events("a", 3, 4));
  next.send(events("a", 3, 4));
  assert.equal(server.state, "open");
  await answerJoin(next, at(5), { missed: [event(4), event(5)] });
  assert.equal(server.state, "closed");
  assert.deepEqual(heard, ["b4", "a4", "b5"]);
});

test("in a room without history nothing comes twice around the switch", async (t) => {
  const { client, server, transport } = await connected(t);
  const heard: unknown[] = [];
  const plain = (...data: unknown[]) =>
    ({ type: "events", room: "c", events: data.map((each) => event(undefined, each)) }) as const;
  client.room("c").onAny(({ data }) => heard.push(data));
  client.room("z").onAny(() => {});
  await answerJoin(server, undefined);
  await answerJoin(server, undefined);
  server.send(plain("before"));
  server.send(move);
  const next = await transport.next();
  await next.welcome();
  server.send(plain("old only", "both, old first", "twins", "twins"));
  await answerJoin(next, undefined);
  next.send(plain("both, old first", "twins", "twins", "both, new first"));
  server.send(plain("both, new first", "last of the old"));
  await answerJoin(next, undefined);
  assert.equal(server.state, "closed");
  next.send(plain("last of the old", "after", "after"));
  assert.deepEqual(heard, [
    "before",
    "old only",
    "both, old first",
    "twins",
    "twins",
    "both, new first",
    "last of the old",
    "after",
    "after",
  ]);
});

test("what was under way on the old connection is awaited there; what comes after goes to the new one", async (t) => {
  const { client, server, transport } = await connected(t);
  const room = client.room("r");
  const first = room.publish("message", 1);
  const call = client.call("slow");
  server.send(move);
  const next = await transport.next();
  await next.welcome();
  const second = room.publish("message", 2);
  const other = client.room("s").publish("message", 3);
  assert.equal(server.state, "open");
  const { id = -1 } = await server.take("publish");
  server.send({ type: "published", id, position: at(1) });
  assert.deepEqual(await first, at(1));
  assert.equal(server.state, "open");
  server.send({ type: "result", id: (await server.take("call")).id, data: "done" });
  assert.equal(await call, "done");
  assert.equal(server.state, "closed");
  for (const offset of [8, 9]) {
    const { id = -1 } = await next.take("publish");
    next.send({ type: "published", id, position: at(offset) });
  }
  assert.deepEqual(await Promise.all([second, other]), [at(9), at(8)]);
});

test("a publish that the old connection never answered is sent again on the new one with its key", async (t) => {
  const { client, server, transport } = await connected(t);
  const published = client.room("r").publish("message", 1);
  const { key } = await server.take("publish");
  server.send(move);
  const next = await transport.next();
  await next.welcome();
  server.cut();
  const again = await next.take("publish");
  assert.equal(again.key, key);
  next.send({ type: "published", id: again.id ?? -1, position: at(1) });
  assert.deepEqual(await published, at(1));
});

test("a new connection that fails is tried again, and the application sees nothing", async (t) => {
  const { client, server, transport, states } = await connected(t);
  const heard: unknown[] = [];
  client.room("r").onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  server.send(move);
  (await transport.next()).cut();
  const second = await transport.next();
  await second.welcome();
  client.room("late").onAny(() => {});
  const { id } = await second.take("join");
  second.send({ type: "joined", id, room: "r", position: at(4), recovered: true, events: [event(4)] });
  second.cut();
  // It had been joined there; the old one serves again.
  assert.deepEqual((await answerJoin(server, at(5), { missed: [event(5)] })).since, at(4));
  assert.equal((await answerJoin(server, at(0))).room, "late");
  const third = await transport.next();
  await acceptJoined(third, 5);
  assert.equal(server.state, "open");
  await answerJoin(third, at(0));
  assert.equal(server.state, "closed");
  assert.deepEqual(heard, [4, 5]);
  assert.deepEqual(
    states.map(({ status }) => status),
    ["connected"],
  );
});

test("a hole seen while the new connection was being joined is closed on the old one when that fails", async (t) => {
  const { client, server, transport } = await connected(t);
  const heard: unknown[] = [];
  client.room("r").onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  server.send(move);
  const next = await transport.next();
  await next.welcome();
  server.send(events("r", 4, 5));
  next.cut();
  const join = await answerJoin(server, at(5), { missed: [event(4), event(5)] });
  assert.deepEqual(join.since, at(3));
  assert.deepEqual(heard, [4, 5]);
});

test("a move begins in its slot and is tried with growing delays; the close leads to an ordinary reconnect", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const { client, server, transport } = await connected(t, { random: () => 0.5 });
  server.send({ ...move, afterMs: 1000 });
  t.mock.timers.tick(999);
  await settle();
  assert.equal(transport.connections.length, 1);
  t.mock.timers.tick(1);
  await settle();
  const waits: number[] = [];
  for (let count = 2; count < 8; count++) {
    assert.equal(transport.connections.length, count);
    transport.connections[count - 1]?.cut();
    let ms = 0;
    for (; transport.connections.length === count && ms < 1000; ms++) {
      t.mock.timers.tick(1);
      await settle();
    }
    waits.push(ms);
  }
  assert.ok(waits.every((ms, index) => ms < 600 && ms >= (waits[index - 1] ?? 0)));
  assert.equal(client.state.status, "connected");
  transport.connections.at(-1)?.cut();
  server.cut(4100, "moving");
  assert.equal(client.state.status, "waiting");
});

test("a connection closed before the move was due comes back when it is due", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const { client, server } = await connected(t);
  server.send({ ...move, afterMs: 4000 });
  t.mock.timers.tick(1000);
  server.cut(4100, "moving");
  assert.equal(client.state.status === "waiting" && client.state.delayMs, 3000);
});

test("an old connection that is lost on the way leaves the new one in its place", async (t) => {
  const { client, server, transport, states } = await connected(t);
  const heard: unknown[] = [];
  client.room("r").onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  server.send(move);
  const next = await transport.next();
  await next.welcome();
  server.cut(4001, "the session goes on elsewhere");
  await answerJoin(next, at(4), { missed: [event(4)] });
  next.send(events("r", 4, 5));
  assert.deepEqual(heard, [4, 5]);
  assert.equal(transport.connections.length, 2);
  assert.deepEqual(
    states.map(({ status }) => status),
    ["connected"],
  );
});

test("close in the middle of a move closes both connections", async (t) => {
  const { client, server, transport } = await connected(t);
  server.send(move);
  const next = await transport.next();
  client.close();
  assert.equal(server.state, "closed");
  assert.equal(next.state, "closed");
});
