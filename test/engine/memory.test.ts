import assert from "node:assert/strict";
import test from "node:test";
import { Payload } from "../../protocol/payload.js";
import type { Position } from "../../protocol/positions.js";
import { parseSettings } from "../../server/config.js";
import { conformance, onOutages } from "../../server/engine/conformance.js";
import type { Deliver, LogRules } from "../../server/engine/engine.js";
import { MemoryBroker, MemoryLog, type MemoryLogOptions } from "../../server/engine/memory.js";
import { openEngine } from "../../server/engine/open.js";
import { createLog } from "../../server/log.js";

const kept: LogRules = { history: { size: 100, ageMs: 1000 }, keyWindowMs: 1000 };
/** What an event with this data weighs. */
const weight = (text: string) => Payload.ofJson(JSON.stringify(text)).size + 100;

/** A log under a clock of its own, and a node on it. */
function open(t: test.TestContext, options: Partial<MemoryLogOptions> = {}) {
  const clock = { now: 1_000_000 };
  const log = new MemoryLog({ maxBytes: 1_000_000, now: () => clock.now, ...options });
  const told: string[] = [];
  const node = new MemoryBroker(log, (room, epoch, events, previous) => {
    told.push(`${room} ${epoch === log.epoch ? "" : "?"}${previous}→${events.map(({ offset }) => offset)}`);
  });
  t.after(() => node.close());
  const publish = async (room: string, text = "x", more = {}) => {
    const event = { event: "e", data: Payload.ofJson(JSON.stringify(text)), at: 0, ...more };
    return (await node.publish(room, event, kept)) as Position;
  };
  const read = async (room: string, since?: Position) => {
    const { events } = await node.history(room, { since }, 1000, kept);
    return events?.map(({ data }) => data.value);
  };
  return { clock, log, node, told, publish, read };
}

conformance("memory", {
  test,
  skip: Object.fromEntries(onOutages.map((sentence) => [sentence, "it is in this process, and never away"])),
  async open() {
    let now = 1_000_000;
    const log = new MemoryLog({ maxBytes: 100_000_000, now: () => now });
    return {
      node: async (deliver) => new MemoryBroker(log, deliver),
      async advance(ms) {
        now += ms;
      },
      async close() {},
    };
  },
});

test("an event has been handed to every node before publish returns", async (t) => {
  const { node, told, publish } = open(t);
  await node.subscribe("r", kept);
  const publishing = publish("r");
  assert.deepEqual(told, ["r 0→1"]);
  await publishing;
});

test("what a node publishes while it is told of an event reaches all nodes after that event", async (t) => {
  const log = new MemoryLog({ maxBytes: 1_000_000 });
  const data = Payload.ofJson("1");
  const seen: number[][] = [[], []];
  const answers: Promise<unknown>[] = [];
  const nodes = seen.map((list) => {
    const node: MemoryBroker = new MemoryBroker(log, (room, _epoch, [event]) => {
      list.push(event?.offset ?? 0);
      if (list.length === 1) answers.push(node.publish(room, { event: "answer", data, at: 0 }, kept));
    });
    t.after(() => node.close());
    return node;
  });
  for (const node of nodes) await node.subscribe("r", kept);
  await nodes[0]?.publish("r", { event: "e", data, at: 0 }, kept);
  await Promise.all(answers);
  assert.deepEqual(seen, [
    [1, 2, 3],
    [1, 2, 3],
  ]);
});

test("over maxBytes the room published in longest ago loses all its events, and its readers are told", async (t) => {
  const { log, publish, read } = open(t, { maxBytes: weight("x") * 4 });
  const [a1, b1] = [await publish("a"), await publish("b")];
  const [a2, b2] = [await publish("a"), await publish("b")];
  assert.equal(log.bytes, weight("x") * 4);
  await publish("c");
  assert.equal(await read("a", a1), undefined);
  assert.deepEqual(await read("a", a2), []);
  assert.deepEqual(await read("a"), []);
  assert.deepEqual(await read("b", b1), ["x"]);
  assert.deepEqual(await read("b", b2), []);
  assert.deepEqual(await read("c"), ["x"]);
  assert.equal(log.bytes, weight("x") * 3);
});

test("a publish saves its room from being the next to lose its events", async (t) => {
  const { publish, read } = open(t, { maxBytes: weight("x") * 3 });
  await publish("a");
  await publish("b");
  await publish("a");
  await publish("c");
  assert.deepEqual(await read("a"), ["x", "x"]);
  assert.deepEqual(await read("b"), []);
});

