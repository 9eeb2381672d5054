import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { presenceConformance } from "../../server/engine/conformance-presence.js";
import { bytes, ending, LONG_MS, SHORT_MS, texts } from "../../server/engine/conformance-presence-ground.js";
import { slotOf } from "../../server/engine/redis/slots.js";
import { eventually } from "../support/eventually.js";
import type { Redis } from "../support/services/redis.js";
import { type RedisCluster, startRedisCluster } from "../support/services/redis-cluster.js";
import { openPresence, presenceCluster } from "./presence-redis-ground.js";
import { beginMove, endMove, moveKeys, moveSlot, untilOk, urlOf } from "./redis-cluster-ground.js";
import { redisOptions } from "./redis-ground.js";

const ends: (() => Promise<void>)[] = [];
let cluster: RedisCluster;
before(async () => {
  const scope = { after: (end: () => Promise<void>) => void ends.push(end) };
  const args = ["--appendonly", "yes", "--appendfsync", "always", "--cluster-require-full-coverage", "no"];
  cluster = await startRedisCluster(scope, { args });
});
after(async () => {
  for (const end of ends) await end();
});

presenceConformance("redis cluster, three primaries", {
  test,
  open: async () => {
    const { nodes } = cluster;
    return presenceCluster(redisOptions([urlOf(nodes)]), nodes, () => Promise.all(nodes.map(untilOk)));
  },
});

const keysOn = async (node: Redis, namespace: string): Promise<string[]> =>
  ((await node.command("KEYS", `${namespace}:*`)) as string[]).sort();

/** In which slot the registers of a room are. */
const slotFor = (namespace: string, room: string): number =>
  slotOf(`${namespace}:presence:{${slotOf(room) % 256}}:room:${room}`);

/** Which of the servers holds the slot. */
async function holderOf(nodes: readonly Redis[], slot: number): Promise<Redis> {
  const ranges = (await nodes[0]?.command("CLUSTER", "SLOTS")) as unknown as [number, number, [string, number]][];
  const range = ranges.find(([from, to]) => from <= slot && slot <= to);
  return nodes.find(({ port }) => port === range?.[2][1]) as Redis;
}

test("rooms are spread over all primaries of a Cluster, and a node that ended leaves no key on any", async (t) => {
  const { nodes } = cluster;
  const options = redisOptions([urlOf(nodes)]);
  const presence = await openPresence(options);
  t.after(() => presence.close());
  await presence.beat("n", LONG_MS);
  const rooms = Array.from({ length: 300 }, (_, n) => `room:${n}`);
  await Promise.all(rooms.map((room) => presence.write(room, "n", 0, bytes(room))));
  for (const node of nodes) {
    const held = (await keysOn(node, options.namespace)).filter((key) => key.includes(":room:"));
    assert.ok(held.length > 50 && held.length < 150, `${held.length} of 300 rooms are on one of three`);
  }
  await Promise.all(rooms.slice(0, 150).map((room) => presence.write(room, "n", 0, undefined)));
  await presence.beat("n", 0);
  assert.equal(await presence.clear("n"), true);
  for (const node of nodes) assert.deepEqual(await keysOn(node, options.namespace), []);
});

test("while a slot is moved registers are written in order, and nothing is lost or left behind", async (t) => {
  const { nodes } = cluster;
  const options = redisOptions([urlOf(nodes)]);
  const [presence, other] = [await openPresence(options), await openPresence(options)];
  t.after(() => Promise.all([presence.close(), other.close()]).then(() => undefined));
  await presence.beat("n", LONG_MS);
  const room = "room:1";
  const slot = slotFor(options.namespace, room);
  const from = await holderOf(nodes, slot);
  const to = nodes[(nodes.indexOf(from) + 1) % nodes.length] as Redis;
  let [count, taken, isOver] = [0, 0, false];
  const writing = (async () => {
    while (!isOver) {
      const value = bytes(String(++count));
      const calls = [0, 1].map((part) => presence.write(room, "n", part, value));
      const all = await Promise.all(calls.map(ending));
      if (all.every((end) => end === "done")) taken = count;
      const registers = await other.read(room).catch(() => undefined);
      for (const register of registers ?? []) assert.ok(Number(register.value) >= taken);
    }
  })();
  await eventually(() => taken > 20);
  await moveSlot(slot, from, to);
  const before = taken;
  await eventually(() => taken > before + 20, "nothing was written after the move");
  isOver = true;
  await writing;
  assert.deepEqual(texts(await other.read(room)), [`n 0 ${taken}`, `n 1 ${taken}`]);
  await moveSlot(slot, to, from);
  await presence.beat("n", 0);
  await eventually(async () => (await other.clear("n").catch(() => false)) === true);
  for (const node of nodes) assert.deepEqual(await keysOn(node, options.namespace), []);
});

test("a node that is cleared while a slot is half moved is cleared in the end, and nothing of it is forgotten", async (t) => {
  const { nodes } = cluster;
  const options = redisOptions([urlOf(nodes)]);
  const presence = await openPresence(options);
  t.after(() => presence.close());
  await presence.beat("n", LONG_MS);
  const slot = slotFor(options.namespace, "room:1");
  // Rooms of one slot, so that a move of it takes some of them and leaves others.
  const rooms: string[] = [];
  for (let n = 0; rooms.length < 20; n++) {
    if (slotFor(options.namespace, `room:${n}`) === slot) rooms.push(`room:${n}`);
  }
  for (const room of rooms) await presence.write(room, "n", 0, bytes("x"));
  const from = await holderOf(nodes, slot);
  const to = nodes[(nodes.indexOf(from) + 1) % nodes.length] as Redis;
  await beginMove(slot, from, to);
  const some = (await from.command("CLUSTER", "GETKEYSINSLOT", slot, 100)) as string[];
  const moved = some.filter((key) => key.includes(":room:")).slice(0, 7);
  await from.command("MIGRATE", to.host, to.port, "", 0, 5000, "KEYS", ...moved);
  await presence.beat("n", 0);
  assert.notEqual(await ending(presence.clear("n")), "done");
  const leases = (await presence.beat("other", SHORT_MS)).leases;
  assert.ok(leases.some(({ node }) => node === "n"));
  await moveKeys(slot, from, to);
  await endMove(slot, from, to);
  await eventually(async () => (await presence.clear("n").catch(() => false)) === true);
  await presence.beat("other", 0);
  await presence.clear("other");
  for (const node of nodes) assert.deepEqual(await keysOn(node, options.namespace), []);
});
