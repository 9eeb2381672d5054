import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Redis } from "ioredis";
import { EventCounter, eventData } from "../../bench/support/event-data.js";
import { Monitor } from "../../bench/support/monitor.js";
import type {
  AcrossNodesResult,
  PresenceResult,
  PublishResult,
  ResubscribeResult,
} from "../../bench/support/results.js";
import { Broker } from "../../bench/support/services.js";
import { StallWatch } from "../../bench/support/stall-watch.js";
import { eventually } from "../support/eventually.js";
import { lineOf, play } from "./play.js";

for (const [program, ways] of [
  ["publish-redis", ["ioredis", "ioredis, pipeline()"]],
  ["publish-nats", ["nats.js", "nats.js, JSON.stringify()"]],
] as const) {
  test(`${program} has a row for every depth, with history and without, and a rate for every way`, async () => {
    const flags = ["--seconds", "0.05", "--rounds", "1", "--rooms", "3", "--underWay", "4,8"];
    const { rows } = lineOf<PublishResult>(await play(program, ...flags));
    assert.deepEqual(
      rows.map(({ history, underWay }) => [history, underWay]),
      [true, false].flatMap((history) => [4, 8].map((underWay) => [history, underWay])),
    );
    for (const { node, bare, share } of rows) {
      assert.deepEqual(Object.keys(bare), ways);
      for (const side of [node, ...Object.values(bare)]) assert.ok(side.perSecond > 0 && side.cpuUs > 0);
      assert.ok(share > 0);
    }
  });
}

test("across-nodes sees each event once at each place, and a node gets nothing of rooms that nobody on it has joined", async () => {
  const flags = ["--rate", "50", "--seconds", "0.4", "--rounds", "1"];
  const { rows, interest } = lineOf<AcrossNodesResult>(await play("across-nodes", ...flags));
  const places = [
    ["memory", "same node"],
    ["redis", "same node"],
    ["redis", "other node"],
    ["nats", "same node"],
    ["nats", "other node"],
  ];
  assert.deepEqual(
    rows.map(({ batchMs, engine, at, samples }) => [batchMs, engine, at, samples]),
    [0, 20].flatMap((batchMs) => places.map((place) => [batchMs, ...place, 20])),
  );
  assert.deepEqual(
    interest.map(({ engine, strangers, delivered }) => [engine, strangers, delivered]),
    [
      ["redis", 0, 200],
      ["nats", 0, 200],
    ],
  );
  // A look at a log's end may bring its last event along once more.
  for (const { reached } of interest) assert.ok(reached >= 200, `${reached} events reached the node`);
});

test("resubscribe: after the broker's restart every event arrives, and an empty Redis is told to every reader", async () => {
  const flags = ["--rooms", "300", "--sessions", "3", "--away", "0.1", "--rest", "0.1", "--settle", "0.1"];
  const { rows } = lineOf<ResubscribeResult>(await play("resubscribe", ...flags, "--published", "100"));
  assert.deepEqual(
    rows.map(({ engine, delivered, resets }) => [engine, delivered, resets]),
    [
      ["redis", 100, 300],
      ["nats", 100, 0],
    ],
  );
});

test("presence tells every member how many there are, and has counted what it took", async () => {
  const flags = ["--members", "30", "--seconds", "1", "--rounds", "1", "--nodes", "2"];
  const beats = ["--leaseMs", "3000", "--beatSeconds", "1"];
  const { rows, intervalMs } = lineOf<PresenceResult>(await play("presence", ...flags, ...beats));
  assert.deepEqual(
    rows.map(({ engine, nodes }) => [engine, nodes]),
    [
      ["memory", 1],
      ["redis", 2],
      ["nats", 2],
    ],
  );
  for (const row of rows) {
    // The first is for each alone; who was there longest has seen one in each interval that has begun, at the most.
    const intervals = Math.ceil((row.joinSeconds * 1000 + row.allKnownMs) / intervalMs) + 1;
    assert.ok(row.framesMost > 0 && row.framesMost <= 1 + intervals, JSON.stringify(row));
    assert.ok(row.registersPerMember > 0 && row.engineWritesPerMember >= row.registersPerMember, JSON.stringify(row));
    assert.ok(row.beatEmpty > 0 && row.beatFull > 0, JSON.stringify(row));
    assert.ok(row.plain.perSecond > 0 && row.withPresence.perSecond > 0, JSON.stringify(row));
  }
});

test("a program that is asked for an unknown broker ends with code 2 and one line that names it", async () => {
  const { code, stderr } = await play("resubscribe", "--brokers", "kafka");
  assert.equal(code, 2);
  assert.equal(stderr, '--brokers: expected some of redis,nats, got "kafka"\n');
});

test("the monitor gives the commands of a Redis back byte for byte, without those of its scripts", async (t) => {
  const broker = await Broker.start("redis");
  t.after(() => broker.stop());
  const redis = new Redis(broker.url);
  t.after(() => redis.disconnect());
  await redis.ping();
  const monitor = await Monitor.open(broker.port);
  t.after(() => monitor.close());
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  await redis.publish("every byte", bytes);
  await redis.eval("redis.call('SET', KEYS[1], ARGV[1]) return 1", 1, "a key", '"quoted" \\x41');
  await eventually(() => monitor.commands.length === 2, "the monitor saw other than two commands");
  assert.deepEqual(monitor.commands[0], ["publish", "every byte", bytes.toString("latin1")]);
  assert.deepEqual(monitor.commands[1]?.slice(-2), ["a key", '"quoted" \\x41']);
});

test("events are counted alike however a stream is split", () => {
  const part = fc.oneof(
    fc.nat({ max: 2 ** 40 }).map((stamp) => Buffer.from(eventData("json", stamp).text)),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.constant(Buffer.from("#!even")),
  );
  const sizes = fc.array(fc.integer({ min: 1, max: 150 }), { minLength: 1 });
  const property = fc.property(fc.array(part, { maxLength: 10 }), sizes, (parts, reads) => {
    const stream = Buffer.concat(parts);
    const counter = new EventCounter();
    let count = 0;
    for (let at = 0, turn = 0; at < stream.length; turn++) {
      const length = reads[turn % reads.length] as number;
      count += counter.feed(stream.subarray(at, at + length));
      at += length;
    }
    assert.equal(count, new EventCounter().feed(stream));
    assert.equal(count, stream.toString("latin1").split("#!event!#").length - 1);
  });
  fc.assert(property, { numRuns: Number(process.env["ROOMCAST_TEST_RUNS"] ?? 200) });
});

test("a turn that computes for long is seen as the process's own, once", async (t) => {
  const watch = new StallWatch();
  t.after(() => watch.close());
  const turns = () => new Promise((resolve) => setTimeout(resolve, 5));
  await turns();
  const before = process.cpuUsage();
  for (let usedUs = 0; usedUs < 200_000; ) {
    const { user, system } = process.cpuUsage(before);
    usedUs = user + system;
  }
  await turns();
  const { maxMs, ownMs } = watch.take();
  assert.ok(maxMs >= ownMs && ownMs >= 100, `${maxMs} ms, of its own ${ownMs} ms`);
  assert.deepEqual(watch.take(), { maxMs: 0, ownMs: 0 });
});
