import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { Position } from "../../protocol/positions.js";
import { event, placed, rules, values } from "../../server/engine/conformance-ground.js";
import { type Broker, EngineError } from "../../server/engine/engine.js";
import type { NatsOptions } from "../../server/engine/nats/nats.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { Follower, kept } from "./nats-follower.js";
import { forgetter, natsOptions, openNode, uniqueName } from "./nats-support.js";

/** Long enough for nodes to hear each other, and short enough for a test. */
const SETTLE_MS = 400;

/** Options of nodes on one server, by how many streams they are configured with. */
async function growing(t: TestContext): Promise<(streams: number) => NatsOptions> {
  const server = await startNats(t);
  const namespace = uniqueName();
  return (count) => {
    const streams = Array.from({ length: count }, (_, index) => `${namespace}-${index + 1}`);
    return natsOptions({ servers: [server.url], namespace, streams, ringSettleMs: SETTLE_MS, timeoutMs: 3000 });
  };
}

const rooms = Array.from({ length: 40 }, (_, n) => `room:${n}`);

async function epochs(broker: Broker): Promise<Map<string, string>> {
  const ends = rooms.map(async (room) => [room, (await broker.history(room, {}, 0, kept)).position.epoch] as const);
  return new Map(await Promise.all(ends));
}

const differing = (a: Map<string, string>, b: Map<string, string>): string[] =>
  [...a].filter(([room, epoch]) => b.get(room) !== epoch).map(([room]) => room);

/** A node with someone in every room. */
async function followed(t: TestContext, options: NatsOptions): Promise<{ node: Broker; follower: Follower }> {
  const follower = new Follower();
  t.after(() => follower.end());
  const node = await openNode(options, follower.deliver, follower.suspect);
  t.after(() => node.close());
  await Promise.all(rooms.map((room) => follower.follow(node, room)));
  return { node, follower };
}

/** Publishes numbers in all rooms, each with a key and until it is taken, through whichever node there is. */
class Load {
  readonly #nodes: Broker[];
  readonly #next = new Map(rooms.map((room) => [room, 0]));
  #ended = false;
  readonly #done: Promise<unknown>;

  constructor(nodes: Broker[]) {
    this.#nodes = nodes;
    this.#done = Promise.all(rooms.map((room, index) => this.#publish(room, index)));
  }

  count(room: string): number {
    return this.#next.get(room) ?? 0;
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#done;
  }

  async #publish(room: string, index: number): Promise<void> {
    for (let turn = index; !this.#ended; turn++) {
      const value = this.count(room);
      const node = this.#nodes[turn % this.#nodes.length] as Broker;
      try {
        await node.publish(room, event(value, { key: `k${value}` }), kept);
        this.#next.set(room, value + 1);
      } catch (error) {
        assert.ok(error instanceof EngineError, String(error));
      }
      await new Promise((next) => setTimeout(next, 5));
    }
  }
}

/** Holds that a follower has seen all that was published, once and in order. */
async function assertWhole(follower: Follower, load: Load): Promise<void> {
  const behind = (room: string) => follower.seen(room).length < load.count(room);
  await eventually(() => !rooms.some(behind), "something never came");
  for (const room of rooms) {
    assert.deepEqual(
      follower.seen(room),
      Array.from({ length: load.count(room) }, (_, n) => n),
    );
  }
  assert.equal(follower.resets, 0, "no log was lost");
}

test("a stream is added and taken away under load, by restarts one after the other: nothing lost, nothing twice", async (t) => {
  const options = await growing(t);
  const steady = await followed(t, options(3));
  const nodes = [await openNode(options(3)), await openNode(options(3))];
  t.after(() => Promise.all(nodes.map((node) => node.close())));
  const load = new Load(nodes);
  const restart = async (count: number): Promise<void> => {
    for (const [index, node] of nodes.entries()) {
      nodes[index] = await openNode(options(count));
      await node.close();
    }
  };
  const atFirst = await epochs(steady.node);
  await restart(4);
  // One node carries the list of three streams still: that one is in force.
  assert.deepEqual(differing(atFirst, await epochs(steady.node)), []);
  const { follower, node } = steady;
  const second = await followed(t, options(4));
  const late = Object.fromEntries(rooms.map((room) => [room, load.count(room)]));
  await node.close();
  await eventually(async () => differing(atFirst, await epochs(second.node)).length > 0, "the ring never grew");
  const grown = await epochs(second.node);
  const moved = differing(atFirst, grown);
  assert.ok(moved.length > 0 && moved.length <= rooms.length * 0.5, `${moved.length} of ${rooms.length} rooms moved`);
  const some = moved[0] as string;
  await eventually(() => load.count(some) > (late[some] ?? 0) + 20);
  await restart(3);
  await second.node.subscribe("room:other", kept);
  const third = await followed(t, options(3));
  const seenBefore = second.follower;
  await second.node.close();
  await eventually(async () => differing(grown, await epochs(third.node)).length > 0, "the ring never shrank");
  await eventually(() => rooms.every((room) => third.follower.seen(room).length > 20));
  await load.end();
  await eventually(() => rooms.every((room) => third.follower.seen(room).at(-1) === load.count(room) - 1));
  for (const [follows, what] of [
    [follower, "before"],
    [seenBefore, "between"],
    [third.follower, "after"],
  ] as const) {
    assert.equal(follows.resets, 0, what);
    for (const room of rooms) {
      const seen = follows.seen(room) as number[];
      assert.deepEqual(
        seen,
        seen.map((_, n) => (seen[0] as number) + n),
        `${what}, ${room}`,
      );
    }
  }
  assert.ok(third.follower.moves > 0);
});

