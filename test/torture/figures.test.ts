/** The times that rows are judged by, and the way on which records travel. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { latencies, longestByClient, wholeAfterMs } from "./figures.js";
import { packEntry, packPublished, unpack, Words } from "./packed.js";
import type { Entry, Published, Records } from "./records.js";

const published = (counter: number, sentAt: number, answeredAt: number): Published => ({
  ...{ publisher: 1, counter, room: "a", outcome: "acknowledged", position: { epoch: "e", offset: counter } },
  ...{ sentAt, answeredAt },
});
const saw = (counter: number, at: number): Entry => ({
  ...{ type: "event", at, epoch: "e", offset: counter, publisher: 1, counter },
});
const records = (all: readonly Published[], ...views: (readonly Entry[])[]): Records => ({
  published: all,
  logs: views.map((entries, index) => ({ subscriber: `s${index}`, room: "a", stayed: true, entries })),
});

test("records are the same after the way from one process to another", () => {
  const epochs = new Words();
  const rooms = new Words();
  const position = { epoch: "f", offset: 7 };
  const entries: Entry[] = [
    { type: "joined", at: 1, position: undefined },
    { ...saw(3, 2), epoch: "" } as Entry,
    { type: "reset", at: 3, position },
    saw(4, 4),
  ];
  const all: Published[] = [
    published(1, 10, 11),
    { ...published(2, 12, 13), outcome: "refused", position: undefined },
    { ...published(3, 14, 15), outcome: "unknown", room: "b", position: undefined },
  ];
  const logs = [
    { subscriber: "s", room: "a", stayed: false, entries: entries.flatMap((one) => packEntry(one, epochs)) },
  ];
  const rows = all.flatMap((one) => packPublished(one, epochs, rooms));
  const there = unpack({ epochs: epochs.all, rooms: rooms.all, logs, published: rows });
  assert.deepEqual(there, { published: all, logs: [{ subscriber: "s", room: "a", stayed: false, entries }] });
});

test("a latency is from the sending to the sight, for each who saw it", () => {
  const told = records([published(1, 10, 12), published(2, 20, 22)], [saw(1, 15), saw(2, 28)], [saw(1, 17)]);
  assert.deepEqual(latencies(told), [5, 8, 7]);
  assert.deepEqual(
    latencies(told, ({ counter }) => counter === 2),
    [8],
  );
});

test("a client's longest gap is the longest that an event took to it, over all of its rooms", () => {
  const told = records([published(1, 10, 12), published(2, 20, 22)], [saw(1, 15), saw(2, 28)], [saw(1, 17)], []);
  const again = { ...told, logs: [...told.logs, { ...told.logs[1], room: "b" } as Records["logs"][number]] };
  assert.deepEqual(
    longestByClient(again, () => true),
    [8, 7],
  );
  assert.deepEqual(
    longestByClient(again, ({ counter }) => counter === 1),
    [5, 7],
  );
});

test("whole is when the last subscriber has seen something new", () => {
  const told = records([published(1, 50, 60), published(2, 110, 112)], [saw(1, 61), saw(2, 113)], [saw(2, 140)]);
  assert.equal(wholeAfterMs(told, 100), 40);
});

test("a room in which someone sees nothing new is never whole", () => {
  assert.equal(wholeAfterMs(records([published(1, 110, 111)], [saw(1, 112)], []), 100), Number.POSITIVE_INFINITY);
});

test("a room is not whole before the last late event and the last reset", () => {
  const late = records([published(1, 0, 10), published(2, 110, 111)], [saw(2, 112), saw(1, 5000)]);
  assert.equal(wholeAfterMs(late, 100), 4900);
  const reset: Entry = { type: "reset", at: 700, position: { epoch: "e", offset: 9 } };
  assert.equal(wholeAfterMs(records([published(2, 110, 111)], [saw(2, 112), reset]), 100), 600);
});

test("what comes after the end of the time looked at does not count", () => {
  const told = records([published(1, 0, 10), published(2, 110, 111)], [saw(2, 112), saw(1, 5000)]);
  assert.equal(wholeAfterMs(told, 100, 1000), 12);
});
