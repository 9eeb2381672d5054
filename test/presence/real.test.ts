/** Who is in a room, on nodes with real engines between them: that are there, that go, and that come back without their data. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { openNats } from "../../server/engine/nats/nats.js";
import { openNatsPresence } from "../../server/engine/nats/presence.js";
import { openRedisPresence } from "../../server/engine/redis/presence.js";
import { openRedis } from "../../server/engine/redis/redis.js";
import { natsOptions, uniqueName } from "../engine/nats-support.js";
import { presenceOptions } from "../engine/presence-nats-support.js";
import { redisOptions } from "../engine/redis-ground.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import type { Reader } from "./reader.js";
import { type Ground, RealNode } from "./real-node.js";

type OpenGround = (t: TestContext, keepsData: boolean) => Promise<Ground>;

const redis: OpenGround = async (t, keepsData) => {
  const server = await startRedis(t, { persistent: keepsData });
  const options = redisOptions([server.url]);
  return {
    openBroker: openRedis(options),
    openPresence: openRedisPresence(options),
    kill: () => server.kill(),
    start: () => server.start(),
  };
};

const nats: OpenGround = async (t, keepsData) => {
  const server = await startNats(t);
  const given = { servers: [server.url], namespace: uniqueName() };
  const storage = keepsData ? "file" : "memory";
  return {
    openBroker: openNats(natsOptions({ ...given, storage })),
    openPresence: openNatsPresence(presenceOptions({ ...given, storage })),
    kill: () => server.kill(),
    start: () => server.start(),
  };
};

const shows = (reader: Reader, users: readonly string[]) => () =>
  reader.isListed && reader.count === users.length && users.every((user) => reader.members.has(user));

async function allShow(nodes: readonly RealNode[], users: readonly string[]): Promise<void> {
  for (const reader of nodes.flatMap(({ readers }) => readers)) {
    const shown = () => `shown ${[...reader.members.keys()]} of ${reader.count}, not ${users}`;
    await eventually(shows(reader, users), "a reader does not know who is there", 40_000).catch(() => {
      throw new Error(shown());
    });
  }
}

/** Three nodes, a reader and a member on each. */
async function threeNodes(t: TestContext, ground: Ground) {
  const nodes = ["n1", "n2", "n3"].map((name) => new RealNode(t, name, ground)) as [RealNode, RealNode, RealNode];
  await Promise.all(nodes.map((node) => node.isWell()));
  for (const node of nodes) await node.read();
  const [n1, n2, n3] = nodes;
  const seats = {
    ann: await n1.enter("s1", "ann", { name: "Ann" }),
    bob: await n2.enter("s2", "bob"),
    cat: await n3.enter("s3", "cat"),
  };
  await allShow(nodes, ["ann", "bob", "cat"]);
  return { nodes, n1, n2, n3, seats };
}

/** Everything was compared, and leases would have lapsed, since now. */
const settled = (nodes: readonly RealNode[]) => Promise.all(nodes.map((node) => node.beats(8)));

// They wait most of the time: all at once.
describe("members of a room on real engines", { concurrency: true }, () => {
  for (const [name, open] of [
    ["Redis", redis],
    ["NATS", nats],
  ] as const) {
    test(`${name}: who comes back after a crash in time is never gone, who does not is`, async (t) => {
      const { n1, n2, n3, seats } = await threeNodes(t, await open(t, true));
      await n1.enter("s4", "dan");
      await allShow([n2, n3], ["ann", "bob", "cat", "dan"]);
      await n1.crash();
      const ann = await n2.enter("s1", "ann", { name: "Ann" });
      await allShow([n2, n3], ["ann", "bob", "cat"]);
      assert.deepEqual([n2.left, n3.left], [["dan"], ["dan"]]);

      seats.bob.lose();
      await n3.enter("s2", "bob");
      await settled([n2, n3]);
      await allShow([n2, n3], ["ann", "bob", "cat"]);
      assert.deepEqual([n2.left, n3.left], [["dan"], ["dan"]], "nobody went who came back");
      ann.leave();
      await allShow([n2, n3], ["bob", "cat"]);
      assert.deepEqual(
        [n2.left, n3.left],
        [
          ["dan", "ann"],
          ["dan", "ann"],
        ],
      );
    });

    test(`${name}: of a node that ends nobody goes who moved, and who did not within the grace period`, async (t) => {
      const { n1, n2, n3, seats } = await threeNodes(t, await open(t, true));
      const dan = await n1.enter("s4", "dan");
      await allShow([n2, n3], ["ann", "bob", "cat", "dan"]);
      await n2.enter("s1", "ann", { name: "Ann" });
      seats.ann.lose();
      dan.lose();
      await n1.close();
      await n3.enter("s4", "dan");
      await settled([n2, n3]);
      await allShow([n2, n3], ["ann", "bob", "cat", "dan"]);
      assert.deepEqual([n2.left, n3.left], [[], []]);
    });

    for (const keepsData of [true, false]) {
      test(`${name}: an engine that comes back ${keepsData ? "with" : "without"} its data makes nobody come or go`, async (t) => {
        const ground = await open(t, keepsData);
        const { nodes, n1, n3, seats } = await threeNodes(t, ground);
        const [, n2] = nodes;
        await ground.kill();
        // Longer than leases are good.
        await Promise.all(nodes.map((node) => node.tries(12)));
        const eve = await n1.enter("s5", "eve");
        seats.cat.leave();
        await ground.start();
        await allShow(nodes, ["ann", "bob", "eve"]);
        await settled(nodes);
        await allShow(nodes, ["ann", "bob", "eve"]);
        assert.deepEqual([n1.left, n2.left, n3.left], [["cat"], ["cat"], ["cat"]]);

        const fresh = new RealNode(t, "n4", ground);
        await fresh.isWell();
        await fresh.read();
        await allShow([fresh], ["ann", "bob", "eve"]);
        eve.leave();
        await allShow([...nodes, fresh], ["ann", "bob"]);
        const { members, count } = await fresh.page();
        assert.deepEqual([members.map(({ user }) => user), count], [["ann", "bob"], 2]);
      });
    }
  }
});
