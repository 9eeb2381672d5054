/** What is told of rooms by one who is told what is so; the rest is tested with those who find it out. */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { MemoryLedger } from "../../server/engine/memory-ledger.js";
import { type Announcement, Announcing, type AnnouncingOptions } from "../../server/hooks/announcing.js";
import { createLog } from "../../server/log.js";
import { eventually } from "../support/eventually.js";

const log = createLog({ level: "silent" });

function announcing(t: TestContext, entries: Map<string, string>, options: Partial<AnnouncingOptions> = {}) {
  const told: Announcement[] = [];
  const ledger = new MemoryLedger(entries);
  const tell = (announcement: Announcement) => void told.push(announcement);
  const given = { ledger, id: () => "me", isThere: () => true, tell, log, againMs: 5, ...options };
  const one = new Announcing(given);
  t.after(() => one.close());
  return { one, told };
}

test("no more than so many are told at once; what changes back before its turn is not told", async (t) => {
  const entries = new Map<string, string>();
  const { one, told } = announcing(t, entries, { most: 3 });
  for (let room = 0; room < 2000; room++) one.want(`r:${room}`, true);
  // Begun are as many as go into the swaps that are under way when it shows that they are too many.
  await eventually(() => one.held > 0);
  const begun = told.length;
  assert.ok(begun < 2000, `${begun}`);
  for (let room = 0; room < 2000; room++) one.want(`r:${room}`, false);
  const until = performance.now() + 20_000;
  while (!one.isQuiet && performance.now() < until) {
    for (const { ended } of told.splice(0)) ended();
    await new Promise((next) => setImmediate(next));
  }
  assert.deepEqual([...entries.keys()], ["$which"]);
});

test("what another node tells is waited for while it is there, or may be about to come", async (t) => {
  const entries = new Map([["a", "o 1 1700000000000 other"]]);
  let isThere: boolean | undefined;
  let asked = 0;
  const { one, told } = announcing(t, entries, {
    isThere: () => {
      asked++;
      return isThere;
    },
  });
  one.want("a", false);
  await eventually(() => asked > 3);
  isThere = true;
  await eventually(() => asked > 6);
  assert.equal(told.length, 0);
  isThere = false;
  await eventually(() => told.length === 1);
  const [{ id, at, type, ended }] = told as [Announcement];
  assert.deepEqual([id, at, type], ["1", 1700000000000, "occupied"]);
  ended();
  await eventually(() => told.length === 2);
  assert.equal(told[1]?.type, "vacated");
  assert.ok((told[1]?.at ?? 0) > at);
});

test("an entry that somebody else wrote is passed over", async (t) => {
  const entries = new Map([["a", "whatever"]]);
  const { one, told } = announcing(t, entries);
  one.want("a", true);
  await eventually(() => told.length === 1);
  assert.equal(told[0]?.type, "occupied");
});
