import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultRules } from "../../server/room/rules.js";
import { Random } from "../support/random.js";
import { Schedule } from "../support/schedule.js";
import { crowdOf, ROOM, SimulatedCluster, type Tally, Truth } from "../support/simulated-cluster.js";

/** 10,000 for the full property: `ROOMCAST_PROPERTY_RUNS=10000 node --test dist/test/room/resume.test.js`. */
const RUNS = Number(process.env["ROOMCAST_PROPERTY_RUNS"] ?? 600);
/** So long that a batch leaves only when something flushes it: the schedule plays the timer. */
const NEVER_MS = 1_000_000;

/** One random life of a room on two nodes; throws with the seed where a subscriber saw a hole, a repeat or a lie. */
async function live(seed: number, tally: Tally & { latest: number }): Promise<void> {
  const random = new Random(seed);
  const schedule = new Schedule(random);
  const history = { size: random.pick([4, 12, 100]), ageMs: 3_600_000 };
  const lastValue = random.chance(0.5);
  const rules = { ...defaultRules, history, keyWindowMs: 1000, batchMs: random.pick([0, NEVER_MS]), lastValue };
  const faults = { loss: random.pick([0, 0.1, 0.5]), reorder: random.chance(0.5) };
  const cluster = new SimulatedCluster(2, rules, faults, schedule, random);
  const truth = new Truth(random.chance(0.05) ? "x".repeat(90_000) : "", lastValue);
  const { subscribers, past, failures, go, storm } = crowdOf(cluster, truth, random);
  try {
    for (let step = 0; step < 60; step++) {
      const dice = random.next();
      past.push(random.pick(subscribers).position);
      if (dice < 0.35) await truth.publish(random.pick(cluster.nodes), rules);
      else if (dice < 0.5) go(random.pick(subscribers).join(random.pick(cluster.nodes)));
      else if (dice < 0.58) random.pick(subscribers).leave();
      else if (dice < 0.63) random.pick(cluster.nodes).rooms.find(ROOM)?.flush();
      else if (dice < 0.64) cluster.log.reset();
      else if (dice < 0.66) random.pick(cluster.nodes).suspect();
      else if (dice < 0.72 && subscribers.length < 20) storm();
      else if (schedule.size > 0) await schedule.step();
    }
    // One more event, and the way to every node loses it: nothing later will show the hole.
    cluster.faults = { loss: 1, reorder: false };
    await truth.publish(random.pick(cluster.nodes), rules);
    await schedule.drain(5000);
    cluster.faults = { loss: 0, reorder: false };
    for (const subscriber of subscribers) if (!subscriber.joined) go(subscriber.join(random.pick(cluster.nodes)));
    await schedule.drain(5000);
    for (const node of cluster.nodes) node.suspect();
    await schedule.drain(5000);
    for (const node of cluster.nodes) node.rooms.find(ROOM)?.flush();
    if (failures.length > 0) throw failures[0];
    await cluster.assertAtEnd(subscribers, schedule, tally);
    tally.latest += truth.latest;
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    await cluster.close();
  }
}

test(`every subscriber sees a run without holes or repeats, whatever is late, lost or reset (${RUNS} lives)`, async () => {
  const tally = { recovered: 0, resets: 0, seen: 0, latest: 0 };
  for (let seed = 1; seed <= RUNS; seed++) await live(seed, tally);
  assert.ok(tally.recovered > RUNS / 2, `recoveries happened: ${tally.recovered}`);
  assert.ok(tally.resets > RUNS / 20, `resets happened: ${tally.resets}`);
  assert.ok(tally.latest > RUNS / 2, `latest events were given: ${tally.latest}`);
  assert.ok(tally.seen > RUNS * 10, `events were seen: ${tally.seen}`);
});
