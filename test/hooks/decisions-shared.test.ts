import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { CacheOptions } from "../../server/hooks/decision-cache.js";
import type { Decided } from "../../server/hooks/decisions.js";
import { Unreachable } from "../../server/hooks/unreachable.js";
import { eventually } from "../support/eventually.js";
import { type Redis, startRedis } from "../support/services/redis.js";
import { startRedisCluster } from "../support/services/redis-cluster.js";
import { startSentinels } from "../support/services/sentinel.js";
import { Application, connectOf, joinOf, later, newNamespace, nodeOf, storeOn } from "./decisions-support.js";

/** Two nodes that share what they remember. */
async function twoNodes(t: TestContext, shards: readonly string[], options: Partial<CacheOptions> = {}) {
  const namespace = newNamespace();
  const open = async () => nodeOf(t, { ...options, store: await storeOn(shards, namespace) });
  return { a: await open(), b: await open(), open, namespace };
}

/** Asks a node until what is to be remembered there is what another has written: writes are not waited for. */
async function untilShared(redis: Redis, count: number): Promise<void> {
  await eventually(async () => Number(await redis.command("DBSIZE")) >= count);
}

test("what one node has asked the others need not ask", async (t) => {
  const redis = await startRedis(t);
  const { a, b } = await twoNodes(t, [redis.url]);
  const app = new Application();
  app.answer = { value: { allowed: true, info: ["a", 1, null] }, maxAgeMs: 60_000 };
  await a.get(joinOf("ann", "chat:1"), app.ask, false);
  await untilShared(redis, 1);
  assert.deepEqual(await b.get(joinOf("ann", "chat:1"), app.ask, false), app.answer.value);
  assert.deepEqual(await b.get(joinOf("ann", "chat:1"), app.ask, false), app.answer.value);
  assert.equal(app.asked, 1);
  assert.deepEqual(b.counts.join, { l1: 1, l2: 1, shared: 0, stale: 0, asked: 0 });
});

test("an answer is no older on another node than where it was asked for", async (t) => {
  const redis = await startRedis(t);
  const { a, b } = await twoNodes(t, [redis.url], { hookRefusalMs: 600_000 });
  const app = new Application();
  app.answer = { value: "no", maxAgeMs: 300, isRefusal: true };
  await a.get(joinOf("ann", "chat:1"), app.ask, false);
  await eventually(async () => {
    b.clear();
    await b.get(joinOf("ann", "chat:1"), app.ask, false);
    return app.asked === 2;
  });
  // Kept for longer than it holds: for when the application is away.
  const [name] = (await redis.command("KEYS", "*")) as string[];
  assert.ok(Number(await redis.command("PTTL", String(name))) > 300_000);
});

test("nothing in Redis names a token, and everything in it has an end", async (t) => {
  const redis = await startRedis(t);
  const { a, namespace } = await twoNodes(t, [redis.url]);
  const app = new Application();
  app.answer = { value: "yes", maxAgeMs: 60_000, user: "ann" };
  await a.get(connectOf("secret-token"), app.ask, false);
  await a.forget({ user: "secret-user" });
  await untilShared(redis, 3);
  const names = (await redis.command("KEYS", "*")) as string[];
  assert.equal(names.length, 3);
  for (const name of names.map(String)) {
    assert.ok(name.startsWith(`${namespace}:hooks:{`), name);
    assert.ok(!/secret/.test(name + String(await redis.command("GET", name))), name);
    assert.ok(Number(await redis.command("PTTL", name)) > 0, name);
  }
});

