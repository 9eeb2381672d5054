/** What a server takes at once is bounded: the client keeps to it, and what it was asked to do is done all the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestConnection } from "../../client/testing.js";
import { answerJoin, at, connected, event, rig, settle } from "./support.js";

const TIMERS = { apis: ["setTimeout", "setInterval", "Date"] } as const;

const refuse = (
  server: TestConnection,
  { id = -1 }: { readonly id?: number },
  retryMs: number,
  code = "rate_limited",
) => server.send({ type: "error", id, code, message: "slowly", retryMs });

const typesSent = (server: TestConnection) => server.sent.map(({ type }) => type);

test("two refusals within the time of one hold everything back; then one goes out, and more with each answer", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server } = await connected(t);
  for (let n = 0; n < 6; n++) void client.room(`r${n}`).publish("message", n);
  const first = [await server.take("publish"), await server.take("publish")];
  for (const publish of first) refuse(server, publish, 300);
  const sentBefore = server.sent.length;
  for (let n = 0; n < 6; n++) void client.call("more", n).catch(() => {});
  t.mock.timers.tick(299);
  assert.equal(server.sent.length, sentBefore, "held back");
  t.mock.timers.tick(1);
  // Four publishes are still open: with the window at one, they come first.
  assert.equal(server.sent.length, sentBefore);
  for (let n = 2; n < 6; n++) {
    const { id = -1 } = await server.take("publish");
    server.send({ type: "published", id });
  }
  assert.ok(server.sent.length > sentBefore, "it goes on");
  assert.ok(server.sent.length <= sentBefore + 4, "not with all at once");
});

test("one room that is too busy holds nobody else up", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server } = await connected(t);
  const busy = client.room("busy").publish("message", 1);
  for (let count = 0; count < 3; count++) {
    refuse(server, await server.take("publish"), 500);
    const call = client.call("meanwhile");
    server.send({ type: "result", id: (await server.take("call")).id, data: 1 });
    await call;
    t.mock.timers.tick(500);
  }
  server.send({ type: "published", id: (await server.take("publish")).id ?? -1, position: at(1) });
  assert.deepEqual(await busy, at(1));
});

test("what is sent without an answer is dropped while the server wants less", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server } = await connected(t);
  const cursor = client.room("cursor:1");
  const sent = () => typesSent(server).filter((type) => type === "publish").length;
  cursor.send("moved", 1);
  for (const retryMs of [100, 200]) {
    server.send({ type: "error", code: "rate_limited", message: "slowly", retryMs });
  }
  cursor.send("moved", 2);
  assert.equal(sent(), 1);
  t.mock.timers.tick(200);
  cursor.send("moved", 3);
  assert.equal(sent(), 2);
});

test("of several publishes on their way the longest delay counts, and their order is kept", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server } = await connected(t, { inFlight: 3 });
  const room = client.room("r");
  const all = [1, 2, 3].map((n) => room.publish("message", n));
  const first = [await server.take("publish"), await server.take("publish"), await server.take("publish")];
  for (const [index, publish] of first.entries()) refuse(server, publish, 100 * (index + 1));
  t.mock.timers.tick(299);
  assert.equal(server.sent.length, 4);
  for (let tries = 0; tries < 5; tries++) t.mock.timers.tick(100);
  const again: unknown[] = [];
  for (const offset of [1, 2, 3]) {
    const { id = -1, data } = await server.take("publish");
    again.push(data);
    server.send({ type: "published", id, position: at(offset) });
  }
  assert.deepEqual(again, [1, 2, 3]);
  await Promise.all(all);
});

test("history that is refused for the moment is asked again; a call is not", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server } = await connected(t);
  const page = client.room("r").history();
  refuse(server, await server.take("history"), 500, "unavailable");
  t.mock.timers.tick(500);
  const { id } = await server.take("history");
  server.send({ type: "history", id, more: false, events: [event(1)] });
  assert.equal((await page).events.length, 1);
  const call = client.call("x");
  refuse(server, await server.take("call"), 500);
  await assert.rejects(call, { code: "rate_limited", retryMs: 500 });
});

test("history survives its connection, and is given up in time", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server, transport } = await connected(t, { requestTimeoutMs: 5000 });
  const page = client.room("r").history();
  await server.take("history");
  server.cut();
  t.mock.timers.tick(0);
  const second = await transport.next();
  await second.welcome();
  refuse(second, await second.take("history"), 60_000, "unavailable");
  t.mock.timers.tick(5000);
  await assert.rejects(page, { code: "timeout" });
});

test("a full room is asked again and again, each time later, and holds up no move", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server, transport } = await connected(t, { random: () => 0.5 });
  const room = client.room("full");
  const joined = room.join();
  for (let count = 0; count < 3; count++) {
    refuse(server, await server.take("join"), 1000, "too_many");
    assert.equal(room.state.status, "joining");
    t.mock.timers.tick(1249);
    assert.equal(typesSent(server).at(-1), "join");
    const sent = server.sent.length;
    t.mock.timers.tick(200);
    assert.equal(server.sent.length, sent + 1);
  }
  refuse(server, await server.take("join"), 60_000, "too_many");
  server.send({ type: "move", afterMs: 0, deadlineMs: 60_000, reason: "draining" });
  t.mock.timers.tick(0);
  const second = await transport.next();
  await second.welcome({ node: "n_2" });
  refuse(second, await second.take("join"), 1000, "too_many");
  assert.equal(client.state.status === "connected" && client.state.node, "n_2", "it has moved");
  t.mock.timers.tick(2000);
  await answerJoin(second, at(1));
  await joined;
});

test("who was closed for asking too much comes back after a second, and later each time", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, transport } = rig(t);
  const delays: number[] = [];
  for (let count = 0; count < 4; count++) {
    const server = await transport.next();
    await server.welcome();
    server.cut(4029, "too many requests, for too long");
    if (client.state.status === "waiting") delays.push(client.state.delayMs);
    t.mock.timers.tick(delays.at(-1) ?? 0);
    await settle();
  }
  assert.deepEqual(delays, [1000, 2000, 3000, 4000]);
});

test("a leave that is refused for the moment is sent again, unless the room is wanted again", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server } = await connected(t);
  for (const name of ["a", "b"]) {
    void client.room(name).join();
    await answerJoin(server, at(1));
    client.room(name).leave();
    refuse(server, await server.take("leave"), 100, "unavailable");
  }
  void client.room("b").join();
  await answerJoin(server, at(1));
  t.mock.timers.tick(100);
  const leaves = server.sent.flatMap((frame) => (frame.type === "leave" ? [frame.room] : []));
  assert.deepEqual(leaves, ["a", "b", "a"]);
  server.send({ type: "left", id: (await server.take("leave")).id });
});
