import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { RoomEvent } from "../../protocol/event.js";
import { jsonServer } from "../../protocol/json-server.js";
import { Payload } from "../../protocol/payload.js";
import { MemoryLog } from "../../server/engine/memory.js";
import { Rooms } from "../../server/room/rooms.js";
import { defaultRules } from "../../server/room/rules.js";
import { type Cut, stitch } from "../../server/room/stitch.js";
import { eventually } from "../support/eventually.js";
import { joinerWith, nodeOf, WatchedBroker } from "./support.js";

test("a hundred who open a room at once share one subscription and one read of the log", async (t) => {
  const { rooms, broker } = nodeOf(t);
  const held = await Promise.all(Array.from({ length: 100 }, () => rooms.hold("r:1")));
  assert.equal(new Set(held).size, 1);
  assert.equal(held[0]?.holds, 100);
  assert.equal(broker.subscribes, 1);
  assert.equal(broker.reads, 1);
});

test("however many rooms are opened at once, none is closed before those who opened it are in", async (t) => {
  const { rooms, broker } = nodeOf(t);
  const held = await Promise.all(Array.from({ length: 10_100 }, (_, index) => rooms.hold(`r:${index}`)));
  assert.equal(broker.unsubscribes, 0);
  assert.equal(rooms.size, 10_100);
  // Those who wait are another matter: of these only so many are kept.
  for (const room of held) rooms.release(room);
  assert.equal(rooms.size, 10_000);
});

test("a room that everyone left lingers, is found warm, and is closed in the end", async (t) => {
  const { rooms, broker } = nodeOf(t, { lingerMs: 40 });
  const room = await rooms.hold("r:1");
  rooms.release(room);
  assert.equal(await rooms.hold("r:1"), room, "still the same");
  assert.equal(broker.subscribes, 1);
  rooms.release(room);
  await eventually(() => broker.unsubscribes === 1);
  assert.equal(rooms.size, 0);
  assert.notEqual(await rooms.hold("r:1"), room);
});

test("a room that cannot be opened rejects everyone who waits, and can be opened later", async (t) => {
  const { rooms, broker } = nodeOf(t);
  broker.failing = true;
  const held = await Promise.allSettled([rooms.hold("r:1"), rooms.hold("r:1")]);
  assert.deepEqual(
    held.map((one) => one.status),
    ["rejected", "rejected"],
  );
  assert.equal(rooms.size, 0);
  broker.failing = false;
  assert.equal((await rooms.hold("r:1")).holds, 1);
});

test("in a quiet room an event leaves at once; what follows on its heels leaves together, in order", async (t) => {
  const { rooms, publish, events } = nodeOf(t, { rules: { batchMs: 20 } });
  const room = await rooms.hold("r:1");
  room.enter(jsonServer);
  const published = [publish(1)];
  assert.deepEqual(events(), [[1]], "in the same turn");
  for (const data of [2, 3, 4]) published.push(publish(data));
  assert.deepEqual(events(), [[1]]);
  await eventually(() => events().length === 2);
  assert.deepEqual(events(), [[1], [2, 3, 4]]);
  await Promise.all(published);
});

test("nothing is encoded for a room that nobody is in", async (t) => {
  const { rooms, publish, frames } = nodeOf(t);
  const room = await rooms.hold("r:1");
  await publish(1);
  room.enter(jsonServer);
  await publish(2);
  room.exit(jsonServer);
  await publish(3);
  assert.equal(frames.length, 1);
});

test("a full page of waiting events leaves without waiting longer", async (t) => {
  const { rooms, publish, frames } = nodeOf(t, { rules: { batchMs: 60_000 } });
  const room = await rooms.hold("r:1");
  room.enter(jsonServer);
  for (let count = 0; count < 6; count++) await publish("x".repeat(100_000));
  assert.deepEqual(
    frames.map((frame) => frame.events?.length),
    [1, 2, 1],
    "the first at once, then what fills a page, in frames of at most a page",
  );
});

