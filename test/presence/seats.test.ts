/** A node's own members of a room: places, parts of registers, and the time that who lost the connection has. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Crowd } from "../../server/presence/crowd.js";
import { entryOf, writePart } from "../../server/presence/register.js";
import { Seats } from "../../server/presence/seats.js";
import { VirtualTime } from "../support/virtual-time.js";

const GRACE_MS = 10_000;
/** The most that an engine takes in a register. */
const MOST_BYTES = 64 * 1024;

function seated() {
  const time = new VirtualTime();
  const crowd = new Crowd();
  const written: number[] = [];
  const seats = new Seats({
    crowd,
    clock: time.clock(),
    graceMs: GRACE_MS,
    changed: (part) => void written.push(part),
  });
  const bytesOf = (part: number): number =>
    Buffer.byteLength(writePart({ revision: { life: 1, count: 1 }, entries: seats.entriesOf(part) }));
  const enter = (session: string, info?: unknown) => seats.enter({ session, user: `of-${session}`, info });
  return { time, crowd, seats, written, bytesOf, enter };
}

test("many members share a part, and one that comes has one part written", () => {
  const { seats, written, enter } = seated();
  for (let n = 0; n < 5000; n++) enter(`s${n}`, { name: `Member ${n}` });
  assert.equal(written.length, 5000);
  const parts = [...seats.parts];
  assert.ok(parts.length <= 5000 / 32, `${parts.length} parts`);
  assert.equal(
    parts.reduce((sum, part) => sum + seats.entriesOf(part).length, 0),
    5000,
  );
});

test("no part is larger than an engine takes, however large infos are when members come, and become", () => {
  const { seats, bytesOf, enter } = seated();
  const large = { text: "x".repeat(990) };
  const list = Array.from({ length: 300 }, (_, n) => enter(`s${n}${"y".repeat(200)}`, n % 2 === 0 ? large : undefined));
  for (const seat of list) seat.update(large);
  for (const part of seats.parts) assert.ok(bytesOf(part) <= MOST_BYTES, `part ${part}: ${bytesOf(part)} bytes`);
  const all = [...seats.parts].flatMap((part) => seats.entriesOf(part));
  assert.deepEqual([all.length, new Set(all.map(({ session }) => session)).size], [300, 300]);
  for (const seat of list) seat.leave();
  assert.deepEqual([[...seats.parts], seats.size], [[], 0]);
});

test("places that become free are taken again, and empty parts are given back", () => {
  const { seats, enter } = seated();
  const list = Array.from({ length: 640 }, (_, n) => enter(`s${n}`));
  const most = Math.max(...seats.parts);
  for (const seat of list.slice(100)) seat.leave();
  for (let n = 1000; n < 1500; n++) enter(`s${n}`);
  assert.ok(Math.max(...seats.parts) <= most, "numbers of parts do not grow for ever");
});

test("who lost the connection stays for the grace period, and who comes back in it stays on", async () => {
  const { time, crowd, enter } = seated();
  enter("s1").lose();
  enter("s2").lose();
  await time.pass(GRACE_MS - 1);
  assert.equal(crowd.count, 2);
  const seat = enter("s2");
  await time.pass(GRACE_MS);
  assert.deepEqual([...crowd.names()], ["of-s2"]);
  seat.lose();
  await time.pass(GRACE_MS + 1);
  assert.equal(crowd.count, 0);
});

test("what a connection does that another has taken over from is of no effect", async () => {
  const { time, crowd, enter } = seated();
  const before = enter("s1", { n: 1 });
  const now = enter("s1", { n: 2 });
  before.update({ n: 3 });
  before.lose();
  before.leave();
  await time.pass(2 * GRACE_MS);
  assert.deepEqual(crowd.member("of-s1"), { user: "of-s1", info: { n: 2 } });
  now.leave();
  now.leave();
  assert.equal(crowd.count, 0);
});

test("who lost the connection is waited for no longer once another node has it, and is where that had it before", async () => {
  const { crowd, seats, enter } = seated();
  const later = Date.now() + 1000;
  const elsewhere = (session: string, at: number) => {
    const entry = entryOf(session, `of-${session}`, undefined, at);
    crowd.add(entry);
    seats.seenElsewhere(entry);
  };
  enter("s1").lose();
  elsewhere("s1", later);
  assert.equal(seats.size, 0, "it has gone on there");
  enter("s2").lose();
  elsewhere("s2", 1);
  assert.equal(seats.size, 1, "it came from there");
  elsewhere("s3", 1);
  enter("s3").lose();
  assert.equal(seats.size, 2, "it came from there, before it was lost");
  elsewhere("s4", later);
  const held = enter("s4");
  assert.equal(seats.size, 3);
  held.lose();
  assert.equal(seats.size, 2, "it had gone on there before its connection here was lost");
});

test("info that is too large, or no JSON, is not shown; the member is", () => {
  const { crowd, enter } = seated();
  const circle: { self?: unknown } = {};
  circle.self = circle;
  for (const [n, info] of [circle, 1n, () => 1, "x".repeat(2000), null].entries()) {
    enter(`s${n}`, info);
    assert.deepEqual(crowd.member(`of-s${n}`), { user: `of-s${n}` });
  }
});
