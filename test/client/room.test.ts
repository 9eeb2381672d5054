import assert from "node:assert/strict";
import { test } from "node:test";
import type { RoomEvent } from "../../client/index.js";
import { answerJoin, connected, event, events, rig, settle } from "./support.js";

type Chat = { message: number; note: string };
const at = (offset: number, epoch = "e") => ({ epoch, offset });

test("listening joins; events come typed, by name and all together, with the position moving along", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room<Chat>("chat:1");
  assert.equal(room.state.status, "idle");
  const numbers: number[] = [];
  const all: string[] = [];
  room.on("message", ({ data, offset }: RoomEvent<number, "message">) => {
    numbers.push(data);
    assert.equal(room.position?.offset, offset);
  });
  const stop = room.onAny((any) => all.push(any.event));
  assert.equal(room.state.status, "joining");
  const join = await answerJoin(server, at(7), { recovered: false });
  assert.equal(join.since, undefined);
  assert.deepEqual(room.state, { status: "joined", position: at(7), recovered: true });
  server.send(events("chat:1", 7, 8, 9));
  server.send({ type: "events", room: "chat:1", previous: 9, events: [{ ...event(10), event: "note", data: "hi" }] });
  assert.deepEqual(numbers, [8, 9]);
  assert.deepEqual(all, ["message", "message", "note"]);
  assert.deepEqual(room.position, at(10));
  stop();
  server.send(events("chat:1", 10, 11));
  assert.equal(all.length, 3);
});

test("joins follow hello without waiting for the welcome", async (t) => {
  const { client, transport } = rig(t);
  client.room("chat:1").on("message", () => {});
  const server = await transport.next();
  server.accept();
  assert.deepEqual(
    server.sent.map(({ type }) => type),
    ["hello", "join"],
  );
});

test("the same name gives the same room until it is left", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("chat:1");
  assert.equal(client.room("chat:1"), room);
  void room.join();
  await answerJoin(server, at(0));
  room.leave();
  assert.equal(room.state.status, "left");
  assert.equal((await server.take("leave")).room, "chat:1");
  assert.notEqual(client.room("chat:1"), room);
});

test("what was published for a room that is being left is not taken for the new one's", async (t) => {
  const { client, server } = await connected(t);
  const old = client.room("chat:1");
  void old.join();
  await answerJoin(server, at(5));
  old.leave();
  const heard: unknown[] = [];
  const room = client.room("chat:1", { since: at(3, "other") });
  room.onAny(({ data }) => heard.push(data));
  const { id } = await server.take("leave");
  server.send(events("chat:1", 3, 6));
  server.send({ type: "left", id });
  const join = await answerJoin(server, at(9), { recovered: false });
  assert.deepEqual(join.since, at(3, "other"));
  assert.deepEqual(heard, []);
  assert.deepEqual(room.position, at(9));
});

test("repeats are dropped, whole frames and parts of them", async (t) => {
  const { client, server } = await connected(t);
  const heard: unknown[] = [];
  client.room("r").onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  server.send(events("r", 3, 4, 5));
  server.send(events("r", 3, 4, 5));
  server.send(events("r", 4, 5, 6));
  server.send(events("r", 6, 9));
  assert.deepEqual(heard, [4, 5, 6, 9]);
});

test("a hole is closed by another join, and the application sees nothing of it", async (t) => {
  const { client, server } = await connected(t);
  const heard: unknown[] = [];
  const room = client.room("r");
  const states: string[] = [];
  room.onState(({ status }) => states.push(status));
  room.onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  server.send(events("r", 5, 6));
  server.send(events("r", 6, 7));
  const join = await answerJoin(server, at(7), { missed: [4, 5, 6, 7].map((offset) => event(offset)) });
  assert.deepEqual(join.since, at(3));
  server.send(events("r", 7, 8));
  assert.deepEqual(heard, [4, 5, 6, 7, 8]);
  assert.deepEqual(states, ["joining", "joined"]);
  assert.equal(server.sent.filter(({ type }) => type === "join").length, 2);
});

test("after a lost connection each room resumes from its position, pages before the answer included", async (t) => {
  const { client, server, transport } = await connected(t);
  const heard: unknown[] = [];
  const room = client.room("r");
  const resets: unknown[] = [];
  room.onReset((reset) => resets.push(reset));
  room.onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  server.send(events("r", 3, 4));
  server.cut();
  assert.equal(room.state.status, "joining");
  const second = await transport.next();
  await second.welcome();
  second.send(events("r", 4, 5, 6));
  second.send(events("r", 6, 7));
  const join = await answerJoin(second, at(9), { missed: [event(8), event(9)] });
  assert.deepEqual(join.since, at(4));
  assert.deepEqual(heard, [4, 5, 6, 7, 8, 9]);
  assert.deepEqual(resets, []);
  // A page that was applied is not asked for again.
  second.cut();
  const third = await transport.next();
  await third.welcome();
  assert.deepEqual((await third.take("join")).since, at(9));
  third.send(events("r", 9, 10));
  third.cut();
  const fourth = await transport.next();
  await fourth.welcome();
  assert.deepEqual((await fourth.take("join")).since, at(10));
});