test("a hole is read from the log, again and again while the log cannot be read", async (t) => {
  const { rooms, broker, publish, events } = nodeOf(t, { rules: { batchMs: 0 } });
  const room = await rooms.hold("r:1");
  room.enter(jsonServer);
  broker.losing = true;
  await publish(1);
  broker.losing = false;
  broker.failing = true;
  const reads = broker.reads;
  await publish(2);
  assert.deepEqual(events(), [], "2 waits for 1");
  await eventually(() => broker.reads >= reads + 2);
  broker.failing = false;
  await eventually(() => events().length > 0);
  assert.deepEqual(events(), [[1, 2]]);
});

test("the last event before a silence is found by the slow check when its delivery is lost", async (t) => {
  const { rooms, broker, publish, events } = nodeOf(t, { checkMs: 100 });
  const room = await rooms.hold("r:1");
  room.enter(jsonServer);
  broker.losing = true;
  await publish("last");
  assert.deepEqual(events(), []);
  await eventually(() => events().length > 0);
  assert.deepEqual(events(), [["last"]]);
});

test("when the log no longer reaches back to the hole everyone is told reset", async (t) => {
  const { rooms, broker, publish, frames } = nodeOf(t, { rules: { history: { size: 2, ageMs: 60_000 } } });
  const room = await rooms.hold("r:1");
  room.enter(jsonServer);
  broker.losing = true;
  for (const data of [1, 2, 3, 4]) await publish(data);
  await room.refresh();
  assert.equal(frames.at(-1)?.type, "reset");
  assert.equal(room.position?.offset, 4);
});

test("where the log begins again before its end, everyone is told reset and gets what came since", async (t) => {
  const { rooms, broker, publish, frames, events } = nodeOf(t, { rules: { batchMs: 0 } });
  const room = await rooms.hold("r:1");
  room.enter(jsonServer);
  for (const data of [1, 2]) await publish(data);
  broker.losing = true;
  for (const data of [3, 4]) await publish(data);
  // As after a failover: what this node has seen of the log's end is not there, two other events are.
  broker.answer = (history, { since }) => {
    if (since === undefined || since.offset !== 2) return history;
    broker.answer = (next) => next;
    return { position: { ...history.position, offset: 2 }, events: undefined, more: true };
  };
  await room.refresh();
  assert.deepEqual(
    frames.slice(2).map(({ type }) => type),
    ["reset", "events"],
  );
  assert.deepEqual(events().at(-1), [3, 4]);
  assert.equal(room.position?.offset, 4);
});

test("a log that has nothing new but is further on moves the room, and its next event still follows for those there", async (t) => {
  const { rooms, broker, publish, frames } = nodeOf(t, { rules: { batchMs: 0 } });
  const room = await rooms.hold("r:1");
  room.enter(jsonServer);
  await publish(1);
  broker.answer = (history) => ({ ...history, position: { ...history.position, offset: 9 } });
  await room.refresh();
  assert.equal(room.position?.offset, 9);
  broker.answer = (history) => history;
  room.deliver(room.position.epoch, [new RoomEvent(10, { event: "e", data: Payload.ofValue(2), at: 0 })], 1);
  assert.equal(frames.at(-1)?.previous, 1);
  assert.equal(room.position.offset, 10);
});

test("rooms that the engine has doubts about are compared with their logs, a few at a time, and read where they differ", async (t) => {
  const { rooms, broker, publish, events } = nodeOf(t, { rules: { batchMs: 0 } });
  const names = Array.from({ length: 300 }, (_, index) => `many:${index}`);
  for (const name of names) await rooms.hold(name);
  const room = await rooms.hold("r:1");
  room.enter(jsonServer);
  broker.losing = true;
  await publish("lost on the way");
  broker.mostUnderWay = 0;
  for (const name of ["r:1", ...names, "nobody:is-here"]) broker.suspect(name);
  await eventually(() => events().length > 0);
  await eventually(() => broker.underWay === 0);
  assert.deepEqual(events(), [["lost on the way"]]);
  assert.ok(broker.mostUnderWay <= 65, `${broker.mostUnderWay} reads at once`);
});

