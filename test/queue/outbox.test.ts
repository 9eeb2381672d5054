import assert from "node:assert/strict";
import { test } from "node:test";
import { redisQueues } from "../../server/engine/redis/queues.js";
import { lost } from "../../server/queue/entries.js";
import { Outbox } from "../../server/queue/outbox.js";
import { redisOptions } from "../engine/redis-ground.js";
import { eventually } from "../support/eventually.js";
import { startRedis } from "../support/services/redis.js";
import { startServer } from "../support/start-server.js";
import { KEPT } from "./conformance.js";
import { engines } from "./engines.js";

test("what does not fit while the engine is away is counted, and told where it would have stood", async (t) => {
  const redis = await startRedis(t, { persistent: true });
  const options = redisOptions([redis.url], { timeoutMs: 500 });
  const log = redisQueues(options).openRecords({ ...KEPT, max: 100_000 });
  t.after(() => log.close());
  await eventually(() => log.problems().length === 0, "it never came up");
  let count = 0;
  const newId = () => `one-${++count}`;
  const node = { name: "one", instance: "one" };
  const outbox = new Outbox({
    log,
    lost: (many) => {
      const id = newId();
      return { kind: "lost", about: undefined, id, bytes: lost(node, id, many) };
    },
    failed: (error) => assert.fail(String(error)),
  });
  t.after(() => outbox.close());
  outbox.release();
  await redis.kill();
  const put = (text: string) =>
    outbox.put({ kind: "connected", about: undefined, id: newId(), bytes: Buffer.from(`"${text}"`) });
  for (let index = 0; index < 10_123; index++) put(`early ${index}`);
  assert.equal(outbox.waiting, 10_000);
  await redis.start();
  await eventually(() => outbox.waiting === 0, "it was never written");
  put("late");
  await eventually(() => outbox.written === 10_002, "not all was written");
  const reply = (await redis.command("XRANGE", `${options.namespace}:records`, "-", "+")) as [string, string[]][];
  const told = reply.map(([, fields]) => JSON.parse(fields[fields.indexOf("record") + 1] ?? "") as unknown);
  assert.deepEqual(
    told.slice(0, 10_000),
    Array.from({ length: 10_000 }, (_, index) => `early ${index}`),
  );
  const { at: _, ...overflow } = told[10_000] as { readonly at: number };
  assert.deepEqual(overflow, { type: "lost", id: "one-10124", node: "one", instance: "one", count: 123 });
  assert.deepEqual(told.slice(10_001), ["late"]);
});

test("a room's log that has gone further than it reaches back is told as a gap, and told on from there", async (t) => {
  const [queue, rooms] = [await engines.Redis(t), await startRedis(t)];
  const server = await startServer(t, {
    ...queue.settings,
    // The queue is on the first shard, where no room is.
    redis: [`${queue.settings.redis?.[0]}?weight=0`, rooms.url],
    kinds: { "*": { record: true, history: { size: 10 } } },
  });
  await server.publish("chat:1", "said", 0);
  await eventually(async () => (await queue.entries()).length === 1, "the first was not told");
  await queue.kill();
  for (let index = 1; index <= 30; index++) await server.publish("chat:1", "said", index);
  await queue.start();
  await eventually(async () => (await queue.entries()).length === 12, "the others were not told");
  const entries = await queue.entries();
  assert.deepEqual(
    entries.map(({ type, data }) => (type === "published" ? data : type)),
    [0, "gap", ...Array.from({ length: 10 }, (_, index) => 21 + index)],
  );
  const [first, gap, next] = entries;
  assert.deepEqual(gap?.from, first?.position);
  assert.deepEqual(gap?.to, { ...next?.position, offset: (next?.position?.offset ?? 0) - 1 });
});

test("what is published at once in a room that has to be marked first keeps its order", async (t) => {
  const engine = await engines.Redis(t);
  const server = await startServer(t, { ...engine.settings, kinds: { "*": { record: true } } });
  const positions = await Promise.all(
    Array.from({ length: 50 }, (_, index) => server.publish("chat:1", "said", index)),
  );
  assert.deepEqual(
    positions.map((position) => position?.offset),
    Array.from({ length: 50 }, (_, index) => index + 1),
  );
});

test("a room that cannot be marked takes no publish, and nothing of it comes into the log", async (t) => {
  const [queue, rooms] = [await engines.Redis(t), await startRedis(t)];
  const server = await startServer(t, {
    ...queue.settings,
    redis: [`${queue.settings.redis?.[0]}?weight=0`, rooms.url],
    kinds: { "*": { record: true }, free: { record: false } },
  });
  await queue.kill();
  await eventually(() => server.problems().length > 0, "nobody noticed");
  await assert.rejects(server.publish("chat:1", "said", 1), { name: "EngineError" });
  assert.equal((await server.publish("free:1", "said", 1))?.offset, 1);
  await queue.start();
  await eventually(() => server.problems().length === 0, "it never came back");
  assert.equal((await server.publish("chat:1", "said", 2))?.offset, 1);
  await eventually(async () => (await queue.entries()).length === 1, "it was not told");
});
