import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestConnection } from "../../client/testing.js";
import { connected, rig, settle } from "./support.js";

const position = (offset: number) => ({ epoch: "e", offset });

/** The next publish, which always asks for an answer. */
async function publishOf(server: TestConnection) {
  const { id = -1, ...rest } = await server.take("publish");
  return { id, ...rest };
}

async function answer(server: TestConnection, offset: number) {
  const publish = await publishOf(server);
  server.send({ type: "published", id: publish.id, position: position(offset) });
  return publish;
}

const dataSent = (server: TestConnection) =>
  server.sent.flatMap((frame) => (frame.type === "publish" ? [frame.data] : []));

test("a publish resolves with its position, or with undefined where the room keeps no history", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r");
  const published = room.publish("message", { text: "hi" }, { key: "mine" });
  const { id: _, type: __, ...sent } = await answer(server, 4);
  assert.deepEqual(sent, { room: "r", event: "message", data: { text: "hi" }, key: "mine" });
  assert.deepEqual(await published, position(4));
  const unnumbered = room.publish("message", 1);
  server.send({ type: "published", id: (await publishOf(server)).id });
  assert.equal(await unnumbered, undefined);
});

test("what is published offline is sent after the welcome, in order, each with a key of its own", async (t) => {
  const { client, transport } = rig(t);
  const room = client.room("r");
  const all = [1, 2, 3].map((data) => room.publish("message", data));
  const server = await transport.next();
  server.accept();
  assert.deepEqual(dataSent(server), []);
  const { id } = await server.take("hello");
  const limits = { maxFrameBytes: 65_536, maxRooms: 1, maxRequests: 32 };
  server.send({ type: "welcome", id, session: "s", node: "n", resumed: false, heartbeatMs: 20_000, limits });
  const keys = new Set<string | undefined>();
  for (const offset of [1, 2, 3]) {
    const { data, key } = await answer(server, offset);
    assert.equal(data, offset);
    keys.add(key);
  }
  assert.equal(keys.size, 3);
  assert.deepEqual(await Promise.all(all), [1, 2, 3].map(position));
});

test("two clients never use the same keys", async (t) => {
  const keys = [];
  for (const { client, server } of [await connected(t), await connected(t)]) {
    void client.room("r").publish("message", 1);
    keys.push((await server.take("publish")).key);
  }
  assert.notEqual(keys[0], keys[1]);
});

test("what was not answered is sent again with the same key, before anything newer", async (t) => {
  const { client, server, transport } = await connected(t, { inFlight: 2 });
  const room = client.room("r");
  const first = [1, 2, 3].map((data) => room.publish("message", data));
  assert.deepEqual(dataSent(server), [1, 2]);
  const lost = server.sent.filter((frame) => frame.type === "publish");
  server.cut();
  const later = room.publish("message", 4);
  const second = await transport.next();
  await second.welcome();
  assert.deepEqual(dataSent(second), [1, 2]);
  const again = second.sent.filter((frame) => frame.type === "publish");
  assert.deepEqual(again, lost);
  for (const offset of [1, 2, 3, 4]) await answer(second, offset);
  assert.deepEqual(await Promise.all([...first, later]), [1, 2, 3, 4].map(position));
  assert.deepEqual(dataSent(second), [1, 2, 3, 4]);
});

test("rooms do not wait for each other", async (t) => {
  const { client, server } = await connected(t);
  for (const name of ["a", "b"]) for (const data of [1, 2]) void client.room(name).publish("message", `${name}${data}`);
  assert.deepEqual(dataSent(server), ["a1", "b1"]);
});

test("more than the queue holds is refused, and room is made by answers", async (t) => {
  const { client, transport } = rig(t, { queueSize: 2 });
  const room = client.room("r");
  const [first, second] = [room.publish("message", 1), room.publish("message", 2)];
  await assert.rejects(room.publish("message", 3), { code: "queue_full", message: /queueSize/ });
  const server = await transport.next();
  await server.welcome();
  await answer(server, 1);
  await answer(server, 2);
  await Promise.all([first, second]);
  const fourth = room.publish("message", 4);
  await answer(server, 3);
  await fourth;
});

