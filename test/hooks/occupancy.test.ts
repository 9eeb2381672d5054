import assert from "node:assert/strict";
import test from "node:test";
import { Ring } from "../../server/engine/ring.js";
import { Occupancy } from "../../server/hooks/occupancy.js";
import { createLog } from "../../server/log.js";
import { eventually } from "../support/eventually.js";
import { Random } from "../support/random.js";

const log = createLog({ level: "silent" });

type Told = { readonly by: string; readonly type: string; readonly room: string };

/** Nodes whose questions and answers take their time; what one says to another comes in the order it was said. */
class Nodes {
  readonly told: Told[] = [];
  readonly nodes: { readonly id: string; readonly occupancy: Occupancy; readonly here: Map<string, number> }[] = [];
  /** How many questions there were. */
  asked = 0;
  /** How long what is said is on its way, in milliseconds. */
  readonly #delay: () => number;
  readonly #ways = new Map<string, Promise<void>>();
  fails = false;
  /** How often nodes looked who is there. */
  looks = 0;
  /** Who is there, as all nodes know. */
  present: string[] = [];
  /** Who hears nobody, and who is not heard. */
  readonly deaf = new Set<string>();
  readonly unseen = new Set<string>();
  readonly draining = new Set<string>();

  constructor(count: number, delay: () => number, graceMs: number, gatherMs: number) {
    this.#delay = delay;
    for (let index = 0; index < count; index++) {
      const id = `node ${index}`;
      const occupancy = new Occupancy({
        id: () => id,
        nodes: () => this.#seenBy(id).map((each) => ({ id: each, draining: this.draining.has(each) })),
        ring: (ids) => new Ring(ids.map((name) => ({ name, weight: 1 }))),
        lookMs: 10,
        isCutOff: () => {
          this.looks++;
          return this.fails || this.deaf.has(id);
        },
        ask: (rooms) => this.#ask(id, rooms),
        tell: (type, room) => this.told.push({ by: id, type, room }),
        log,
        graceMs,
        gatherMs,
      });
      this.nodes.push({ id, occupancy, here: new Map() });
      this.present.push(id);
    }
  }

  #seenBy(id: string): string[] {
    return this.present.filter((each) => each === id || !this.unseen.has(each));
  }

  #send(from: string, to: string): Promise<void> {
    const way = `${from}>${to}`;
    const before = this.#ways.get(way) ?? Promise.resolve();
    const delay = new Promise((resolve) => setTimeout(resolve, this.#delay()));
    const arrived = Promise.all([before, delay]).then(() => undefined);
    this.#ways.set(way, arrived);
    return arrived;
  }

  async #ask(from: string, rooms: readonly string[]): Promise<readonly (readonly unknown[])[]> {
    this.asked++;
    if (this.fails || this.deaf.has(from)) throw new Error("the engine is away");
    const answers = this.nodes.map(async ({ id, occupancy }) => {
      if (!this.present.includes(id)) return [];
      if (id === from) return occupancy.take(rooms, undefined);
      await this.#send(from, id);
      const said = occupancy.take(rooms, from);
      await this.#send(id, from);
      return said;
    });
    return (await Promise.all(answers)).flat();
  }

  /** Someone comes into the room on a node, or leaves it. */
  move(index: number, room: string, by: 1 | -1): void {
    const node = this.nodes[index] as Nodes["nodes"][number];
    const before = node.here.get(room) ?? 0;
    const after = Math.max(0, before + by);
    node.here.set(room, after);
    if (before > 0 !== after > 0) node.occupancy.changed(room, after > 0);
  }

  of(room: string): string[] {
    return this.told.filter((told) => told.room === room).map(({ type }) => type);
  }

  /** Whether everything that was to be decided is. */
  get isQuiet(): boolean {
    return this.nodes.every(({ id, occupancy }) => !this.present.includes(id) || occupancy.isQuiet);
  }

  async end(): Promise<void> {
    await Promise.all(this.nodes.map(({ occupancy }) => occupancy.close(1000)));
  }
}

function nodesFor(t: test.TestContext, count: number, delay: () => number, graceMs = 5, gatherMs = 1): Nodes {
  const nodes = new Nodes(count, delay, graceMs, gatherMs);
  t.after(() => nodes.end());
  return nodes;
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
  assert.ok(nodes.asked <= 8, `${nodes.asked}`);
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
  const own = nodes.nodes[1]?.occupancy.counted ?? 0;
  nodes.deaf.add("node 0");
  nodes.unseen.add("node 0");
  await eventually(() => nodes.told.length === rooms.length + own);
  nodes.unseen.clear();
  nodes.deaf.clear();
  await eventually(() => nodes.told.length === rooms.length + 2 * own);
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
  nodes.draining.add("node 0");
  for (const room of rooms) nodes.move(0, room, -1);
  await nodes.nodes[0]?.occupancy.close(20_000);
  nodes.present = nodes.present.slice(1);
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

test("the rooms of a node that was killed are vacated, but for those it kept count of itself", async (t) => {
  const nodes = nodesFor(t, 3, () => 1);
  const rooms = Array.from({ length: 60 }, (_, index) => `room:${index}`);
  for (const room of rooms) nodes.move(0, room, 1);
  await eventually(() => nodes.told.length === rooms.length && nodes.isQuiet);
  const own = nodes.nodes[0]?.occupancy.counted ?? 0;
  assert.ok(own > 0 && own < rooms.length);
  nodes.present = nodes.present.slice(1);
  await eventually(() => nodes.told.length === rooms.length * 2 - own && nodes.isQuiet);
});

test("a node that comes takes its part of the count, and nothing is told of that", async (t) => {
  const nodes = nodesFor(t, 3, () => 1);
  const [, , third] = nodes.present;
  nodes.present = nodes.present.slice(0, 2);
  const rooms = Array.from({ length: 60 }, (_, index) => `room:${index}`);
  for (const room of rooms) nodes.move(0, room, 1);
  await eventually(() => nodes.told.length === rooms.length && nodes.isQuiet);
  nodes.present = [...nodes.present, third as string];
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
    }
  });
}
