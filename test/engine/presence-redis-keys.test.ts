import assert from "node:assert/strict";
import { connect } from "node:net";
import test, { type TestContext } from "node:test";
import { bytes, ending, LONG_MS, leaseOf, texts } from "../../server/engine/conformance-presence-ground.js";
import { parseRedisShard } from "../../server/engine/redis/address.js";
import { Places } from "../../server/engine/redis/places.js";
import { openRedisPresence, type RedisPresenceOptions } from "../../server/engine/redis/presence.js";
import { eventually } from "../support/eventually.js";
import { TcpProxy } from "../support/proxy.js";
import { type Redis, startRedis } from "../support/services/redis.js";
import { callsOf, openPresence } from "./presence-redis-ground.js";
import { redisOptions } from "./redis-ground.js";

async function opened(t: TestContext, options: RedisPresenceOptions) {
  const presence = await openPresence(options);
  t.after(() => presence.close());
  return presence;
}

const keysOn = async (server: Redis): Promise<string[]> => ((await server.command("KEYS", "*")) as string[]).sort();

/** What the server was asked to do meanwhile, and how often; without probes and this question. */
async function commandsOf(server: Redis, act: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await callsOf(server);
  await act();
  const made = [...(await callsOf(server))].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const);
  return Object.fromEntries(made.filter(([name, count]) => count > 0 && name !== "info" && name !== "ping"));
}

test("a write, an erasure and a beat are one script each, a read is one command, whatever the node has written", async (t) => {
  const server = await startRedis(t);
  const presence = await opened(t, redisOptions([server.url]));
  await presence.beat("n", LONG_MS);
  for (let n = 0; n < 200; n++) await presence.write(`room:${n}`, "n", 0, bytes("value"));
  const room = "room:new";
  assert.deepEqual(await commandsOf(server, () => presence.write(room, "n", 0, bytes("a"))), {
    evalsha: 1,
    hget: 1,
    hset: 2,
    sadd: 1,
  });
  assert.deepEqual(await commandsOf(server, () => presence.write(room, "n", 0, bytes("b"))), {
    evalsha: 1,
    hget: 1,
    hset: 2,
  });
  assert.deepEqual(await commandsOf(server, () => presence.write(room, "n", 0, undefined)), {
    evalsha: 1,
    hget: 1,
    hset: 1,
    hdel: 1,
    srem: 1,
  });
  assert.deepEqual(await commandsOf(server, () => presence.beat("n", LONG_MS)), {
    evalsha: 1,
    time: 1,
    zscore: 1,
    zadd: 1,
    zrange: 1,
  });
  assert.deepEqual(await commandsOf(server, () => presence.read("room:1")), { hgetall: 1 });
});

test("an emptied room leaves no key, and a cleared node none at all", async (t) => {
  const server = await startRedis(t);
  const presence = await opened(t, redisOptions([server.url], { namespace: "ns" }));
  await presence.beat("n", LONG_MS);
  await presence.write("room:1", "n", 0, bytes("x"));
  await presence.write("room:2", "n", 3, bytes("x"));
  const all = ["nodes", "of:n", "room:room:1", "room:room:2"].map((key) => `ns:presence:{0}:${key}`);
  assert.deepEqual(await keysOn(server), [...all, "ns:presence:{leases}"]);
  await presence.write("room:1", "n", 0, undefined);
  await presence.write("room:2", "n", 3, undefined);
  assert.deepEqual(await keysOn(server), ["ns:presence:{0}:nodes", "ns:presence:{leases}"]);
  await presence.write("room:2", "n", 3, bytes("x"));
  await presence.beat("n", 0);
  await presence.clear("n");
  assert.deepEqual(await keysOn(server), []);
});

test("a node is cleared a part at a time, and nothing is scanned", async (t) => {
  const server = await startRedis(t);
  const presence = await opened(t, redisOptions([server.url]));
  await presence.beat("n", LONG_MS);
  await Promise.all(Array.from({ length: 1000 }, (_, n) => presence.write(`room:${n}`, "n", 0, bytes("x"))));
  await presence.beat("n", 0);
  const { evalsha = 0, ...others } = await commandsOf(server, () => presence.clear("n"));
  // Two looks at the lease, and five times 200 registers.
  assert.equal(evalsha, 7);
  assert.ok(!Object.keys(others).some((name) => /scan|keys/.test(name)), Object.keys(others).join());
});

test("calls go on, in their order, where the server has forgotten its scripts", async (t) => {
  const server = await startRedis(t);
  const presence = await opened(t, redisOptions([server.url]));
  await presence.beat("n", LONG_MS);
  const calls: Promise<void>[] = [];
  for (let n = 0; n < 200; n++) {
    calls.push(presence.write("room:1", "n", n % 4, bytes(String(n))));
    if (n % 50 === 20) await server.command("SCRIPT", "FLUSH");
  }
  assert.deepEqual(new Set(await Promise.all(calls.map(ending))), new Set(["done"]));
  assert.deepEqual(texts(await presence.read("room:1")), ["n 0 196", "n 1 197", "n 2 198", "n 3 199"]);
  assert.equal((await presence.beat("n", LONG_MS)).isNew, false);
});

