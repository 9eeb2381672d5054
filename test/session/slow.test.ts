import assert from "node:assert/strict";
import { test } from "node:test";
import type { Position } from "../../protocol/positions.js";
import { eventually } from "../support/eventually.js";
import { RoomRun } from "../support/room-run.js";
import { connect, startServer } from "../support/start-server.js";
import { clientCodecs } from "../support/ws-client.js";

const TEXT = "x".repeat(8000);
const LIMIT = 1_048_576;

for (const codec of clientCodecs) {
  test(`a reader that stops in a busy room is closed with 4008, nobody else notices, and it resumes without a loss (${codec.name})`, async (t) => {
    const server = await startServer(t, {
      kinds: { "*": { history: { size: 10_000 } } },
      maxBackpressureBytes: LIMIT,
      idleTimeoutMs: 60_000,
    });
    const stalled = await connect(t, server, { codec });
    const reading = await connect(t, server, { codec });
    const [stalledRun, readingRun] = [new RoomRun("hot"), new RoomRun("hot")];
    stalled.watch((frame) => stalledRun.take(frame));
    reading.watch((frame) => readingRun.take(frame));
    for (const client of [stalled, reading]) await client.request({ type: "join", room: "hot" });
    stalled.socket.pause();
    let published = 0;
    const before = process.memoryUsage.rss();
    // The kernel takes some megabytes before anything waits in the server.
    while (server.connections === 2) {
      await server.publish("hot", "n", { n: ++published, text: TEXT });
      assert.ok(published < 20_000, "160 MB were published, and the stalled reader is still here");
      if (published % 10 === 0) await reading.until("the events", () => readingRun.events.length >= published - 10);
    }
    for (let more = 0; more < 5; more++) await server.publish("hot", "n", { n: ++published, text: TEXT });
    await reading.until("every event", () => readingRun.events.length === published);
    assert.equal(reading.closed, undefined);
    const grown = process.memoryUsage.rss() - before;
    // What was published is kept twice over here, in the log and by the reader; a third would be for the stalled one.
    assert.ok(grown < published * 8100 * 8 + 100 * LIMIT, `${grown} bytes for ${published} events`);
    stalled.socket.resume();
    assert.equal((await stalled.close()).code, 4008);
    assert.ok(stalledRun.events.length < published);
    const back = await connect(t, server, { codec, hello: { session: stalled.welcome.session } });
    const run = new RoomRun("hot", stalledRun.position);
    back.watch((frame) => run.take(frame));
    await back.request({ type: "join", room: "hot", since: stalledRun.position });
    assert.equal(run.recovered, true);
    const seen = [...stalledRun.data, ...run.data].map((data) => (data as { n: number }).n);
    assert.deepEqual(
      seen,
      Array.from({ length: published }, (_, index) => index + 1),
    );
  });

  test(`a reader that stops where the rule is to skip stays, is told once it reads again, and goes on live (${codec.name})`, async (t) => {
    for (const size of [0, 10]) {
      const server = await startServer(t, {
        kinds: { "*": { history: { size }, slow: "skip", batchMs: 0 } },
        maxBackpressureBytes: LIMIT,
      });
      const stalled = await connect(t, server, { codec });
      const reading = await connect(t, server, { codec });
      for (const client of [stalled, reading]) await client.ask("joined", { type: "join", room: "hot" });
      let seen = 0;
      reading.watch((frame) => {
        if (frame.type === "events") seen += frame.events.length;
        return frame.type === "events";
      });
      stalled.socket.pause();
      // 24 MB: far beyond what the kernel and the server may hold.
      let published = 0;
      while (published < 3000) {
        await server.publish("hot", "n", { n: ++published, text: TEXT });
        if (published % 10 === 0) await reading.until("the events", () => seen >= published - 10);
      }
      await reading.until("every event", () => seen === published);
      assert.equal(server.connections, 2, "the stalled reader stays");
      stalled.socket.resume();
      const reset = await stalled.next("reset");
      assert.deepEqual([reset.room, reset.reason, reset.position !== undefined], ["hot", "slow", size > 0]);
      const skipped = stalled.frames.flatMap((frame) => (frame.type === "events" ? frame.events : []));
      const numbers = skipped.map(({ data }) => (data as { n: number }).n);
      assert.deepEqual(
        numbers,
        Array.from({ length: numbers.length }, (_, index) => index + 1),
        "a run, up to a point",
      );
      assert.ok(numbers.length < published);
      stalled.frames.length = 0;
      await server.publish("hot", "n", { n: ++published });
      const live = await stalled.next("events");
      assert.deepEqual(live.events[0]?.data, { n: published });
      if (size > 0) assert.equal(live.previous, (reset.position as Position).offset);
    }
  });
}

test("a client that asks and never reads is bounded by what it may ask, and is cut off", async (t) => {
  const fast = { requestRate: 1_000_000, byteRate: 1_073_741_824 };
  const server = await startServer(t, { maxBackpressureBytes: 262_144, onCall: ({ data }) => data, ...fast });
  const client = await connect(t, server);
  client.socket.pause();
  const data = "x".repeat(60_000);
  let sent = 0;
  await eventually(() => {
    for (let count = 0; count < 10; count++) client.send({ type: "call", id: ++sent, method: "m", data });
    assert.ok(sent < 5000, "300 MB of answers were asked for, and the client is still here");
    return server.connections === 0;
  });
  client.socket.resume();
  assert.equal((await client.close()).code, 4008);
});