test("a delivery for a room that nobody here has open is counted, and one of the server's own rooms is handed on", async (t) => {
  const log = new MemoryLog({ maxBytes: 1 << 20 });
  const own: unknown[] = [];
  const rooms = new Rooms({
    openBroker: (deliver, suspect) => new WatchedBroker(log, deliver, suspect),
    fanout: { publish: () => undefined },
    rulesFor: () => defaultRules,
    lingerMs: 0,
    checkMs: 0,
    reserved: {
      deliver: (room, events) => own.push(room, ...events.map(({ data }) => data.value)),
      suspect: (room) => own.push(`${room}?`),
    },
  });
  t.after(() => rooms.close());
  for (const name of ["r:1", "$own"]) {
    await rooms.broker.subscribe(name, defaultRules);
    await rooms.broker.publish(name, { event: "e", data: Payload.ofValue(1), at: 0 }, defaultRules);
  }
  (rooms.broker as WatchedBroker).suspect("$own");
  assert.deepEqual([rooms.strays, own], [1, ["$own", 1, "$own?"]]);
});

test("a reader who is ahead of this node waits until the node has caught up, and is believed no further", async (t) => {
  const { rooms, broker, publish } = nodeOf(t);
  const room = await rooms.hold("r:1");
  broker.losing = true;
  for (const data of [1, 2, 3]) await publish(data);
  assert.equal(room.position?.offset, 0, "the node lags");
  const epoch = room.position.epoch;
  const cuts: Cut[] = [];
  await stitch(room, { epoch, offset: 2 }, joinerWith(cuts));
  await stitch(room, { epoch, offset: 99 }, joinerWith(cuts));
  assert.deepEqual(
    cuts.map((cut) => [cut.recovered, cut.events.map((event) => event.offset)]),
    [
      [true, [3]],
      [false, []],
    ],
  );
});

test("who comes back to a warm room costs no read of the log", async (t) => {
  const { rooms, broker, publish } = nodeOf(t);
  const room = await rooms.hold("r:1");
  const since = room.position;
  for (const data of [1, 2, 3]) await publish(data);
  const reads = broker.reads;
  const cuts: Cut[] = [];
  for (let count = 0; count < 50; count++) await stitch(room, since, joinerWith(cuts));
  assert.equal(cuts.filter((cut) => cut.recovered && cut.events.length === 3).length, 50);
  assert.equal(broker.reads, reads);
});

const passedOver = async (t: TestContext) => {
  const node = nodeOf(t, { rules: { batchMs: 0 } });
  const room = await node.rooms.hold("r:1");
  room.enter(jsonServer);
  node.broker.losing = true;
  for (const data of [1, 2, 3]) await node.publish(data);
  const epoch = room.position?.epoch as string;
  const event = (offset: number) => new RoomEvent(offset, { event: "e", data: Payload.ofValue(offset), at: 0 });
  const types = () => node.frames.map(({ type }) => type);
  // The second is overtaken by the third, which says that it follows on the first.
  room.deliver(epoch, [event(1)], 0);
  room.deliver(epoch, [event(3)], 1);
  assert.deepEqual(node.events(), [[1], [3]]);
  return { ...node, room, epoch, event, types };
};

test("an event that comes after its successor, which left it out, is no silent hole: everyone is told", async (t) => {
  const { room, epoch, event, types } = await passedOver(t);
  room.deliver(epoch, [event(2)], 1);
  await eventually(() => types().includes("reset"));
  assert.deepEqual(types(), ["events", "events", "reset"]);
  assert.deepEqual(room.position, { epoch, offset: 3 });
  room.deliver(epoch, [event(4)], 3);
  assert.deepEqual(types(), ["events", "events", "reset", "events"]);
});

test("what comes late and is not in the log is passed over, and so is what comes twice", async (t) => {
  const { room, epoch, event, types, broker } = await passedOver(t);
  broker.answer = ({ events, ...rest }) => ({ ...rest, events: events?.filter(({ offset }) => offset !== 2) });
  const reads = broker.reads;
  for (const late of [1, 3, 2]) room.deliver(epoch, [event(late)], late - 1);
  await eventually(() => broker.reads === reads + 1 && broker.underWay === 0);
  await broker.history("r:1", {}, 1, room.rules);
  assert.deepEqual(types(), ["events", "events"]);
});
