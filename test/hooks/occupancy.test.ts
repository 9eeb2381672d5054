import assert from "node:assert/strict";
import test from "node:test";
import { eventually } from "../support/eventually.js";
import { Random } from "../support/random.js";
import { type Nodes, nodesFor as start } from "./occupancy-support.js";

function nodesFor(t: test.TestContext, count: number, delay: () => number, graceMs = 5, gatherMs = 1): Nodes {
  return start(t, count, { delay, graceMs, gatherMs });
}

test("the first who comes on any node occupies a room, and the last who leaves vacates it; each is told once", async (t) => {
  const nodes = nodesFor(t, 3, () => 1);
  nodes.move(0, "a", 1);
  await eventually(() => nodes.told.length === 1);
  nodes.move(1, "a", 1);
  nodes.move(2, "a", 1);
  await eventually(() => nodes.isQuiet);
  nodes.move(0, "a", -1);
  nodes.move(1, "a", -1);
  await eventually(() => nodes.isQuiet);
  assert.deepEqual(nodes.of("a"), ["occupied"]);
  nodes.move(2, "a", -1);
  await eventually(() => nodes.told.length === 2);
  await eventually(() => nodes.isQuiet);
  assert.deepEqual(nodes.of("a"), ["occupied", "vacated"]);
});

test("who comes back within the grace was never away", async (t) => {
  const nodes = nodesFor(t, 2, () => 1, 60_000);
  nodes.move(0, "a", 1);
  await eventually(() => nodes.told.length === 1);
  for (let count = 0; count < 5; count++) {
    nodes.move(0, "a", -1);
    nodes.move(0, "a", 1);
  }
  await eventually(() => nodes.isQuiet);
  assert.deepEqual(nodes.of("a"), ["occupied"]);
});

test("who moves to another node vacates nothing, whichever comes first", async (t) => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const nodes = nodesFor(t, 2, () => 1, 20);
    nodes.move(0, "a", 1);
    await eventually(() => nodes.told.length === 1);
    for (const index of order) nodes.move(index, "a", index === 0 ? -1 : 1);
    await eventually(() => nodes.isQuiet);
    assert.deepEqual(nodes.of("a"), ["occupied"]);
  }
});

test("many rooms are asked about in few questions", async (t) => {
  const nodes = nodesFor(t, 2, () => 1, 5, 20);
  for (let room = 0; room < 1000; room++) nodes.move(0, `room:${room}`, 1);
  await eventually(() => nodes.told.length === 1000);
  assert.ok(nodes.asked <= 40, `${nodes.asked}`);
});

test("where the others cannot be asked it is told once they can be", async (t) => {
  const nodes = nodesFor(t, 2, () => 1);
  nodes.fails = true;
  nodes.move(0, "a", 1);
  await eventually(() => nodes.asked > 1);
  assert.equal(nodes.told.length, 0);
  nodes.fails = false;
  await eventually(() => nodes.told.length === 1);
  assert.deepEqual(nodes.of("a"), ["occupied"]);
});

test("nobody is missed while nobody can be heard; whoever was given up meanwhile is told to be there again", async (t) => {
  const nodes = nodesFor(t, 2, () => 1);
  const rooms = Array.from({ length: 20 }, (_, index) => `room:${index}`);
  for (const room of rooms) nodes.move(0, room, 1);
  await eventually(() => nodes.told.length === rooms.length && nodes.isQuiet);
  const all = nodes.present;
  nodes.fails = true;
  nodes.present = [];
  const looks = nodes.looks + 20;
  await eventually(() => nodes.looks > looks);
  nodes.present = all;
  nodes.fails = false;
  await eventually(() => nodes.isQuiet);
  assert.equal(nodes.told.length, rooms.length);
  // The first is cut off alone: the second takes it to be gone, and tells of the rooms that it counts.
  nodes.deaf.add("node 0");
  nodes.unseen.add("node 0");
  await eventually(() => nodes.told.length === rooms.length * 2);
  nodes.unseen.clear();
  nodes.deaf.clear();
  await eventually(() => nodes.told.length === rooms.length * 3);
  await eventually(() => nodes.isQuiet);
  for (const room of rooms) assert.equal(nodes.of(room).at(-1), "occupied");
});

