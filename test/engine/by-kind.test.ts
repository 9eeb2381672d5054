import assert from "node:assert/strict";
import { test } from "node:test";
import { Payload } from "../../protocol/payload.js";
import { ByKind } from "../../server/engine/by-kind.js";
import { type Broker, EngineError, type EngineName, type LogRules } from "../../server/engine/engine.js";
import { MemoryBroker, MemoryLog } from "../../server/engine/memory.js";

const rules: LogRules = { history: { size: 10, ageMs: 60_000 }, keyWindowMs: 60_000 };
const event = (value: unknown) => ({ event: "e", data: Payload.ofValue(value), at: 0 });

/** Three logs that stand for three engines, a node on them, and what it was told. */
function engines() {
  const told: string[] = [];
  const brokers = new Map<EngineName, Broker>();
  for (const name of ["redis", "nats", "memory"] as const) {
    const log = new MemoryLog({ maxBytes: 1 << 20 });
    brokers.set(
      name,
      new MemoryBroker(log, (room, _epoch, events) => void told.push(`${name} ${room} ${events[0]?.data.json}`)),
    );
  }
  const broker = new ByKind(brokers, (room) => room.split(":")[0] as EngineName);
  return { broker, brokers, told };
}

test("a room is on the engine of its kind, and on no other", async (t) => {
  const { broker, brokers, told } = engines();
  t.after(() => broker.close());
  for (const name of ["redis", "nats", "memory"] as const) {
    await broker.subscribe(`${name}:1`, rules);
    await broker.publish(`${name}:1`, event(name), rules);
    const { events } = (await brokers.get(name)?.history(`${name}:1`, {}, 10, rules)) ?? {};
    assert.equal(events?.length, 1);
  }
  assert.deepEqual(told, ['redis redis:1 "redis"', 'nats nats:1 "nats"', 'memory memory:1 "memory"']);
});

test("the server's own rooms are on every engine that other nodes are on", async (t) => {
  const { broker, told } = engines();
  t.after(() => broker.close());
  await broker.subscribe("$own", rules);
  await broker.publish("$own", event(1), rules);
  assert.deepEqual(told, ["redis $own 1", "nats $own 1"]);
});

test("an engine that fails takes its own rooms with it, and no others", async (t) => {
  const { broker, brokers, told } = engines();
  t.after(() => broker.close());
  await broker.subscribe("$own", rules);
  await brokers.get("redis")?.close();
  await assert.rejects(broker.publish("redis:1", event(1), rules), EngineError);
  await broker.publish("nats:1", event(1), rules);
  await broker.publish("$own", event(2), rules);
  assert.deepEqual(told, ["nats $own 2"]);
  await brokers.get("nats")?.close();
  await assert.rejects(broker.publish("$own", event(3), rules), EngineError);
});
