/** A log that every node reads in full: whatever is lost on the way, in the end all know all. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Payload } from "../../protocol/payload.js";
import { type KeyedEvent, SharedLog } from "../../server/cluster/shared-log.js";
import { type Broker, EngineError } from "../../server/engine/engine.js";
import { MemoryBroker, MemoryLog } from "../../server/engine/memory.js";

const ROOM = "|shared";
const rules = { history: { size: 100_000, ageMs: 3_600_000 }, keyWindowMs: 600_000 };
const eventOf = (key: string): KeyedEvent => ({ event: "e", data: Payload.ofValue(key), at: 1, key });

/** A node, and what may go wrong on its way to the log. */
class Node {
  readonly known = new Set<string>();
  readonly log: SharedLog;
  isDeaf = false;
  isAway = false;
  reads = 0;

  constructor(memory: MemoryLog) {
    const broker = new MemoryBroker(memory, (_room, _epoch, events) => {
      if (!this.isDeaf && !this.isAway) this.log.deliver(events);
    });
    const checked =
      <A extends unknown[], R>(act: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        if (this.isAway) throw new EngineError("unavailable", "away");
        return act(...args);
      };
    const through: Broker = {
      publish: checked((...args) => broker.publish(...args)),
      subscribe: checked((...args) => broker.subscribe(...args)),
      unsubscribe: (room) => broker.unsubscribe(room),
      history: checked((room, range, limit, asked) => {
        if (limit > 0) this.reads++;
        return broker.history(room, range, limit, asked);
      }),
      problems: () => [],
      close: () => broker.close(),
    };
    this.log = new SharedLog({
      ...{ room: ROOM, broker: through, rules },
      take: (events) => {
        for (const { data } of events) this.known.add(data.value as string);
      },
      read: () => {
        const written = new Set<string>();
        return {
          take: (events) => {
            for (const { data } of events) {
              this.known.add(data.value as string);
              written.add(data.value as string);
            }
          },
          lacking: () => [...this.known].filter((key) => !written.has(key)).map(eventOf),
        };
      },
    });
  }

  async append(key: string): Promise<boolean> {
    this.known.add(key);
    return this.log.append(eventOf(key)).then(
      () => true,
      () => false,
    );
  }
}

const keysIn = async (memory: MemoryLog): Promise<string[]> => {
  const { events = [] } = memory.history(ROOM, {}, 100_000, rules);
  return events.map(({ data }) => data.value as string).sort();
};

type Step = readonly ["append" | "deaf" | "away" | "pull" | "lose", node: number];
const step: fc.Arbitrary<Step> = fc.tuple(
  fc.oneof(
    { weight: 5, arbitrary: fc.constant("append" as const) },
    { weight: 4, arbitrary: fc.constantFrom("deaf" as const, "away" as const, "pull" as const) },
    { weight: 1, arbitrary: fc.constant("lose" as const) },
  ),
  fc.nat({ max: 2 }),
);

test("in the end all nodes and the log know everything that was said, once, whatever was lost", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const memory = new MemoryLog({ maxBytes: 1 << 24 });
      const nodes = [new Node(memory), new Node(memory), new Node(memory)];
      const said = new Set<string>();
      for (const [what, index] of steps) {
        const node = nodes[index] as Node;
        if (what === "append") {
          said.add(`e${said.size}`);
          await node.append(`e${said.size - 1}`);
        } else if (what === "deaf") node.isDeaf = !node.isDeaf;
        else if (what === "away") node.isAway = !node.isAway;
        else if (what === "lose") memory.reset();
        else await node.log.pull();
      }
      for (const node of nodes) node.isAway = false;
      for (let round = 0; round < 3; round++) for (const node of nodes) await node.log.pull();
      const all = [...said].sort();
      for (const node of nodes) assert.deepEqual([...node.known].sort(), all);
      const written = await keysIn(memory);
      assert.deepEqual([...new Set(written)], all);
      assert.equal(
        nodes.reduce((sum, node) => sum + node.log.owed, 0),
        0,
      );
      await Promise.all(nodes.map((node) => node.log.close()));
    }),
    { numRuns: 300 },
  );
});

test("several nodes that find the log empty fill it once", async () => {
  const memory = new MemoryLog({ maxBytes: 1 << 24 });
  const nodes = [new Node(memory), new Node(memory), new Node(memory)];
  for (const node of nodes) await node.log.pull();
  for (let index = 0; index < 500; index++) await nodes[index % 3]?.append(`e${index}`);
  memory.reset();
  await Promise.all(nodes.map((node) => node.log.pull()));
  assert.equal((await keysIn(memory)).length, 500);
});

test("a look at a log where nothing has happened reads nothing, and a long one is read by pages", async () => {
  const memory = new MemoryLog({ maxBytes: 1 << 24 });
  const [writer, reader] = [new Node(memory), new Node(memory)];
  await writer.log.pull();
  for (let index = 0; index < 3500; index++) await writer.append(`e${index}`);
  await reader.log.pull();
  assert.deepEqual([reader.known.size, reader.reads, reader.log.isRead], [3500, 4, true]);
  for (let look = 0; look < 10; look++) await reader.log.pull();
  assert.deepEqual([reader.reads, reader.log.fullReads], [4, 1]);
  reader.isDeaf = true;
  await writer.append("last");
  await reader.log.pull();
  assert.ok(reader.known.has("last"));
});
