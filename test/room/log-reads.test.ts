import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { RoomEvent } from "../../protocol/event.js";
import { Payload } from "../../protocol/payload.js";
import { LogReads } from "../../server/room/log-reads.js";
import { defaultRules } from "../../server/room/rules.js";
import { type Cut, stitch } from "../../server/room/stitch.js";
import { joinerWith, nodeOf } from "./support.js";

/** A node with 1,200 events in the log of a room that its tail does not reach back to. */
async function longLog(t: TestContext) {
  const node = nodeOf(t, { rules: { history: { size: 2000, ageMs: 3_600_000 } } });
  for (let n = 1; n <= 1200; n++) await node.publish(n);
  const room = await node.rooms.hold("r:1");
  const epoch = room.position?.epoch as string;
  /** Joins from there; the offsets it is given before the cut and in it. */
  const joined = async (offset: number): Promise<(number | undefined)[]> => {
    const cuts: Cut[] = [];
    const given: (number | undefined)[] = [];
    const page = (events: readonly RoomEvent[]): void => void given.push(...events.map((event) => event.offset));
    await stitch(room, { epoch, offset }, { ...joinerWith(cuts), page });
    return [...given, ...(cuts[0]?.events ?? []).map((event) => event.offset), cuts[0]?.recovered ? -1 : -2];
  };
  const after = (offset: number): number[] => [
    ...Array.from({ length: 1200 - offset }, (_, at) => offset + 1 + at),
    -1,
  ];
  return { ...node, joined, after };
}

test("a crowd that comes back to one old position shares the reads of the log", async (t) => {
  const { broker, rooms, joined, after } = await longLog(t);
  const runs = await Promise.all(Array.from({ length: 200 }, () => joined(10)));
  for (const run of runs) assert.deepEqual(run, after(10));
  // One to open the room, and two pages up to its tail.
  assert.deepEqual([broker.reads, rooms.logReads], [3, 3]);
});

test("those who come back to other places in what was just read, or are on their way there, cost no read", async (t) => {
  const { broker, joined, after } = await longLog(t);
  const offsets = Array.from({ length: 100 }, (_, index) => 10 + index * 4);
  const runs = await Promise.all(offsets.map(joined));
  for (const [index, run] of runs.entries()) assert.deepEqual(run, after(offsets[index] as number));
  assert.equal(broker.reads, 3);
  assert.deepEqual(await joined(333), after(333));
  assert.equal(broker.reads, 3);
});

test("a crowd that was away for longer than the log keeps events is told so at the price of one read", async (t) => {
  const { rooms, broker, publish } = nodeOf(t, { rules: { history: { size: 5, ageMs: 3_600_000 } } });
  for (let n = 1; n <= 20; n++) await publish(n);
  const room = await rooms.hold("r:1");
  const since = { epoch: room.position?.epoch as string, offset: 3 };
  const cuts: Cut[] = [];
  await Promise.all(Array.from({ length: 100 }, () => stitch(room, since, joinerWith(cuts))));
  assert.equal(cuts.filter((cut) => !cut.recovered && cut.events.length === 0).length, 100);
  assert.equal(broker.reads, 2);
});

test("what was read for others is not kept for long, nor when the log may have lost events", async (t) => {
  const { broker, rooms, joined, after } = await longLog(t);
  await joined(10);
  const { reads } = broker;
  rooms.reads.forget("r:1");
  assert.deepEqual(await joined(10), after(10));
  assert.equal(broker.reads, reads + 2);
  rooms.reads.sweep(performance.now() + 1001);
  await joined(10);
  assert.equal(broker.reads, reads + 4);
});

test("a read that fails fails those who share it, and the next one asks again", async (t) => {
  const { broker, joined, after } = await longLog(t);
  broker.failing = true;
  const runs = await Promise.allSettled(Array.from({ length: 10 }, () => joined(10)));
  assert.equal(runs.filter((run) => run.status === "rejected").length, 10);
  broker.failing = false;
  assert.deepEqual(await joined(10), after(10));
});

test("however much is read of however many rooms, no more than 16 MiB is kept, and of one room no more than 8 reads", async (t) => {
  const { broker } = nodeOf(t);
  const data = Payload.ofValue("x".repeat(100_000));
  const events = Array.from({ length: 10 }, (_, index) => new RoomEvent(index + 1, { event: "e", data, at: 0 }));
  broker.answer = () => ({ position: { epoch: "e", offset: 10 }, events, more: false });
  const reads = new LogReads(broker);
  for (let offset = 100; offset > 0; offset--) await reads.after("one", { epoch: "e", offset }, defaultRules);
  assert.ok(reads.bytes > 7_900_000 && reads.bytes < 8_200_000, `${reads.bytes} of one room`);
  let most = 0;
  for (let room = 0; room < 50; room++) {
    await reads.after(`r:${room}`, { epoch: "e", offset: 0 }, defaultRules);
    most = Math.max(most, reads.bytes);
  }
  assert.ok(most > 15_000_000 && most <= 1 << 24, `${most} of all`);
  const { count } = reads;
  await reads.after("r:49", { epoch: "e", offset: 5 }, defaultRules);
  assert.equal(reads.count, count, "the newest are kept");
  reads.sweep(performance.now() + 2000);
  assert.equal(reads.bytes, 0);
});
