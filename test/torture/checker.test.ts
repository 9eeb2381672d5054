/** The judge is judged: every fault is planted, and found under its own name and no other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Position } from "../../protocol/positions.js";
import { check, type Faults } from "./checker.js";
import type { Entry, Outcome, Published, SubscriberLog } from "./records.js";

const ROOM = "room:1";
const at = (offset: number, epoch = "e1"): Position => ({ epoch, offset });

/** Publisher 1's event with this counter, sent at the time `counter * 10`. */
const sent = (counter: number, position: Position | undefined, outcome: Outcome = "acknowledged"): Published => ({
  ...{ publisher: 1, counter, room: ROOM, outcome, position },
  ...{ sentAt: counter * 10, answeredAt: counter * 10 + 1 },
});
const joined = (position: Position, time = 0): Entry => ({ type: "joined", at: time, position });
const reset = (position: Position, time: number): Entry => ({ type: "reset", at: time, position });
const saw = (counter: number, { epoch, offset }: Position): Entry => ({
  ...{ type: "event", at: counter * 10 + 2, epoch, offset, publisher: 1, counter },
});
const log = (entries: readonly Entry[], stayed = true, subscriber = "s1"): SubscriberLog => {
  return { subscriber, room: ROOM, entries, stayed };
};

/** Events 1 to `count`, acknowledged at the offset that is their counter. */
const acknowledged = (count: number): Published[] =>
  Array.from({ length: count }, (_, index) => sent(index + 1, at(index + 1)));
const all = (...counters: number[]): Entry[] => counters.map((counter) => saw(counter, at(counter)));

