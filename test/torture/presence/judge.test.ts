/** What row 20 finds in what watchers were told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MembersTold } from "../crowd-protocol.js";
import { judgeCounted, judgeListed, judgeTold } from "./judge.js";
import type { Sight } from "./watcher.js";

const sight = (at: number, entered: string[], left: string[], count = 0): Sight => ({ at, entered, left, count });
const expected = { staying: new Set(["ann", "bob"]), leaving: new Set(["eve", "joe"]), coming: new Set<string>() };
const withTom = { ...expected, coming: new Set(["tom"]) };
const both = new Set(["ann", "bob"]);

test("who leaves is timed, and nothing else happened", () => {
  const sights = [sight(110, [], ["eve"]), sight(130, [], ["joe"])];
  assert.deepEqual(judgeListed(sights, both, expected, 100), { leftMs: [10, 30], ghosts: 0, flaps: [] });
});

test("who left and is still there is a ghost, also for a watcher who is told of nobody", () => {
  const { ghosts, flaps } = judgeListed([], new Set([...both, "eve"]), expected, 100);
  assert.deepEqual([ghosts, flaps], [1, []]);
  assert.equal(judgeListed([], undefined, expected, 100).ghosts, 2);
});

test("who stayed and was told to leave, or to come, has flapped, and so has who left twice", () => {
  const sights = [
    sight(110, [], ["ann", "eve"]),
    sight(120, ["ann", "eve"], []),
    sight(130, [], ["eve"]),
    sight(140, [], ["joe"]),
  ];
  const { flaps } = judgeListed(sights, both, expected, 100);
  assert.deepEqual(flaps, ["left: ann", "entered: ann", "entered: eve", "left: eve"]);
});

test("who stayed and is not there in the end is missed, and a stranger is found", () => {
  const { flaps } = judgeListed([], new Set(["ann", "zoe"]), expected, 100);
  assert.deepEqual(flaps, ["not there: bob", "a stranger: zoe"]);
});

test("a count that falls to who stayed is timed by each who left", () => {
  const sights = [sight(90, [], [], 4), sight(110, [], [], 3), sight(130, [], [], 2)];
  assert.deepEqual(judgeCounted(sights, expected, 100), { leftMs: [10, 30], ghosts: 0, flaps: [] });
});

test("a count that rises, falls too far or not far enough is told", () => {
  const sights = [sight(90, [], [], 4), sight(110, [], [], 1), sight(130, [], [], 3)];
  const { flaps, ghosts } = judgeCounted(sights, expected, 100);
  assert.deepEqual(flaps, ["the count fell to 1, 2 are there", "the count rose from 1 to 3"]);
  assert.equal(ghosts, 1);
});

test("who comes meanwhile is no noise, once", () => {
  const there = new Set([...both, "tom"]);
  const [once, again] = [sight(110, ["tom"], []), sight(120, ["tom"], [])];
  assert.deepEqual(judgeListed([once], there, withTom, 100).flaps, []);
  assert.deepEqual(judgeListed([once, again], there, withTom, 100).flaps, ["entered: tom"]);
  const counts = [sight(90, [], [], 4), sight(110, [], [], 5), sight(130, [], [], 3)];
  assert.deepEqual(judgeCounted(counts, withTom, 100), { leftMs: [30, 30], ghosts: 0, flaps: [] });
  assert.equal(judgeCounted([...counts, sight(140, [], [], 4)], withTom, 100).flaps.length, 1);
});

test("what the SDK has told is held against the same", () => {
  const told: MembersTold = {
    ...{ user: "ann", room: "room:1", entered: ["tom"], left: ["joe", "eve"], least: 3, most: 5, rises: 1 },
    ...{ listed: 3, count: 3 },
  };
  assert.deepEqual(judgeTold(told, withTom, true), []);
  assert.deepEqual(judgeTold(told, withTom, false), []);
  const noisy = { ...told, entered: ["tom", "eve"], left: ["bob", "joe"], least: 1, rises: 2, listed: 2, count: 2 };
  assert.equal(judgeTold(noisy, withTom, true).length, 6);
  assert.equal(judgeTold(noisy, withTom, false).length, 3);
});