test("a node that ends leaves its count to others: what nobody is in any more is vacated", async (t) => {
  const nodes = nodesFor(t, 3, () => 1, 200);
  const rooms = Array.from({ length: 30 }, (_, index) => `room:${index}`);
  for (const room of rooms) nodes.move(0, room, 1);
  await eventually(() => nodes.told.length === rooms.length);
  for (const room of rooms.slice(0, 10)) nodes.move(1, room, 1);
  await eventually(() => nodes.isQuiet);
  await nodes.stop(0);
  await eventually(() => nodes.told.length >= 50 && nodes.isQuiet);
  for (const [index, room] of rooms.entries()) {
    assert.deepEqual(nodes.of(room), index < 10 ? ["occupied"] : ["occupied", "vacated"]);
  }
});

test("the last node that ends vacates all rooms at once", async (t) => {
  const nodes = nodesFor(t, 1, () => 1, 60_000);
  for (const room of ["a", "b"]) nodes.move(0, room, 1);
  await eventually(() => nodes.told.length === 2);
  for (const room of ["a", "b"]) nodes.move(0, room, -1);
  await nodes.nodes[0]?.occupancy.close(5000);
  assert.deepEqual(
    [nodes.of("a"), nodes.of("b")],
    [
      ["occupied", "vacated"],
      ["occupied", "vacated"],
    ],
  );
});

test("the rooms of a node that was killed are vacated, also those it kept count of itself", async (t) => {
  const nodes = nodesFor(t, 3, () => 1);
  const rooms = Array.from({ length: 60 }, (_, index) => `room:${index}`);
  for (const room of rooms) nodes.move(0, room, 1);
  await eventually(() => nodes.told.length === rooms.length && nodes.isQuiet);
  const own = nodes.nodes[0]?.occupancy.counted ?? 0;
  assert.ok(own > 0 && own < rooms.length);
  nodes.kill(0);
  await eventually(() => nodes.told.length === rooms.length * 2 && nodes.isQuiet);
  for (const room of rooms) nodes.check(room, true);
});

test("nothing is vacated while a node does not answer that is believed to be there", async (t) => {
  const nodes = nodesFor(t, 3, () => 1);
  nodes.move(0, "a", 1);
  nodes.move(1, "b", 1);
  await eventually(() => nodes.told.length === 2 && nodes.isQuiet);
  nodes.kill(2, false);
  nodes.move(0, "a", -1);
  const { asked } = nodes;
  await eventually(() => nodes.asked > asked + 5);
  assert.equal(nodes.told.length, 2);
  nodes.miss();
  await eventually(() => nodes.told.length === 3 && nodes.isQuiet);
  nodes.check("a", true);
  nodes.check("b", true);
});

test("what a node had begun to tell when it was killed is told again, under the same id", async (t) => {
  const nodes = nodesFor(t, 2, () => 1);
  const rooms = Array.from({ length: 20 }, (_, index) => `room:${index}`);
  nodes.mute();
  for (const room of rooms) nodes.move(1, room, 1);
  await eventually(() => nodes.told.length === rooms.length);
  const own = nodes.told.filter(({ by }) => by === "node 0").map(({ id }) => id);
  assert.ok(own.length > 0);
  nodes.kill(0);
  nodes.answer();
  await eventually(() => nodes.told.length === rooms.length + own.length && nodes.isQuiet);
  const again = nodes.told.slice(rooms.length);
  assert.deepEqual(new Set(again.map(({ id }) => id)), new Set(own));
  for (const room of rooms) nodes.check(room, true);
});

test("rooms of which all nodes were killed are vacated by whoever comes after them", async (t) => {
  const nodes = nodesFor(t, 2, () => 1);
  for (const room of ["a", "b", "c", "d"]) nodes.move(0, room, 1);
  await eventually(() => nodes.told.length === 4 && nodes.isQuiet);
  nodes.kill(0);
  nodes.kill(1);
  const next = nodes.start();
  nodes.move(2, "a", 1);
  await eventually(() => nodes.told.length === 7 && nodes.isQuiet);
  for (const room of ["a", "b", "c", "d"]) nodes.check(room, true);
  assert.deepEqual(new Set(nodes.told.slice(4).map(({ by }) => by)), new Set([next.id]));
});

