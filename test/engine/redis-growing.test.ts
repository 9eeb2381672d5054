import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { RoomEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import { event, placed, rules, values } from "../../server/engine/conformance-ground.js";
import type { Broker, Deliver, Suspect } from "../../server/engine/engine.js";
import { parseRedisShard } from "../../server/engine/redis/address.js";
import { Places } from "../../server/engine/redis/places.js";
import { eventually } from "../support/eventually.js";
import { type Redis, startRedis } from "../support/services/redis.js";
import { openNode, redisOptions, silent } from "./redis-ground.js";

const KEPT = rules(1000);
const NONE = rules(0);

/** A reader of a room with history: takes what follows on, and reads where something is missing. */
class Reader {
  readonly seen: unknown[] = [];
  position: Position;
  resets = 0;
  #repairing: Promise<void> | undefined;

  constructor(position: Position) {
    this.position = position;
  }

  deliver(broker: Broker, room: string, epoch: string, events: readonly RoomEvent[], previous: number): void {
    if (epoch !== this.position.epoch || previous > this.position.offset) return this.repair(broker, room);
    this.#take(events);
  }

  #take(events: readonly RoomEvent[]): void {
    for (const { offset, data } of events) {
      if (offset <= this.position.offset) continue;
      this.position = { ...this.position, offset };
      this.seen.push(data.value);
    }
  }

  repair(broker: Broker, room: string): void {
    this.#repairing ??= this.#read(broker, room)
      .catch(() => undefined)
      .then(() => {
        this.#repairing = undefined;
      });
  }

  async #read(broker: Broker, room: string): Promise<void> {
    for (let more = true; more; ) {
      const read = await broker.history(room, { since: this.position }, 100, KEPT);
      more = read.more;
      if (read.events === undefined) {
        this.resets++;
        this.position = read.position;
      } else this.#take(read.events);
    }
  }
}

/** One of the nodes: its broker is another one after every restart, its readers stay. */
class Node {
  readonly readers = new Map<string, Reader>();
  /** What came in rooms without history since the last restart. */
  plain: { room: string; value: unknown }[] = [];
  broker: Broker | undefined;
  readonly #namespace: string;
  readonly #rooms: readonly string[];
  readonly #plainRooms: readonly string[];

  constructor(namespace: string, rooms: readonly string[], plainRooms: readonly string[]) {
    this.#namespace = namespace;
    this.#rooms = rooms;
    this.#plainRooms = plainRooms;
  }

