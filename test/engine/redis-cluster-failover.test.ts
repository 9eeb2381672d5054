import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { event, placed, rules } from "../../server/engine/conformance-ground.js";
import { eventually } from "../support/eventually.js";
import type { Redis } from "../support/services/redis.js";
import { startRedisCluster } from "../support/services/redis-cluster.js";
import { ending, Follower, ownerOf, publishAtLast, untilOk, urlOf } from "./redis-cluster-ground.js";
import { openNode, redisOptions, untilWell } from "./redis-ground.js";

/** Without it a Cluster refuses everything while one slot has no server. */
const PARTLY = ["--cluster-require-full-coverage", "no"];
const FAST = { timeoutMs: 600, probeMs: 200 };

const isPrimary = async (node: Redis): Promise<boolean> =>
  String(await node.command("INFO", "replication")).includes("role:master");

/** A Cluster of three with replicas, and the primary that holds a room. */
async function replicated(t: TestContext, room: string) {
  const { nodes } = await startRedisCluster(t, { replicas: 1, args: PARTLY });
  const options = redisOptions([urlOf(nodes.slice(0, 3))], FAST);
  const owner = await ownerOf(nodes, options, room);
  const replica = nodes[nodes.indexOf(owner) + 3] as Redis;
  return { nodes, options, owner, replica };
}

/** Publishes in the rooms, over and over, until told to stop; resolves with how much is in each. */
function load(t: TestContext, publish: (room: string, value: number) => Promise<unknown>, rooms: readonly string[]) {
  let isOver = false;
  t.after(() => {
    isOver = true;
  });
  const counts = rooms.map(async (room) => {
    let value = 0;
    for (; !isOver; value++) {
      await publish(room, value);
      await pause(3);
    }
    return value;
  });
  return (): Promise<number[]> => {
    isOver = true;
    return Promise.all(counts);
  };
}

const ROOMS = Array.from({ length: 9 }, (_, index) => `room:${index}`);

test("when a replica takes over, its rooms are subscribed there and doubted, and the others are left alone", async (t) => {
  const { nodes, options, owner, replica } = await replicated(t, "room:1");
  const [publisher, follower] = [await openNode(options), await Follower.open(t, options)];
  t.after(() => publisher.close());
  for (const room of ROOMS) await follower.join(room);
  const owners = await Promise.all(ROOMS.map((room) => ownerOf(nodes, options, room)));
  const moved = ROOMS.filter((_, index) => owners[index] === owner);
  const stop = load(t, (room, value) => publishAtLast(publisher, room, value), ROOMS);
  await eventually(() => ROOMS.every((room) => (follower.seen.get(room)?.length ?? 0) > 5));
  // What was acknowledged is on the replica too: a Redis that loses it is the next test's.
  await owner.command("CLIENT", "PAUSE", 60_000, "WRITE");
  await owner.command("WAIT", 1, 1000).catch(() => undefined);
  await owner.kill();
  await eventually(() => isPrimary(replica), "the replica never took over");
  await eventually(() => moved.every((room) => follower.suspected.includes(room)), "not all rooms were doubted");
  for (const room of moved) {
    const count = follower.seen.get(room)?.length ?? 0;
    await eventually(() => (follower.seen.get(room)?.length ?? 0) > count + 5, `${room} is silent`);
  }
  const published = await stop();
  for (const [index, room] of ROOMS.entries()) {
    const expected = Array.from({ length: published[index] as number }, (_, value) => value);
    await eventually(() => follower.seen.get(room)?.length === expected.length, `${room} never came in whole`);
    assert.deepEqual(follower.seen.get(room), expected);
  }
  assert.deepEqual([...new Set(follower.suspected)].sort(), moved);
  await untilWell(follower.broker);
  assert.deepEqual(follower.broker.problems(), []);
});

test("a failover that loses the tail uses no offset again, and who has seen it is told", async (t) => {
  const { options, owner, replica } = await replicated(t, "room:1");
  const node = await openNode(options);
  t.after(() => node.close());
  const kept = placed(await node.publish("room:1", event("kept"), rules()));
  await eventually(async () => Number(await replica.command("DBSIZE")) > 0);
  const exists = async () => String(await replica.command("KEYS", "*:log")).includes("room:1");
  await eventually(exists, "the replica never had the first event");
  // What is sent to a process that stands still it would read afterwards: so its connection goes first.
  replica.pause();
  await owner.command("CLIENT", "KILL", "TYPE", "replica");
  const lost = placed(await node.publish("room:1", event("lost"), rules()));
  await owner.kill();
  replica.resume();
  await eventually(() => isPrimary(replica), "the replica never took over");
  await publishAtLast(node, "room:1", 1);
  const { events = [], position } = await node.history("room:1", { since: kept }, 10, rules());
  assert.deepEqual(
    events.map(({ data }) => data.value),
    [1],
  );
  assert.ok(position.epoch !== lost.epoch || position.offset > lost.offset);
  const read = await node.history("room:1", { since: lost }, 10, rules());
  assert.equal(read.events, undefined, "who has seen the lost event is not read on as if nothing were");
});

