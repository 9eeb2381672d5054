import assert from "node:assert/strict";
import { test } from "node:test";
import type { Position } from "../../protocol/positions.js";
import type { Server } from "../../server/server.js";
import { eventually } from "../support/eventually.js";
import { Random } from "../support/random.js";
import { RoomRun } from "../support/room-run.js";
import { connect, startServer } from "../support/start-server.js";
import { clientCodecs, type WsClient } from "../support/ws-client.js";

const history = (size: number) => ({ "*": { history: { size } } });
const publishAll = async (server: Server, room: string, from: number, to: number, data = (n: number): unknown => n) => {
  let last: Position | undefined;
  for (let n = from; n <= to; n++) last = await server.publish(room, "n", data(n));
  return last as Position;
};
/** Each event leaves at once, so that it is there before the answer to a ping. */
const unbatched = { "*": { batchMs: 0 } };
const later = () => new Promise<boolean>((resolve) => setImmediate(resolve, true));
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** Joins, holding every frame of the room against the rule; resolves once joined. */
async function joinRun(client: WsClient, room: string, since?: Position): Promise<RoomRun> {
  const run = new RoomRun(room, since);
  client.watch((frame) => run.take(frame));
  const answer = await client.request({ type: "join", room, ...(since === undefined ? {} : { since }) });
  assert.equal(answer.type, "joined");
  return run;
}

for (const codec of clientCodecs) {
  test(`joining tells the room's position, and every later event follows on it (${codec.name})`, async (t) => {
    const server = await startServer(t);
    const before = await publishAll(server, "a", 1, 3);
    const client = await connect(t, server, { codec });
    const run = await joinRun(client, "a");
    assert.deepEqual(run.position, before);
    assert.equal(run.recovered, false);
    await publishAll(server, "a", 4, 6);
    await client.until("three events", () => run.events.length === 3);
    assert.deepEqual(run.data, [4, 5, 6]);
  });

  test(`joining with a position brings what was missed, then goes on (${codec.name})`, async (t) => {
    const server = await startServer(t);
    const since = await publishAll(server, "a", 1, 3);
    await publishAll(server, "a", 4, 9);
    const client = await connect(t, server, { codec });
    const run = await joinRun(client, "a", since);
    assert.deepEqual([run.recovered, run.pages, run.data], [true, 0, numbers(4, 9)]);
    await publishAll(server, "a", 10, 10);
    await client.until("the live event", () => run.events.length === 7);
  });

  test(`joins at any time while events are published see one run without a hole or a repeat (${codec.name})`, async (t) => {
    const random = new Random(codec.name.length);
    const server = await startServer(t, { kinds: { "*": { history: { size: 5000 }, batchMs: 3 } } });
    const start = await publishAll(server, "hot", 0, 0);
    let published = 0;
    let publishing = true;
    t.after(() => {
      publishing = false;
    });
    const publisher = (async () => {
      while (publishing) {
        const burst = 1 + random.below(5);
        for (let at = 0; at < burst && published < 4000; at++) void server.publish("hot", "n", ++published);
        await new Promise((resolve) => (random.chance(0.5) ? setImmediate(resolve) : setTimeout(resolve, 1)));
      }
    })();
    const clients = await Promise.all(numbers(1, 8).map(() => connect(t, server, { codec })));
    const runs = await Promise.all(
      clients.map(async (client, index) => {
        // Each joins from the start, some of them again from where they are while the events go on.
        let run = await joinRun(client, "hot", start);
        for (let again = 0; again < index; again++) {
          await client.until("some events", () => run.events.length > random.below(60));
          await client.ask("left", { type: "leave", room: "hot" });
          const seen = run.events;
          run = await joinRun(client, "hot", run.position);
          assert.equal(run.recovered, true);
          run.events.unshift(...seen);
        }
        return [client, run] as const;
      }),
    );
    publishing = false;
    await publisher;
    for (const [client, run] of runs) {
      await client.until("every event", () => run.events.length === published);
      assert.deepEqual(run.data, numbers(1, published));
    }
  });

  test(`what was missed and fills more than a frame comes a page at a time, every event once (${codec.name})`, async (t) => {
    const server = await startServer(t, { kinds: history(2000) });
    const since = await publishAll(server, "big", 0, 0);
    const text = "x".repeat(4000);
    await publishAll(server, "big", 1, 400, (n) => ({ n, text }));
    const client = await connect(t, server, { codec });
    const sizes: number[] = [];
    client.socket.on("message", (data: Buffer) => sizes.push(data.length));
    const run = await joinRun(client, "big", since);
    assert.deepEqual(
      run.data.map((data) => (data as { n: number }).n),
      numbers(1, 400),
    );
    assert.ok(run.pages >= 6, `1.6 MB are more than ${run.pages} pages`);
    assert.ok(Math.max(...sizes) <= 280_000, `a frame of ${Math.max(...sizes)} bytes`);
  });
}

