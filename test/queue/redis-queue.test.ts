import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Outcome, TakenCommand, WorkQueue, WorkQueueOptions } from "../../server/engine/queue.js";
import { QueueNames } from "../../server/engine/redis/queue-names.js";
import { redisQueues } from "../../server/engine/redis/queues.js";
import type { RedisOptions } from "../../server/engine/redis/redis.js";
import { slotOf } from "../../server/engine/redis/slots.js";
import { redisOptions } from "../engine/redis-ground.js";
import { eventually } from "../support/eventually.js";
import { type Redis, startRedis, startReplica } from "../support/services/redis.js";
import { startRedisCluster } from "../support/services/redis-cluster.js";
import { startSentinels } from "../support/services/sentinel.js";
import type { QueueGround } from "./conformance.js";
import { recordCases } from "./conformance-records.js";
import { workCases } from "./conformance-work.js";

async function groundOf(t: TestContext): Promise<QueueGround> {
  const redis = await startRedis(t, { persistent: true });
  const options = redisOptions([redis.url]);
  return {
    queues: redisQueues(options),
    async outage(during) {
      await redis.kill();
      await during();
      await redis.start();
    },
    async records() {
      const reply = (await redis.command("XRANGE", `${options.namespace}:records`, "-", "+")) as [string, string[]][];
      return reply.map(([, fields]) => fields[fields.indexOf("record") + 1] ?? "");
    },
  };
}

for (const [says, run] of Object.entries({ ...workCases, ...recordCases })) {
  test(`Redis: ${says}`, async (t) => run(t, await groundOf(t)));
}

const quick: WorkQueueOptions = { prefetch: 50, ackMs: 2000, deadAgeMs: 60_000, maxBytes: 65_536 };
const done: Outcome = { done: true };

function openWork(t: TestContext, options: RedisOptions, more: Partial<WorkQueueOptions> = {}): WorkQueue {
  const queue = redisQueues(options).openWork({ ...quick, ...more });
  t.after(() => queue.close(0));
  return queue;
}

const untilThere = (queue: WorkQueue): Promise<void> =>
  eventually(() => queue.problems().length === 0, "the queue never came up");

/** Writes it as a backend does, with a Redis client of its own. */
const write = (redis: Redis, { namespace }: RedisOptions, id: string, command = "{}") =>
  redis.command("XADD", `${namespace}:commands`, "*", "id", id, "command", command);

test("what a backend writes is taken in its order, and gone from Redis once it is done", async (t) => {
  const redis = await startRedis(t);
  const options = redisOptions([redis.url]);
  for (let index = 0; index < 300; index++) await write(redis, options, `early-${index}`, `{"n":${index}}`);
  const queue = openWork(t, options);
  const taken: TakenCommand[] = [];
  queue.start(async (command) => {
    taken.push(command);
    return done;
  });
  await eventually(() => taken.length === 300);
  assert.deepEqual(
    taken.map(({ id }) => id),
    Array.from({ length: 300 }, (_, index) => `early-${index}`),
  );
  assert.equal(Buffer.from(taken[7]?.bytes ?? []).toString(), '{"n":7}');
  assert.ok(taken.every(({ tries, at }) => tries === 1 && Math.abs(Date.now() - at) < 60_000));
  await eventually(async () => (await redis.command("XLEN", `${options.namespace}:commands`)) === 0);
  await write(redis, options, "late");
  await eventually(() => taken.at(-1)?.id === "late");
  assert.deepEqual(await queue.numbers(), { waiting: 0, underWay: 0, dead: 0 });
});

test("no more commands are under way than prefetch says", async (t) => {
  const redis = await startRedis(t);
  const options = redisOptions([redis.url]);
  for (let index = 0; index < 40; index++) await write(redis, options, `${index}`);
  const queue = openWork(t, options, { prefetch: 8 });
  let [underWay, most, all] = [0, 0, 0];
  queue.start(async () => {
    most = Math.max(most, ++underWay);
    await new Promise((next) => setTimeout(next, 2));
    underWay--;
    all++;
    return done;
  });
  await eventually(() => all === 40);
  assert.equal(most, 8);
});

