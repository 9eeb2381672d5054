import assert from "node:assert/strict";
import { test } from "node:test";
import { walk } from "../../server/room/walk.js";

/** Stands for work that takes a while. */
function spin(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test("a long walk lets the loop turn in between, and meets everything once", async () => {
  const all = new Set(Array.from({ length: 20 * 256 }, (_, n) => n));
  const met: number[] = [];
  let turns = 0;
  let isWalking = true;
  const turn = () => {
    turns++;
    if (isWalking) setImmediate(turn);
  };
  setImmediate(turn);
  await walk(all, (n) => {
    met.push(n);
    if (n % 256 === 0) spin(6);
  });
  isWalking = false;
  assert.deepEqual(met, [...all]);
  assert.ok(turns >= 20, `${turns} turns`);
});

test("what goes during a walk need not be met, what comes may be, and nothing is met twice", async () => {
  const all = new Map(Array.from({ length: 2000 }, (_, n) => [n, n]));
  const met: number[] = [];
  await walk(all, ([n]) => {
    met.push(n);
    if (n < 1000) {
      all.delete(n + 1000);
      all.set(n + 10_000, n);
    }
    if (n === 500) spin(6);
  });
  assert.equal(new Set(met).size, met.length);
  assert.equal(met.length, 2000);
});

test("a walk ends where it is enough", async () => {
  let steps = 0;
  await walk([1, 2, 3], (n) => {
    steps++;
    return n === 2 ? "enough" : undefined;
  });
  assert.equal(steps, 2);
});

test("what is thrown on a walk rejects", async () => {
  const fail = () => {
    throw new Error("on the way");
  };
  await assert.rejects(walk([1], fail), /on the way/);
});
