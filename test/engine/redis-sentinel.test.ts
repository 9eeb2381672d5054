import assert from "node:assert/strict";
import test, { after, before, type TestContext } from "node:test";
import type { Position } from "../../protocol/positions.js";
import { conformance } from "../../server/engine/conformance.js";
import { event, placed, rules, values } from "../../server/engine/conformance-ground.js";
import type { Broker, Deliver, Suspect } from "../../server/engine/engine.js";
import { eventually } from "../support/eventually.js";
import { type Redis, startRedis, startReplica } from "../support/services/redis.js";
import type { Scope } from "../support/services/scope.js";
import { type SentinelOptions, type Sentinels, startSentinels } from "../support/services/sentinel.js";
import { openNode, redisOptions, untilWell } from "./redis-ground.js";

const ROOM = "room:1";
const urlOf = (sentinels: Sentinels): string =>
  `redis+sentinel://${sentinels.hosts.map(({ host, port }) => `${host}:${port}`).join("+")}/${sentinels.masterName}`;

/** A primary, a replica, and three sentinels over them. */
async function watched(scope: Scope, options?: SentinelOptions & { readonly persistent: boolean }) {
  const primary = await startRedis(scope, options);
  const replica = await startReplica(scope, primary);
  return { primary, replica, sentinels: await startSentinels(scope, primary, options) };
}

async function nodeOn(t: TestContext, sentinels: Sentinels, deliver?: Deliver, suspect?: Suspect): Promise<Broker> {
  const options = redisOptions([urlOf(sentinels)], { namespace: "test", timeoutMs: 1000, probeMs: 300 });
  const broker = await openNode(options, deliver, suspect);
  t.after(() => broker.close());
  return broker;
}

/** Publishes until it is taken. */
async function publishAtLast(broker: Broker, value: unknown): Promise<Position> {
  let position: Position | undefined;
  await eventually(async () => {
    position = await broker.publish(ROOM, event(value, { key: `k${value}` }), rules()).catch(() => undefined);
    return position !== undefined;
  });
  return placed(position);
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

conformance("redis, behind sentinels", {
  test,
  async open() {
    const { primary, sentinels } = cluster;
    const options = redisOptions([urlOf(sentinels)]);
    return {
      node: (deliver, suspect) => openNode(options, deliver, suspect),
      advance: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      // The sentinels stand still, too: whoever asks them gets no answer. Another primary in its place is tested below.
      async outage(during) {
        for (const sentinel of sentinels.nodes) sentinel.pause();
        await primary.kill();
        try {
          await during();
        } finally {
          await primary.start();
          for (const sentinel of sentinels.nodes) sentinel.resume();
        }
      },
      async close() {},
    };
  },
});

test("after a planned failover nodes are on the new primary, and nothing is lost", async (t) => {
  const { primary, replica, sentinels } = await watched(t);
  const told: unknown[] = [];
  const suspected: string[] = [];
  const broker = await nodeOn(
    t,
    sentinels,
    (_room, _epoch, events) => void told.push(...(values(events) ?? [])),
    (room) => void suspected.push(room),
  );
  await broker.subscribe(ROOM, rules());
  const first = await publishAtLast(broker, 1);
  await eventually(() => told.includes(1));
  // Sentinel waits for nobody: what the replica does not have yet would be lost.
  await eventually(async () => (await replica.command("HGET", `test:{${ROOM}}:end`, "offset")) === `${first.offset}`);
  assert.equal(await sentinels.failover(), replica.port);
  await eventually(() => suspected.includes(ROOM));
  await untilWell(broker);
  await publishAtLast(broker, 2);
  await eventually(() => told.includes(2));
  assert.deepEqual(values((await broker.history(ROOM, { since: first }, 10, rules())).events), [2]);
  assert.match(String(await replica.command("INFO", "clients")), /connected_clients:[3-9]/);
  assert.equal(await primary.command("EXISTS", `test:{${ROOM}}:log`), 1);
});

test("after a primary was killed and a tail with it, everybody who has seen it is told", async (t) => {
  const { primary, replica, sentinels } = await watched(t);
  const broker = await nodeOn(t, sentinels);
  const kept = await publishAtLast(broker, "kept");
  await eventually(async () => Number(await replica.command("EXISTS", `test:{${ROOM}}:log`)) === 1);
  // The replica stands still and is cut off while one more is acknowledged, and never gets it.
  replica.pause();
  await primary.command("CLIENT", "KILL", "TYPE", "replica");
  const gone = await publishAtLast(broker, "gone");
  await primary.kill();
  replica.resume();
  assert.equal(await sentinels.primaryAfter(primary.port), replica.port);
  await untilWell(broker);
  const next = await publishAtLast(broker, "next");
  assert.notEqual(next.offset, gone.offset);
  assert.deepEqual(values((await broker.history(ROOM, { since: kept }, 10, rules())).events), ["next"]);
  assert.equal((await broker.history(ROOM, { since: gone }, 10, rules())).events, undefined);
});
