/**
 * Who is in a room, on three nodes, against an oracle that knows it all: over random lives of clients, nodes and the engine.
 * `ROOMCAST_PROPERTY_RUNS` says how many.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { commands, type Life, live, type Seen } from "./lives.js";

const RUNS = Number(process.env["ROOMCAST_PROPERTY_RUNS"] ?? 200);

/** Nothing is tried for longer, and no failure made smaller. */
const LIMIT_MS = Number(process.env["ROOMCAST_PROPERTY_MS"] ?? 180_000);

function lives(t: TestContext, faults: Life["faults"]): Promise<Seen> {
  const seen: Seen = { frames: 0, left: 0, checks: 0, steady: 0, counted: 0, resumed: 0, upset: 0 };
  const life = fc.record({
    seed: fc.integer({ min: 1, max: 1_000_000 }),
    maxListed: fc.constantFrom(200, 200, 4, 3, 0),
    faults: fc.constant(faults),
    commands: commands(faults),
  });
  return fc
    .assert(
      fc.asyncProperty(life, async (one) => live(t, one, seen)),
      {
        numRuns: RUNS,
        // The same lives each time, unless other ones are asked for.
        seed: Number(process.env["ROOMCAST_PROPERTY_SEED"] ?? 7),
        interruptAfterTimeLimit: LIMIT_MS,
        markInterruptAsFailure: true,
      },
    )
    .then(() => seen);
}

test(`whoever comes back in time is never gone, whoever does not is (${RUNS} lives of clients and nodes)`, async (t) => {
  const seen = await lives(t, "nodes");
  assert.ok(seen.steady > RUNS * 10, `users were there all the time: ${seen.steady}`);
  assert.ok(seen.left > RUNS, `users left: ${seen.left}`);
  assert.ok(seen.resumed > RUNS / 2, `clients came back: ${seen.resumed}`);
  assert.ok(seen.counted > RUNS / 10, `rooms were only counted: ${seen.counted}`);
});

test(`an engine that fails makes nobody go who is connected all the time (${RUNS} lives with outages)`, async (t) => {
  const seen = await lives(t, "outages");
  assert.ok(seen.upset > RUNS, `it was looked while the engine failed: ${seen.upset}`);
});

test(`all know the truth again once the engine works again (${RUNS} lives with an engine that fails)`, async (t) => {
  const seen = await lives(t, "engine");
  assert.ok(seen.frames > RUNS, `readers were told: ${seen.frames}`);
});