test("a room that alone weighs more than maxBytes keeps its last events", async (t) => {
  const { log, node, told, publish, read } = open(t, { maxBytes: weight("x") * 2 });
  await node.subscribe("a", kept);
  const [first, second] = [await publish("a", "1"), await publish("a", "2")];
  await publish("a", "3");
  assert.equal(await read("a", { ...first, offset: 0 }), undefined);
  assert.deepEqual(await read("a", first), ["2", "3"]);
  const heavy = await publish("a", "x".repeat(1000));
  assert.equal(heavy.offset, 4);
  assert.equal(await read("a", second), undefined);
  assert.deepEqual(await read("a", heavy), []);
  assert.equal(log.bytes, 0);
  await publish("a", "5");
  assert.deepEqual(await read("a", heavy), ["5"]);
  assert.deepEqual(told, ["a 0→1", "a 1→2", "a 2→3", "a 3→4", "a 4→5"]);
});

test("a room without events goes on from its end, and a forgotten one begins above what it has had", async (t) => {
  const { clock, log, publish, read } = open(t, { maxIdleRooms: 1 });
  for (let n = 0; n < 41; n++) await publish("a");
  const old = await publish("a");
  clock.now += 1000;
  log.sweep();
  assert.deepEqual(log.counts, { rooms: 0, idleRooms: 1, keys: 0 });
  assert.deepEqual(await read("a", old), [], "the end of an idle room is known");
  await publish("b");
  clock.now += 1000;
  log.sweep();
  assert.deepEqual(log.counts, { rooms: 0, idleRooms: 1, keys: 0 }, "a is forgotten, b is idle");
  assert.deepEqual(await read("a", old), [], "nothing can have been published in a since");
  const again = await publish("a");
  assert.deepEqual(again, { epoch: old.epoch, offset: 43 });
  assert.equal((await publish("new")).offset, 43, "a room that was never there begins above the floor too");
  assert.equal((await publish("b")).offset, 2, "b was not forgotten");
});

test("a position in a forgotten room is refused when another was forgotten at a higher end", async (t) => {
  const { clock, log, publish, read } = open(t, { maxIdleRooms: 0 });
  const old = await publish("a");
  await publish("b");
  await publish("b");
  clock.now += 1000;
  log.sweep();
  assert.equal(await read("a", old), undefined);
  assert.equal((await publish("a")).offset, 3);
  assert.equal(await read("a", old), undefined);
});

test("a subscribed room keeps its offsets although it is silent and others are forgotten", async (t) => {
  const { clock, log, node, told, publish } = open(t, { maxIdleRooms: 0 });
  await node.subscribe("a", kept);
  await publish("b");
  await publish("b");
  clock.now += 1000;
  log.sweep();
  await publish("a");
  assert.deepEqual(told, ["a 0→1"]);
});

test("the sweep forgets events and keys past their age, and rooms left with nothing", async (t) => {
  const { clock, log, node, publish } = open(t);
  await node.subscribe("b", kept);
  for (const room of ["a", "b", "c"]) await publish(room, "x", { key: "k" });
  await node.publish(
    "none",
    { event: "e", data: Payload.ofJson("1"), at: 0, key: "k" },
    { ...kept, history: { size: 0, ageMs: 0 } },
  );
  assert.deepEqual(log.counts, { rooms: 3, idleRooms: 0, keys: 4 });
  clock.now += 999;
  log.sweep();
  assert.deepEqual(log.counts, { rooms: 3, idleRooms: 0, keys: 4 });
  clock.now += 1;
  log.sweep();
  assert.deepEqual(log.counts, { rooms: 1, idleRooms: 2, keys: 0 });
  assert.equal(log.bytes, 0);
  await node.unsubscribe("b");
  assert.deepEqual(log.counts, { rooms: 0, idleRooms: 3, keys: 0 });
});

test("subscribing rooms that nobody publishes in leaves nothing behind", async (t) => {
  const { log, node } = open(t);
  for (let n = 0; n < 10; n++) await node.subscribe(`r${n}`, kept);
  for (let n = 0; n < 5; n++) await node.unsubscribe(`r${n}`);
  assert.equal(log.counts.rooms, 5);
  await node.close();
  assert.deepEqual(log.counts, { rooms: 0, idleRooms: 0, keys: 0 });
});

