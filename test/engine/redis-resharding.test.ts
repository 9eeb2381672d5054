import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { event, placed, rules } from "../../server/engine/conformance-ground.js";
import { eventually } from "../support/eventually.js";
import type { Redis } from "../support/services/redis.js";
import { startRedisCluster } from "../support/services/redis-cluster.js";
import {
  beginMove,
  ending,
  endMove,
  Follower,
  moveKeys,
  moveSlot,
  ownerOf,
  publishAtLast,
  slotAt,
  untilOk,
  urlOf,
} from "./redis-cluster-ground.js";
import { openNode, redisOptions } from "./redis-ground.js";

const ROOM = "room:1";
/** A server that gives away its last slot does not become a replica of the one that has it. */
const STAYS = ["--cluster-allow-replica-migration", "no"];

/** A Cluster of three, where a room's slot is, and another server of it. */
async function three(t: TestContext) {
  const { nodes } = await startRedisCluster(t);
  const options = redisOptions([urlOf(nodes)]);
  const from = await ownerOf(nodes, options, ROOM);
  const [to, third] = nodes.filter((node) => node !== from) as [Redis, Redis];
  const slot = await slotAt(from, options, ROOM);
  return { nodes, options, from, to, third, slot };
}

test("slots that move under load cost no event, repeat none, and keep the order", async (t) => {
  const { nodes, options } = await three(t);
  const rooms = Array.from({ length: 12 }, (_, index) => `room:${index}`);
  const [publisher, follower] = [await openNode(options), await Follower.open(t, options)];
  t.after(() => publisher.close());
  for (const room of rooms) await follower.join(room);
  let isOver = false;
  t.after(() => {
    isOver = true;
  });
  const counts = rooms.map(async (room) => {
    let value = 0;
    for (; !isOver; value++) {
      await publishAtLast(publisher, room, value);
      await pause(3);
    }
    return value;
  });
  for (const round of [1, 2]) {
    for (const room of rooms) {
      const from = await ownerOf(nodes, options, room);
      const to = nodes.filter((node) => node !== from)[round % 2] as Redis;
      await moveSlot(await slotAt(from, options, room), from, to);
      await eventually(async () => (await ownerOf(nodes, options, room)) === to);
    }
  }
  isOver = true;
  const published = await Promise.all(counts);
  for (const [index, room] of rooms.entries()) {
    const expected = Array.from({ length: published[index] as number }, (_, value) => value);
    await eventually(() => follower.seen.get(room)?.length === expected.length, `${room} never came in whole`);
    assert.deepEqual(follower.seen.get(room), expected);
  }
});

test("a room whose slot has moved is subscribed again where it is, and doubted", async (t) => {
  const { options, from, to, slot } = await three(t);
  const follower = await Follower.open(t, options);
  await follower.join(ROOM);
  await moveSlot(slot, from, to);
  await eventually(() => follower.suspected.includes(ROOM), "nobody doubted it");
  await publishAtLast(follower.broker, ROOM, 1);
  await eventually(() => follower.told.includes(`${ROOM} 1`), "it was subscribed at nobody");
  assert.deepEqual(follower.broker.problems(), []);
});

test("a slot that is given to a server before that one knows finds its rooms in the end", async (t) => {
  const { options, from, to, slot } = await three(t);
  const follower = await Follower.open(t, options);
  await follower.join(ROOM);
  await beginMove(slot, from, to);
  await moveKeys(slot, from, to);
  // The wrong way round: until the other one is told too, each of the two says that the other has it.
  await from.command("CLUSTER", "SETSLOT", slot, "NODE", String(await to.command("CLUSTER", "MYID")));
  const published = publishAtLast(follower.broker, ROOM, 1);
  await eventually(async () => (await ending(follower.broker.publish(ROOM, event(0), rules()))) === "unavailable");
  await endMove(slot, from, to);
  await published;
  await eventually(() => follower.suspected.includes(ROOM), "nobody doubted it");
  await publishAtLast(follower.broker, ROOM, 2);
  await eventually(() => follower.told.includes(`${ROOM} 2`), "it was subscribed at nobody");
});