test("a refusal for the moment holds the room's later publishes back, and is tried again", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { client, server } = await connected(t);
  const room = client.room("r");
  const both = [room.publish("message", 1), room.publish("message", 2)];
  const { id, key } = await publishOf(server);
  server.send({ type: "error", id, code: "rate_limited", message: "slowly", retryMs: 800 });
  t.mock.timers.tick(799);
  assert.deepEqual(dataSent(server), [1]);
  t.mock.timers.tick(1);
  assert.equal((await answer(server, 1)).key, key);
  await answer(server, 2);
  await Promise.all(both);
  assert.deepEqual(dataSent(server), [1, 1, 2]);
});

test("a refusal for good rejects, and the next one goes out", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r");
  const refused = room.publish("message", 1);
  const next = room.publish("message", 2);
  server.send({ type: "error", id: (await publishOf(server)).id, code: "forbidden", message: "not you" });
  await assert.rejects(refused, { code: "forbidden" });
  await answer(server, 1);
  await next;
});

test("a publish that was sent and stays without an answer is rejected before its key is forgotten", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const { client, server, transport } = await connected(t, { publishTimeoutMs: 240_000, random: () => 0.5 });
  const room = client.room("r");
  const sent = room.publish("message", 1);
  const waiting = room.publish("message", 2);
  await server.take("publish");
  server.cut();
  transport.onOpen = (connection) => connection.cut();
  for (let second = 0; second < 240; second++) t.mock.timers.tick(1000);
  await assert.rejects(sent, { code: "timeout" });
  client.close();
  await assert.rejects(waiting, { code: "closed" });
});

test("an event that is too long for the server is refused here and does not cost the connection", async (t) => {
  const { client, transport } = rig(t);
  const server = await transport.next();
  await server.welcome({ limits: { maxFrameBytes: 200, maxRooms: 1, maxRequests: 8 } });
  const room = client.room("r");
  await assert.rejects(room.publish("message", "x".repeat(200)), { code: "too_large" });
  await assert.rejects(room.publish("message", "€".repeat(60)), { code: "too_large" });
  const fits = room.publish("message", "€".repeat(30));
  await answer(server, 1);
  await fits;
});

test("what no codec can write is rejected at once", async (t) => {
  const { client, server } = await connected(t);
  const circle: { self?: unknown } = {};
  circle.self = circle;
  await assert.rejects(client.room("r").publish("message", circle), TypeError);
  assert.deepEqual(dataSent(server), []);
});

test("what is published is what it was at that moment", async (t) => {
  const { client, transport } = rig(t);
  const data = { text: "before" };
  void client.room("r").publish("message", data);
  data.text = "after";
  const server = await transport.next();
  await server.welcome();
  assert.deepEqual((await server.take("publish")).data, { text: "before" });
});

test("close settles every promise", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r");
  const all = [room.publish("message", 1), room.publish("message", 2), client.call("x"), room.history(), room.join()];
  await server.take("publish");
  client.close();
  const settled = await Promise.allSettled(all);
  assert.deepEqual(
    settled.map(({ status }) => status),
    all.map(() => "rejected"),
  );
  await assert.rejects(room.publish("message", 3), { code: "closed" });
});

test("a rejection that nobody looks at does no harm", async (t) => {
  const { client } = rig(t);
  void client.room("r").publish("message", 1);
  client.close();
  await settle();
});

test("send goes out once without a key when connected, and nowhere when not", async (t) => {
  const { client, transport } = rig(t);
  const room = client.room("cursor:1");
  room.send("moved", 1);
  const server = await transport.next();
  await server.welcome();
  room.send("moved", 2);
  assert.deepEqual(server.sent.slice(1), [{ type: "publish", room: "cursor:1", event: "moved", data: 2 }]);
});
