/** The harness finds what is wrong: with real nodes, clients in processes of their own, and the checker. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { check, type Findings } from "./checker.js";
import { Torture } from "./torture.js";

/** Four clients of so many nodes, which have nothing in common, in a room in which two of them publish. */
async function run(t: TestContext, nodeCount: number, kill: boolean): Promise<Findings> {
  const torture = new Torture();
  t.after(() => torture.close());
  const nodes = await torture.startNodes(nodeCount, {});
  const crowd = await torture.startCrowd(nodes);
  await crowd.subscribe({ count: 4, rooms: ["room:1"] });
  await torture.joined(crowd, 4);
  await crowd.publish({ count: 2, rooms: ["room:1"], eventsPerSecond: 100 });
  const published = (count: number) => torture.until(async () => (await crowd.progress()).published >= count, 20_000);
  assert.ok(await published(20));
  if (kill) {
    await nodes[0]?.kill();
    await nodes[0]?.restart();
    // The backlog of the two, and more.
    assert.ok(await published(150));
  }
  const told = await torture.settle(crowd, nodeCount > 1 ? 500 : 20_000);
  assert.equal(told.losses.length > 0, kill);
  return check(told.records);
}

test("a node that keeps everything passes", async (t) => {
  const { acknowledged, deliveries, lost, resets, examples } = await run(t, 1, false);
  assert.deepEqual([lost, resets, examples], [0, 0, []]);
  assert.equal(deliveries, acknowledged * 4);
});

test("nodes that do not tell each other lose events, and it shows", async (t) => {
  assert.ok((await run(t, 2, false)).lost > 0);
});

test("a node that is killed with its log says so, and what it says excuses what is gone and nothing else", async (t) => {
  const { lost, dup, inverted, phantom, divergent, holes, resets } = await run(t, 1, true);
  assert.deepEqual(
    { lost, dup, inverted, phantom, divergent, holes },
    {
      ...{ lost: 0, dup: 0, inverted: 0, phantom: 0, divergent: 0, holes: 0 },
    },
  );
  assert.equal(resets, 4);
});
