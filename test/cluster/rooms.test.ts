import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startRedis } from "../support/services/redis.js";
import { connect, type Server, startServer, usersMayAll } from "../support/start-server.js";

const SECRET = "a secret that both nodes have, 32 characters or more";

/** Two nodes on one Redis. */
async function twoNodes(
  t: TestContext,
): Promise<{ ann: Server; bob: Server; redis: Awaited<ReturnType<typeof startRedis>> }> {
  const redis = await startRedis(t, { persistent: true });
  const settings = {
    redis: [redis.url],
    secret: SECRET,
    probeMs: 200,
    engineTimeoutMs: 500,
    authenticate: () => ({ user: "ann" }),
    kinds: { ...usersMayAll, live: { history: { size: 0 } } },
  };
  const [ann, bob] = await Promise.all([startServer(t, settings), startServer(t, settings)]);
  return { ann, bob, redis };
}

test("what is published on one node reaches who joined on another, in rooms with history and without", async (t) => {
  const { ann, bob } = await twoNodes(t);
  const client = await connect(t, bob);
  for (const room of ["chat:1", "live:1"]) {
    await client.ask("joined", { type: "join", room });
    await ann.publish(room, "said", { text: "hello" });
    const { events } = await client.next("events");
    assert.deepEqual(
      events.map(({ event, data }) => ({ event, data })),
      [{ event: "said", data: { text: "hello" } }],
    );
  }
});

test("a session goes on at another node, with what it missed and no event twice", async (t) => {
  const { ann, bob } = await twoNodes(t);
  const first = await connect(t, ann);
  const { position: start } = await first.ask("joined", { type: "join", room: "chat:1" });
  await ann.publish("chat:1", "n", 1);
  await first.next("events");
  first.end();
  await ann.publish("chat:1", "n", 2);
  const second = await connect(t, bob, { hello: { session: first.welcome.session } });
  assert.equal(second.welcome.resumed, true);
  const since = { epoch: start?.epoch ?? "", offset: (start?.offset ?? 0) + 1 };
  const joined = await second.ask("joined", { type: "join", room: "chat:1", since });
  assert.deepEqual([joined.recovered, joined.events.map(({ data }) => data)], [true, [2]]);
});

test("while Redis is away sockets stay open and requests are refused; then the room is whole again", async (t) => {
  const { ann, bob, redis } = await twoNodes(t);
  const client = await connect(t, bob);
  await client.ask("joined", { type: "join", room: "chat:1" });
  await ann.publish("chat:1", "n", 1);
  await client.next("events");
  await redis.kill();
  await eventually(() => bob.problems().length > 0);
  assert.equal((await fetch(`${bob.url}/ready`)).status, 503);
  assert.equal((await fetch(`${bob.url}/live`)).status, 200);
  const refusal = await client.refusal({ type: "publish", room: "chat:1", event: "n", data: 2 });
  assert.equal(refusal.code, "unavailable");
  assert.ok((refusal.retryMs ?? 0) > 0);
  assert.doesNotMatch(refusal.message, /redis|127\.0\.0\.1|\d{4}/, "where the engine is is no client's business");
  await redis.start();
  await eventually(() => ann.problems().length + bob.problems().length === 0);
  assert.equal((await fetch(`${bob.url}/ready`)).status, 200);
  await ann.publish("chat:1", "n", 3);
  const { events } = await client.next("events");
  assert.deepEqual(
    events.map(({ data }) => data),
    [3],
  );
  assert.equal(client.closed, undefined);
});

test("a node starts while its engine is away, says so at /ready, and serves once it is there", async (t) => {
  const redis = await startRedis(t);
  await redis.kill();
  const server = await startServer(t, { redis: [redis.url], probeMs: 200 });
  assert.equal((await fetch(`${server.url}/ready`)).status, 503);
  assert.equal((await fetch(`${server.url}/ready/memory`)).status, 200);
  await redis.start();
  await eventually(() => server.problems().length === 0);
  await server.publish("chat:1", "n", 1);
});