test("a joiner that reads slowly gets its pages as it reads, while events go on, and misses nothing", async (t) => {
  const server = await startServer(t, { kinds: history(5000), maxFrameBytes: 32_768, maxBackpressureBytes: 65_536 });
  const text = "x".repeat(10_000);
  const since = await publishAll(server, "big", 0, 0);
  await publishAll(server, "big", 1, 1500, (n) => ({ n, text }));
  const client = await connect(t, server);
  const run = new RoomRun("big", since);
  client.watch((frame) => run.take(frame));
  client.socket.pause();
  client.send({ type: "join", id: 7, room: "big", since });
  const other = await connect(t, server);
  await other.ping();
  await publishAll(server, "big", 1501, 1520, (n) => ({ n, text }));
  assert.equal(run.joined, false);
  client.socket.resume();
  await client.until("every event", () => run.events.length === 1520);
  assert.deepEqual(
    run.data.map((data) => (data as { n: number }).n),
    numbers(1, 1520),
  );
  assert.equal(client.closed, undefined);
});

test("many rooms with much to catch up on are resumed at once, and the client is not cut off for it", async (t) => {
  const server = await startServer(t, { kinds: history(500), maxBackpressureBytes: 131_072 });
  const rooms = numbers(1, 24).map((n) => `big:${n}`);
  const text = "x".repeat(4000);
  const since = new Map<string, Position>();
  for (const room of rooms) {
    since.set(room, await publishAll(server, room, 0, 0));
    await publishAll(server, room, 1, 150, (n) => ({ n, text }));
  }
  const client = await connect(t, server);
  const runs = rooms.map((room) => new RoomRun(room, since.get(room)));
  client.watch((frame) => {
    for (const run of runs) run.take(frame);
    return true;
  });
  // Nothing is read until all of it was asked for: as over a line that is slower than the server.
  client.socket.pause();
  for (const room of rooms)
    client.send({ type: "join", id: client.nextId(), room, since: since.get(room) as Position });
  await (await connect(t, server)).ping();
  await (await connect(t, server)).ping();
  client.socket.resume();
  await client.until("every room", () => runs.every((run) => run.joined));
  for (const run of runs) assert.deepEqual([run.recovered, run.events.length], [true, 150], run.room);
});

for (const [words, since] of [
  ["too old", ({ epoch }: Position) => ({ epoch, offset: 1 })],
  ["of another epoch", ({ offset }: Position) => ({ epoch: "other", offset })],
  ["ahead of the log", ({ epoch, offset }: Position) => ({ epoch, offset: offset + 5 })],
  ["as far ahead as numbers go", ({ epoch }: Position) => ({ epoch, offset: Number.MAX_SAFE_INTEGER })],
] as const) {
  test(`a position that is ${words} is not recovered, and the join goes on from the log's end`, async (t) => {
    const server = await startServer(t, { kinds: history(5) });
    const end = await publishAll(server, "a", 1, 20);
    const client = await connect(t, server);
    const run = await joinRun(client, "a", since(end));
    assert.deepEqual([run.recovered, run.position], [false, end]);
    await publishAll(server, "a", 21, 21);
    await client.until("the live event", () => run.events.length === 1);
  });
}

test("the oldest position that the log still reaches back to is recovered in full", async (t) => {
  const server = await startServer(t, { kinds: history(5) });
  const end = await publishAll(server, "a", 1, 20);
  const client = await connect(t, server);
  const run = await joinRun(client, "a", { epoch: end.epoch, offset: end.offset - 5 });
  assert.deepEqual([run.recovered, run.data], [true, numbers(16, 20)]);
});

test("joining a room that is joined already brings it up from the position given, and counts once", async (t) => {
  const server = await startServer(t, { kinds: unbatched });
  const client = await connect(t, server);
  const { position } = await client.ask("joined", { type: "join", room: "a" });
  await publishAll(server, "a", 1, 3);
  await client.until("the events", () => client.frames.some(({ type }) => type === "events"));
  await client.ping();
  client.frames.length = 0;
  const again = await client.ask("joined", { type: "join", room: "a", since: position as Position });
  assert.deepEqual(
    again.events.map(({ data }) => data),
    [1, 2, 3],
  );
  await publishAll(server, "a", 4, 4);
  await client.ping();
  const after = client.frames.flatMap((frame) => (frame.type === "events" ? frame.events : []));
  assert.deepEqual(
    after.map(({ data }) => data),
    [4],
    "one subscription, one copy",
  );
  await client.ask("left", { type: "leave", room: "a" });
  await publishAll(server, "a", 5, 5);
  await client.ping();
  assert.equal(client.frames.filter(({ type }) => type === "events").length, 1, "nothing after the leave");
  assert.equal((await client.refusal({ type: "leave", room: "a" })).code, "not_joined");
});