test("a command is given out again after its pause, and counts its tries; then it is a dead letter", async (t) => {
  const redis = await startRedis(t);
  const options = redisOptions([redis.url]);
  const queue = openWork(t, options);
  const other = openWork(t, options);
  await untilThere(queue);
  const tries: number[] = [];
  const take = async (command: TakenCommand): Promise<Outcome> => {
    tries.push(command.tries);
    return command.tries < 3 ? { retryMs: 20 } : { dead: "it cannot be done" };
  };
  queue.start(take);
  other.start(take);
  await write(redis, options, "poison", "not json");
  await eventually(async () => (await queue.numbers()).dead === 1);
  assert.deepEqual(tries, [1, 2, 3]);
  const [letter] = await queue.deadLetters(10);
  assert.equal(letter?.id, "poison");
  assert.equal(letter?.reason, "it cannot be done");
  assert.equal(letter?.tries, 3);
  assert.equal(Buffer.from(letter?.bytes ?? []).toString(), "not json");
  assert.deepEqual(await queue.numbers(), { waiting: 0, underWay: 0, dead: 1 });
});

test("what a node took and never settled goes to another one, and what takes long does not", async (t) => {
  const redis = await startRedis(t);
  const options = redisOptions([redis.url]);
  const stuck = openWork(t, options, { ackMs: 1000 });
  let release = (_: Outcome): void => undefined;
  const slow = new Promise<Outcome>((resolve) => {
    release = resolve;
  });
  const seen: string[] = [];
  stuck.start((command) => {
    seen.push(command.id);
    return slow;
  });
  await write(redis, options, "slow");
  await eventually(() => seen.length === 1);
  // A node that is not there any more: it reads in the group, and says nothing.
  const { namespace } = options;
  await write(redis, options, "lost");
  await eventually(() => seen.length === 2);
  const other = openWork(t, options, { ackMs: 1000 });
  const taken: TakenCommand[] = [];
  await redis.command("XADD", `${namespace}:commands`, "*", "id", "orphan", "command", "{}");
  await redis.command("XREADGROUP", "GROUP", "nodes", "ghost", "COUNT", "10", "STREAMS", `${namespace}:commands`, ">");
  other.start(async (command) => {
    taken.push(command);
    return done;
  });
  await eventually(() => [...seen, ...taken.map(({ id }) => id)].includes("orphan"));
  // Longer than ackMs have "slow" and "lost" been under way by now, with signs of life: they are with the first node still.
  assert.ok(!taken.some(({ id }) => id === "slow" || id === "lost"));
  release(done);
  await eventually(async () => (await redis.command("XLEN", `${namespace}:commands`)) === 0 || seen.includes("orphan"));
});

test("what is not settled at the end is given to another node at once", async (t) => {
  const redis = await startRedis(t);
  const options = redisOptions([redis.url]);
  const first = openWork(t, options, { ackMs: 600_000 });
  const seen: string[] = [];
  first.start((command) => {
    seen.push(command.id);
    return new Promise(() => undefined);
  });
  await write(redis, options, "one");
  await eventually(() => seen.length === 1);
  await first.close(0);
  const second = openWork(t, options, { ackMs: 600_000 });
  const taken: TakenCommand[] = [];
  second.start(async (command) => {
    taken.push(command);
    return done;
  });
  await eventually(() => taken.length === 1);
  assert.equal(taken[0]?.tries, 2);
});

test("an id is new once, and what is done is known to be", async (t) => {
  const redis = await startRedis(t);
  const options = redisOptions([redis.url]);
  const queue = openWork(t, options);
  await untilThere(queue);
  assert.equal(await queue.add("a", Buffer.from("{}")), true);
  assert.equal(await queue.add("a", Buffer.from("{}")), false);
  assert.deepEqual(await queue.numbers(), { waiting: 1, underWay: 0, dead: 0 });
  assert.equal(await queue.isDone("a"), false);
  await queue.markDone("a");
  assert.equal(await queue.isDone("a"), true);
});

test("Redis is killed and comes back with what it kept: every command is taken, and none is left", async (t) => {
  const redis = await startRedis(t, { persistent: true });
  const options = redisOptions([redis.url], { timeoutMs: 500 });
  const queue = openWork(t, options, { ackMs: 1000 });
  await untilThere(queue);
  for (let index = 0; index < 200; index++) await queue.add(`${index}`, Buffer.from("{}"));
  const taken = new Set<string>();
  let isKilled = false;
  queue.start(async ({ id }) => {
    taken.add(id);
    if (taken.size === 60 && !isKilled) {
      isKilled = true;
      await redis.kill();
      await redis.start();
    }
    return done;
  });
  await eventually(
    async () => taken.size === 200 && (await redis.command("XLEN", `${options.namespace}:commands`)) === 0,
  );
  await untilThere(queue);
  assert.deepEqual(await queue.numbers(), { waiting: 0, underWay: 0, dead: 0 });
});

