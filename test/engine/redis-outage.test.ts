import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { event, placed, rules, values } from "../../server/engine/conformance-ground.js";
import { type Broker, EngineError } from "../../server/engine/engine.js";
import { eventually } from "../support/eventually.js";
import { TcpProxy } from "../support/proxy.js";
import { startRedis } from "../support/services/redis.js";
import { openNode, redisOptions, silent, untilWell } from "./redis-ground.js";

const ROOM = "room:1";
const FAST = { timeoutMs: 1000, probeMs: 500 };

/** How a call ended: "done", or the code of its `EngineError`. */
const ending = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "done",
    (error: unknown) => (error instanceof EngineError ? error.code : `not an EngineError: ${String(error)}`),
  );

/** A node that reaches Redis through a proxy, and one that has its own way. */
async function behindProxy(t: TestContext) {
  const redis = await startRedis(t);
  const proxy = await TcpProxy.start(t, redis);
  const straight = redisOptions([redis.url], FAST);
  const other = await openNode(straight);
  t.after(() => other.close());
  return {
    redis,
    proxy,
    other,
    options: { ...straight, shards: [`${proxy.url("redis")}?name=127.0.0.1:${redis.port}`] },
  };
}

/** Publishes until it is taken, as a client with a key does. */
async function publishAtLast(broker: Broker, value: number): Promise<void> {
  const attempt = () => ending(broker.publish(ROOM, event(value, { key: `k${value}` }), rules(10_000)));
  for (let end = await attempt(); end !== "done"; end = await attempt()) {
    assert.ok(end === "unavailable" || end === "timeout", end);
    await new Promise((next) => setTimeout(next, 5));
  }
}

test("while only the connection for subscriptions is away, publishes and reads go on", async (t) => {
  const redis = await startRedis(t);
  const broker = await openNode(redisOptions([redis.url], FAST));
  t.after(() => broker.close());
  await broker.subscribe(ROOM, rules());
  let cuts = 0;
  const cutting = (async () => {
    for (; cuts < 20; cuts++) {
      await redis.command("CLIENT", "KILL", "TYPE", "pubsub");
      await untilWell(broker);
    }
  })();
  let published = 0;
  while (cuts < 20) {
    placed(await broker.publish(ROOM, event(++published), rules()));
    assert.equal(values((await broker.history(ROOM, {}, 1, rules())).events)?.[0], published);
  }
  await cutting;
});

test("connections that are cut under load lose nothing, repeat nothing, and keep the order", async (t) => {
  const { proxy, other, options } = await behindProxy(t);
  const seen: number[] = [];
  let end = { epoch: "", offset: 0 };
  let reading: Promise<void> | undefined;
  /** What a room does on a node: what follows is taken, and anything else is read. */
  const read = async (): Promise<void> => {
    const { events = [], more } = await broker.history(ROOM, { since: end }, 500, rules(10_000));
    for (const { offset, data } of events.filter((one) => one.offset > end.offset)) {
      end = { ...end, offset };
      seen.push(data.value as number);
    }
    if (more) await read();
  };
  const repair = (): void => {
    reading ??= read()
      .catch(() => undefined)
      .then(() => {
        reading = undefined;
      });
  };
  const broker = await openNode(
    options,
    (_room, _epoch, events, previous) => {
      const [first] = events;
      if (previous !== end.offset || reading !== undefined || first === undefined) return repair();
      end = { ...end, offset: first.offset };
      seen.push(first.data.value as number);
    },
    repair,
  );
  t.after(() => broker.close());
  await broker.subscribe(ROOM, rules());
  end = (await broker.history(ROOM, {}, 0, rules())).position;
  const list = Array.from({ length: 1000 }, (_, n) => n);
  let cuts = 0;
  for (const value of list) {
    if (value % 100 === 50) cuts += proxy.cut() > 0 ? 1 : 0;
    await publishAtLast(value % 2 === 0 ? other : broker, value);
  }
  await eventually(() => {
    repair();
    return seen.length >= list.length;
  });
  assert.deepEqual(seen, list);
  assert.ok(cuts > 5);
});