  async restart(shards: readonly string[]): Promise<void> {
    await this.broker?.close();
    this.broker = undefined;
    this.plain = [];
    const broker: Broker = await openNode(
      redisOptions(shards, { namespace: this.#namespace, timeoutMs: 5000, probeMs: 3000 }),
      (room, epoch, events, previous) => {
        if (epoch === "") this.plain.push(...events.map(({ data }) => ({ room, value: data.value })));
        else this.readers.get(room)?.deliver(broker, room, epoch, events, previous);
      },
      (room) => this.readers.get(room)?.repair(broker, room),
    );
    for (const room of this.#rooms) {
      await broker.subscribe(room, KEPT);
      if (!this.readers.has(room))
        this.readers.set(room, new Reader((await broker.history(room, {}, 0, KEPT)).position));
    }
    for (const room of this.#plainRooms) await broker.subscribe(room, NONE);
    this.broker = broker;
    this.repair();
  }

  repair(): void {
    for (const [room, reader] of this.readers) if (this.broker !== undefined) reader.repair(this.broker, room);
  }
}

async function servers(t: TestContext, count: number): Promise<Redis[]> {
  return Promise.all(Array.from({ length: count }, () => startRedis(t)));
}

const named = (server: Redis, index: number, more = ""): string => `${server.url}?name=s${index}${more}`;
const numbered = (count: number, name: string): string[] => Array.from({ length: count }, (_, n) => `${name}:${n}`);

test("from three shards to four and back, under load: nothing is lost, repeated or reset", async (t) => {
  const all = await servers(t, 4);
  const three = all.slice(0, 3).map((server, index) => named(server, index));
  const fourth = (more: string) => [...three, named(all[3]!, 3, more)];
  const phases = [fourth("&weight=0"), fourth("&weight=1&was=0"), fourth(""), fourth("&weight=0&was=1"), three];
  const { namespace } = redisOptions([]);
  const [rooms, plainRooms] = [numbered(24, "room"), numbered(12, "cursor")];
  const nodes = [1, 2, 3].map(() => new Node(namespace, rooms, plainRooms));
  t.after(() => Promise.all(nodes.map(({ broker }) => broker?.close())).then(() => undefined));
  for (const node of nodes) await node.restart(three);

  /** Publishes 0, 1, 2, … in each room, on any node, until each is taken; some twice, with the same key. */
  let isRunning = true;
  const published = new Map(rooms.map((room) => [room, 0]));
  const publishIn = async (room: string): Promise<void> => {
    while (isRunning) {
      const value = published.get(room) as number;
      const full = event(value, { key: `${room} ${value}`, from: "ann" });
      const publish = async (): Promise<Position | undefined> => {
        for (;;) {
          const broker = nodes[Math.floor(Math.random() * nodes.length)]?.broker;
          const done = await broker?.publish(room, full, KEPT).catch(() => undefined);
          if (done !== undefined) return done;
          await new Promise((next) => setTimeout(next, 5));
        }
      };
      const first = await publish();
      if (value % 3 === 0) assert.deepEqual(await publish(), first, "a key gives the first position");
      published.set(room, value + 1);
      await new Promise((next) => setTimeout(next, 5));
    }
  };
  const load = rooms.map(publishIn);
  /** In rooms without history everybody gets what anybody publishes, once, however configurations are mixed. */
  let marks = 0;
  const checkPlain = async (): Promise<void> => {
    for (const node of nodes) {
      const mark = marks++;
      await Promise.all(plainRooms.map((room) => node.broker?.publish(room, event(mark), NONE)));
      await Promise.all(
        plainRooms.map((room) => node.broker?.publish(room, event(`k${mark}`, { key: `${mark}` }), NONE)),
      );
    }
    const wanted = marks - 1;
    for (const node of nodes) {
      const got = (room: string, value: unknown) =>
        node.plain.filter((one) => one.room === room && one.value === value).length;
      await eventually(() => plainRooms.every((room) => got(room, `k${wanted}`) > 0), "an event did not come");
      for (const room of plainRooms) {
        for (let mark = wanted - 2; mark <= wanted; mark++)
          assert.deepEqual([got(room, mark), got(room, `k${mark}`)], [1, 1]);
      }
    }
  };
  for (const phase of phases) {
    for (const node of nodes) {
      await node.restart(phase);
      await checkPlain();
    }
  }
  isRunning = false;
  await Promise.all(load);
  for (const node of nodes) {
    for (const [room, reader] of node.readers) {
      const count = published.get(room) as number;
      await eventually(() => {
        node.repair();
        return reader.seen.length >= count;
      }, `${room}: a reader has not seen everything`);
      assert.deepEqual(
        reader.seen,
        numbered(count, "").map((text) => Number(text.slice(1))),
      );
      assert.equal(reader.resets, 0);
    }
  }
  assert.ok([...published.values()].every((count) => count > 10));
});

test("a change of shards moves the rooms that it has to, and no others", () => {
  const shards = (query: string) =>
    numbered(4, "s").map((name, index) =>
      parseRedisShard(`redis://${name.replace(":", "")}${index === 3 ? query : ""}`),
    );
  const [before, during, after] = ["?weight=0", "?weight=1&was=0", ""].map((query) => new Places(shards(query))) as [
    Places,
    Places,
    Places,
  ];
  const rooms = numbered(20_000, "room");
  const moved = rooms.filter((room) => during.before(room) !== undefined);
  assert.ok(moved.length / rooms.length <= 1 / 4 + 0.1);
  for (const room of moved) assert.deepEqual([before.home(room), after.home(room)], [during.before(room), "s3:6379"]);
});

/** Two shards, of which the second one is new, and a room that is to move. */
async function moving(t: TestContext) {
  const [one, two] = (await servers(t, 2)) as [Redis, Redis];
  const { namespace } = redisOptions([]);
  const configured = (query: string) => [named(one, 0), named(two, 1, query)];
  const places = new Places(configured("&weight=1&was=0").map((text) => parseRedisShard(text)));
  const room = numbered(100, "room").find((name) => places.before(name) !== undefined) as string;
  const node = async (query: string, deliver?: Deliver, suspect?: Suspect) => {
    const broker = await openNode(redisOptions(configured(query), { namespace }), deliver, suspect);
    t.after(() => broker.close());
    return broker;
  };
  const end = (server: Redis, ...words: string[]) => server.command("HGET", `${namespace}:{${room}}:end`, ...words);
  return { one, two, room, node, end, namespace };
}

test("a room that moves keeps its log, positions and keys, for nodes of either configuration", async (t) => {
  const { room, node, end, one } = await moving(t);
  const old = await node("&weight=0");
  const first = placed(await old.publish(room, event(1, { key: "k1" }), KEPT));
  await old.publish(room, event(2), KEPT);
  const young = await node("&weight=1&was=0");
  assert.deepEqual(values((await young.history(room, { since: first }, 10, KEPT)).events), [2]);
  assert.equal(await end(one, "moved"), "s1");
  assert.deepEqual(await young.publish(room, event("again", { key: "k1" }), KEPT), first);
  assert.deepEqual(await old.publish(room, event("again", { key: "k1" }), KEPT), first);
  const third = placed(await old.publish(room, event(3, { key: "k3" }), KEPT));
  assert.equal(third.epoch, first.epoch);
  assert.deepEqual(await young.publish(room, event("again", { key: "k3" }), KEPT), third);
  for (const broker of [old, young]) {
    assert.deepEqual(values((await broker.history(room, {}, 10, KEPT)).events), [1, 2, 3]);
    assert.deepEqual(values((await broker.history(room, { since: first }, 10, KEPT)).events), [2, 3]);
  }
});

test("publishes that find their room moved keep their order, with and without keys", async (t) => {
  const { room, node } = await moving(t);
  const old = await node("&weight=0");
  const list = Array.from({ length: 600 }, (_, n) => n);
  const young = await node("&weight=1&was=0");
  const sent: Promise<unknown>[] = [];
  for (const value of list) {
    sent.push(old.publish(room, event(value, value % 3 === 0 ? { key: `k${value}` } : {}), KEPT));
    if (value === 200) void young.history(room, {}, 0, KEPT);
    if (value % 10 === 0) await new Promise((next) => setImmediate(next));
  }
  await Promise.all(sent);
  assert.deepEqual(values((await young.history(room, {}, 1000, KEPT)).events), list);
});

test("a node of the configuration before is told that a room has moved, and of its events where it is now", async (t) => {
  const { room, node } = await moving(t);
  const told: unknown[] = [];
  const suspected: string[] = [];
  const old = await node(
    "&weight=0",
    (_room, _epoch, events) => void told.push(...(values(events) ?? [])),
    (name) => void suspected.push(name),
  );
  await old.subscribe(room, KEPT);
  const first = placed(await old.publish(room, event(1), KEPT));
  const young = await node("&weight=1&was=0");
  await young.publish(room, event(2), KEPT);
  await eventually(() => suspected.includes(room));
  assert.deepEqual(values((await old.history(room, { since: first }, 10, KEPT)).events), [2]);
  await young.publish(room, event(3), KEPT);
  await old.publish(room, event(4), KEPT);
  await eventually(() => told.includes(4));
  assert.deepEqual(told, [1, 3, 4]);
  await old.unsubscribe(room);
  await old.subscribe(room, KEPT);
  await young.publish(room, event(5), KEPT);
  await eventually(() => told.includes(5));
});

test("while the shard that a room is to leave is away the room is unavailable, and then it moves", async (t) => {
  const { room, node, one } = await moving(t);
  const old = await node("&weight=0");
  const first = placed(await old.publish(room, event(1), KEPT));
  await one.command("SAVE");
  const young = await node("&weight=1&was=0");
  await one.kill();
  await eventually(() => young.problems().length > 0);
  await assert.rejects(young.publish(room, event(2), KEPT), { code: "unavailable" });
  await assert.rejects(young.history(room, {}, 10, KEPT), { code: "unavailable" });
  await one.start();
  await eventually(() => young.problems().length === 0);
  await young.publish(room, event(2), KEPT);
  assert.deepEqual(values((await young.history(room, { since: first }, 10, KEPT)).events), [2]);
});

test("a move that was begun by a node that is gone is finished by any other", async (t) => {
  for (const query of ["&weight=0", "&weight=1&was=0"]) {
    const { room, node, one, namespace } = await moving(t);
    const old = await node("&weight=0");
    const first = placed(await old.publish(room, event(1), KEPT));
    await one.command("HSET", `${namespace}:{${room}}:end`, "moved", "s1", "move", "1");
    const other = await node(query);
    await other.publish(room, event(2), KEPT);
    for (const broker of [old, other]) {
      assert.deepEqual(values((await broker.history(room, { since: first }, 10, KEPT)).events), [2]);
    }
  }
});

test("a room that moves back, and one that nobody has used, are where every node looks for them", async (t) => {
  const { room, node } = await moving(t);
  const phases = ["&weight=0", "&weight=1&was=0", "", "&weight=0&was=1", "&weight=0", "&weight=1&was=0"];
  const [first, ...rest] = phases as [string, ...string[]];
  let before = await node(first);
  const start = (await before.history(room, {}, 0, KEPT)).position;
  const seen: string[] = [];
  for (const phase of rest) {
    const next = await node(phase);
    for (const broker of [next, before]) {
      await broker.publish(room, event(`${seen.length}`), KEPT);
      seen.push(`${seen.length}`);
    }
    for (const broker of [before, next]) {
      assert.deepEqual(values((await broker.history(room, { since: start }, 100, KEPT)).events), seen);
    }
    before = next;
  }
});

test("a log that is lost where it went, and taken in again as it was, uses no offset again", async (t) => {
  const { room, node, two } = await moving(t);
  const broker = await node("&weight=1&was=0");
  const old = await node("&weight=0");
  await old.publish(room, event(1), KEPT);
  const seen = placed(await broker.publish(room, event("lost"), KEPT));
  await two.command("FLUSHALL");
  const next = placed(await broker.publish(room, event("next"), KEPT));
  assert.notEqual(next.offset, seen.offset);
  assert.equal((await broker.history(room, { since: seen }, 10, KEPT)).events, undefined);
});

for (const more of [[], ["&weight=0"]])
  test(`a room on a shard that is not configured any more begins anew, and says so: ${1 + more.length} left`, async (t) => {
    const { room, node, one, namespace } = await moving(t);
    const broker = await node("&weight=1&was=0");
    const first = placed(await broker.publish(room, event(1), KEPT));
    const lines: unknown[] = [];
    const log = { ...silent, warn: (...line: unknown[]) => void lines.push(line) };
    const left = [named(one, 0), ...more.map((query) => named(one, 2, query))];
    const later = await openNode(redisOptions(left, { namespace, log }));
    t.after(() => later.close());
    const read = await later.history(room, { since: first }, 10, KEPT);
    assert.equal(read.events, undefined);
    assert.equal(lines.length, 1);
    await later.publish(room, event(2), KEPT);
    assert.deepEqual(values((await later.history(room, { since: read.position }, 10, KEPT)).events), [2]);
  });