test("the queue works in a Redis Cluster, whose servers share out the names", async (t) => {
  const cluster = await startRedisCluster(t);
  const address = `redis+cluster://${cluster.urls.map((url) => url.replace("redis://", "")).join("+")}`;
  const options = redisOptions([address]);
  const queue = openWork(t, options);
  await untilThere(queue);
  let count = 0;
  queue.start(async ({ id }) => {
    count++;
    return id === "bad" ? { dead: "so it is" } : done;
  });
  for (let index = 0; index < 50; index++) assert.equal(await queue.add(`${index}`, Buffer.from("{}")), true);
  await queue.add("bad", Buffer.from("{}"));
  await eventually(() => count === 51);
  await eventually(async () => (await queue.numbers()).dead === 1);
  await queue.markDone("1");
  assert.equal(await queue.isDone("1"), true);
});

test("what happened is kept in a Redis Cluster, all of its names in one slot", async (t) => {
  const names = new QueueNames("roomcast");
  for (const name of [names.dead, names.written("a{b}c"), names.done("}{")]) {
    assert.equal(slotOf(name), slotOf(names.commands), name);
  }
  for (const name of [names.last("a{b}c"), names.marks, names.appended("x")]) {
    assert.equal(slotOf(name), slotOf(names.records), name);
  }
  const cluster = await startRedisCluster(t);
  const address = `redis+cluster://${cluster.urls.map((url) => url.replace("redis://", "")).join("+")}`;
  const log = redisQueues(redisOptions([address])).openRecords({ max: 1000, ageMs: 60_000 });
  t.after(() => log.close());
  await eventually(() => log.problems().length === 0, "it never came up");
  const mark = await log.mark("chat:1");
  const position = { epoch: "e", offset: 1 };
  const recorded = await log.appendAfter("chat:1", undefined, [{ position, bytes: Buffer.from("{}") }]);
  assert.deepEqual(recorded, { position });
  assert.deepEqual(await log.marked(0, 10), [mark]);
  await log.unmark(mark, recorded);
  assert.deepEqual(await log.marked(0, 10), []);
  assert.deepEqual(await log.last("chat:1"), { position });
  assert.equal(await log.count(), 1);
});

test("a replica that takes over has the queue: what was not done is done, and new commands are taken", async (t) => {
  const primary = await startRedis(t);
  const replica = await startReplica(t, primary);
  const sentinels = await startSentinels(t, primary);
  const hosts = sentinels.hosts.map(({ host, port }) => `${host}:${port}`).join("+");
  const options = redisOptions([`redis+sentinel://${hosts}/${sentinels.masterName}`]);
  const queue = openWork(t, options, { ackMs: 1000 });
  await untilThere(queue);
  let isHeld = true;
  const taken = new Set<string>();
  queue.start(async ({ id }) => {
    if (isHeld) return { retryMs: 500 };
    taken.add(id);
    return done;
  });
  for (let index = 0; index < 20; index++) await queue.add(`${index}`, Buffer.from("{}"));
  await eventually(async () => (await replica.command("XLEN", `${options.namespace}:commands`)) === 20);
  await primary.kill();
  isHeld = false;
  await eventually(
    async () => (await queue.add("after", Buffer.from("{}")).catch(() => false)) === true,
    "no failover",
  );
  await eventually(() => taken.size === 21, "not all were done");
});

test("what is older than it may be is gone from the stream of what happened", async (t) => {
  const redis = await startRedis(t);
  const log = redisQueues(redisOptions([redis.url])).openRecords({ max: 1000, ageMs: 1000 });
  t.after(() => log.close());
  await eventually(() => log.problems().length === 0, "it never came up");
  for (let index = 0; index < 10; index++) await log.append("connected", "ann", `${index}`, Buffer.from("{}"));
  assert.ok((await log.count()) > 0);
  await eventually(async () => (await log.count()) === 0, "it stayed");
});
