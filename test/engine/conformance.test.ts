import assert from "node:assert/strict";
import test from "node:test";
import { conformance, onOutages, type RegisterTest } from "../../server/engine/conformance.js";
import type { Broker, Deliver } from "../../server/engine/engine.js";
import { MemoryBroker, MemoryLog } from "../../server/engine/memory.js";

const withoutOutages = Object.fromEntries(onOutages.map((sentence) => [sentence, "it is in this process"]));

type Registered = {
  readonly name: string;
  readonly skip: string | undefined;
  readonly run: Parameters<RegisterTest>[2];
};

/** The suite's tests for the memory engine, each node of it changed by `spoil`. */
function register(spoil: (broker: Broker, deliver: Deliver) => Broker, skip = {}): Registered[] {
  const registered: Registered[] = [];
  conformance("spoilt", {
    test: (name, options, run) => registered.push({ name, skip: options.skip, run }),
    skip: { ...withoutOutages, ...skip },
    async open() {
      let now = 0;
      const log = new MemoryLog({ maxBytes: 100_000_000, now: () => now });
      return {
        node: async (deliver) => spoil(new MemoryBroker(log, deliver), deliver),
        async advance(ms) {
          now += ms;
        },
        async close() {},
      };
    },
  });
  return registered;
}

/** The names of those that fail. */
async function failures(registered: readonly Registered[]): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run, skip } of registered) {
    if (skip !== undefined) continue;
    const ends: (() => Promise<void>)[] = [];
    await run({ after: (end) => void ends.push(end) }).catch(() => failed.push(name));
    for (const end of ends) await end();
  }
  return failed;
}

/** The broker with some methods replaced. */
const replaced = (broker: Broker, methods: Partial<Broker>): Broker => ({
  publish: (room, event, rules) => broker.publish(room, event, rules),
  subscribe: (room, rules) => broker.subscribe(room, rules),
  unsubscribe: (room) => broker.unsubscribe(room),
  history: (room, range, limit, rules) => broker.history(room, range, limit, rules),
  problems: () => broker.problems(),
  close: () => broker.close(),
  ...methods,
});

test("the suite passes an engine that keeps the contract", async () => {
  assert.deepEqual(await failures(register((broker) => replaced(broker, {}))), []);
});

const faults: { readonly [fault: string]: (broker: Broker, deliver: Deliver) => Partial<Broker> } = {
  "ignores keys": (broker) => ({
    publish: (room, { key: _, ...event }, rules) => broker.publish(room, event, rules),
  }),
  "forgets the sender of a key": (broker) => ({
    publish: (room, event, rules) => broker.publish(room, { ...event, from: undefined }, rules),
  }),
  "resolves without the position": (broker) => ({
    publish: async (room, event, rules) => void (await broker.publish(room, event, rules)),
  }),
  "lets publishes overtake each other": (broker) => ({
    publish: async (room, event, rules) => {
      if (event.data.value === 1) for (let turn = 0; turn < 5; turn++) await undefined;
      return broker.publish(room, event, rules);
    },
  }),
  "delivers its own publishes twice": (broker, deliver) => ({
    publish: async (room, event, rules) => {
      const position = await broker.publish(room, event, rules);
      const { events = [] } = await broker.history(room, {}, 1, rules);
      if (position !== undefined) deliver(room, position.epoch, events, position.offset - 1);
      return position;
    },
  }),
  "reads on from any epoch": (broker) => ({
    history: async (room, { since, before }, limit, rules) => {
      const { epoch } = (await broker.history(room, {}, 0, rules)).position;
      const range = { since: since && { ...since, epoch }, before: before && { ...before, epoch } };
      return broker.history(room, range, limit, rules);
    },
  }),
  "gives what is left when the log does not reach back": (broker) => ({
    history: async (room, range, limit, rules) => {
      const history = await broker.history(room, range, limit, rules);
      return history.events === undefined ? broker.history(room, {}, limit, rules) : history;
    },
  }),
  "does not say that there is more": (broker) => ({
    history: async (...args) => ({ ...(await broker.history(...args)), more: false }),
  }),
  "gives the last events after a position, not the first": (broker) => ({
    history: async (room, range, limit, rules) => {
      const history = await broker.history(room, range, 1000, rules);
      return { ...history, events: history.events?.slice(-limit), more: (history.events?.length ?? 0) > limit };
    },
  }),
  "keeps more than the rules say": (broker) => ({
    publish: (room, event, rules) => {
      const { size, ageMs } = rules.history;
      return broker.publish(room, event, { ...rules, history: { size: size && size + 1, ageMs } });
    },
  }),
  "keeps no events": (broker) => ({
    publish: (room, event, rules) => broker.publish(room, event, { ...rules, history: { size: 0, ageMs: 0 } }),
  }),
  "forgets a key with the log": (broker) => ({
    publish: (room, event, rules) => broker.publish(room, event, { ...rules, keyWindowMs: 0 }),
  }),
  "stays open": () => ({ close: async () => {} }),
};

for (const [fault, methods] of Object.entries(faults)) {
  test(`the suite fails an engine that ${fault}`, async () => {
    const failed = await failures(register((broker, deliver) => replaced(broker, methods(broker, deliver))));
    assert.ok(failed.length > 0);
  });
}

test("a case that an engine skips is registered with the reason", () => {
  const sentence = "a key is forgotten after its window";
  const registered = register((broker) => broker, { [sentence]: "its clock cannot be moved" });
  const skipped = registered.filter(({ skip }) => skip === "its clock cannot be moved");
  assert.deepEqual(
    skipped.map(({ name, skip }) => ({ name, skip })),
    [{ name: `spoilt: ${sentence}`, skip: "its clock cannot be moved" }],
  );
});

test("a skip that names no case is refused", () => {
  assert.throws(() => register((broker) => broker, { "a key is forgoten": "typo" }), /expected a case's sentence/);
});