test("what one node forgot another does not take from Redis, also where only the answer says whom it is about", async (t) => {
  const redis = await startRedis(t);
  const { a, b } = await twoNodes(t, [redis.url]);
  const app = new Application();
  app.answer = { value: "old", maxAgeMs: 60_000, user: "ann", tenant: "acme" };
  await a.get(connectOf("t"), app.ask, false);
  await a.get(connectOf("u"), async () => ({ value: 1, maxAgeMs: 60_000, isRefusal: false, user: "bob" }), false);
  await untilShared(redis, 2);
  await a.forget({ tenant: "acme", user: "ann" });
  app.answer = { ...app.answer, value: "new" };
  assert.equal(await b.get(connectOf("t"), app.ask, false), "new");
  assert.equal(await b.get(connectOf("u"), app.ask, false), 1);
  assert.equal(app.asked, 2);
});

test("an answer that comes to Redis after it was forgotten is not used", async (t) => {
  const redis = await startRedis(t);
  const { a, b } = await twoNodes(t, [redis.url]);
  const slow = later<Decided<string>>();
  const early = a.get(joinOf("ann", "chat:1"), () => slow.promise, false);
  // Its look at Redis has been answered: b's, which began later, has.
  const app = new Application();
  await eventually(async () => {
    await b.get(joinOf("eve", "chat:1"), app.ask, false);
    return (await redis.command("DBSIZE")) === 1;
  });
  // Node a is not told: as if the others could not reach it.
  await b.forget({ user: "ann" });
  slow.resolve({ value: "old", maxAgeMs: 60_000, isRefusal: false });
  assert.equal(await early, "old");
  await untilShared(redis, 4);
  app.answer = { value: "new", maxAgeMs: 60_000 };
  assert.equal(await b.get(joinOf("ann", "chat:1"), app.ask, false), "new");
});

test("an answer past its age serves on another node while the application is away, unless it was forgotten", async (t) => {
  const redis = await startRedis(t);
  const { a, b } = await twoNodes(t, [redis.url]);
  const brief = async () => ({ value: "old", maxAgeMs: 1, isRefusal: false });
  const away = () => Promise.reject(new Unreachable("away", 1000));
  await a.get(joinOf("ann", "chat:1"), brief, false);
  await untilShared(redis, 1);
  assert.equal(await b.get(joinOf("ann", "chat:1"), away, true), "old");
  await eventually(async () => {
    const answer = await b.get(joinOf("ann", "chat:1"), away, false).catch((error: unknown) => error);
    return answer instanceof Unreachable;
  });
  await a.forget({ room: "chat:1" });
  await assert.rejects(b.get(joinOf("ann", "chat:1"), away, true), { name: "Unreachable" });
});

test("a refusal that is not to be remembered takes the answer before with it on all nodes", async (t) => {
  const redis = await startRedis(t);
  const { a, b } = await twoNodes(t, [redis.url]);
  const brief = async () => ({ value: "old", maxAgeMs: 1, isRefusal: false });
  const refuse = async () => ({ value: "no", maxAgeMs: 0, isRefusal: true });
  const away = () => Promise.reject(new Unreachable("away", 1000));
  await a.get(joinOf("ann", "chat:1"), brief, false);
  await untilShared(redis, 1);
  await eventually(async () => (await b.get(joinOf("ann", "chat:1"), refuse, false)) === "no");
  await eventually(async () => (await redis.command("DBSIZE")) === 0);
  await assert.rejects(a.get(joinOf("ann", "chat:1"), away, true), { name: "Unreachable" });
});

test("without Redis decisions are made all the same, and what is forgotten meanwhile does not come back with it", async (t) => {
  const redis = await startRedis(t, { persistent: true });
  const { a, b } = await twoNodes(t, [redis.url]);
  const app = new Application();
  app.answer = { value: "old", maxAgeMs: 600_000 };
  await a.get(joinOf("ann", "chat:1"), app.ask, false);
  await a.get(joinOf("bob", "chat:1"), app.ask, false);
  await untilShared(redis, 2);
  await redis.kill();
  await eventually(() => a.passedOver > 0 || a.get(joinOf(`u${app.asked}`, "r"), app.ask, false).then(() => false));
  assert.equal(await a.get(joinOf("carl", "chat:1"), app.ask, false), "old");
  await assert.rejects(a.forget({ user: "ann" }), { name: "EngineError" });
  app.answer = { value: "new", maxAgeMs: 600_000 };
  assert.equal(await a.get(joinOf("ann", "chat:1"), app.ask, false), "new");
  await redis.start();
  await eventually(async () => Number(await redis.command("EXISTS", await countsName(redis))) === 1);
  assert.equal(await b.get(joinOf("ann", "chat:1"), app.ask, false), "new");
  await eventually(async () => {
    b.clear();
    return (await b.get(joinOf("bob", "chat:1"), app.ask, false)) === "old" && b.counts.join.l2 > 0;
  });
});