test("calls for one room take effect in their order while it moves", async (t) => {
  const { options, from, to, third, slot } = await three(t);
  const node = await openNode(options);
  t.after(() => node.close());
  const calls: Promise<{ value: number; offset: number } | string>[] = [];
  let isOver = false;
  t.after(() => {
    isOver = true;
  });
  const load = (async () => {
    for (let value = 0; !isOver; value++) {
      const call = node.publish(ROOM, event(value), rules(10_000)).then(
        (position) => ({ value, offset: placed(position).offset }),
        (error: Error & { code?: string }) => String(error.code),
      );
      calls.push(call);
      if (value % 20 === 0) await new Promise((next) => setImmediate(next));
      if (value % 200 === 0) await call;
    }
  })();
  for (const [source, target] of [
    [from, to],
    [to, third],
    [third, from],
    [from, third],
  ] as const) {
    await moveSlot(slot, source, target);
    const count = calls.length;
    await eventually(() => calls.length > count + 400);
  }
  isOver = true;
  await load;
  const ends = await Promise.all(calls);
  const done = ends.filter((end) => typeof end !== "string");
  for (const end of ends) if (typeof end === "string") assert.equal(end, "unavailable");
  assert.ok(done.length > ends.length / 2, `only ${done.length} of ${ends.length} were taken`);
  const inOrder = done.map(({ offset }) => offset);
  assert.deepEqual(
    inOrder,
    [...inOrder].sort((one, other) => one - other),
    "a call overtook an earlier one",
  );
  const { events = [] } = await node.history(ROOM, {}, 10_000, rules(10_000));
  const kept = events.map(({ data }) => data.value as number);
  assert.deepEqual(
    kept,
    [...kept].sort((one, other) => one - other),
  );
});

test("a room whose keys have moved already is written and read where they are", async (t) => {
  const { options, from, to, slot } = await three(t);
  const node = await openNode(options);
  t.after(() => node.close());
  const before = placed(await node.publish(ROOM, event("before"), rules()));
  await beginMove(slot, from, to);
  placed(await node.publish(ROOM, event("not moved yet"), rules()));
  await moveKeys(slot, from, to);
  placed(await node.publish(ROOM, event("moved"), rules()));
  const { events = [] } = await node.history(ROOM, { since: before }, 10, rules());
  assert.deepEqual(
    events.map(({ data }) => data.value),
    ["not moved yet", "moved"],
  );
  // A key that is nowhere yet may be on its way: that cannot be said before the slot has moved.
  assert.equal(await ending(node.publish(ROOM, event("new", { key: "k" }), rules())), "unavailable");
  await endMove(slot, from, to);
  placed(await node.publish(ROOM, event("new", { key: "k" }), rules()));
});

test("servers come and go: their slots are found, and nothing is wrong when they have none", async (t) => {
  const { nodes, options, from, slot } = await three(t);
  const joining = await startRedisCluster(t, { primaries: 1, args: STAYS });
  const added = joining.nodes[0] as Redis;
  await added.command("CLUSTER", "DELSLOTSRANGE", 0, 16_383);
  const busPort = String(await added.command("CONFIG", "GET", "cluster-port")).split(",")[1] ?? "";
  await from.command("CLUSTER", "MEET", added.host, added.port, busPort);
  const all = [...nodes, added];
  for (const node of all) {
    await eventually(async () => {
      const lines = String(await node.command("CLUSTER", "NODES"))
        .trim()
        .split("\n");
      return lines.length === 4 && lines.every((line) => !line.includes("handshake"));
    }, "the servers never met");
  }
  for (const node of all) await untilOk(node);
  const follower = await Follower.open(t, options);
  await follower.join(ROOM);
  await moveSlot(slot, from, added);
  await eventually(() => follower.suspected.includes(ROOM));
  await publishAtLast(follower.broker, ROOM, 1);
  await eventually(() => follower.told.includes(`${ROOM} 1`));
  follower.suspected.length = 0;
  await moveSlot(slot, added, from);
  await eventually(() => follower.suspected.includes(ROOM));
  const id = String(await added.command("CLUSTER", "MYID"));
  for (const node of nodes) await node.command("CLUSTER", "FORGET", id);
  await added.kill();
  await publishAtLast(follower.broker, ROOM, 2);
  await eventually(() => follower.told.includes(`${ROOM} 2`));
  assert.deepEqual(follower.broker.problems(), []);
});

test("a node is told of no room that it has not joined", async (t) => {
  const { options } = await three(t);
  const [publisher, follower] = [await openNode(options), await Follower.open(t, options)];
  t.after(() => publisher.close());
  const joined = ["room:0", "room:1", "room:2"];
  for (const room of joined) await follower.join(room);
  const rooms = Array.from({ length: 30 }, (_, index) => `room:${index}`);
  for (const room of rooms) {
    await publisher.publish(room, event(1), rules());
    await publisher.publish(room, event(2), rules(0));
  }
  await eventually(() => follower.told.length >= 6);
  assert.deepEqual([...new Set(follower.told.map((line) => line.split(" ")[0]))].sort(), joined);
  for (const room of joined) await follower.broker.unsubscribe(room);
  await follower.join("room:3");
  const count = follower.told.length;
  for (const room of rooms) await publisher.publish(room, event(3), rules());
  await eventually(() => follower.told.includes("room:3 3"));
  assert.equal(follower.told.length, count + 1);
});
