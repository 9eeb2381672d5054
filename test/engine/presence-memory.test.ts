import assert from "node:assert/strict";
import test from "node:test";
import type { RegisterTest } from "../../server/engine/conformance.js";
import {
  onPresenceOutages,
  onPresenceWrites,
  type PresenceCluster,
  presenceConformance,
} from "../../server/engine/conformance-presence.js";
import { MemoryPresence, MemoryRegisters } from "../../server/engine/memory-presence.js";
import type { Presence } from "../../server/engine/presence.js";

const skip = Object.fromEntries(
  [...onPresenceOutages, ...onPresenceWrites].map((sentence) => [sentence, "it is in this process"]),
);

async function open(spoil = (presence: Presence): Presence => presence): Promise<PresenceCluster> {
  let now = 0;
  const registers = new MemoryRegisters(() => now);
  return {
    node: async () => spoil(new MemoryPresence(registers)),
    async advance(ms) {
      now += ms;
    },
    async close() {},
  };
}

presenceConformance("memory", { test, open, skip });

test("rooms whose registers were erased, or whose nodes were cleared, take no memory", () => {
  let now = 0;
  const registers = new MemoryRegisters(() => now);
  registers.beat("n", 10);
  for (const room of ["a", "b"]) registers.write(room, "n", 0, Buffer.from("x"));
  registers.write("a", "n", 0, undefined);
  assert.equal(registers.size, 1);
  now = 20;
  assert.equal(registers.clear("n"), true);
  assert.equal(registers.size, 0);
});

/** The presence with some methods replaced. */
const replaced = (presence: Presence, methods: Partial<Presence>): Presence => ({
  write: (room, node, part, value) => presence.write(room, node, part, value),
  read: (room) => presence.read(room),
  beat: (node, leaseMs) => presence.beat(node, leaseMs),
  clear: (node) => presence.clear(node),
  problems: () => presence.problems(),
  close: () => presence.close(),
  ...methods,
});

/** The names of the sentences that fail for an engine that is changed so. */
async function failures(methods: (presence: Presence) => Partial<Presence>): Promise<string[]> {
  const failed: string[] = [];
  const registered: { name: string; run: Parameters<RegisterTest>[2] }[] = [];
  presenceConformance("spoilt", {
    test: (name, options, run) => options.skip === undefined && registered.push({ name, run }),
    open: () => open((presence) => replaced(presence, methods(presence))),
    skip,
  });
  for (const { name, run } of registered) {
    const ends: (() => Promise<void>)[] = [];
    await run({ after: (end) => void ends.push(end) }).catch(() => failed.push(name));
    for (const end of ends) await end();
  }
  return failed;
}

test("the suite passes an engine that keeps the contract of presence", async () => {
  assert.deepEqual(await failures(() => ({})), []);
});

const faults: { readonly [fault: string]: (presence: Presence) => Partial<Presence> } = {
  "does not erase": (presence) => ({
    write: async (room, node, part, value) => value && presence.write(room, node, part, value),
  }),
  "knows one part only": (presence) => ({
    write: (room, node, _, value) => presence.write(room, node, 0, value),
  }),
  "takes rooms of two tenants for one": (presence) => ({
    write: (room, node, part, value) => presence.write(room.replace(/^.*\|/, ""), node, part, value),
    read: (room) => presence.read(room.replace(/^.*\|/, "")),
  }),
  "lets writes overtake each other": (presence) => ({
    write: async (room, node, part, value) => {
      if (value === undefined) for (let turn = 0; turn < 5; turn++) await undefined;
      await presence.write(room, node, part, value);
    },
  }),
  "keeps text instead of bytes": (presence) => ({
    write: (room, node, part, value) => presence.write(room, node, part, value && Buffer.from(value.toString())),
  }),
  "does not read those whose lease has lapsed": (presence) => ({
    read: async (room) => {
      const { leases } = await presence.beat("reader", 1000);
      const good = new Set(leases.filter(({ leftMs }) => leftMs > 0).map(({ node }) => node));
      return (await presence.read(room)).filter(({ node }) => good.has(node));
    },
  }),
  "does not list leases that have lapsed": (presence) => ({
    beat: async (node, leaseMs) => {
      const { isNew, leases } = await presence.beat(node, leaseMs);
      return { isNew, leases: leases.filter(({ leftMs }) => leftMs > 0) };
    },
  }),
  "calls each beat new": (presence) => ({
    beat: async (node, leaseMs) => ({ ...(await presence.beat(node, leaseMs)), isNew: true }),
  }),
  "never shortens a lease": (presence) => ({
    beat: (node) => presence.beat(node, 1_000_000),
  }),
  "clears nobody": () => ({ clear: async () => true }),
  "clears whoever is named": (presence) => ({
    clear: async (node) => {
      await presence.beat(node, 0);
      return presence.clear(node);
    },
  }),
  "says that a node nobody knows was not cleared": (presence) => ({
    clear: async (node) => {
      const known = (await presence.beat("asks", 1000)).leases.some((lease) => lease.node === node);
      return known && presence.clear(node);
    },
  }),
  "stays open": () => ({ close: async () => {} }),
};

for (const [fault, methods] of Object.entries(faults)) {
  test(`the suite fails an engine of presence that ${fault}`, async () => {
    assert.ok((await failures(methods)).length > 0);
  });
}

test("a skip that names no case of presence is refused", () => {
  const bad = { test, open, skip: { "a lease that lapses": "typo" } };
  assert.throws(() => presenceConformance("spoilt", bad), /expected a case's sentence/);
});
