import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { parseNatsServer, parseNatsStream } from "../../server/engine/nats/address.js";
import { dealt, Placement, type Shard } from "../../server/engine/nats/placement.js";
import { BUCKETS, bucketOf, Subjects, tokenOf } from "../../server/engine/nats/subjects.js";

test("a server's address: its host and port, TLS, and who logs in", () => {
  assert.deepEqual(parseNatsServer("nats://10.0.0.1"), { host: "10.0.0.1", port: 4222, tls: false });
  assert.deepEqual(parseNatsServer("tls://nats.example:4443/"), { host: "nats.example", port: 4443, tls: true });
  assert.deepEqual(parseNatsServer("nats://ann:p%40ss@[::1]:1"), {
    ...{ host: "::1", port: 1, tls: false },
    ...{ user: "ann", password: "p@ss" },
  });
  assert.deepEqual(parseNatsServer("nats://s3cret@h:1"), { host: "h", port: 1, tls: false, token: "s3cret" });
});

test("what is no address is refused, without a word of what came", () => {
  for (const text of [
    "",
    "10.0.0.1",
    "http://h",
    "nats://",
    "nats://u:hidden@h:99999",
    "nats://u:hidden@h/x",
    "nats://h?a=hidden",
  ]) {
    assert.throws(
      () => parseNatsServer(text),
      (error) => error instanceof TypeError && /^expected /.test(error.message) && !/hidden/.test(error.message),
    );
  }
});

test("a stream: its name and weight", () => {
  assert.deepEqual(parseNatsStream("rooms"), { name: "rooms", weight: 1 });
  assert.deepEqual(parseNatsStream("a_b-1?weight=2.5"), { name: "a_b-1", weight: 2.5 });
  for (const text of [
    "",
    "a.b",
    "a b",
    "a?",
    "a?weight=-1",
    "a?weight=x",
    "a?wieght=2",
    "a?weight=1001",
    "a".repeat(65),
  ]) {
    assert.throws(() => parseNatsStream(text), TypeError, text);
  }
});

test("a room is one token of a subject, and no two rooms are the same one", () => {
  const token = /^[^\s.*>]+$/;
  const name = fc.string({ minLength: 1, maxLength: 128, unit: "grapheme" });
  fc.assert(
    fc.property(name, name, (one, other) => {
      assert.match(tokenOf(one), token);
      assert.equal(tokenOf(one) === tokenOf(other), one === other);
    }),
  );
  assert.equal(tokenOf("chat:a.b/c@d-e_f"), "chat:a,b/c@d-e_f");
  assert.notEqual(tokenOf("a,b"), tokenOf("a.b"));
});

test("a room's bucket is the same in every version", () => {
  assert.deepEqual(["a", "chat:42", "order:2024.7@x/y-z_", "$nodes"].map(bucketOf), [435, 59, 731, 780]);
});

test("what a stream captures says which buckets it holds, and nothing else is taken for it", () => {
  const subjects = new Subjects("ns");
  for (const buckets of [
    new Set<number>(),
    new Set([7, 0, 1023]),
    new Set(Array.from({ length: BUCKETS }, (_, n) => n)),
  ]) {
    assert.deepEqual(
      subjects.bucketsOf("s", subjects.captured("s", buckets)),
      new Set([...buckets].sort((a, b) => a - b)),
    );
  }
  for (const foreign of ["other.7.*", "ns.7.x", "ns.x.*", "ns.7.*.*", "orders.>"]) {
    assert.equal(subjects.bucketsOf("s", [foreign]), undefined);
  }
});

const shard = (name: string, start: number, more: Partial<Shard> = {}): Shard => ({
  ...{ name, weight: 1, created: "then", life: `life-of-${name}`, start },
  ...more,
});

const streams = (count: number, prefix: string, weight = (_: number) => 1) =>
  Array.from({ length: count }, (_, index) => ({ name: `${prefix}${index}`, weight: weight(index) }));

