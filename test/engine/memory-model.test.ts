/** The memory engine against naive models of it, over random runs. `ROOMCAST_PROPERTY_RUNS` says how many. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Payload } from "../../protocol/payload.js";
import type { LogRules } from "../../server/engine/engine.js";
import { MemoryBroker, MemoryLog, type MemoryLogOptions } from "../../server/engine/memory.js";

const numRuns = Number(process.env["ROOMCAST_PROPERTY_RUNS"] ?? 200);
const SIZE = 5;
const AGE_MS = 10;
const WINDOW_MS = 12;
const kept: LogRules = { history: { size: SIZE, ageMs: AGE_MS }, keyWindowMs: WINDOW_MS };
/** Room for some eight short events; the longest does not fit at all. */
const MAX_BYTES = 900;

const rooms = fc.constantFrom("a", "b", "c");
const nodes = fc.constantFrom(0, 1);
const command = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      node: nodes,
      room: rooms,
      from: fc.constantFrom(undefined, "a", "ab"),
      key: fc.constantFrom(undefined, undefined, "k", "bk"),
      length: fc.constantFrom(1, 1, 1, 200, 900),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("history" as const),
      node: nodes,
      room: rooms,
      from: fc.constantFrom("since" as const, "before" as const, "latest" as const),
      back: fc.integer({ min: -2, max: 8 }),
      stranger: fc.nat(9).map((n) => n === 0),
      limit: fc.integer({ min: 0, max: 6 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("sweep" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reset" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("subscribe" as const), node: nodes, room: rooms }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("unsubscribe" as const), node: nodes, room: rooms }) },
);
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;
type Publish = Extract<Command, { do: "publish" }>;
type Read = Extract<Command, { do: "history" }>;

type ModelEvent = { readonly offset: number; readonly value: string; readonly size: number; readonly time: number };
type ModelRoom = { events: ModelEvent[]; last: number; readonly nodes: Set<number> };

/** What the log should be: arrays, filters and sums. It never forgets a room. */
class Model {
  now = 0;
  /** By the last publish, the longest ago first. */
  readonly rooms = new Map<string, ModelRoom>();
  keys: { readonly id: string; readonly offset: number; readonly time: number }[] = [];
  readonly told: string[][] = [[], []];

  room(name: string): ModelRoom {
    const room = this.rooms.get(name) ?? { events: [], last: 0, nodes: new Set() };
    this.rooms.set(name, room);
    return room;
  }

  expire(room: ModelRoom): void {
    room.events = room.events.filter(({ time }) => time + AGE_MS > this.now);
  }

  get bytes(): number {
    return [...this.rooms.values()].flatMap(({ events }) => events).reduce((sum, { size }) => sum + size, 0);
  }

  publish({ room: name, from, key }: Publish, value: string, size: number): number {
    const id = JSON.stringify([name, from ?? "", key]);
    this.keys = this.keys.filter(({ time }) => time + WINDOW_MS > this.now);
    const known = key === undefined ? undefined : this.keys.find((entry) => entry.id === id);
    if (known !== undefined) return known.offset;
    const room = this.room(name);
    this.rooms.delete(name);
    this.rooms.set(name, room);
    this.expire(room);
    room.last++;
    room.events = [...room.events, { offset: room.last, value, size, time: this.now }].slice(-SIZE);
    for (const other of this.rooms.values()) {
      if (this.bytes > MAX_BYTES && other !== room) other.events = [];
    }
    while (this.bytes > MAX_BYTES) room.events.shift();
    if (key !== undefined) this.keys.push({ id, offset: room.last, time: this.now });
    for (const node of room.nodes) this.told[node]?.push(`${name} ${room.last - 1}→${room.last} ${value.length}`);
    return room.last;
  }

  history({ room: name, from, back, stranger, limit }: Read) {
    const room = this.room(name);
    this.expire(room);
    const [edge, start] = [room.last - back, room.last - room.events.length];
    const none = { offset: room.last, values: undefined, more: false };
    if (from !== "latest" && stranger) return none;
    if (from === "since" && (edge < start || edge > room.last)) return none;
    const range = room.events.filter(
      ({ offset }) => from === "latest" || (from === "since" ? offset > edge : offset < edge),
    );
    const events = from === "since" ? range.slice(0, limit) : range.slice(Math.max(0, range.length - limit));
    return { offset: room.last, values: events.map(({ value }) => value), more: range.length > limit };
  }

  reset(): void {
    this.keys = [];
    for (const room of this.rooms.values()) {
      room.events = [];
      room.last = 0;
    }
  }
}

/** A log with two nodes, which note what they are told. */
function openNodes(model: Model, options: Partial<MemoryLogOptions> = {}) {
  const log = new MemoryLog({ maxBytes: MAX_BYTES, now: () => model.now, ...options });
  const told: string[][] = [[], []];
  const nodes = told.map(
    (list) =>
      new MemoryBroker(log, (room, epoch, [event], previous) => {
        assert.equal(epoch, log.epoch);
        list.push(`${room} ${previous}→${event?.offset} ${String(event?.data.value).length}`);
      }),
  ) as [MemoryBroker, MemoryBroker];
  return { log, told, nodes };
}

let published = 0;
/** A value of this length in quotes, unlike the last ones. */
const nextValue = (length: number): string => `${published++ % 10}`.padEnd(length, "x");
const newEvent = ({ from, key }: Publish, value: string) => {
  return { event: "e", data: Payload.ofJson(JSON.stringify(value)), at: 0, from, key };
};

/** Carries out one command on both, and compares the answers. */
async function step(command: Command, model: Model, { log, nodes }: ReturnType<typeof openNodes>): Promise<void> {
  switch (command.do) {
    case "publish": {
      const value = nextValue(command.length);
      const event = newEvent(command, value);
      const position = await nodes[command.node]?.publish(command.room, event, kept);
      const offset = model.publish(command, value, event.data.size + 100);
      assert.deepEqual(position, { epoch: log.epoch, offset });
      break;
    }
    case "history": {
      const expected = model.history(command);
      const edge = { epoch: command.stranger ? "stranger" : log.epoch, offset: expected.offset - command.back };
      const range = command.from === "latest" ? {} : { [command.from]: edge };
      const got = await nodes[command.node]?.history(command.room, range, command.limit, kept);
      const values = got?.events?.map(({ data }) => data.value);
      assert.deepEqual({ offset: got?.position.offset, values, more: got?.more }, expected);
      break;
    }
    case "advance":
      model.now += command.ms;
      break;
    case "sweep":
      log.sweep();
      for (const room of model.rooms.values()) model.expire(room);
      break;
    case "reset":
      log.reset();
      model.reset();
      break;
    case "subscribe":
      await nodes[command.node]?.subscribe(command.room, kept);
      model.room(command.room).nodes.add(command.node);
      break;
    case "unsubscribe":
      await nodes[command.node]?.unsubscribe(command.room);
      model.room(command.room).nodes.delete(command.node);
      break;
  }
}

test("the memory log does what a naive model of it does", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 60, size: "max" }), async (commands) => {
      const model = new Model();
      const real = openNodes(model);
      try {
        for (const one of commands) {
          await step(one, model, real);
          assert.equal(real.log.bytes, model.bytes);
          assert.deepEqual(real.told, model.told);
        }
      } finally {
        for (const node of real.nodes) await node.close();
      }
    }),
    { numRuns },
  );
});