test("where the log no longer reaches back the application is told, and goes on from the new position", async (t) => {
  const { client, server, transport } = await connected(t);
  const seen: unknown[] = [];
  const room = client.room("r", { since: at(2) });
  room.onReset(({ position }) => seen.push(["reset", position, room.position]));
  room.onState((state) => state.status === "joined" && seen.push(["joined", state.recovered]));
  room.onAny(({ data }) => seen.push(data));
  await answerJoin(server, at(50), { recovered: false });
  server.send(events("r", 50, 51));
  server.cut();
  const second = await transport.next();
  await second.welcome();
  await answerJoin(second, at(3, "f"), { recovered: false });
  second.send(events("r", 3, 4));
  assert.deepEqual(seen, [
    ["reset", at(50), at(50)],
    ["joined", false],
    51,
    ["reset", at(3, "f"), at(3, "f")],
    ["joined", false],
    4,
  ]);
});

test("an answer that claims recovery in another epoch is not believed", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r", { since: at(2) });
  let resets = 0;
  room.onReset(() => resets++);
  void room.join();
  await answerJoin(server, at(9, "f"), { recovered: true, missed: [event(9)] });
  assert.equal(resets, 1);
  assert.deepEqual(room.position, at(9, "f"));
});

test("a reset by the server is told, also in the middle of a join", async (t) => {
  const { client, server, transport } = await connected(t);
  const seen: unknown[] = [];
  const room = client.room("r");
  room.onReset(({ position, reason }) => seen.push([position, reason]));
  room.onAny(({ data }) => seen.push(data));
  await answerJoin(server, at(3));
  server.send({ type: "reset", room: "r", position: at(8), reason: "slow" });
  server.send(events("r", 8, 9));
  assert.deepEqual(seen, [[at(8), "slow"], 9]);
  server.cut();
  const second = await transport.next();
  await second.welcome();
  second.send(events("r", 9, 10));
  second.send({ type: "reset", room: "r", position: at(20), reason: "trimmed" });
  await answerJoin(second, at(21), { recovered: true, missed: [event(21)] });
  assert.deepEqual(seen.slice(2), [10, [at(21), "history_lost"]]);
});

test("in a room without history events are delivered as they come", async (t) => {
  const { client, server } = await connected(t);
  const heard: unknown[] = [];
  const room = client.room("cursor:1");
  room.onAny(({ data }) => heard.push(data));
  await answerJoin(server, undefined);
  const frame = { type: "events", room: "cursor:1", events: [event(undefined, "a"), event(undefined, "a")] } as const;
  server.send(frame);
  server.send(frame);
  assert.deepEqual(heard, ["a", "a", "a", "a"]);
  assert.equal(room.position, undefined);
  assert.deepEqual(room.state, { status: "joined", recovered: true });
});

test("a join that is refused for good fails the room until it is asked for again", async (t) => {
  const { client, server, transport } = await connected(t);
  const room = client.room("secret:1");
  const joined = room.join();
  server.send({ type: "error", id: (await server.take("join")).id, code: "forbidden", message: "not you" });
  await assert.rejects(joined, { code: "forbidden", message: "not you" });
  assert.deepEqual(room.state, { status: "failed", code: "forbidden", message: "not you" });
  server.cut();
  const second = await transport.next();
  await second.welcome();
  await settle();
  assert.equal(second.sent.filter(({ type }) => type === "join").length, 0);
  const again = room.joined;
  await answerJoin(second, at(1));
  await again;
});

test("a join that is refused for the moment is tried again after the delay", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { client, server } = await connected(t);
  const room = client.room("r");
  const joined = room.join();
  const first = await server.take("join");
  server.send({ type: "error", id: first.id, code: "unavailable", message: "soon", retryMs: 700 });
  assert.equal(room.state.status, "joining");
  t.mock.timers.tick(699);
  assert.equal(server.sent.filter(({ type }) => type === "join").length, 1);
  t.mock.timers.tick(1);
  await answerJoin(server, at(1));
  await joined;
});

