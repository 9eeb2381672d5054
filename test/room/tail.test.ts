import assert from "node:assert/strict";
import { test } from "node:test";
import { RoomEvent } from "../../protocol/event.js";
import { Payload } from "../../protocol/payload.js";
import { Tail } from "../../server/room/tail.js";

const event = (offset: number, size = 1): RoomEvent =>
  new RoomEvent(offset, { event: "e", data: Payload.ofValue("x".repeat(size)), at: 0 });
const offsets = (events: readonly RoomEvent[] | undefined): number[] | undefined => events?.map((one) => one.offset);

test("a tail gives what comes after an offset it reaches back to, and nothing else", () => {
  const tail = new Tail("e", 10, 100);
  assert.deepEqual(offsets(tail.after(10)), []);
  assert.equal(tail.after(9), undefined);
  tail.append([event(11), event(12)]);
  assert.deepEqual(offsets(tail.after(10)), [11, 12]);
  assert.deepEqual(offsets(tail.after(11)), [12]);
  assert.deepEqual(offsets(tail.after(12)), []);
  assert.equal(tail.after(13), undefined, "nobody can have seen what the log does not have");
});

test("offsets need not be consecutive", () => {
  const tail = new Tail("e", 0, 100);
  tail.append([event(5), event(9)]);
  assert.deepEqual(offsets(tail.after(5)), [9]);
  assert.deepEqual(offsets(tail.after(0)), [5, 9]);
});

test("a tail does not speak for a reader at an offset where it has no event: the log has to be asked", () => {
  const tail = new Tail("e", 0, 100);
  tail.append([event(5), event(9)]);
  assert.equal(tail.after(7), undefined);
  assert.equal(tail.after(3), undefined);
});

test("a log that was read further and had nothing moves the tail's end, and not what the next event follows on", () => {
  const tail = new Tail("e", 0, 100);
  tail.append([event(5)]);
  tail.advance(20);
  assert.deepEqual([tail.end, tail.last], [20, 5]);
  for (const offset of [5, 12, 20]) assert.deepEqual(offsets(tail.after(offset)), []);
  tail.append([event(21)]);
  assert.deepEqual([tail.end, tail.last], [21, 21]);
  tail.advance(3);
  assert.equal(tail.end, 21);
});

test("of a run of the log a tail takes what it does not have, and nothing of a run that does not follow on it", () => {
  const tail = new Tail("e", 0, 100);
  tail.append([event(5), event(6)]);
  assert.deepEqual(offsets(tail.fresh([event(7)], 6)), [7]);
  assert.deepEqual(offsets(tail.fresh([event(5), event(6), event(7)], 0)), [7]);
  assert.deepEqual(offsets(tail.fresh([event(5), event(6)], 0)), []);
  assert.deepEqual(offsets(tail.fresh([event(5)], 0)), []);
  assert.equal(tail.fresh([event(9)], 7), undefined, "something is missing before it");
  assert.equal(tail.fresh([event(5), event(2001)], 0), undefined, "the log has lost 6");
  assert.equal(tail.fresh([event(2001)], 5), undefined, "the log has lost 6");
  tail.advance(20);
  assert.deepEqual(offsets(tail.fresh([event(21)], 6)), [21]);
});

test("a tail that is warmed reaches back to where the events it was given begin", () => {
  const tail = new Tail("e", 12, 100);
  tail.warm([event(11), event(12)], 10);
  assert.equal(tail.start, 10);
  assert.equal(tail.end, 12);
  assert.deepEqual(offsets(tail.after(10)), [11, 12]);
});

test("a tail keeps its last events only, and knows where they begin", () => {
  const tail = new Tail("e", 0, 50);
  for (let offset = 1; offset <= 1000; offset++) tail.append([event(offset)]);
  assert.equal(tail.start, 950);
  assert.equal(tail.after(949), undefined);
  assert.equal(tail.after(950)?.length, 50);
});

test("a tail is bounded in bytes too", () => {
  const tail = new Tail("e", 0, 1000);
  for (let offset = 1; offset <= 100; offset++) tail.append([event(offset, 60_000)]);
  assert.ok(tail.start >= 100 - 18, `kept from ${tail.start} on`);
  assert.ok(tail.start < 100, "the last event is kept");
});

test("a tail knows which events it should have and lacks", () => {
  const tail = new Tail("e", 10, 3);
  tail.append([event(12), event(15), event(20)]);
  const lacks = (...all: number[]) => tail.lacks(all.map((offset) => event(offset)));
  assert.equal(lacks(12, 15, 20), undefined);
  assert.equal(lacks(11), 10, "before its first event");
  assert.equal(lacks(12, 17), 15);
  assert.equal(lacks(9, 10, 21), undefined, "older and newer ones are none of its own");
  tail.append([event(21)]);
  assert.equal(lacks(11), undefined, "it no longer reaches back so far");
});