test("those who are in a room that moves get what is left of the old log, and then all of the new one", async (t) => {
  const options = await growing(t);
  const old = await openNode(options(1));
  const { node, follower } = await followed(t, options(2));
  const load = new Load([node]);
  await eventually(() => rooms.every((room) => load.count(room) > 10));
  await old.close();
  await eventually(() => follower.moves > 0, "the ring never grew");
  const [counts, some] = [new Map(rooms.map((room) => [room, load.count(room)])), rooms[0] as string];
  await eventually(() => load.count(some) > (counts.get(some) ?? 0) + 10);
  await load.end();
  await assertWhole(follower, load);
});

test("a position of the old log is read on to its end, and then from the start of the new one", async (t) => {
  const options = await growing(t);
  const old = await openNode(options(1));
  const before = await epochs(old);
  const positions = new Map<string, Position>();
  // More than are read one by one: no consumer can be made for what a stream does not capture any more.
  const missed = Array.from({ length: 8 }, (_, n) => `missed ${n}`);
  for (const room of rooms) {
    positions.set(room, placed(await old.publish(room, event("first"), kept)));
    for (const value of missed) await old.publish(room, event(value), kept);
  }
  const node = await openNode(options(2));
  t.after(() => node.close());
  await old.close();
  await eventually(async () => differing(before, await epochs(node)).length > 0, "the ring never grew");
  const room = differing(before, await epochs(node))[0] as string;
  await node.publish(room, event("new"), kept);
  const since = positions.get(room);
  const rest = await node.history(room, { since }, 10, kept);
  assert.deepEqual({ values: values(rest.events), more: rest.more }, { values: missed, more: true });
  const last = rest.events?.at(-1);
  const end = await node.history(room, { since: { epoch: since?.epoch ?? "", offset: last?.offset ?? 0 } }, 10, kept);
  assert.deepEqual({ events: end.events, more: end.more }, { events: undefined, more: true });
  const now = await node.history(room, { since: end.position }, 10, kept);
  assert.deepEqual({ values: values(now.events), more: now.more }, { values: ["new"], more: false });
});

test("a key that was used before a room moved is known after it", async (t) => {
  const options = await growing(t);
  const old = await openNode(options(1));
  const before = await epochs(old);
  const firsts = new Map(
    await Promise.all(
      rooms.map(
        async (room) => [room, await old.publish(room, event("first", { key: "k", from: "ann" }), kept)] as const,
      ),
    ),
  );
  const node = await openNode(options(2));
  t.after(() => node.close());
  await old.close();
  await eventually(async () => differing(before, await epochs(node)).length > 0, "the ring never grew");
  const room = differing(before, await epochs(node))[0] as string;
  for (const attempt of ["again", "and again"]) {
    assert.deepEqual(await node.publish(room, event(attempt, { key: "k", from: "ann" }), kept), firsts.get(room));
  }
  assert.deepEqual(values((await node.history(room, {}, 10, kept)).events), []);
});

test("nodes of two lists are of one mind: the list in force stays while a node carries it, and is back after a step back", async (t) => {
  const options = await growing(t);
  const [old, older] = [await openNode(options(1)), await openNode(options(1))];
  t.after(() => older.close());
  const before = await epochs(old);
  const grown = await openNode(options(2));
  await old.close();
  await new Promise((next) => setTimeout(next, SETTLE_MS * 3));
  assert.deepEqual(differing(before, await epochs(grown)), []);
  for (const room of rooms) {
    const position = await grown.publish(room, event(1), kept);
    assert.equal(position?.epoch, before.get(room));
  }
  await grown.close();
  assert.deepEqual(differing(before, await epochs(older)), []);
});

test("a stream that was deleted begins anew, with another epoch, and its rooms are in doubt", async (t) => {
  const options = await growing(t);
  const suspected = new Set<string>();
  const node = await openNode(options(1), undefined, (room) => void suspected.add(room));
  t.after(() => node.close());
  await node.subscribe("room:1", rules());
  const first = placed(await node.publish("room:1", event("lost"), kept));
  await forgetter(t, options(1).servers)(options(1).streams);
  const again = await openNode(options(1));
  t.after(() => again.close());
  await eventually(() => suspected.has("room:1"));
  const second = placed(await node.publish("room:1", event("kept"), kept));
  assert.notEqual(second.epoch, first.epoch);
  const read = await node.history("room:1", { since: first }, 10, kept);
  assert.deepEqual({ events: read.events, more: read.more }, { events: undefined, more: false });
});