test("a call that is delivered late, on a connection that was given up, changes nothing that was written since", async (t) => {
  const server = await startRedis(t);
  const proxy = await TcpProxy.start(t, server);
  const presence = await opened(t, redisOptions([proxy.url("redis")]));
  await presence.beat("n", LONG_MS);
  await presence.write("room:1", "n", 1, bytes("first"));
  // The network keeps two calls until the connection they were made on is gone.
  const kept: Buffer[] = [];
  proxy.filter("toServer", (chunk, cut) => {
    if (!chunk.includes("kept")) return chunk;
    kept.push(chunk);
    cut();
    return undefined;
  });
  const early = [0, 1].map((part) => ending(presence.write("room:1", "n", part, bytes("kept"))));
  assert.deepEqual(await Promise.all(early), ["timeout", "timeout"]);
  proxy.filter("toServer", undefined);
  await eventually(() => presence.problems().length === 0, "the engine never came back");
  await presence.write("room:1", "n", 0, bytes("new"));
  await presence.write("room:1", "n", 1, undefined);
  const before = (await callsOf(server)).get("evalsha") ?? 0;
  const late = connect({ host: server.host, port: server.port });
  t.after(() => void late.destroy());
  late.resume().write(Buffer.concat(kept));
  await eventually(async () => ((await callsOf(server)).get("evalsha") ?? 0) >= before + 2, "they did not come late");
  assert.deepEqual(texts(await presence.read("room:1")), ["n 0 new"]);
});

test("what was written by nodes whose leases were lost is erased in the end; nothing of a node that has one", async (t) => {
  const [one, two, three] = await Promise.all([startRedis(t), startRedis(t), startRedis(t)]);
  const options = redisOptions([one, two, three].map(({ url }, n) => `${url}?name=s${n}`));
  const presence = await opened(t, { ...options, sweepMs: 1 });
  const rooms = Array.from({ length: 60 }, (_, n) => `room:${n}`);
  await presence.beat("gone", LONG_MS);
  for (const room of rooms) await presence.write(room, "gone", 0, bytes("x"));
  const held = await Promise.all([one, two, three].map(keysOn));
  const withLeases = [one, two, three][held.findIndex((keys) => keys.some((key) => key.endsWith("{leases}")))] as Redis;
  await withLeases.command("FLUSHALL");
  assert.equal((await presence.beat("here", LONG_MS)).isNew, true);
  for (const room of rooms) await presence.write(room, "here", 0, bytes("y"));
  const read = async () => (await Promise.all(rooms.map((room) => presence.read(room)))).flatMap(texts);
  assert.ok((await read()).some((text) => text === "gone 0 x"));
  await eventually(async () => {
    await presence.beat("here", LONG_MS);
    return !(await read()).some((text) => text.startsWith("gone"));
  }, "what has no lease is still there");
  assert.deepEqual(
    await read(),
    rooms.map(() => "here 0 y"),
  );
});

test("while a shard is added nodes of the step before, this one and the next see each other, and nothing stays behind", async (t) => {
  const servers = await Promise.all([1, 2, 3].map(() => startRedis(t)));
  const { namespace } = redisOptions([]);
  // Of a name that takes over the leases too.
  const named = (name: string, query: string) =>
    servers.map(({ url }, n) => `${url}?name=${n === 2 ? name + query : n}`);
  const takes = (name: string) =>
    new Places(named(name, "&weight=1&was=0").map((text) => parseRedisShard(text))).before("leases") !== undefined;
  const name = Array.from({ length: 100 }, (_, n) => `s${n}`).find(takes) as string;
  const shards = (query: string) => named(name, query);
  const open = (query: string) => opened(t, redisOptions(shards(query), { namespace }));
  const rooms = Array.from({ length: 40 }, (_, n) => `room:${n}`);
  const [first, second, third] = [await open("&weight=0"), await open("&weight=1&was=0"), await open("")];
  for (const [before, after, steps] of [
    [first, second, [0, 1]],
    [second, third, [1, 2]],
  ] as const) {
    const [a, b] = steps.map((step) => `n${step}`) as [string, string];
    for (const [presence, name] of [
      [before, a],
      [after, b],
    ] as const) {
      await presence.beat(name, LONG_MS);
      for (const room of rooms) await presence.write(room, name, 0, bytes("x"));
    }
    for (const [presence, name] of [
      [before, a],
      [after, b],
    ] as const) {
      const { isNew, leases } = await presence.beat(name, LONG_MS);
      assert.equal(isNew, false);
      for (const each of [a, b]) assert.ok(leaseOf(leases, each).leftMs > 0);
      for (const room of rooms) assert.deepEqual(texts(await presence.read(room)), [`${a} 0 x`, `${b} 0 x`]);
    }
    await before.write(rooms[0] as string, a, 0, undefined);
    for (const presence of [before, after]) {
      assert.deepEqual(texts(await presence.read(rooms[0] as string)), [`${b} 0 x`]);
    }
    assert.equal(await after.clear(a), false);
    await before.beat(a, 0);
    assert.equal(await after.clear(a), true);
    for (const room of rooms) assert.deepEqual(texts(await after.read(room)), [`${b} 0 x`]);
    await after.beat(b, 0);
    assert.equal(await after.clear(b), true);
    for (const server of servers) assert.deepEqual(await keysOn(server), []);
  }
});

test("an address that cannot be read, and shards that hold nothing, are refused before anything is opened", () => {
  assert.throws(() => openRedisPresence(redisOptions(["http://localhost"])), TypeError);
  assert.throws(() => openRedisPresence(redisOptions(["redis://localhost?weight=0"])), TypeError);
});
