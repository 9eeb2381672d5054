import assert from "node:assert/strict";
import { test } from "node:test";
import { Slices } from "../../server/session/slices.js";
import { Random } from "../support/random.js";

/** Slices on a clock that only work moves, and turns of the loop that the test begins. */
function loopWith(budgetMs: number) {
  let now = 0;
  let next: (() => void)[] = [];
  const slices = new Slices({ budgetMs, now: () => now, later: (act) => next.push(act) });
  return {
    slices,
    work: (ms: number): void => {
      now += ms;
    },
    now: () => now,
    /** Begins the next turn of the loop, and lets all that follows at once happen. */
    turn: async (): Promise<void> => {
      const due = next;
      next = [];
      for (const act of due) act();
      for (let tick = 0; tick < 1000; tick++) await undefined;
    },
    get idle(): boolean {
      return next.length === 0;
    },
  };
}

const whenItIs = (turn: Promise<void> | undefined, act: () => void): void => {
  if (turn === undefined) act();
  else void turn.then(act);
};

test("work has its turn at once as long as the loop's turn has spent little on it, and again in the next one", async () => {
  const { slices, work, turn } = loopWith(5);
  for (let count = 0; count < 5; count++) {
    assert.equal(slices.turn({}), undefined);
    work(1);
  }
  assert.ok(slices.turn({}) instanceof Promise, "the sixth waits");
  await turn();
  assert.equal(slices.waiting, 0);
  await turn();
  assert.equal(slices.turn({}), undefined);
  assert.equal(slices.deferred, 1);
});

test("what waits is done in slices, in the order it came, and nothing overtakes it", async () => {
  const { slices, work, turn } = loopWith(5);
  const done: number[] = [];
  for (let index = 0; index < 22; index++) {
    whenItIs(slices.turn({}), () => {
      work(1);
      done.push(index);
    });
  }
  const counts = [done.length];
  for (let count = 0; count < 2; count++) {
    await turn();
    counts.push(done.length);
  }
  whenItIs(slices.turn({}), () => done.push(22));
  for (let count = 0; count < 3; count++) {
    await turn();
    counts.push(done.length);
  }
  assert.deepEqual(counts, [5, 10, 15, 20, 23, 23]);
  assert.deepEqual(
    done,
    Array.from({ length: 23 }, (_, index) => index),
  );
});

test("who asks for a hundred holds up nobody who asks for one", async () => {
  const { slices, work, turn } = loopWith(4);
  const greedy = { name: "greedy" };
  const done: string[] = [];
  const ask = (owner: { name: string }): void =>
    whenItIs(slices.turn(owner), () => {
      work(1);
      done.push(owner.name);
    });
  for (let count = 0; count < 100; count++) ask(greedy);
  for (const name of ["a", "b", "c"]) ask({ name });
  await turn();
  await turn();
  // Four at once, then one each in turns.
  assert.deepEqual(done.slice(4, 12), ["greedy", "a", "b", "c", "greedy", "greedy", "greedy", "greedy"]);
});

test("a work longer than a slice is alone in it, and one that asks again goes to the end", async () => {
  const { slices, work, turn } = loopWith(5);
  const done: string[] = [];
  const pages = async (name: string, count: number): Promise<void> => {
    const owner = { name };
    for (let page = 1; page <= count; page++) {
      const waiting = slices.turn(owner);
      if (waiting !== undefined) await waiting;
      // Asked again in the first reaction, as whoever looks once more before it goes on: it is still its turn.
      if (waiting !== undefined) assert.equal(slices.turn(owner), undefined);
      work(10);
      done.push(`${name}${page}`);
    }
  };
  void pages("a", 3);
  void pages("b", 3);
  const counts: number[] = [];
  while (done.length < 6) {
    await turn();
    counts.push(done.length);
  }
  assert.deepEqual(done, ["a1", "a2", "b1", "a3", "b2", "b3"]);
  assert.deepEqual(counts, [2, 3, 4, 5, 6]);
});

test("a turn that nobody takes is lost, and keeps nobody", async () => {
  const { slices, work, turn } = loopWith(1);
  void slices.turn({});
  work(1);
  const gone = {};
  void slices.turn(gone);
  let done = 0;
  whenItIs(slices.turn({}), () => done++);
  await turn();
  assert.deepEqual([done, slices.waiting], [1, 0]);
  work(1);
  assert.ok(slices.turn(gone) instanceof Promise, "what it was given then is not kept for it");
});

test("whatever is asked when, each work is done once, in its owner's order, and no slice is much over its budget", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(seed);
    const budget = 1 + random.below(6);
    const loop = loopWith(budget);
    const owners = Array.from({ length: 6 }, () => ({ asked: 0, done: [] as number[] }));
    const turns = 30;
    for (let at = 0; at < turns; at++) {
      for (let asks = random.below(10); asks > 0; asks--) {
        const owner = random.pick(owners);
        const number = ++owner.asked;
        whenItIs(loop.slices.turn(owner), () => {
          loop.work(random.below(3));
          owner.done.push(number);
        });
      }
      const before = loop.now();
      await loop.turn();
      assert.ok(loop.now() - before <= budget + 2, `seed ${seed}: a slice of ${loop.now() - before}`);
    }
    for (let at = 0; at < 500 && loop.slices.waiting > 0; at++) await loop.turn();
    await loop.turn();
    for (const { asked, done } of owners) {
      assert.deepEqual(
        done,
        Array.from({ length: asked }, (_, index) => index + 1),
        `seed ${seed}`,
      );
    }
    assert.ok(loop.idle, "an idle loop is left alone");
  }
});
