import assert from "node:assert/strict";
import test, { after, before, type TestContext } from "node:test";
import { presenceConformance } from "../../server/engine/conformance-presence.js";
import { bytes, ending, LONG_MS, leaseOf, texts } from "../../server/engine/conformance-presence-ground.js";
import { eventually } from "../support/eventually.js";
import { type Redis, startRedis, startReplica } from "../support/services/redis.js";
import type { Scope } from "../support/services/scope.js";
import { type SentinelOptions, type Sentinels, startSentinels } from "../support/services/sentinel.js";
import { openPresence, presenceCluster } from "./presence-redis-ground.js";
import { redisOptions } from "./redis-ground.js";

const ROOM = "room:1";
const urlOf = (sentinels: Sentinels): string =>
  `redis+sentinel://${sentinels.hosts.map(({ host, port }) => `${host}:${port}`).join("+")}/${sentinels.masterName}`;

/** A primary, a replica, and three sentinels over them. */
async function watched(scope: Scope, options?: SentinelOptions & { readonly persistent: boolean }) {
  const primary = await startRedis(scope, options);
  const replica = await startReplica(scope, primary);
  return { primary, replica, sentinels: await startSentinels(scope, primary, options) };
}

const ends: (() => Promise<void>)[] = [];
let cluster: { primary: Redis; sentinels: Sentinels };
before(async () => {
  // Nothing counts as down here: the primary comes back after each outage.
  cluster = await watched({ after: (end) => void ends.push(end) }, { persistent: true, downAfterMs: 600_000 });
});
after(async () => {
  for (const end of ends.reverse()) await end();
});

presenceConformance("redis, behind sentinels", {
  test,
  async open() {
    const { primary, sentinels } = cluster;
    const ground = presenceCluster(redisOptions([urlOf(sentinels)]), [primary]);
    // The sentinels stand still, too: whoever asks them gets no answer.
    const away = (kind: "outage" | "loss") => async (during: () => Promise<void>) => {
      for (const sentinel of sentinels.nodes) sentinel.pause();
      await ground[kind]?.(during).finally(() => {
        for (const sentinel of sentinels.nodes) sentinel.resume();
      });
    };
    return { ...ground, outage: away("outage"), loss: away("loss") };
  },
});

async function twoOn(t: TestContext, sentinels: Sentinels) {
  const options = redisOptions([urlOf(sentinels)], { namespace: "test", timeoutMs: 1000, probeMs: 300 });
  const both = await Promise.all([openPresence(options), openPresence(options)]);
  t.after(() => Promise.all(both.map((presence) => presence.close())).then(() => undefined));
  return both;
}

const done = (call: () => Promise<unknown>): Promise<void> =>
  eventually(async () => (await ending(call())) === "done", "the call was never taken");

test("after a planned failover leases and registers are on the new primary", async (t) => {
  const { primary, replica, sentinels } = await watched(t);
  const [presence, other] = await twoOn(t, sentinels);
  await presence.beat("a", LONG_MS);
  await other.beat("b", LONG_MS);
  await presence.write(ROOM, "a", 0, bytes("before"));
  // Sentinel waits for nobody: what the replica does not have yet would be lost.
  await eventually(async () => (await replica.command("EXISTS", `test:presence:{0}:room:${ROOM}`)) === 1);
  assert.equal(await sentinels.failover(), replica.port);
  await eventually(async () => String(await primary.command("INFO", "replication")).includes("role:slave"));
  await done(() => presence.write(ROOM, "a", 1, bytes("after")));
  await done(() => other.beat("b", LONG_MS));
  const { isNew, leases } = await other.beat("b", LONG_MS);
  assert.equal(isNew, false);
  assert.ok(leaseOf(leases, "a").leftMs > 0);
  await done(() => other.read(ROOM));
  assert.deepEqual(texts(await other.read(ROOM)), ["a 0 before", "a 1 after"]);
});

test("where a failover loses a tail, it is a state from before: nodes it does not know are new, and all can be written again", async (t) => {
  const { primary, replica, sentinels } = await watched(t);
  const [presence, other] = await twoOn(t, sentinels);
  await presence.beat("a", LONG_MS);
  await presence.write(ROOM, "a", 0, bytes("kept"));
  await presence.write(ROOM, "a", 1, bytes("kept"));
  await eventually(async () => (await replica.command("HLEN", `test:presence:{0}:room:${ROOM}`)) === 2);
  // The replica stands still and is cut off while more is acknowledged, and never gets it.
  replica.pause();
  await primary.command("CLIENT", "KILL", "TYPE", "replica");
  await presence.write(ROOM, "a", 0, bytes("lost"));
  await presence.write(ROOM, "a", 1, undefined);
  await other.beat("b", LONG_MS);
  await other.write(ROOM, "b", 0, bytes("lost"));
  await primary.kill();
  replica.resume();
  assert.equal(await sentinels.primaryAfter(primary.port), replica.port);
  await done(() => other.read(ROOM));
  assert.deepEqual(texts(await other.read(ROOM)), ["a 0 kept", "a 1 kept"]);
  await done(() => presence.beat("a", LONG_MS));
  const first = await presence.beat("a", LONG_MS);
  assert.equal(first.isNew, false);
  assert.ok(!first.leases.some(({ node }) => node === "b"));
  let isNew: boolean | undefined;
  await done(async () => {
    isNew = (await other.beat("b", LONG_MS)).isNew;
  });
  assert.equal(isNew, true);
  await presence.write(ROOM, "a", 0, bytes("again"));
  await presence.write(ROOM, "a", 1, undefined);
  await other.write(ROOM, "b", 0, bytes("again"));
  assert.deepEqual(texts(await presence.read(ROOM)), ["a 0 again", "b 0 again"]);
});
