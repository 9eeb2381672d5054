import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "../../server/engine/nats/turns.js";

test("no more than asked for are at it at once, and the others follow in their order", async () => {
  const turns = new Turns(2);
  const began: number[] = [];
  const ends: (() => void)[] = [];
  let atIt = 0;
  let most = 0;
  const all = [0, 1, 2, 3, 4].map((each) =>
    turns.run(async () => {
      began.push(each);
      most = Math.max(most, ++atIt);
      await new Promise<void>((resolve) => ends.push(resolve));
      atIt--;
      return each;
    }),
  );
  for (let ended = 0; ended < 5; ended++) {
    ends[ended]?.();
    await all[ended];
  }
  assert.deepEqual(await Promise.all(all), [0, 1, 2, 3, 4]);
  assert.deepEqual(began, [0, 1, 2, 3, 4]);
  assert.equal(most, 2);
});

test("one that fails gives its turn on", async () => {
  const turns = new Turns(1);
  const failed = turns.run(() => Promise.reject(new Error("no")));
  const next = turns.run(async () => "yes");
  await assert.rejects(failed, /no/);
  assert.equal(await next, "yes");
});