test("a leave that is sent right behind its join leaves the room, whatever the join was waiting for", async (t) => {
  for (const authorize of [undefined, later]) {
    const server = await startServer(t, { kinds: unbatched, ...(authorize === undefined ? {} : { authorize }) });
    const client = await connect(t, server);
    client.send({ type: "join", id: 101, room: "a" });
    client.send({ type: "leave", id: 102, room: "a" });
    const left = await client.next("left");
    assert.equal(left.id, 102);
    const joined = client.frames.find((frame) => "id" in frame && frame.id === 101) ?? (await client.next("error"));
    if (joined.type === "error") assert.equal(joined.code, "not_joined");
    await publishAll(server, "a", 1, 1);
    await client.ping();
    assert.equal(
      client.frames.some(({ type }) => type === "events"),
      false,
    );
    assert.equal((await client.refusal({ type: "leave", room: "a" })).code, "not_joined");
    await client.ask("joined", { type: "join", room: "a" });
  }
});

test("a leave during a long join ends it: the join is answered with not_joined and nothing more comes", async (t) => {
  const server = await startServer(t, { kinds: history(2000), maxBackpressureBytes: 262_144 });
  const since = await publishAll(server, "big", 0, 0);
  const text = "x".repeat(10_000);
  await publishAll(server, "big", 1, 1500, (n) => ({ n, text }));
  const client = await connect(t, server);
  client.socket.pause();
  client.send({ type: "join", id: 101, room: "big", since });
  client.send({ type: "leave", id: 102, room: "big" });
  client.socket.resume();
  assert.equal((await client.next("left")).id, 102);
  const error = await client.next("error");
  assert.deepEqual([error.id, error.code], [101, "not_joined"]);
  await client.ping();
  client.frames.length = 0;
  await publishAll(server, "big", 1501, 1501);
  await client.ping();
  assert.deepEqual(client.frames, []);
});

test("of two joins of one room at once one is answered, and the other told so", async (t) => {
  const server = await startServer(t, { kinds: unbatched, authorize: later });
  const client = await connect(t, server);
  client.send({ type: "join", id: 101, room: "a" });
  client.send({ type: "join", id: 102, room: "a" });
  assert.equal((await client.next("error")).code, "bad_request");
  await client.next("joined");
  await publishAll(server, "a", 1, 1);
  await client.ping();
  assert.equal(client.frames.filter(({ type }) => type === "events").length, 1);
});

test("a session may be in so many rooms and no more, however the joins are sent", async (t) => {
  const server = await startServer(t, { maxRooms: 3, authorize: later });
  const client = await connect(t, server);
  for (const n of numbers(1, 6)) client.send({ type: "join", id: 100 + n, room: `r:${n}` });
  await client.until("six answers", () => client.frames.length === 6);
  const codes = client.frames.map((frame) => (frame.type === "error" ? frame.code : frame.type));
  assert.deepEqual(codes.sort(), ["joined", "joined", "joined", "too_many", "too_many", "too_many"]);
  assert.equal((await client.refusal({ type: "join", room: "r:7" })).code, "too_many");
  const joined = client.frames.find((frame) => frame.type === "joined");
  await client.ask("left", { type: "leave", room: joined?.type === "joined" ? joined.room : "" });
  await client.ask("joined", { type: "join", room: "r:7" });
  await client.ask("joined", { type: "join", room: "r:7" });
});

test("a room without history has no position; a join with one is not recovered, and events have no offset", async (t) => {
  const server = await startServer(t, { kinds: history(0) });
  assert.equal(await server.publish("a", "n", 1), undefined);
  for (const codec of clientCodecs) {
    const client = await connect(t, server, { codec });
    const joined = await client.ask("joined", { type: "join", room: "a", since: { epoch: "e", offset: 3 } });
    assert.deepEqual([joined.recovered, joined.events, "position" in joined], [false, [], false]);
    const published = await client.ask("published", { type: "publish", room: "a", event: "n", data: 2 });
    assert.equal("position" in published, false);
    const frame = await client.next("events");
    assert.deepEqual(
      ["previous" in frame, "offset" in (frame.events[0] ?? {}), frame.events[0]?.data],
      [false, false, 2],
    );
    const read = await client.ask("history", { type: "history", room: "a" });
    assert.deepEqual([read.events, read.more, "position" in read], [[], false, false]);
    await client.ask("left", { type: "leave", room: "a" });
  }
});

test("a room lingers after its last member and is then closed; who comes back misses nothing either way", async (t) => {
  const server = await startServer(t, { lingerMs: 200 });
  const client = await connect(t, server);
  const { position } = await client.ask("joined", { type: "join", room: "a" });
  await client.ask("left", { type: "leave", room: "a" });
  assert.equal(server.openRooms, 1, "it lingers");
  await publishAll(server, "a", 1, 2);
  const warm = await client.ask("joined", { type: "join", room: "a", since: position as Position });
  assert.deepEqual(
    warm.events.map(({ data }) => data),
    [1, 2],
  );
  client.end();
  await eventually(() => server.openRooms === 0, "the room is never closed");
  await publishAll(server, "a", 3, 3);
  const cold = await (await connect(t, server)).ask("joined", { type: "join", room: "a", since: position as Position });
  assert.deepEqual([cold.recovered, cold.events.map(({ data }) => data)], [true, [1, 2, 3]]);
});