/** What was found, without the zeros. */
function faults(published: readonly Published[], ...logs: SubscriberLog[]): Partial<Faults> {
  const { lost, dup, inverted, phantom, divergent, holes, excused, repeated } = check({ published, logs });
  const counts = { lost, dup, inverted, phantom, divergent, holes, excused, repeated };
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

test("a whole run has no fault, and everything in it is counted", () => {
  const logs = [log([joined(at(0)), ...all(1, 2, 3)]), log([joined(at(2)), ...all(3)], true, "s2")];
  const found = check({ published: [...acknowledged(3), sent(4, undefined, "refused")], logs });
  assert.deepEqual(found.examples, []);
  const { published, acknowledged: kept, refused, subscriptions, deliveries, resets } = found;
  assert.deepEqual([published, kept, refused, subscriptions, deliveries, resets], [4, 3, 1, 2, 4, 0]);
});

test("offsets need not be consecutive", () => {
  const published = [sent(1, at(10)), sent(2, at(25))];
  assert.deepEqual(faults(published, log([joined(at(3)), saw(1, at(10)), saw(2, at(25))])), {});
});

test("an event left out in the middle is lost, and an unsignalled hole", () => {
  assert.deepEqual(faults(acknowledged(3), log([joined(at(0)), ...all(1, 3)])), { lost: 1, holes: 1 });
});

test("events in a row that were left out are one hole", () => {
  assert.deepEqual(faults(acknowledged(5), log([joined(at(0)), ...all(1, 5)])), { lost: 3, holes: 1 });
});

test("an event left out at the end is lost to one who stayed, and to nobody who left", () => {
  const entries = [joined(at(0)), ...all(1, 2)];
  assert.deepEqual(faults(acknowledged(3), log(entries)), { lost: 1, holes: 1 });
  assert.deepEqual(faults(acknowledged(3), log(entries, false)), {});
});

test("events from before one came are not owed", () => {
  assert.deepEqual(faults(acknowledged(3), log([joined(at(2), 25), ...all(3)])), {});
});

test("one who resumes is owed what was published meanwhile", () => {
  const entries = [joined(at(0)), ...all(1), joined(at(3), 40), ...all(4)];
  assert.deepEqual(faults(acknowledged(4), log(entries)), { lost: 2, holes: 1 });
});

test("one who resumes further along, and leaves, was still owed what is before that place", () => {
  assert.deepEqual(faults(acknowledged(3), log([joined(at(0)), joined(at(3), 40)], false)), { lost: 3, holes: 1 });
});

test("an event that comes twice is a dup", () => {
  assert.deepEqual(faults(acknowledged(2), log([joined(at(0)), ...all(1, 2, 2)])), { dup: 1 });
});

test("a retry that became a second event is a dup", () => {
  const entries = [joined(at(0)), ...all(1), saw(1, at(2))];
  assert.deepEqual(faults(acknowledged(1), log(entries)), { dup: 1 });
});

test("an event that comes after a later one is inverted", () => {
  assert.deepEqual(faults(acknowledged(3), log([joined(at(0)), ...all(1, 3, 2)])), { inverted: 1, holes: 1 });
});

test("a publisher's events that change places in the log are inverted", () => {
  const published = [sent(1, at(2)), sent(2, at(1))];
  assert.deepEqual(faults(published, log([joined(at(0)), saw(2, at(1)), saw(1, at(2))])), { inverted: 1 });
});

test("a publish without an answer may take effect late", () => {
  const published = [sent(1, undefined, "unknown"), sent(2, at(1))];
  assert.deepEqual(faults(published, log([joined(at(0)), saw(2, at(1)), saw(1, at(2))])), {});
});

test("an event nobody published is a phantom", () => {
  assert.deepEqual(faults(acknowledged(1), log([joined(at(0)), ...all(1, 2)])), { phantom: 1 });
});

test("an event of another room is a phantom", () => {
  const elsewhere = { ...sent(2, at(2)), room: "room:2" };
  assert.deepEqual(faults([...acknowledged(1), elsewhere], log([joined(at(0)), ...all(1, 2)])), { phantom: 1 });
});

test("a publish that was refused and seen after all is a phantom", () => {
  const published = [sent(1, undefined, "refused")];
  assert.deepEqual(faults(published, log([joined(at(0)), saw(1, at(1))])), { phantom: 1 });
});

test("two events seen at one place are divergent, once for the place", () => {
  const published = [sent(1, undefined, "unknown"), sent(2, undefined, "unknown")];
  const logs = ["a", "b", "c"].map((name, index) => log([joined(at(0)), saw(index === 0 ? 1 : 2, at(1))], true, name));
  assert.deepEqual(faults(published, ...logs), { divergent: 1 });
});

test("an event acknowledged at a place where another was seen is divergent", () => {
  const published = [sent(1, at(1)), sent(2, undefined, "unknown")];
  assert.deepEqual(faults(published, log([joined(at(0)), saw(2, at(1))], false)), { divergent: 1, lost: 1 });
});

test("the same offset in two epochs is two places", () => {
  const published = [sent(1, at(1)), sent(2, at(1, "e2"))];
  const entries = [joined(at(0)), saw(1, at(1)), reset(at(0, "e2"), 15), saw(2, at(1, "e2"))];
  assert.deepEqual(faults(published, log(entries)), {});
});

test("another epoch without a reset is an unsignalled hole", () => {
  const published = [sent(1, at(1)), sent(2, at(1, "e2"))];
  const entries = [joined(at(0)), saw(1, at(1)), saw(2, at(1, "e2"))];
  assert.deepEqual(faults(published, log(entries)), { holes: 1 });
});

test("one who is left behind in an epoch that is over loses what comes after", () => {
  const published = [sent(1, at(1)), sent(2, at(1, "e2"))];
  assert.deepEqual(faults(published, log([joined(at(0)), saw(1, at(1))])), { lost: 1 });
});

test("a reset to another epoch excuses the rest of the old one and the start of the new one", () => {
  const published = [...acknowledged(3), sent(4, at(1, "e2")), sent(5, at(2, "e2"))];
  const entries = [joined(at(0)), ...all(1), reset(at(1, "e2"), 45), saw(5, at(2, "e2"))];
  assert.deepEqual(faults(published, log(entries)), { excused: 3 });
});

test("a reset within an epoch excuses what lies between, and nothing else", () => {
  const resets = (next: Entry[]) => log([joined(at(0)), ...all(1), reset(at(3), 35), ...next]);
  assert.deepEqual(faults(acknowledged(5), resets(all(4, 5))), { excused: 2 });
  assert.deepEqual(faults(acknowledged(5), resets(all(5))), { excused: 2, lost: 1, holes: 1 });
});

test("a reset excuses no hole from before it", () => {
  const entries = [joined(at(0)), ...all(1, 3), reset(at(0, "e2"), 35)];
  assert.deepEqual(faults(acknowledged(3), log(entries)), { lost: 1, holes: 1 });
});

test("a reset excuses nothing that is acknowledged in the old epoch afterwards", () => {
  const published = [sent(1, at(1)), sent(3, at(2))];
  const entries = [joined(at(0)), saw(1, at(1)), reset(at(0, "e2"), 20)];
  assert.deepEqual(faults(published, log(entries)), { lost: 1 });
});

test("an event that comes again in a later epoch is repeated", () => {
  const published = [sent(1, at(1, "e2"))];
  const entries = [joined(at(0)), saw(1, at(1)), reset(at(0, "e2"), 15), saw(1, at(1, "e2"))];
  assert.deepEqual(faults(published, log(entries)), { repeated: 1 });
});

test("a reset that leads back within an epoch voids what was seen between, for those who were told", () => {
  const published = [...acknowledged(4), sent(5, at(1000))];
  const ahead = log([joined(at(0)), ...all(1, 2, 3, 4), reset(at(2), 45), saw(5, at(1000))]);
  const behind = log([joined(at(0)), ...all(1, 2, 3), reset(at(2), 45), saw(5, at(1000))], true, "s2");
  const untold = log([joined(at(0)), ...all(1, 2), saw(5, at(1000))], true, "s3");
  assert.deepEqual(faults(published, ahead), {});
  assert.deepEqual(faults(published, ahead, behind), { excused: 1 });
  assert.deepEqual(faults(published, ahead, untold), { lost: 2, holes: 1 });
});

test("after a reset that leads back, what follows is owed", () => {
  const published = [...acknowledged(3), sent(4, at(1000)), sent(5, at(1001))];
  const entries = [joined(at(0)), ...all(1, 2, 3), reset(at(2), 45), saw(5, at(1001))];
  assert.deepEqual(faults(published, log(entries)), { lost: 1, holes: 1 });
});

test("an event whose key went with the log's end may come again after the reset, not before it", () => {
  const published = [...acknowledged(2), sent(3, at(1000))];
  const again = saw(3, at(1000));
  assert.deepEqual(faults(published, log([joined(at(0)), ...all(1, 2, 3), reset(at(2), 35), again], false)), {
    repeated: 1,
  });
  assert.deepEqual(faults(published, log([joined(at(0)), ...all(1, 2, 3), again], false)), { dup: 1 });
});

test("a reset forward within an epoch lets nothing come twice", () => {
  const entries = [joined(at(0)), ...all(1), reset(at(3), 35), saw(1, at(4))];
  assert.deepEqual(faults(acknowledged(1), log(entries)), { dup: 1 });
});

test("what is known only from another subscriber is owed too, though nobody had an answer", () => {
  const published = [sent(1, undefined, "unknown"), sent(2, at(2))];
  const logs = [log([joined(at(0)), ...all(1, 2)]), log([joined(at(0)), ...all(2)], true, "s2")];
  assert.deepEqual(faults(published, ...logs), { holes: 1 });
});

test("in a room without history order and repeats are judged, and nothing is owed", () => {
  const published = [1, 2, 3, 4].map((counter) => sent(counter, undefined));
  const none = { epoch: "", offset: 0 };
  const came = (counters: number[]) => counters.map((counter) => saw(counter, none));
  assert.deepEqual(faults(published, log(came([1, 3, 4]))), {});
  assert.deepEqual(faults(published, log(came([1, 3, 2, 3]))), { inverted: 1, dup: 1 });
});