test("a connection that leads nowhere is noticed, every call settles, and rooms are in doubt once it leads back", async (t) => {
  const { proxy, other, options } = await behindProxy(t);
  const told: unknown[] = [];
  const suspected: string[] = [];
  const broker = await openNode(
    options,
    (_room, _epoch, events) => void told.push(...(values(events) ?? [])),
    (room) => void suspected.push(room),
  );
  t.after(() => broker.close());
  await broker.subscribe(ROOM, rules());
  proxy.blackhole();
  const early = await Promise.all([
    ending(broker.publish(ROOM, event(1), rules())),
    ending(broker.history(ROOM, {}, 10, rules())),
    ending(broker.history(ROOM, {}, 0, rules())),
    ending(broker.subscribe("room:2", rules())),
    ending(broker.publish(ROOM, event(1), rules(0))),
  ]);
  for (const end of early) assert.match(end, /^(timeout|unavailable)$/);
  await eventually(() => broker.problems().length > 0);
  assert.equal(await ending(broker.publish(ROOM, event(2), rules())), "unavailable");
  await other.publish(ROOM, event("meanwhile"), rules());
  proxy.heal();
  await untilWell(broker);
  await eventually(() => suspected.includes(ROOM));
  assert.deepEqual(suspected, [ROOM]);
  await other.publish(ROOM, event("after"), rules());
  await other.publish("room:2", event("not subscribed"), rules());
  await eventually(() => told.includes("after"));
  assert.deepEqual(told, ["after"]);
});

for (const direction of ["toServer", "toClient"] as const) {
  test(`a connection of which one direction leads nowhere is noticed: ${direction}`, async (t) => {
    const { proxy, options } = await behindProxy(t);
    const broker = await openNode(options);
    t.after(() => broker.close());
    proxy.blackhole(direction);
    await eventually(() => broker.problems().length > 0);
    proxy.heal();
    await untilWell(broker);
    assert.equal(await ending(broker.publish(ROOM, event(1), rules())), "done");
  });
}

test("a server that stands still: calls are given up, and no more are taken than it can owe answers to", async (t) => {
  const redis = await startRedis(t);
  const broker = await openNode(redisOptions([redis.url], { timeoutMs: 1000, probeMs: 60_000 }));
  t.after(() => broker.close());
  redis.pause();
  const calls = Array.from({ length: 10_050 }, () => ending(broker.publish(ROOM, event(1), rules(0))));
  const ends = await Promise.all(calls);
  assert.deepEqual([...new Set(ends.slice(0, 10_000))], ["timeout"]);
  assert.deepEqual([...new Set(ends.slice(10_000))], ["unavailable"]);
  redis.resume();
});

test("a node that is closed leaves nothing unsettled", async (t) => {
  const redis = await startRedis(t);
  const broker = await openNode(redisOptions([redis.url]));
  redis.pause();
  const calls = [
    ending(broker.publish(ROOM, event(1), rules())),
    ending(broker.publish(ROOM, event(1, { key: "k" }), rules(0))),
    ending(broker.subscribe(ROOM, rules())),
    ending(broker.history(ROOM, {}, 10, rules())),
  ];
  await broker.close();
  // What was sent may have its effect.
  assert.deepEqual(await Promise.all(calls), ["timeout", "timeout", "unavailable", "timeout"]);
  redis.resume();
});

test("a server that has forgotten its scripts gets them again, and publishes keep their order", async (t) => {
  const redis = await startRedis(t);
  const broker = await openNode(redisOptions([redis.url]));
  t.after(() => broker.close());
  const list = Array.from({ length: 3000 }, (_, n) => n);
  const sent: Promise<string>[] = [];
  for (const value of list) {
    sent.push(ending(broker.publish(ROOM, event(value), rules(10_000))));
    if (value % 500 === 250) void redis.command("SCRIPT", "FLUSH");
    if (value % 10 === 0) await new Promise((next) => setImmediate(next));
  }
  assert.deepEqual([...new Set(await Promise.all(sent))], ["done"]);
  assert.deepEqual(values((await broker.history(ROOM, {}, 10_000, rules(10_000))).events), list);
});