test("of 100,000 rooms no stream holds more than a tenth above its share", () => {
  const rooms = Array.from({ length: 100_000 }, (_, index) => bucketOf(`room:${index}`));
  for (const prefix of ["s", "roomcast-", "events_"]) {
    for (const count of [3, 4, 8, 16]) {
      const list = streams(count, prefix, (index) => 1 + (index % 2));
      const total = list.reduce((sum, { weight }) => sum + weight, 0);
      const buckets = dealt(list);
      for (const { name, weight } of list) {
        const held = rooms.filter((bucket) => buckets.get(name)?.has(bucket)).length;
        assert.ok(held <= (rooms.length * weight * 1.1) / total, `${name} of ${count}: ${held}`);
      }
    }
  }
});

test("a stream that is added or removed moves about its share of the buckets, and few others", () => {
  for (const prefix of ["s", "roomcast-", "events_"]) {
    for (const count of [3, 4, 7]) {
      const [few, more] = [dealt(streams(count, prefix)), dealt(streams(count + 1, prefix))];
      const size = [...more.values()].reduce((sum, buckets) => sum + buckets.size, 0);
      assert.equal(size, BUCKETS);
      const moved = [...few].flatMap(([name, buckets]) =>
        [...buckets].filter((bucket) => !more.get(name)?.has(bucket)),
      );
      assert.ok(moved.length <= BUCKETS * (1 / (count + 1) + 0.05), `${prefix}${count}: ${moved.length}`);
    }
  }
});

test("which stream has a bucket is written down: nodes of every version have to find the same", () => {
  const buckets = dealt(streams(4, "s", (index) => index + 1));
  assert.deepEqual(
    [...buckets].map(([name, held]) => [name, held.size, [...held].slice(0, 4)]),
    [
      ["s0", 101, [4, 5, 12, 20]],
      ["s1", 192, [2, 8, 16, 28]],
      ["s2", 320, [3, 9, 10, 17]],
      ["s3", 411, [0, 1, 6, 7]],
    ],
  );
});

test("a bucket that comes back to its first stream begins a new log there, and the old one ends at the mark", () => {
  const placement = new Placement([
    { generation: 1, at: 100, shards: [shard("a", 1)] },
    { generation: 2, at: 200, shards: [shard("a", 50), shard("b", 1)] },
    { generation: 3, at: 300, shards: [shard("a", 80), shard("b", 30, { weight: 0 })] },
  ]);
  const toB = dealt([shard("a", 0), shard("b", 0)]).get("b") ?? new Set();
  const moved = [...toB][0] as number;
  const stayed = Array.from({ length: BUCKETS }, (_, n) => n).find((bucket) => !toB.has(bucket)) as number;
  const first = placement.ofEpoch(moved, "life-of-a1");
  const second = placement.ofEpoch(moved, "life-of-b2");
  assert.deepEqual([first?.start, first?.end, first?.next], [1, 50, second]);
  assert.deepEqual([second?.start, second?.end, second?.next?.epoch], [1, 30, "life-of-a3"]);
  assert.equal(placement.now(moved).start, 80);
  assert.equal(placement.at(moved, "a", 40)?.epoch, "life-of-a1");
  assert.equal(placement.at(moved, "a", 81)?.epoch, "life-of-a3");
  assert.equal(placement.at(moved, "c", 81), undefined);
  assert.deepEqual(
    placement.leftSince(moved, 300).map(({ epoch }) => epoch),
    ["life-of-b2"],
  );
  assert.deepEqual([placement.now(stayed).epoch, placement.now(stayed).start], ["life-of-a1", 1]);
});

test("a log that was lost cannot be read on from, and its successor has another epoch", () => {
  const placement = new Placement([
    { generation: 1, at: 100, shards: [shard("a", 1)] },
    { generation: 2, at: 200, shards: [shard("a", 1, { life: "new-life" })] },
  ]);
  assert.equal(placement.ofEpoch(0, "life-of-a1"), undefined);
  assert.equal(placement.now(0).epoch, "new-life2");
});