test("when the engine loses what was told, nothing is told again of rooms whose nodes live", async (t) => {
  const nodes = nodesFor(t, 2, () => 1);
  const rooms = Array.from({ length: 20 }, (_, index) => `room:${index}`);
  for (const room of rooms) nodes.move(0, room, 1);
  await eventually(() => nodes.told.length === rooms.length && nodes.isQuiet);
  nodes.entries.clear();
  // Of the half it is found out as they are vacated, of the others after the engine was away.
  for (const room of rooms.slice(0, 10)) nodes.move(0, room, -1);
  await eventually(() => nodes.told.length === 30 && nodes.isQuiet);
  nodes.fail(true);
  const looks = nodes.looks + 20;
  await eventually(() => nodes.looks > looks);
  nodes.fail(false);
  await eventually(() => nodes.isQuiet && nodes.entries.size === 11);
  for (const room of rooms.slice(10)) nodes.move(0, room, -1);
  await eventually(() => nodes.told.length === 40 && nodes.isQuiet);
  for (const room of rooms) nodes.check(room, true);
});

test("four entries are written for a pair, many at once; none for rooms that nobody asks about or knew of", async (t) => {
  const nodes = nodesFor(t, 1, () => 1, 5, 20);
  const rooms = Array.from({ length: 300 }, (_, index) => `room:${index}`);
  for (const room of rooms) nodes.move(0, room, 1);
  nodes.move(0, "untold:1", 1);
  nodes.move(0, "short", 1);
  nodes.move(0, "short", -1);
  await eventually(() => nodes.told.length === rooms.length && nodes.isQuiet);
  for (const room of rooms) nodes.move(0, room, -1);
  await eventually(() => nodes.told.length === rooms.length * 2 && nodes.isQuiet);
  assert.equal(nodes.written, rooms.length * 4);
  assert.ok(nodes.writes <= 60, `${nodes.writes}`);
  assert.equal(
    nodes.told.some(({ room }) => !room.startsWith("room:")),
    false,
  );
  assert.deepEqual([...nodes.entries.keys()], ["$which"]);
});

test("a node that comes takes its part of the count, and nothing is told of that", async (t) => {
  const nodes = nodesFor(t, 2, () => 1);
  const rooms = Array.from({ length: 60 }, (_, index) => `room:${index}`);
  for (const room of rooms) nodes.move(0, room, 1);
  await eventually(() => nodes.told.length === rooms.length && nodes.isQuiet);
  nodes.start();
  await eventually(() => nodes.isQuiet && (nodes.nodes[2]?.occupancy.counted ?? 0) > 0);
  const counted = () => nodes.nodes.map(({ occupancy }) => occupancy.counted);
  await eventually(() => nodes.isQuiet && counted().reduce((sum, count) => sum + count, 0) === rooms.length);
  assert.equal(nodes.told.length, rooms.length);
  for (const room of rooms) nodes.move(0, room, -1);
  await eventually(() => nodes.told.length === rooms.length * 2 && nodes.isQuiet);
});

for (let seed = 1; seed <= 20; seed++) {
  test(`whatever the order, what is told last is true (seed ${seed})`, async (t) => {
    const random = new Random(seed);
    const nodes = nodesFor(t, 2 + random.below(3), () => random.below(4), 3);
    const rooms = ["a", "b", "c", "d", "e", "f"];
    const ever = new Set<string>();
    for (let step = 0; step < 150; step++) {
      const room = random.pick(rooms);
      // Two at once, on different nodes, are what is hard.
      for (let times = 1 + random.below(3); times > 0; times--) {
        const by = random.chance(0.5) ? 1 : -1;
        nodes.move(random.below(nodes.nodes.length), room, by);
        if (by === 1) ever.add(room);
      }
      if (random.chance(0.7)) await new Promise((resolve) => setTimeout(resolve, random.below(6)));
    }
    await eventually(() => nodes.isQuiet, "it never came to rest");
    for (const room of ever) {
      const isHere = nodes.nodes.some(({ here }) => (here.get(room) ?? 0) > 0);
      const told = nodes.of(room);
      assert.equal(told[0], "occupied", `${room}: ${told}`);
      assert.equal(told.at(-1), isHere ? "occupied" : "vacated", `${room}: ${told}`);
      const twice = told.filter((type, index) => type === told[index - 1]).length;
      assert.equal(twice, 0, `${room}: ${told}`);
      nodes.check(room, true);
    }
  });
}
