import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import type { DecisionCache } from "../../server/hooks/decision-cache.js";
import type { Decided, Forget } from "../../server/hooks/decisions.js";
import { Unreachable } from "../../server/hooks/unreachable.js";
import { Random } from "../support/random.js";
import { type Redis, startRedis } from "../support/services/redis.js";
import { connectOf, joinOf, newNamespace, nodeOf, storeOn } from "./decisions-support.js";

const USERS = ["ann", "bob", "cid"];
const ROOMS = ["chat:1", "chat:2"];
const STEPS = 200;

/**
 * The model: the application's mind is a number that only grows. Whoever changes it tells the nodes to forget; from
 * then on, no answer may be older than the change on a node that was told, nor on any node once it looks at Redis.
 */
class Run {
  readonly #random: Random;
  readonly #nodes: readonly DecisionCache[];
  #mind = 0;
  #isAway = false;
  /** By node and question: the least that may be answered. */
  readonly #floors: Map<string, number>[];
  asked = 0;
  answered = 0;

  constructor(random: Random, nodes: readonly DecisionCache[]) {
    this.#random = random;
    this.#nodes = nodes;
    this.#floors = nodes.map(() => new Map());
  }

  async step(): Promise<void> {
    if (this.#random.chance(this.#isAway ? 0.2 : 0.02)) this.#isAway = !this.#isAway;
    if (this.#random.chance(0.95)) await this.#get();
    else await this.#forget();
  }

  async #get(): Promise<void> {
    const random = this.#random;
    const node = random.below(this.#nodes.length);
    const user = random.pick(USERS);
    const room = random.chance(0.3) ? undefined : random.pick(ROOMS);
    const name = `${user} ${room ?? "connect"}`;
    const question = room === undefined ? connectOf(`token of ${user}`) : joinOf(user, room);
    const ask = async (): Promise<Decided<number>> => {
      this.asked++;
      const value = this.#mind;
      const isAway = this.#isAway;
      if (random.chance(0.7)) await pause(random.below(4));
      if (isAway) throw new Unreachable("away", 1000);
      const maxAgeMs = random.pick([0, 2, 600_000, 600_000, 600_000]);
      return { value, maxAgeMs, isRefusal: random.chance(0.2), user };
    };
    const staleOk = random.chance(0.5);
    try {
      const value = await (this.#nodes[node] as DecisionCache).get(question, ask, staleOk);
      const floor = this.#floors[node]?.get(name) ?? 0;
      assert.ok(value >= floor, `node ${node}, ${name}: ${value} was forgotten, expected ${floor} or more`);
      this.answered++;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      assert.ok(error instanceof Unreachable, String(error));
    }
  }

  async #forget(): Promise<void> {
    const random = this.#random;
    const user = random.pick(USERS);
    const room = random.pick(ROOMS);
    const what: Forget = random.pick<Forget>([{ user }, { user }, { user }, { room }, { room }, {}, { tenant: "" }]);
    // In a turn of its own: between an answer and who looks at it nothing is forgotten.
    await nextTurn();
    const floor = ++this.#mind;
    const names = this.#namesOf(what);
    const first = random.below(this.#nodes.length);
    const raise = (node: number) => {
      for (const name of names) {
        const floors = this.#floors[node] as Map<string, number>;
        floors.set(name, Math.max(floors.get(name) ?? 0, floor));
      }
    };
    const telling = (this.#nodes[first] as DecisionCache).forget(what);
    raise(first);
    await telling;
    for (const [index, node] of this.#nodes.entries()) {
      if (index === first) continue;
      await pause(random.below(3));
      await nextTurn();
      // It is told, or cut off from the others and takes it to be possible that something was forgotten.
      if (random.chance(0.5)) node.clear();
      else node.forget(what).catch(() => undefined);
      raise(index);
    }
  }

  #namesOf({ user, room }: Forget): string[] {
    const places = [...ROOMS, "connect"];
    const names = USERS.flatMap((each) => places.map((place) => [each, place] as const));
    return names
      .filter(([each, place]) => (user === undefined || user === each) && (room === undefined || room === place))
      .map(([each, place]) => `${each} ${place}`);
  }
}

async function run(t: TestContext, redis: Redis, seed: number): Promise<Run> {
  const random = new Random(seed);
  const namespace = newNamespace();
  const nodes: DecisionCache[] = [];
  for (let count = 0; count < 2; count++) {
    nodes.push(nodeOf(t, { hookCacheSize: 6, store: await storeOn([redis.url], namespace) }));
  }
  const run = new Run(random, nodes);
  const lanes = Array.from({ length: 6 }, async () => {
    for (let step = 0; step < STEPS; step++) await run.step();
  });
  await Promise.all(lanes);
  for (const node of nodes) node.close();
  return run;
}

test("no answer that was asked for before it was forgotten is ever used after it, in any order of events", async (t) => {
  const redis = await startRedis(t);
  let [asked, answered] = [0, 0];
  for (let seed = 1; seed <= 12; seed++) {
    await t.test(`seed ${seed}`, async (t) => {
      const done = await run(t, redis, seed);
      asked += done.asked;
      answered += done.answered;
    });
  }
  // It is no cache that always asks.
  assert.ok(asked * 1.3 < answered, `${asked} questions for ${answered} answers`);
});
