import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { EventParser, openStream } from "../support/event-stream.js";
import { eventually } from "../support/eventually.js";
import { type Server, startServer } from "../support/start-server.js";

const TEXT = "x".repeat(8000);
const LIMIT = 1_048_576;

/** A stream over TCP whose client reads when it is told to. */
class SlowReader {
  readonly socket: Socket;
  readonly parser = new EventParser();
  head = "";
  closed = false;
  #rest = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.closed = true;
    });
    socket.on("data", (bytes: Buffer) => this.#add(bytes));
  }

  static async open(t: TestContext, server: Server, path: string, headers = ""): Promise<SlowReader> {
    const socket = createConnection({ port: server.port, host: "127.0.0.1" });
    t.after(() => socket.destroy());
    await once(socket, "connect");
    const reader = new SlowReader(socket);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers}\r\n`);
    return reader;
  }

  /** Takes the chunks of the body apart. */
  #add(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    if (this.head === "") {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.head = this.#rest.subarray(0, end).toString();
      this.#rest = this.#rest.subarray(end + 2);
    }
    for (;;) {
      // A chunk is written as the end of the one before it, its length, and its bytes.
      const end = this.#rest.indexOf("\r\n", 2);
      if (end < 0) return;
      const length = Number.parseInt(this.#rest.subarray(2, end).toString(), 16);
      if (this.#rest.length < end + 2 + length) return;
      this.parser.add(this.#rest.subarray(end + 2, end + 2 + length).toString());
      this.#rest = this.#rest.subarray(end + 2 + length);
    }
  }

  get seen(): number[] {
    const events = this.parser.events.filter(({ type }) => type === "message");
    return events.map(({ data }) => (JSON.parse(data) as { data: { n: number } }).data.n);
  }
}

const upTo = (count: number, from = 1) => Array.from({ length: count - from + 1 }, (_, index) => from + index);

test("a stream that is not read is cut before much waits for it, nobody else notices, and it resumes without a loss", async (t) => {
  const server = await startServer(t, {
    kinds: { "*": { history: { size: 10_000 } } },
    maxBackpressureBytes: LIMIT,
  });
  const stalled = await SlowReader.open(t, server, "/v1/rooms/hot/events");
  const reading = await openStream(t, server, "/v1/rooms/hot/events");
  await reading.next("joined");
  await eventually(() => stalled.parser.events.length === 2);
  stalled.socket.pause();
  let published = 0;
  const before = process.memoryUsage.rss();
  while (server.connections === 2) {
    await server.publish("hot", "n", { n: ++published, text: TEXT });
    assert.ok(published < 20_000, "160 MB were published, and the stalled stream is still here");
    if (published % 10 === 0) await reading.until("the events", () => reading.events.length >= published - 10);
  }
  for (let more = 0; more < 5; more++) await server.publish("hot", "n", { n: ++published, text: TEXT });
  await reading.until("every event", () => reading.told.length === published);
  assert.equal(reading.closed, false);
  const grown = process.memoryUsage.rss() - before;
  assert.ok(grown < published * 8100 * 12 + 100 * LIMIT, `${grown} bytes for ${published} events`);
  stalled.socket.resume();
  await eventually(() => stalled.closed);
  assert.deepEqual(stalled.seen, upTo(stalled.seen.length), "no hole in what came");
  assert.ok(stalled.seen.length < published);
  const back = await openStream(t, server, "/v1/rooms/hot/events", { "last-event-id": stalled.parser.lastEventId });
  assert.equal((await back.next("joined")).recovered, true);
  assert.deepEqual(
    back.told.map(({ data }) => (data as { n: number }).n),
    upTo(published, stalled.seen.length + 1),
  );
});

test("a stream that stops where the rule is to skip stays, is told once it is read again, and goes on live", async (t) => {
  for (const size of [0, 10]) {
    const server = await startServer(t, {
      kinds: { "*": { history: { size }, slow: "skip", batchMs: 0 } },
      maxBackpressureBytes: LIMIT,
    });
    const stalled = await SlowReader.open(t, server, "/v1/rooms/hot/events");
    const reading = await openStream(t, server, "/v1/rooms/hot/events");
    await reading.next("joined");
    await eventually(() => stalled.parser.events.length === 2);
    stalled.socket.pause();
    let published = 0;
    while (published < 2500) {
      await server.publish("hot", "n", { n: ++published, text: TEXT });
      if (published % 10 === 0) await reading.until("the events", () => reading.events.length >= published - 10);
    }
    assert.equal(server.connections, 2, "the stalled stream stays");
    stalled.socket.resume();
    const told = () => stalled.parser.events.filter(({ type }) => type === "reset");
    await eventually(() => told().length > 0);
    assert.match(told()[0]?.data ?? "", /"reason":"slow"/);
    const missed = stalled.seen.length;
    assert.ok(missed < published, "it was spared some");
    await server.publish("hot", "n", { n: ++published, text: TEXT });
    await eventually(() => stalled.seen.at(-1) === published);
    assert.equal(told().length, 1);
    assert.deepEqual(stalled.seen, [...upTo(missed), published]);
  }
});

test("who comes back to much gets it as fast as it reads, and what waits for it stays within bounds", async (t) => {
  const server = await startServer(t, {
    kinds: { "*": { history: { size: 10_000 } } },
    maxBackpressureBytes: 262_144,
  });
  const { epoch = "" } = (await server.publish("hot", "n", { n: 1, text: TEXT })) ?? {};
  let published = 1;
  while (published < 3000) await server.publish("hot", "n", { n: ++published, text: TEXT });
  const slow = await SlowReader.open(t, server, `/v1/events?room=hot&room=other&since=hot=${epoch}:0`);
  // It reads in steps, with rests in which events go on.
  const steps = setInterval(() => {
    if (slow.socket.isPaused()) slow.socket.resume();
    else slow.socket.pause();
  }, 3);
  t.after(() => clearInterval(steps));
  await eventually(() => slow.seen.length > 1000);
  while (published < 3050) await server.publish("hot", "n", { n: ++published, text: TEXT });
  await eventually(() => slow.seen.at(-1) === published);
  assert.deepEqual(slow.seen, upTo(published));
  assert.ok(slow.parser.events.some(({ type, data }) => type === "joined" && data.includes('"recovered":true')));
  assert.equal(server.connections, 1);
});

test("a stream that is closed while its client reads nothing still gets what waits for it, and why it was closed", {
  timeout: 60_000,
}, async (t) => {
  const server = await startServer(t, {
    kinds: { "*": { history: { size: 10_000 }, allow: { user: ["join"] } } },
    authenticate: () => ({ user: "ann" }),
    secret: "s".repeat(32),
    maxBackpressureBytes: 64 * LIMIT,
    deadlineMs: 60_000,
  });
  const stalled = await SlowReader.open(t, server, "/v1/rooms/hot/events");
  await eventually(() => stalled.parser.events.length === 2);
  stalled.socket.pause();
  for (let n = 1; n <= 1500; n++) await server.publish("hot", "n", { n, text: TEXT });
  await server.disconnect("ann");
  assert.equal(server.connections, 0);
  stalled.socket.resume();
  await eventually(() => stalled.parser.events.at(-1)?.type === "close");
  // What its room still held together was for those who stay.
  assert.deepEqual(stalled.seen, upTo(stalled.seen.length));
  assert.ok(stalled.seen.length > 1000);
});
