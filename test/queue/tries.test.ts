import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { ProtocolError } from "../../protocol/codes.js";
import { EngineError } from "../../server/engine/engine.js";
import { natsQueues } from "../../server/engine/nats/queues.js";
import { Refusal } from "../../server/hooks/hooks.js";
import { Commands } from "../../server/queue/commands.js";
import { uniqueName } from "../engine/nats-support.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";

const nothing = (): void => undefined;

type Given = {
  readonly apply: (tried: number) => void;
  readonly tries?: number;
  readonly problems?: () => readonly string[];
  readonly isKeyed?: boolean;
};

/** A queue with one command in it, which is applied by `apply`. */
async function run(t: TestContext, { apply, tries = 3, problems = () => [], isKeyed = true }: Given) {
  const nats = await startNats(t);
  const warned: object[] = [];
  const log = {
    ...{ debug: nothing, info: nothing, error: nothing },
    warn: (message: string, fields?: object) => void warned.push({ message, ...fields }),
  };
  const options = { servers: [nats.url], replicas: 1, storage: "file" as const, namespace: uniqueName() };
  const queues = natsQueues({ ...options, timeoutMs: 1500, probeMs: 500, log: { ...log, warn: nothing } });
  const queue = queues.openWork({ prefetch: 10, ackMs: 30_000, deadAgeMs: 3_600_000, maxBytes: 65_536 });
  const appliedAt: number[] = [];
  const commands = new Commands({
    ...{ queue, problems, tries, log, maxBytes: 65_536, isKeyed: () => isKeyed },
    read: (bytes) => JSON.parse(bytes.toString()),
    apply: async () => {
      appliedAt.push(performance.now());
      apply(appliedAt.length);
    },
  });
  t.after(() => commands.close(0));
  await eventually(() => queue.problems().length === 0);
  await queue.add("one", Buffer.from('{"do":"it"}'));
  commands.start();
  return { queue, commands, appliedAt, warned };
}

test("a command that fails for no reason it knows is tried so often, after growing pauses, and is dead then", async (t) => {
  const { queue, commands, appliedAt, warned } = await run(t, {
    apply: () => {
      throw new TypeError("a fault");
    },
  });
  await eventually(async () => (await queue.numbers()).dead === 1);
  assert.equal(appliedAt.length, 3);
  const [first = 0, second = 0, third = 0] = appliedAt;
  // Half of a pause is left to chance.
  assert.ok(second - first >= 250 && third - second >= 500, `pauses of ${second - first}, ${third - second} ms`);
  const [letter] = await queue.deadLetters(10);
  assert.deepEqual([letter?.id, letter?.reason, letter?.tries], ["one", "a fault", 3]);
  const { applied, retried, dead, underWay } = commands.numbers();
  assert.deepEqual([applied, retried, dead, underWay], [0, 2, 1, 0]);
  assert.equal(warned.filter((line) => "soFar" in line).length, 1);
});

test("what the engine refuses although it is there is tried so often, too", async (t) => {
  const { queue, appliedAt } = await run(t, {
    tries: 2,
    apply: () => {
      throw new EngineError("unavailable", "too large for it", 0);
    },
  });
  await eventually(async () => (await queue.numbers()).dead === 1);
  assert.equal(appliedAt.length, 2);
});

test("what an engine that is away keeps from being done is tried until it is there", async (t) => {
  const away = { now: ["redis: away"] as readonly string[] };
  const { queue, commands, appliedAt } = await run(t, {
    tries: 1,
    problems: () => away.now,
    apply: (tried) => {
      if (tried >= 3) away.now = [];
      if (tried < 4) throw new EngineError("timeout", "no answer", 0);
    },
  });
  await eventually(() => commands.numbers().applied === 1);
  assert.equal(appliedAt.length, 4);
  assert.equal((await queue.numbers()).dead, 0);
});

test("a refusal is for good unless it says when to try again", async (t) => {
  const { queue, appliedAt } = await run(t, {
    apply: (tried) => {
      throw tried === 1 ? new Refusal("rate_limited", "later", 10) : new Refusal("forbidden", "never");
    },
  });
  await eventually(async () => (await queue.numbers()).dead === 1);
  assert.equal(appliedAt.length, 2);
  assert.equal((await queue.deadLetters(1))[0]?.reason, "never");
});

test("what cannot be is dead at once", async (t) => {
  const { queue, appliedAt } = await run(t, {
    apply: () => {
      throw new ProtocolError("room", "a room's name", "nothing");
    },
  });
  await eventually(async () => (await queue.numbers()).dead === 1);
  assert.equal(appliedAt.length, 1);
});

test("what is no publish is noted as done before it is acknowledged", async (t) => {
  const { queue, commands } = await run(t, { apply: nothing, isKeyed: false });
  await eventually(() => commands.numbers().applied === 1);
  assert.equal(await queue.isDone("one"), true);
});

test("as a node closes, a command that waits for an engine is given back at once", async (t) => {
  const { queue, commands, appliedAt } = await run(t, {
    problems: () => ["redis: away"],
    apply: () => {
      throw new EngineError("unavailable", "away", 0);
    },
  });
  await eventually(() => appliedAt.length > 0);
  await commands.close(10_000);
  assert.equal(commands.numbers().underWay, 0);
  assert.deepEqual(queue.problems().length > 0, true);
});