test("beyond maxKeys the oldest keys are forgotten first", async (t) => {
  const { log, publish, read } = open(t, { maxKeys: 32 });
  for (let n = 0; n < 33; n++) await publish("a", "x", { key: `k${n}` });
  assert.equal(log.counts.keys, 30);
  await publish("a", "again", { key: "k3" });
  await publish("a", "again", { key: "k32" });
  assert.equal((await read("a"))?.length, 33);
  await publish("a", "again", { key: "k0" });
  assert.equal((await read("a"))?.length, 34);
});

test("a key used again after its window is the youngest again", async (t) => {
  const { clock, log, publish, read } = open(t, { maxKeys: 2 });
  await publish("a", "x", { key: "k1" });
  await publish("a", "x", { key: "k2" });
  clock.now += 1000;
  await publish("a", "1", { key: "k1" });
  await publish("a", "3", { key: "k3" });
  assert.equal(log.counts.keys, 2);
  await publish("a", "again", { key: "k1" });
  assert.deepEqual(await read("a"), ["1", "3"]);
});

test("a reset forgets idle rooms and where forgotten ones ended", async (t) => {
  const { clock, log, publish } = open(t, { maxIdleRooms: 1 });
  for (const room of ["a", "b"]) {
    await publish(room);
    await publish(room);
    clock.now += 1000;
    log.sweep();
  }
  log.reset();
  assert.equal(log.counts.idleRooms, 0);
  for (const room of ["a", "b", "c"]) assert.equal((await publish(room)).offset, 1);
});

test("a log that grows after it has lost its first events keeps the others in order", async (t) => {
  const { clock, publish, read } = open(t);
  for (const text of ["1", "2"]) await publish("a", text);
  clock.now += 500;
  await publish("a", "3");
  clock.now += 500;
  for (const text of ["4", "5", "6", "7", "8"]) await publish("a", text);
  assert.deepEqual(await read("a"), ["3", "4", "5", "6", "7", "8"]);
});

test("a room that is no longer idle is not counted as idle", async (t) => {
  const { clock, log, publish } = open(t);
  await publish("a");
  clock.now += 1000;
  log.sweep();
  assert.equal((await publish("a")).offset, 2);
  assert.deepEqual(log.counts, { rooms: 1, idleRooms: 0, keys: 0 });
});

test("the log sweeps by itself while it has a node, and its timer does not keep the process alive", async (t) => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  const before = timers();
  const unheld = open(t);
  assert.equal(timers(), before);
  await unheld.node.close();

  t.mock.timers.enable({ apis: ["setInterval"] });
  const { clock, log, node, publish } = open(t);
  const other = new MemoryBroker(log, () => {});
  const keep = async () => {
    await publish("a");
    clock.now += 1000;
    t.mock.timers.tick(1000);
    return log.bytes > 0;
  };
  assert.equal(await keep(), false);
  await other.close();
  await other.close();
  assert.equal(await keep(), false, "one node is left");
  await publish("a");
  await node.close();
  clock.now += 1000;
  t.mock.timers.tick(1000);
  assert.ok(log.bytes > 0, "no node is left");
});

test("a reset begins a new epoch at offset 1, forgets events and keys, and leaves subscriptions", async (t) => {
  const { log, node, told, publish, read } = open(t);
  await node.subscribe("a", kept);
  const old = await publish("a", "old", { key: "k" });
  await publish("b");
  log.reset();
  assert.notEqual(log.epoch, old.epoch);
  assert.equal(await read("a", old), undefined);
  assert.deepEqual([await read("a"), await read("b"), log.bytes], [[], [], 0]);
  assert.deepEqual(await publish("a", "new", { key: "k" }), { epoch: log.epoch, offset: 1 });
  assert.deepEqual(await read("a"), ["new"]);
  assert.deepEqual(told, ["a 0→1", "a 0→1"]);
});

test("an opened engine's nodes share one log", async (t) => {
  const settings = parseSettings({ memoryMaxBytes: 1_048_576 });
  const demands = { engineOf: () => "memory" as const, maxHistory: 0, maxKeyWindowMs: 1000 };
  const open = await openEngine(settings, demands, createLog({ level: "silent" }));
  const engine = (deliver: Deliver) => open(deliver, () => undefined);
  const told: number[] = [];
  const nodes = [engine(() => {}), engine((_room, _epoch, events) => told.push(events.length))];
  t.after(() => Promise.all(nodes.map((node) => node.close())));
  await nodes[1]?.subscribe("r", kept);
  await nodes[0]?.publish("r", { event: "e", data: Payload.ofJson("1"), at: 0 }, kept);
  assert.deepEqual(told, [1]);
});