async function countsName(redis: Redis): Promise<string> {
  const names = ((await redis.command("KEYS", "*{counts}")) as string[]).map(String);
  return names[0] ?? "none";
}

test("a Redis that stands still holds decisions up for its time limit at the most, and then not at all", async (t) => {
  const redis = await startRedis(t);
  const { a } = await twoNodes(t, [redis.url]);
  const app = new Application();
  redis.pause();
  try {
    for (let user = 0; user < 20; user++) await a.get(joinOf(`u${user}`, "chat:1"), app.ask, false);
    assert.equal(app.asked, 20);
    assert.ok(a.passedOver >= 20);
  } finally {
    redis.resume();
  }
  await eventually(async () => {
    const { passedOver } = a;
    await a.get(joinOf(`v${app.asked}`, "chat:1"), app.ask, false);
    return a.passedOver === passedOver;
  });
});

test("a Redis that has lost all of it loses what was remembered, and nothing that was forgotten comes back", async (t) => {
  const redis = await startRedis(t);
  const { a, b } = await twoNodes(t, [redis.url]);
  const app = new Application();
  await a.forget({ user: "ann" });
  app.answer = { value: "old", maxAgeMs: 600_000 };
  await a.get(joinOf("ann", "chat:1"), app.ask, false);
  await untilShared(redis, 3);
  const [name] = ((await redis.command("KEYS", "*")) as string[]).map(String).filter((each) => !/counts/.test(each));
  const answer = String(await redis.command("GET", String(name)));
  await redis.command("FLUSHALL");
  // As if another server of a Cluster had kept it.
  await redis.command("SET", String(name), answer, "PX", "600000");
  await b.forget({ user: "ann" });
  app.answer = { value: "new", maxAgeMs: 600_000 };
  assert.equal(await b.get(joinOf("ann", "chat:1"), app.ask, false), "new");
});

for (const [what, start] of [
  ["a Redis Cluster", cluster],
  ["a primary behind Sentinels", sentinels],
] as const) {
  test(`nodes share what they remember on ${what}`, async (t) => {
    const { a, b } = await twoNodes(t, await start(t));
    const app = new Application();
    for (let user = 0; user < 30; user++) await a.get(joinOf(`u${user}`, "chat:1"), app.ask, false);
    await eventually(async () => {
      b.clear();
      for (let user = 0; user < 30; user++) await b.get(joinOf(`u${user}`, "chat:1"), app.ask, false);
      return b.counts.join.l2 >= 30;
    });
    await a.forget({ user: "u7" });
    b.clear();
    const { asked } = app;
    for (let user = 0; user < 30; user++) await b.get(joinOf(`u${user}`, "chat:1"), app.ask, false);
    assert.equal(app.asked, asked + 1);
    assert.equal(b.passedOver, 0);
  });
}

async function cluster(t: TestContext): Promise<string[]> {
  const { nodes } = await startRedisCluster(t);
  return [`redis+cluster://${nodes.map(({ host, port }) => `${host}:${port}`).join("+")}`];
}

async function sentinels(t: TestContext): Promise<string[]> {
  const { hosts, masterName } = await startSentinels(t, await startRedis(t));
  return [`redis+sentinel://${hosts.map(({ host, port }) => `${host}:${port}`).join("+")}/${masterName}`];
}
