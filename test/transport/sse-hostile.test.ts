import assert from "node:assert/strict";
import { test } from "node:test";
import { openStream } from "../support/event-stream.js";
import { eventually } from "../support/eventually.js";
import { Random } from "../support/random.js";
import { RawSocket } from "../support/raw-socket.js";
import { type Server, startServer } from "../support/start-server.js";

const head = (path: string, headers = "") =>
  `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n${headers}\r\n`;

/** What a server that is well answers still. */
async function isWell(server: Server): Promise<void> {
  assert.equal((await fetch(`${server.url}/live`)).status, 200);
}

test("a request for a stream may come in two parts, cut anywhere, and is answered the same", async (t) => {
  const server = await startServer(t);
  const text = head("/v1/rooms/chat:1/events", "Last-Event-ID: x:1\r\n");
  const answers = new Set<string>();
  for (let at = 1; at < text.length; at++) {
    const raw = await RawSocket.connect(server.port);
    raw.write(text.slice(0, at));
    // So that it goes on its way before the rest: the loop turns at each answer.
    await isWell(server);
    raw.write(text.slice(at));
    const { status } = await raw.response({ body: false });
    answers.add(`${status}`);
    raw.destroy();
  }
  // A request line that is cut in its version gets 505: the native code does not wait for the rest of it.
  answers.delete("505");
  assert.deepEqual([...answers], ["200"]);
  await eventually(() => server.connections === 0);
});

test("bytes behind the request for a stream end its connection, and nothing else", async (t) => {
  const server = await startServer(t);
  const well = await openStream(t, server, "/v1/rooms/chat:1/events");
  await well.next("joined");
  for (const more of ["GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "\0\0\0", "x".repeat(100_000)]) {
    const raw = await RawSocket.connect(server.port);
    t.after(() => raw.destroy());
    raw.write(head("/v1/rooms/chat:1/events"));
    await raw.response({ body: false });
    raw.write(more);
    await raw.end();
  }
  await eventually(() => server.connections === 1);
  await server.publish("chat:1", "n", 1);
  await well.until("the event", () => well.told.length === 1);
});

test("who goes at any moment leaves nothing behind", async (t) => {
  const gates: (() => void)[] = [];
  const server = await startServer(t, {
    authorize: ({ room }) => room !== "slow" || new Promise((resolve) => gates.push(() => resolve(true))),
  });
  const random = new Random(7);
  for (let round = 0; round < 150; round++) {
    const raw = await RawSocket.connect(server.port);
    const room = random.next() < 0.3 ? "slow" : "chat:1";
    raw.write(head(`/v1/events?room=${room}&room=chat:2`));
    if (random.next() < 0.5) void server.publish("chat:1", "n", "x".repeat(random.next() * 50_000));
    if (random.next() < 0.5) await new Promise((resolve) => setImmediate(resolve));
    if (random.next() < 0.3 && room !== "slow") await raw.response({ body: false });
    if (random.next() < 0.5) raw.socket.resetAndDestroy();
    else raw.destroy();
  }
  await eventually(() => server.connections === 0, "streams are left");
  for (const open of gates) open();
  await isWell(server);
  await eventually(async () => (await server.count("chat:2")).count === 0);
});

test("ids, positions and rooms that are garbage, and far too many of them, are refused in words", async (t) => {
  const server = await startServer(t);
  const random = new Random(11);
  const pieces = ["chat:1", "=", ",", ":", "a", "-1", "9".repeat(20), "\u00ff", "%00", "\t", "{", "__proto__"];
  for (let round = 0; round < 300; round++) {
    const id = Array.from({ length: 1 + random.next() * 8 }, () => pieces[Math.floor(random.next() * pieces.length)]);
    const raw = await RawSocket.connect(server.port);
    raw.write(head("/v1/events?room=chat:1&room=b", `Last-Event-ID: ${id.join("")}\r\n`));
    const { status } = await raw.response({ body: false });
    assert.ok(status === 200 || status === 400, `${status} for ${id.join("")}`);
    raw.destroy();
  }
  const rooms = (count: number) => Array.from({ length: count }, (_, n) => `room=${n}`).join("&");
  assert.equal((await openStream(t, server, `/v1/events?${rooms(101)}`)).status, 400);
  assert.equal((await openStream(t, server, `/v1/events?${rooms(1000)}`)).status, 400);
  assert.equal((await openStream(t, server, `/v1/events?${rooms(10_000)}`)).status, 431);
  const many = await openStream(t, server, `/v1/events?${rooms(90)}`);
  for (let n = 0; n < 90; n++) await many.next("joined");
  const back = await openStream(t, server, `/v1/events?${rooms(90)}`, { "last-event-id": many.parser.lastEventId });
  for (let n = 0; n < 90; n++) assert.equal((await back.next("joined")).recovered, true);
  await isWell(server);
});

test("very small limits of a session are enough for its streams", async (t) => {
  const server = await startServer(t, { maxRequests: 1, maxFramesPerTurn: 1, requestRate: 5, maxRooms: 8 });
  const stream = await openStream(t, server, "/v1/events?room=a&room=b&room=c&room=d&room=e");
  for (let n = 0; n < 5; n++) await stream.next("joined");
});