test("however much is forgotten, no offset comes twice and no reader gets a part of what it missed", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { maxLength: 80, size: "max" }),
      fc.nat(2),
      fc.nat(20),
      async (commands, maxIdleRooms, maxKeys) => {
        const clock = new Model();
        const { log, nodes } = openNodes(clock, { maxIdleRooms, maxKeys });
        /** Everything ever published, by epoch and room. */
        const all = new Map<string, { offset: number; value: unknown }[]>();
        const listOf = (room: string) => {
          const id = `${log.epoch} ${room}`;
          return all.get(id) ?? (all.set(id, []).get(id) as { offset: number; value: unknown }[]);
        };
        try {
          for (const one of commands) {
            if (one.do === "publish") {
              const list = listOf(one.room);
              const value = nextValue(one.length);
              const position = await nodes[one.node]?.publish(one.room, newEvent(one, value), kept);
              assert.equal(position?.epoch, log.epoch);
              const offset = position?.offset ?? 0;
              if (list.some((event) => event.offset === offset)) assert.notEqual(one.key, undefined, "an offset twice");
              else {
                assert.ok(offset > (list.at(-1)?.offset ?? 0), "offsets rise");
                list.push({ offset, value });
              }
            } else if (one.do !== "history") await step(one, clock, { log, nodes, told: [] });
            for (const room of ["a", "b", "c"]) {
              const list = listOf(room);
              for (const offset of [0, ...list.map((event) => event.offset)]) {
                const read = await nodes[0].history(room, { since: { epoch: log.epoch, offset } }, 1000, kept);
                if (read.events === undefined) continue;
                const got = read.events.map((event) => ({ offset: event.offset, value: event.data.value }));
                assert.deepEqual(
                  got,
                  list.filter((event) => event.offset > offset),
                );
              }
            }
          }
        } finally {
          for (const node of nodes) await node.close();
        }
      },
    ),
    { numRuns },
  );
});
