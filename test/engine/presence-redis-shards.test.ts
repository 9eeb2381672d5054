import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { bytes, ending, LONG_MS, leaseOf, texts } from "../../server/engine/conformance-presence-ground.js";
import { parseRedisShard } from "../../server/engine/redis/address.js";
import { Places } from "../../server/engine/redis/places.js";
import { eventually } from "../support/eventually.js";
import { type Redis, startRedis } from "../support/services/redis.js";
import { openPresence } from "./presence-redis-ground.js";
import { redisOptions } from "./redis-ground.js";

const ROOMS = Array.from({ length: 30 }, (_, n) => `room:${n}`);

/** Three shards, two nodes' ways to them, and where things are. */
async function sharded(t: TestContext) {
  const servers = await Promise.all([1, 2, 3].map(() => startRedis(t, { persistent: true })));
  const urls = servers.map(({ url }, n) => `${url}?name=${n}`);
  const options = redisOptions(urls);
  const places = new Places(urls.map((url) => parseRedisShard(url)));
  const serverOf = (room: string) => servers[Number(places.home(room))] as Redis;
  const [presence, other] = await Promise.all([openPresence(options), openPresence(options)]);
  t.after(() => Promise.all([presence.close(), other.close()]).then(() => undefined));
  await presence.beat("n", LONG_MS);
  for (const room of ROOMS) await presence.write(room, "n", 0, bytes("x"));
  return { presence, other, serverOf, withLeases: serverOf("leases") };
}

test("while one shard is away its rooms are refused, and the others' go on", async (t) => {
  const { presence, other, serverOf, withLeases } = await sharded(t);
  const away = ROOMS.map(serverOf).find((server) => server !== withLeases) as Redis;
  await away.kill();
  await eventually(() => presence.problems().length === 1 && other.problems().length === 1);
  assert.match(presence.problems()[0] as string, /^redis \d \(presence\): \S/);
  for (const room of ROOMS) {
    const expected = serverOf(room) === away ? "unavailable" : "done";
    assert.equal(await ending(presence.write(room, "n", 1, bytes("y"))), expected);
    assert.equal(await ending(other.read(room)), expected);
  }
  assert.equal((await presence.beat("n", LONG_MS)).isNew, false);
  await away.start();
  await eventually(() => presence.problems().length === 0 && other.problems().length === 0);
  for (const room of ROOMS) {
    const both = serverOf(room) === away ? ["n 0 x"] : ["n 0 x", "n 1 y"];
    assert.deepEqual(texts(await other.read(room)), both);
  }
});

test("while the shard with the leases is away nobody beats or is cleared, and rooms on others go on", async (t) => {
  const { presence, other, serverOf, withLeases } = await sharded(t);
  await withLeases.kill();
  await eventually(() => presence.problems().length === 1 && other.problems().length === 1);
  assert.equal(await ending(presence.beat("n", LONG_MS)), "unavailable");
  assert.equal(await ending(other.clear("n")), "unavailable");
  const room = ROOMS.find((each) => serverOf(each) !== withLeases) as string;
  await presence.write(room, "n", 1, bytes("y"));
  assert.deepEqual(texts(await other.read(room)), ["n 0 x", "n 1 y"]);
  await withLeases.start();
  await eventually(() => presence.problems().length === 0 && other.problems().length === 0);
  assert.equal((await presence.beat("n", LONG_MS)).isNew, false);
});

test("a node that is cleared while a shard is away is told of until it is cleared there too", async (t) => {
  const { presence, other, serverOf, withLeases } = await sharded(t);
  const away = ROOMS.map(serverOf).find((server) => server !== withLeases) as Redis;
  await presence.beat("n", 0);
  await away.kill();
  await eventually(() => other.problems().length === 1);
  assert.equal(await ending(other.clear("n")), "unavailable");
  assert.ok(leaseOf((await other.beat("o", LONG_MS)).leases, "n").leftMs <= 0);
  await away.start();
  await eventually(() => other.problems().length === 0);
  assert.equal(await other.clear("n"), true);
  for (const room of ROOMS) assert.deepEqual(await other.read(room), []);
  assert.ok(!(await other.beat("o", LONG_MS)).leases.some(({ node }) => node === "n"));
});
