import assert from "node:assert/strict";
import { test } from "node:test";
import { Returning } from "../support/event-stream.js";
import { eventually } from "../support/eventually.js";
import { Random } from "../support/random.js";
import { RawSocket } from "../support/raw-socket.js";
import { startRedis } from "../support/services/redis.js";
import { connect, startServer } from "../support/start-server.js";

const kinds = { "*": { history: { size: 10_000 } }, plain: { history: { size: 0 } } };

/** The data of the room's events, in the order they came. */
const seenIn = (reader: Returning, room: string) =>
  reader.all.filter((told) => told.room === room).map(({ data }) => (data as { n: number }).n);
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

for (const seed of [1, 2, 3]) {
  test(`streams that are cut anywhere and come back to any node see each event once and in order (seed ${seed})`, async (t) => {
    const random = new Random(seed);
    const redis = await startRedis(t);
    const nodes = await Promise.all([1, 2].map(() => startServer(t, { redis: [redis.url], kinds })));
    const anywhere = () => nodes[Math.floor(random.next() * nodes.length)] ?? nodes[0];
    const rooms = ["a:1", "b:2", "c:3"];
    const one = new Returning(t, () => `${anywhere()?.url}/v1/rooms/a:1/events`);
    const many = new Returning(
      t,
      () => `${anywhere()?.url}/v1/events?${rooms.map((room) => `room=${room}`).join("&")}`,
    );
    await eventually(() => one.current?.parser.lastEventId !== "" && many.current?.events.length === 4);
    const counts = new Map(rooms.map((room) => [room, 0]));
    for (let step = 0; step < 400; step++) {
      const room = rooms[Math.floor(random.next() * rooms.length)] as string;
      const n = (counts.get(room) ?? 0) + 1;
      counts.set(room, n);
      // Of very different sizes, so that cuts come within events.
      const text = "x".repeat(random.next() < 0.1 ? 30_000 : random.next() * 200);
      await anywhere()?.publish(room, "n", { n, text });
      if (random.next() < 0.06) one.cut();
      if (random.next() < 0.06) many.cut();
    }
    const expected = (reader: Returning, room: string) => {
      const count = counts.get(room) ?? 0;
      return eventually(() => (seenIn(reader, room).at(-1) ?? 0) >= count, `${room}: not all came`);
    };
    await expected(one, "a:1");
    for (const room of rooms) await expected(many, room);
    assert.deepEqual(seenIn(one, "a:1"), upTo(counts.get("a:1") ?? 0));
    for (const room of rooms) assert.deepEqual(seenIn(many, room), upTo(counts.get(room) ?? 0), room);
    assert.ok(one.streams > 5 && many.streams > 5, "they were cut");
    await Promise.all([one.end(), many.end()]);
    assert.equal(one.recovered.slice(1).includes(false), false);
    assert.equal(many.recovered.slice(3).includes(false), false);
  });
}

test("in a drain each stream ends in its slot, comes back to another node, and misses nothing", async (t) => {
  const redis = await startRedis(t);
  const times = { noticeMs: 0, drainMs: 300, deadlineMs: 10_000 };
  const [leaving, staying] = await Promise.all(
    [1, 2].map(() => startServer(t, { redis: [redis.url], kinds, ...times })),
  );
  assert.ok(leaving !== undefined && staying !== undefined);
  for (const node of [leaving, staying]) await eventually(() => node.nodes().length === 2);
  let to = leaving;
  const readers = upTo(20).map(() => new Returning(t, () => `${to.url}/v1/events?room=a:1&room=b:1`));
  await eventually(() => readers.every(({ current }) => current?.events.length === 3));
  to = staying;
  let published = 0;
  let isOver = false;
  const publishing = (async () => {
    while (!isOver) {
      published++;
      await staying.publish("a:1", "n", { n: published });
      await staying.publish("b:1", "n", { n: published });
    }
  })();
  await leaving.drain();
  await eventually(() => staying.connections === readers.length);
  isOver = true;
  await publishing;
  for (const reader of readers) {
    for (const room of ["a:1", "b:1"]) {
      await eventually(() => seenIn(reader, room).at(-1) === published, `${room}: not all came`);
      assert.deepEqual(seenIn(reader, room), upTo(published));
    }
  }
  await Promise.all(readers.map((reader) => reader.end()));
  for (const { types, streams, recovered } of readers) {
    assert.equal(streams, 2);
    assert.deepEqual(recovered, [false, false, true, true]);
    assert.equal(types.filter((type) => type === "move").length, 1);
    assert.equal(types.includes("close"), false);
  }
});

test("a node that is alone sends its streams away with a time to come back after", async (t) => {
  const server = await startServer(t, { kinds });
  const reader = new Returning(t, () => `${server.url}/v1/rooms/a:1/events`);
  await eventually(() => reader.current?.events.length === 2);
  const stream = reader.current;
  await server.close();
  assert.equal((await stream?.next("close"))?.code, 4100);
  assert.equal(stream?.ended, true);
});

test("a node that is ending sends those away that still come, by the connection that they have", async (t) => {
  const server = await startServer(t, { kinds, onCall: () => new Promise(() => undefined), deadlineMs: 3000 });
  const client = await connect(t, server);
  client.send({ type: "call", id: 9, method: "wait", data: null });
  await client.ping();
  const [late, later] = await Promise.all([RawSocket.connect(server.port), RawSocket.connect(server.port)]);
  for (const raw of [late, later]) {
    t.after(() => raw.destroy());
    raw.write("GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert.equal((await raw.response()).status, 200);
  }
  // It waits for the call.
  const closing = server.close();
  late.write("GET /v1/rooms/a:1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  const stream = await late.response();
  assert.deepEqual([stream.status, stream.headers.get("content-type")], [200, "text/event-stream"]);
  assert.match(stream.body, /^retry: \d+\n\n[\s\S]*event: close\ndata: .*come to another/);
  const origin = `Origin: ${server.url}`;
  later.write(`GET /v1/rooms/a:1/history HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n${origin}\r\n\r\n`);
  const answer = await later.response();
  assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "1"]);
  assert.equal(answer.headers.get("connection"), "close");
  await closing;
});