test("a failover that is asked for costs nothing", async (t) => {
  const { options, owner, replica } = await replicated(t, "room:1");
  const [publisher, follower] = [await openNode(options), await Follower.open(t, options)];
  t.after(() => publisher.close());
  await follower.join("room:1");
  const stop = load(t, (room, value) => publishAtLast(publisher, room, value), ["room:1"]);
  await eventually(() => (follower.seen.get("room:1")?.length ?? 0) > 5);
  await replica.command("CLUSTER", "FAILOVER");
  await eventually(async () => (await isPrimary(replica)) && !(await isPrimary(owner)));
  await eventually(() => follower.suspected.includes("room:1"), "nobody doubted the room");
  const count = follower.told.length;
  await eventually(() => follower.told.length > count + 5, "nothing is delivered any more");
  const [published] = await stop();
  const expected = Array.from({ length: published as number }, (_, value) => value);
  await eventually(() => {
    follower.check("room:1");
    return follower.seen.get("room:1")?.length === expected.length;
  });
  assert.deepEqual(follower.seen.get("room:1"), expected);
});

test("while one primary is away the others' rooms go on, and only its own are refused", async (t) => {
  const { nodes } = await startRedisCluster(t, { args: [...PARTLY, "--appendonly", "yes", "--appendfsync", "always"] });
  const options = redisOptions([urlOf(nodes)], FAST);
  const follower = await Follower.open(t, options);
  const owners = await Promise.all(ROOMS.map((room) => ownerOf(nodes, options, room)));
  const gone = owners[0] as Redis;
  for (const room of ROOMS) await follower.join(room);
  await gone.kill();
  await eventually(() => follower.broker.problems().length > 0);
  assert.deepEqual(
    follower.broker.problems().map((problem) => problem.split(": ")[0]),
    [`redis c ${gone.host}:${gone.port}`],
  );
  for (const [index, room] of ROOMS.entries()) {
    const expected = owners[index] === gone ? "unavailable" : "done";
    assert.equal(await ending(follower.broker.publish(room, event(1), rules())), expected, room);
    assert.equal(await ending(follower.broker.history(room, {}, 1, rules())), expected, room);
    assert.equal(await ending(follower.broker.subscribe(`${room}`, rules())), "done");
  }
  await gone.start();
  await Promise.all(nodes.map(untilOk));
  await untilWell(follower.broker);
  for (const [index, room] of ROOMS.entries()) {
    if (owners[index] === gone) await eventually(() => follower.suspected.includes(room));
    else assert.ok(!follower.suspected.includes(room), `${room} was doubted`);
    await publishAtLast(follower.broker, room, 2);
    await eventually(() => follower.told.includes(`${room} 2`));
  }
});

test("the server's own rooms work while any primary does", async (t) => {
  const { nodes } = await startRedisCluster(t, { args: PARTLY });
  const options = redisOptions([urlOf(nodes)], FAST);
  const [publisher, follower] = [await openNode(options), await Follower.open(t, options)];
  t.after(() => publisher.close());
  const rooms = ["$a", "$b", "$c", "$d", "$e", "$f"];
  const holders = await Promise.all(rooms.map((room) => ownerOf(nodes, options, room)));
  for (const room of rooms) await follower.broker.subscribe(room, rules(0));
  for (const [index, node] of nodes.slice(0, 2).entries()) {
    await node.kill();
    await eventually(() => publisher.problems().length > index && follower.broker.problems().length > index);
    for (const room of rooms) await publisher.publish(room, event(index), rules(0));
    for (const room of rooms) await eventually(() => follower.told.includes(`${room} ${index}`), `${room} is silent`);
  }
  assert.ok(holders.includes(nodes[0] as Redis) || holders.includes(nodes[1] as Redis), "none of them was away");
});

test("a node finds the cluster by any server that is there, and waits for it where none is", async (t) => {
  const { nodes } = await startRedisCluster(t, { args: PARTLY });
  const [first, second, third] = nodes as [Redis, Redis, Redis];
  await Promise.all(nodes.map((node) => node.kill()));
  const options = redisOptions([urlOf([first, second])], FAST);
  const opening = openNode(options);
  t.after(async () => (await opening).close());
  await Promise.all([second.start(), third.start()]);
  await first.start();
  const node = await opening;
  assert.ok(placed(await node.publish("room:1", event(1), rules())));
});