test("of three shards one that is away takes only its own rooms with it, and the server's own rooms live on", async (t) => {
  const servers = await Promise.all([1, 2, 3].map(() => startRedis(t)));
  const options = redisOptions(
    servers.map(({ url }) => url),
    FAST,
  );
  const told: unknown[] = [];
  const broker = await openNode(options, (_room, _epoch, events) => void told.push(...(values(events) ?? [])));
  t.after(() => broker.close());
  await broker.subscribe("$control", rules(0));
  await servers[0]?.kill();
  await eventually(() => broker.problems().length === 1);
  const ends = await Promise.all(
    Array.from({ length: 60 }, (_, n) => ending(broker.publish(`room:${n}`, event(n), rules()))),
  );
  assert.ok(ends.filter((end) => end === "done").length > 30);
  assert.ok(ends.filter((end) => end === "unavailable").length > 5);
  await broker.publish("$control", event("here"), rules(0));
  await eventually(() => told.includes("here"));
  // Subscribed while one of them was away, and there too once it is back.
  await broker.subscribe("$late", rules(0));
  await servers[0]?.start();
  await untilWell(broker);
  await servers[1]?.kill();
  await servers[2]?.kill();
  await eventually(() => broker.problems().length === 2);
  for (const room of ["$control", "$late"]) {
    await broker.publish(room, event(room), rules(0));
    await eventually(() => told.includes(room));
  }
});

test("thousands of rooms are subscribed again and in doubt, each once, and those left meanwhile are not", async (t) => {
  const redis = await startRedis(t);
  const suspected: string[] = [];
  const told: string[] = [];
  const options = redisOptions([redis.url], { timeoutMs: 5000, probeMs: 2000 });
  const broker = await openNode(
    options,
    (room) => void told.push(room),
    (room) => void suspected.push(room),
  );
  t.after(() => broker.close());
  const rooms = Array.from({ length: 3000 }, (_, n) => `room:${n}`);
  await Promise.all(rooms.map((room) => broker.subscribe(room, rules())));
  await redis.kill();
  await eventually(() => broker.problems().length > 0);
  await Promise.all(rooms.slice(0, 1000).map((room) => broker.unsubscribe(room)));
  await redis.start();
  await eventually(() => suspected.length === 2000);
  assert.deepEqual(new Set(suspected), new Set(rooms.slice(1000)));
  assert.match(String(await redis.command("INFO", "stats")), /pubsubshard_channels:0/);
  assert.equal(((await redis.command("PUBSUB", "CHANNELS")) as string[]).length, 2000);
  await Promise.all(rooms.map((room) => broker.publish(room, event(1), rules())));
  await eventually(() => told.length === 2000);
});

test("a server that refuses to write refuses publishes, and is used again once it does not", async (t) => {
  const redis = await startRedis(t);
  const broker = await openNode(redisOptions([redis.url], FAST));
  t.after(() => broker.close());
  await broker.publish(ROOM, event(0), rules());
  await redis.command("CONFIG", "SET", "maxmemory", "1");
  assert.equal(await ending(broker.publish(ROOM, event(1), rules())), "unavailable");
  await redis.command("CONFIG", "SET", "maxmemory", "0");
  assert.equal(await ending(broker.publish(ROOM, event(1), rules())), "done");
  await redis.command("REPLICAOF", "127.0.0.1", "1");
  await eventually(async () => (await ending(broker.publish(ROOM, event(2), rules()))) === "unavailable");
  await redis.command("REPLICAOF", "NO", "ONE");
  await eventually(async () => (await ending(broker.publish(ROOM, event(3), rules()))) === "done");
});

test("a wrong password is a problem that does not repeat it, and the right one works", async (t) => {
  const redis = await startRedis(t, { args: ["--requirepass", "the-password"] });
  const lines: unknown[] = [];
  const note = (...line: unknown[]) => void lines.push(line);
  const log = { ...silent, warn: note, error: note, info: note };
  const { openRedis } = await import("../../server/engine/redis/redis.js");
  const url = `redis://:not-the-password@127.0.0.1:${redis.port}`;
  const broker = openRedis(redisOptions([url], { log }))(
    () => undefined,
    () => undefined,
  );
  t.after(() => broker.close());
  await eventually(() => broker.problems().some((problem) => problem.includes("WRONGPASS")));
  assert.ok(!JSON.stringify([lines, broker.problems()]).includes("not-the-password"));
  const right = await openNode(redisOptions([redis.url], { password: "the-password" }));
  t.after(() => right.close());
  assert.ok(placed(await right.publish(ROOM, event(1), rules())));
});

