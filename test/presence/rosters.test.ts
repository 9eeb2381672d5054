/** Who is in the rooms, on several nodes in virtual time: what it costs, and what was found wrong once. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { jsonServer } from "../../protocol/json-server.js";
import { Random } from "../support/random.js";
import { VirtualTime } from "../support/virtual-time.js";
import { ROOMS, TIMES } from "./lives.js";
import { SimulatedEngine } from "./simulated-engine.js";
import { SimulatedNode } from "./simulated-node.js";
import { type Client, World } from "./world.js";

const [ROOM] = ROOMS;

/** A world of three nodes that goes as its seed says. */
function worldOf(t: TestContext, users: readonly (string | undefined)[], maxListed = 10_000): World {
  const random = new Random(7);
  const world = new World({ random, times: TIMES, maxListed, users });
  t.mock.method(Math, "random", () => random.next());
  t.mock.method(Date, "now", () => Date.UTC(2026, 0, 1) + Math.floor(world.time.now));
  t.after(() => world.stop());
  for (let count = 0; count < 3; count++) world.startNode();
  return world;
}

const client = (world: World, index: number): Client => world.clients[index] as Client;

/** Each on the next node. */
async function allEnter(world: World, withinMs: number): Promise<void> {
  for (const each of world.clients) {
    const node = world.nodes[each.index % 3] as SimulatedNode;
    world.connect(each, node);
    world.enter(each, ROOM);
    await world.time.pass(withinMs / world.clients.length);
  }
  await world.pass(3000);
}

/** Nodes on one engine, and a count of what they fan out. */
function cluster(t: TestContext, count: number, maxListed: number) {
  const time = new VirtualTime();
  const engine = new SimulatedEngine(time, new Random(7));
  const frames = { count: 0, bytes: 0 };
  const options = { times: TIMES, maxListed };
  const publish = (_topic: string, _codec: unknown, frame: string | Uint8Array): void => {
    frames.count++;
    frames.bytes += frame.length;
  };
  const nodes = Array.from({ length: count }, (_, n) => new SimulatedNode(`n${n}`, time, engine, options, publish));
  t.after(() => {
    for (const node of nodes) node.kill();
  });
  return { time, engine, nodes, frames };
}

test("5,000 who enter a room in 10 s cost the engine at most two writes each, and a reader one frame per interval", async (t) => {
  const { time, nodes, frames } = cluster(t, 3, 200);
  const rosters = nodes.map((node) => node.rosters.hold(ROOM, node.rules));
  for (const roster of rosters) void roster.ready();
  await time.pass(1000);
  for (const roster of rosters) {
    roster.addReader(jsonServer);
    roster.view();
  }
  const asked = () => nodes.reduce((sum, { link }) => sum + link.counts.writes + link.counts.notices, 0);
  const before = asked();
  const seats = [];
  for (let n = 0; n < 5000; n++) {
    const info = { name: `Member ${n}` };
    seats.push(rosters[n % 3]?.enter({ session: `session-${n}`, user: `user-${n}`, info }));
    if (n % 5 === 4) await time.pass(10);
  }
  await time.pass(1000);
  for (const roster of rosters) assert.equal(roster.view().count, 5000);
  const entering = asked() - before;
  assert.ok(entering <= 2 * 5000, `${entering} writes and notices`);
  assert.ok(frames.count <= 3 * (11_000 / TIMES.intervalMs + 1), `${frames.count} frames`);
  assert.ok(Math.max(...nodes.map(({ link }) => link.largest)) <= 64 * 1024, "no register is too large");
  for (const seat of seats) seat?.leave();
  await time.pass(10_000);
  for (const roster of rosters) assert.equal(roster.view().count, 0);
  const leaving = asked() - before - entering;
  assert.ok(leaving <= 2 * 5000, `${leaving} writes and notices`);
});

test("members that stay cost nothing but one renewal per beat for each node, however many they are", async (t) => {
  const { time, nodes } = cluster(t, 3, 200);
  for (const node of nodes) {
    for (let room = 0; room < 20; room++) {
      const roster = node.rosters.hold(`chat:${room}`, node.rules);
      for (let n = 0; n < 50; n++) {
        roster.enter({ session: `${node.name}-${room}-${n}`, user: `u${n}`, info: undefined });
      }
    }
  }
  await time.pass(5000);
  const before = nodes.map(({ link }) => ({ ...link.counts }));
  await time.pass(60_000);
  for (const [index, { link }] of nodes.entries()) {
    const { writes = 0, notices = 0, beats = 0 } = before[index] ?? {};
    assert.deepEqual([link.counts.writes - writes, link.counts.notices - notices], [0, 0]);
    const renewed = link.counts.beats - beats;
    assert.ok(renewed > 60_000 / TIMES.leaseMs && renewed <= 60_000 / (TIMES.beatMs / 1.5), `${renewed} renewals`);
  }
});

