import assert from "node:assert/strict";
import { test } from "node:test";
import { Rate, waitMsOf } from "../../server/access/limits/bucket.js";
import { Random } from "../support/random.js";

/** One that asks, kept as whoever uses a rate keeps it: two numbers. */
class Asker {
  readonly #rate: Rate;
  fullAt = 0;
  line = 0;

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** 0 if it was taken, else after how long to come back. */
  ask(now: number, count = 1): number {
    const after = this.#rate.after(this.fullAt, now, count);
    if (this.#rate.holds(after, now)) {
      this.fullAt = after;
      return 0;
    }
    this.line = this.#rate.lineAfter(this.line, now, after, count);
    return waitMsOf(this.line, now);
  }
}

test("a full bucket gives what it holds at once, then what comes in", () => {
  const asker = new Asker(new Rate(100, 2000));
  const taken = (now: number, count: number): number =>
    Array.from({ length: count }, () => asker.ask(now)).filter((wait) => wait === 0).length;
  assert.equal(taken(1000, 500), 200);
  assert.equal(taken(1500, 500), 50);
  assert.equal(taken(1509, 500), 0);
  assert.equal(taken(1510, 500), 1);
  assert.equal(taken(60_000, 500), 200, "and no more after a long silence");
});

test("a bucket gives as many at once as it holds, whatever fractions each costs and however long the clock runs", () => {
  for (let perSecond = 1; perSecond <= 300; perSecond++) {
    for (const now of [0, 0.1, 12_345.678, 1e9 + 1 / 3]) {
      const asker = new Asker(new Rate(perSecond, 1000));
      const taken = Array.from({ length: perSecond + 2 }, () => asker.ask(now)).filter((wait) => wait === 0).length;
      assert.equal(taken, perSecond, `at ${now}`);
    }
  }
});

test("no run of requests, whatever their times and sizes, gets more than the burst and the rate", () => {
  const random = new Random(3);
  const between = (low: number, high: number): number => low + random.below(high - low + 1);
  for (let round = 0; round < 200; round++) {
    const perSecond = between(1, 1000);
    const burstMs = between(100, 3000);
    const largest = between(1, 50);
    const asker = new Asker(new Rate(perSecond, burstMs, largest));
    const burst = Math.max((perSecond * burstMs) / 1000, largest);
    const taken: [now: number, count: number][] = [];
    let now = 0;
    for (let step = 0; step < 300; step++) {
      now += between(0, 1) * between(0, 300);
      const count = between(1, largest);
      if (asker.ask(now, count) === 0) taken.push([now, count]);
    }
    for (const [index, [from]] of taken.entries()) {
      let sum = 0;
      for (const [at, count] of taken.slice(index)) {
        sum += count;
        const most = burst + ((at - from) * perSecond) / 1000;
        assert.ok(sum <= most + 1e-3, `${sum} in ${at - from} ms, expected at most ${most}`);
      }
    }
  }
});

test("who comes back when it was told is taken, also where many were refused at the same moment", () => {
  const asker = new Asker(new Rate(100, 100));
  for (let index = 0; index < 10; index++) assert.equal(asker.ask(0), 0);
  const waits = Array.from({ length: 32 }, () => asker.ask(0));
  assert.deepEqual(
    waits,
    waits.map((_, index) => 10 * (index + 1)),
  );
  for (const wait of waits) assert.equal(asker.ask(wait), 0);
});

test("what costs more than the bucket has is told how long that takes, and what is larger than a bucket makes it larger", () => {
  const asker = new Asker(new Rate(1000, 2000, 64_000));
  assert.equal(asker.ask(0, 64_000), 0);
  const wait = asker.ask(0, 32_000);
  assert.equal(wait, 32_000);
  assert.equal(asker.ask(wait - 1, 32_000) > 0, true);
  assert.equal(new Asker(new Rate(1, 10)).ask(0), 0, "one at least");
});