test("what is published in a room by something else is passed over, and said once", async (t) => {
  const redis = await startRedis(t);
  const lines: unknown[] = [];
  const options = redisOptions([redis.url], { log: { ...silent, error: (...line) => void lines.push(line) } });
  const told: unknown[] = [];
  const broker = await openNode(options, (_room, _epoch, events) => void told.push(...(values(events) ?? [])));
  t.after(() => broker.close());
  await broker.subscribe(ROOM, rules());
  const name = `${options.namespace}:{${ROOM}}`;
  for (const bytes of ["", "x", "p", "e", "eepoch 1 0", "eepoch x y\nrecord", "eepoch 1 0\nr"]) {
    await redis.command("PUBLISH", name, bytes);
  }
  await broker.publish(ROOM, event("after"), rules());
  await eventually(() => told.includes("after"));
  assert.deepEqual(told, ["after"]);
  assert.equal(lines.length, 1);
});

test("what is kept in Redis ends by itself, and a log's end outlives its events", async (t) => {
  const redis = await startRedis(t);
  const options = redisOptions([redis.url]);
  const broker = await openNode(options);
  t.after(() => broker.close());
  const kept = rules(10, 60_000, 30_000);
  await broker.publish(ROOM, event(1, { from: "ann", key: "k" }), kept);
  await broker.publish("room:2", event(1), rules(0));
  const ttl = async (name: string) => Number(await redis.command("PTTL", `${options.namespace}:{${ROOM}}:${name}`));
  const keys = ((await redis.command("KEYS", "*")) as string[]).map((key) => key.slice(options.namespace.length + 1));
  assert.deepEqual(keys.sort(), [`{${ROOM}}:end`, `{${ROOM}}:key:3:ann:k`, `{${ROOM}}:log`]);
  const day = 24 * 3600 * 1000;
  for (const [name, low, high] of [
    ["end", 6.9 * day, 7 * day],
    ["log", 50_000, 60_000],
    ["key:3:ann:k", 20_000, 30_000],
  ] as const) {
    const left = await ttl(name);
    assert.ok(left > low && left <= high, `${name}: ${left}`);
  }
  // Below half it is renewed, by a read and by a publish.
  for (const renew of [() => broker.history(ROOM, {}, 10, kept), () => broker.publish(ROOM, event(2), kept)]) {
    await redis.command("PEXPIRE", `${options.namespace}:{${ROOM}}:end`, day);
    await renew();
    assert.ok((await ttl("end")) > 6.9 * day);
  }
});

test("two databases of one server share nothing", async (t) => {
  const redis = await startRedis(t);
  const { namespace } = redisOptions([]);
  const told: unknown[][] = [[], [], []];
  const brokers: Broker[] = [];
  for (const [db, seen] of told.entries()) {
    const options = redisOptions([`${redis.url}/${db}`], { namespace });
    const broker = await openNode(options, (_room, _epoch, events) => void seen.push(...(values(events) ?? [])));
    t.after(() => broker.close());
    for (const room of [ROOM, "cursor:1", "$control"]) await broker.subscribe(room, rules(room === ROOM ? 100 : 0));
    brokers.push(broker);
  }
  for (const [db, broker] of brokers.entries()) {
    await broker.publish(ROOM, event(`log ${db}`), rules());
    await broker.publish("cursor:1", event(`plain ${db}`), rules(0));
    await broker.publish("$control", event(`control ${db}`), rules(0));
  }
  for (const [db, seen] of told.entries()) {
    await eventually(() => seen.includes(`control ${db}`));
    assert.deepEqual(seen, [`log ${db}`, `plain ${db}`, `control ${db}`]);
  }
});