test("a rolling restart with everyone moving makes nobody come or go", async (t) => {
  const users = Array.from({ length: 60 }, (_, n) => (n % 10 === 0 ? undefined : `user-${n}`));
  const world = worldOf(t, users);
  await allEnter(world, 3000);
  const { left } = world.tally;
  for (const node of [...world.nodes]) {
    world.startNode();
    await world.pass(1000);
    await world.drain(node);
    await world.pass(5000);
    // Some do not come back by themselves.
    for (const each of world.clients) if (each.node === undefined) world.connect(each, world.live[0] as SimulatedNode);
    await world.pass(15_000);
  }
  await world.rest();
  await world.assertTruth(ROOMS);
  assert.equal(world.truth.held(ROOM).length, 60);
  assert.equal(world.tally.left, left, "nobody was told to have left");
});

for (const seconds of [5, 40]) {
  test(`an engine that is away for ${seconds} s makes nobody who stays come or go`, async (t) => {
    const world = worldOf(t, ["ann", "bob", "cat", undefined, "dan", "eve"]);
    await allEnter(world, 1000);
    for (const node of world.nodes) world.cut(node, seconds * 1000 + world.random.next() * 500);
    await world.pass(seconds * 1000 + 60_000);
    assert.equal(world.tally.left, 0);
    await world.assertTruth(ROOMS);
  });
}

test("an engine that loses all it had makes nobody who stays come or go", async (t) => {
  const world = worldOf(t, ["ann", "bob", "cat", undefined, "dan", "eve"]);
  await allEnter(world, 1000);
  for (let times = 0; times < 3; times++) {
    world.loseData();
    await world.pass(9000 + world.random.next() * 5000);
  }
  await world.pass(40_000);
  assert.equal(world.tally.left, 0);
  await world.assertTruth(ROOMS);
});

test("who joins while the engine is away is told who is there once it is back", async (t) => {
  const world = worldOf(t, ["ann", "bob"]);
  const [n1, n2] = world.nodes as [SimulatedNode, SimulatedNode];
  world.connect(client(world, 0), n1);
  world.enter(client(world, 0), ROOM);
  await world.pass(2000);
  world.cut(n2, 20_000);
  world.connect(client(world, 1), n2);
  world.enter(client(world, 1), ROOM);
  await world.pass(5000);
  const reader = world.readerOf(client(world, 1), ROOM);
  assert.deepEqual([reader?.isListed, reader?.count], [false, undefined], "the join did not wait for ever");
  await world.pass(40_000);
  assert.deepEqual([...(reader?.members.keys() ?? [])].sort(), ["ann", "bob"]);
});

test("who came from a node that was killed, and loses the connection, still has its grace period", async (t) => {
  const world = worldOf(t, ["ann", "bob", undefined, "cat"]);
  const [n1, n2] = world.nodes as [SimulatedNode, SimulatedNode];
  for (const index of [0, 3]) {
    world.connect(client(world, index), index === 0 ? n1 : n2);
    world.enter(client(world, index), ROOM);
  }
  await world.pass(2000);
  world.crash(n1);
  world.connect(client(world, 0), n2);
  await world.pass(5000);
  world.lose(client(world, 0));
  // Past the lease of the node that was killed.
  await world.pass(8000);
  assert.equal(world.tally.left, 0);
  world.connect(client(world, 0), n2);
  await world.pass(20_000);
  assert.equal(world.tally.left, 0);
});

test("an info told on the connection that is being left does not end the session on both nodes", async (t) => {
  const world = worldOf(t, ["ann", "bob"]);
  const [n1, n2] = world.nodes as [SimulatedNode, SimulatedNode];
  world.connect(client(world, 1), n2);
  world.enter(client(world, 1), ROOM);
  world.connect(client(world, 0), n1);
  world.enter(client(world, 0), ROOM);
  await world.pass(2000);
  world.connect(client(world, 0), n2);
  await world.time.pass(1);
  world.lose(client(world, 0));
  world.inform(client(world, 0), { n: 1 });
  await world.pass(TIMES.graceMs - 1000);
  assert.equal(world.tally.left, 0);
});
