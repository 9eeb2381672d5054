/** How connections end that have not read all that was sent to them. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { frameBytes, OPCODE, type RawFrame, RawSocket } from "../support/raw-socket.js";
import { connect, type Server, startServer } from "../support/start-server.js";

const LIMIT = 262_144;
const TEXT = "x".repeat(8000);

/** A client in the room that reads nothing more. */
async function stalled(t: TestContext, server: Server, ...rooms: string[]): Promise<RawSocket> {
  const socket = await RawSocket.open(Number(new URL(server.url).port));
  t.after(() => socket.destroy());
  socket.sendFrame({ payload: '{"type":"hello","id":1}' });
  await socket.json("welcome");
  for (const room of rooms) {
    socket.sendFrame({ payload: JSON.stringify({ type: "join", id: 2, room }) });
    await socket.json("joined");
  }
  socket.socket.pause();
  return socket;
}

/** Publishes until `done`: the kernel takes some megabytes before anything waits in the server. Resolves with how many. */
async function publishUntil(server: Server, room: string, done: () => boolean): Promise<number> {
  let published = 0;
  while (!done()) {
    await server.publish(room, "n", { n: ++published, text: TEXT });
    assert.ok(published < 10_000, "80 MB were published, and nothing came of it");
    // What was published leaves at the end of a turn.
    if (published % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return published;
}

/** All that comes to the end, and the code of the close frame: 1006 without one. */
async function readAll(socket: RawSocket): Promise<{ readonly frames: readonly RawFrame[]; readonly code: number }> {
  const frames: RawFrame[] = [];
  socket.socket.resume();
  for (;;) {
    const frame = await socket.frame();
    if (frame === undefined) return { frames, code: 1006 };
    if (frame.opcode === OPCODE.close) return { frames, code: frame.payload.readUInt16BE(0) };
    frames.push(frame);
  }
}

type Json = { readonly type: string; readonly events?: readonly { readonly data: { readonly n: number } }[] };
const framesOf = (all: readonly RawFrame[]): Json[] =>
  all.filter(({ opcode }) => opcode === OPCODE.text).map(({ payload }) => JSON.parse(payload.toString()) as Json);
const numbersIn = (all: readonly RawFrame[]): number[] =>
  framesOf(all).flatMap(({ events = [] }) => events.map(({ data }) => data.n));
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

const kinds = { "*": { history: { size: 10_000 } }, skip: { history: { size: 10_000 }, slow: "skip" as const } };
const slowly = { kinds, maxBackpressureBytes: LIMIT, maxFrameBytes: 65_536 };

test("who was cut for reading nothing reads a run of events and then the close code, however many they are", async (t) => {
  const server = await startServer(t, slowly);
  const sockets = await Promise.all(Array.from({ length: 10 }, () => stalled(t, server, "hot")));
  const published = await publishUntil(server, "hot", () => server.connections === 0);
  for (const socket of sockets) {
    const { frames, code } = await readAll(socket);
    const numbers = numbersIn(frames);
    assert.equal(code, 4008);
    assert.deepEqual(numbers, upTo(numbers.length));
    assert.ok(numbers.length > 0 && numbers.length <= published);
  }
});

test("one turn that publishes far more than may wait costs a reader nothing but its connection, and the code arrives", async (t) => {
  const server = await startServer(t, slowly);
  const socket = await stalled(t, server, "hot");
  // So much in one turn that the native code drops some: nobody can look in between.
  await Promise.all(
    Array.from({ length: 2000 }, (_, index) => server.publish("hot", "n", { n: index + 1, text: TEXT })),
  );
  await eventually(() => server.connections === 0);
  const { code } = await readAll(socket);
  assert.equal(code, 4008);
});

test("nothing is published to a connection that only still reads, and nothing that it sends is answered", async (t) => {
  const server = await startServer(t, slowly);
  const socket = await stalled(t, server, "hot", "other");
  await publishUntil(server, "hot", () => server.connections === 0);
  await server.publish("other", "late", 1);
  socket.sendFrame({ payload: '{"type":"ping","id":77}' });
  const probe = await connect(t, server);
  await probe.ping();
  const { frames, code } = await readAll(socket);
  assert.equal(code, 4008);
  const types = framesOf(frames).map(({ type }) => type);
  assert.ok(!types.includes("pong"));
  assert.ok(!frames.some(({ payload }) => payload.includes('"late"')));
});

test("who floods a connection that was closed under it is cut", async (t) => {
  const server = await startServer(t, slowly);
  const socket = await stalled(t, server, "hot");
  await publishUntil(server, "hot", () => server.connections === 0);
  const ping = frameBytes({ payload: "", opcode: OPCODE.ping });
  const request = frameBytes({ payload: '{"type":"ping","id":77}' });
  socket.write(Buffer.concat([Buffer.alloc(900 * ping.length, ping), Buffer.alloc(900 * request.length, request)]));
  const probe = await connect(t, server);
  await probe.ping();
  await probe.ping();
  assert.equal((await readAll(socket)).code, 1006);
});

test("who is in rooms of both sorts skips in those that skip, and stays for the others", async (t) => {
  const server = await startServer(t, slowly);
  const reading = await connect(t, server);
  for (const room of ["skip:1", "calm"]) await reading.ask("joined", { type: "join", room });
  let seen = 0;
  reading.watch((frame) => {
    if (frame.type === "events") seen += frame.events.length;
    return frame.type === "events";
  });
  const socket = await stalled(t, server, "skip:1", "calm");
  let published = 0;
  for (; published < 1500; published++) {
    await server.publish("skip:1", "n", { n: published + 1, text: TEXT });
    if (published % 10 === 0) await reading.until("the events", () => seen >= published - 10);
  }
  await server.publish("calm", "n", { n: -1 });
  await reading.until("every event", () => seen === published + 1);
  assert.equal(server.connections, 2);
  socket.socket.resume();
  const frames: RawFrame[] = [];
  while (!framesOf(frames.slice(-1)).some(({ type }) => type === "reset")) {
    const frame = await socket.frame();
    assert.ok(frame !== undefined && frame.opcode !== OPCODE.close, "the connection stays");
    frames.push(frame);
  }
  const numbers = numbersIn(frames);
  const skipped = numbers.filter((number) => number > 0);
  assert.deepEqual(skipped, upTo(skipped.length), "a run, up to a point");
  assert.ok(skipped.length < published);
  // What the other room had is not lost: it comes at its own place.
  const rest = numbers.includes(-1) ? [] : [await socket.json("events")];
  assert.equal(numbers.includes(-1) || JSON.stringify(rest).includes('"n":-1'), true);
  socket.sendFrame({ payload: '{"type":"ping","id":3}' });
  assert.deepEqual(await socket.json("pong"), { type: "pong", id: 3 });
});

test("a server that closes waits no longer for those who do not read than it was told to", async (t) => {
  const server = await startServer(t, { ...slowly, deadlineMs: 300 });
  const socket = await stalled(t, server, "hot");
  await publishUntil(server, "hot", () => server.connections === 0);
  await server.close();
  // What it can still read is what the kernel had.
  assert.equal((await readAll(socket)).code, 1006);
});
