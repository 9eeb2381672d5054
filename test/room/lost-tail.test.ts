import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultRules } from "../../server/room/rules.js";
import { Random } from "../support/random.js";
import { Schedule } from "../support/schedule.js";
import { crowdOf, SimulatedCluster, type Tally } from "../support/simulated-cluster.js";
import { SparseLog, SparseTruth } from "../support/sparse-log.js";

/** 10,000 for the full property: `ROOMCAST_PROPERTY_RUNS=10000 node --test dist/test/room/lost-tail.test.js`. */
const RUNS = Number(process.env["ROOMCAST_PROPERTY_RUNS"] ?? 400);

/** One random life of a room on two nodes, whose log has gaps, loses its tail, and moves on without events. */
async function live(seed: number, isShared: boolean, tally: Tally): Promise<void> {
  const random = new Random(seed);
  const schedule = new Schedule(random);
  const history = { size: random.pick([4, 12, 100]), ageMs: 3_600_000 };
  const rules = { ...defaultRules, history, keyWindowMs: 1000, batchMs: 0 };
  const log = new SparseLog(random, isShared);
  const truth = new SparseTruth(log);
  const faults = { loss: random.pick([0, 0.1, 0.5]), reorder: random.chance(0.5) };
  const cluster = new SimulatedCluster(2, rules, faults, schedule, random, (deliver) => log.broker(deliver));
  const { subscribers, past, failures, go, storm } = crowdOf(cluster, truth, random);
  try {
    for (let step = 0; step < 60; step++) {
      const dice = random.next();
      past.push(random.pick(subscribers).position);
      if (dice < 0.35) await truth.publish(random.pick(cluster.nodes), rules);
      else if (dice < 0.5) go(random.pick(subscribers).join(random.pick(cluster.nodes)));
      else if (dice < 0.58) random.pick(subscribers).leave();
      else if (dice < 0.62) log.lose(random.below(4));
      else if (dice < 0.66) log.pass();
      else if (dice < 0.69) random.pick(cluster.nodes).suspect();
      else if (dice < 0.72 && subscribers.length < 20) storm();
      else if (schedule.size > 0) await schedule.step();
    }
    cluster.faults = { loss: 0, reorder: false };
    for (const subscriber of subscribers) if (!subscriber.joined) go(subscriber.join(random.pick(cluster.nodes)));
    await schedule.drain(5000);
    await truth.publish(random.pick(cluster.nodes), rules);
    for (const node of cluster.nodes) node.suspect();
    await schedule.drain(5000);
    if (failures.length > 0) throw failures[0];
    await cluster.assertAtEnd(subscribers, schedule, tally);
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    await cluster.close();
  }
}

test(`whoever has seen events that a log has lost since is told, and nobody else (${RUNS} lives)`, async () => {
  const tally = { recovered: 0, resets: 0, seen: 0 };
  for (let seed = 1; seed <= RUNS; seed++) await live(seed, false, tally);
  assert.ok(tally.recovered > RUNS / 2, `recoveries happened: ${tally.recovered}`);
  assert.ok(tally.resets > RUNS / 20, `resets happened: ${tally.resets}`);
  assert.ok(tally.seen > RUNS * 10, `events were seen: ${tally.seen}`);
});

test(`a room whose offsets other rooms use too is seen without holes or repeats (${RUNS} lives)`, async () => {
  const tally = { recovered: 0, resets: 0, seen: 0 };
  for (let seed = 1; seed <= RUNS; seed++) await live(seed, true, tally);
  assert.ok(tally.recovered > RUNS / 2, `recoveries happened: ${tally.recovered}`);
  assert.ok(tally.seen > RUNS * 10, `events were seen: ${tally.seen}`);
});