test("a client that was taken out of a room is told, and not put back by itself", async (t) => {
  const { client, server, transport } = await connected(t);
  const room = client.room("r");
  void room.join();
  await answerJoin(server, at(1));
  server.send({ type: "removed", room: "r", code: "forbidden" });
  assert.equal(room.state.status === "failed" && room.state.code, "forbidden");
  server.cut();
  const second = await transport.next();
  await second.welcome();
  assert.deepEqual(
    second.sent.map(({ type }) => type),
    ["hello"],
  );
});

test("the answer to a join that was given up is not taken for that of the next", async (t) => {
  const { client, server } = await connected(t);
  const heard: unknown[] = [];
  const room = client.room("r");
  room.onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  server.send(events("r", 5, 6));
  const givenUp = await server.take("join");
  server.send({ type: "removed", room: "r", code: "forbidden" });
  const joined = room.join();
  await settle();
  server.send({ type: "error", id: givenUp.id, code: "not_joined", message: "left before the join was answered" });
  await answerJoin(server, at(6), { missed: [4, 5, 6].map((offset) => event(offset)) });
  await joined;
  assert.deepEqual(heard, [4, 5, 6]);
});

test("a listener that leaves the room in the middle of a frame hears no more of it", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r");
  const heard: unknown[] = [];
  room.onAny(({ data }) => {
    heard.push(data);
    if (data === 5) room.leave();
  });
  await answerJoin(server, at(3));
  server.send(events("r", 3, 4, 5, 6));
  assert.deepEqual(heard, [4, 5]);
});

test("a listener that throws is told of; other listeners and later events are not harmed", async (t) => {
  const { client, server, errors } = await connected(t);
  const room = client.room("r");
  const heard: unknown[] = [];
  room.onAny(() => {
    throw new Error("mine");
  });
  room.onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  server.send(events("r", 3, 4, 5));
  assert.deepEqual(heard, [4, 5]);
  assert.deepEqual(
    errors.map(({ message }) => message),
    ["mine", "mine"],
  );
});

test("history is asked for as the application says", async (t) => {
  const { client, server } = await connected(t);
  const page = client.room("r").history({ limit: 2, before: at(9) });
  const { id, type: _, ...asked } = await server.take("history");
  assert.deepEqual(asked, { room: "r", limit: 2, before: at(9) });
  server.send({ type: "history", id, position: at(20), more: true, events: [event(7), event(8)] });
  const { events: got, position, more } = await page;
  assert.deepEqual([got.map(({ offset }) => offset), position, more], [[7, 8], at(20), true]);
});

test("a loop over a room takes every event, and ends when the room is left", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room<Chat>("r");
  const heard: unknown[] = [];
  const loop = (async () => {
    for await (const { data } of room) heard.push(data);
  })();
  await answerJoin(server, at(3));
  server.send(events("r", 3, 4, 5));
  await settle();
  server.send(events("r", 5, 6));
  await settle();
  room.leave();
  await loop;
  assert.deepEqual(heard, [4, 5, 6]);
});

test("a loop that falls too far behind gets what was held, and then an error", async (t) => {
  const { client, server } = await connected(t, { bufferSize: 2 });
  const room = client.room("r");
  const stream = room[Symbol.asyncIterator]();
  await answerJoin(server, at(3));
  server.send(events("r", 3, 4, 5, 6, 7));
  assert.equal((await stream.next()).value?.data, 4);
  assert.equal((await stream.next()).value?.data, 5);
  await assert.rejects(stream.next(), { code: "overflow" });
  assert.equal((await stream.next()).done, true);
  assert.equal(room.position?.offset, 7);
});

test("a reset interrupts a loop at its place, and the same stream goes on behind it", async (t) => {
  const { client, server } = await connected(t);
  const stream = client.room("r")[Symbol.asyncIterator]();
  await answerJoin(server, at(3));
  server.send(events("r", 3, 4));
  server.send({ type: "reset", room: "r", position: at(8), reason: "slow" });
  server.send(events("r", 8, 9));
  const seen: unknown[] = [];
  const loop = async () => {
    for await (const { data } of stream) if (seen.push(data) > 1) break;
  };
  await assert.rejects(loop(), { code: "reset" });
  await loop();
  assert.deepEqual(seen, [4, 9]);
});

test("a loop over a room that fails throws why", async (t) => {
  const { client, server } = await connected(t);
  const stream = client.room("r")[Symbol.asyncIterator]();
  const next = stream.next();
  server.send({ type: "error", id: (await server.take("join")).id, code: "forbidden", message: "no" });
  await assert.rejects(next, { code: "forbidden" });
  assert.equal((await stream.next()).done, true);
});
