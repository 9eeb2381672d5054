import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { Ring, type RingMember } from "../../server/engine/ring.js";

/** Where rooms are: written once, never anew. A ring that finds other places loses the logs of all that run already. */
type Vector = {
  readonly note: string;
  readonly members: readonly RingMember[];
  readonly rooms: { readonly [room: string]: string };
  /** Of the rooms `room:0` to `room:9999`, how many each member holds. */
  readonly counts: { readonly [name: string]: number };
};

const file = new URL("../../../test/vectors/ring.json", import.meta.url);
const vectors = JSON.parse(readFileSync(file, "utf8")) as readonly Vector[];
const numRuns = Number(process.env["ROOMCAST_PROPERTY_RUNS"] ?? 60);

const roomNames = (count: number): string[] => Array.from({ length: count }, (_, n) => `room:${n}`);
const rooms = roomNames(3000);

const equal = (count: number): RingMember[] =>
  Array.from({ length: count }, (_, n) => ({ name: `shard-${n}`, weight: 1 }));

function countsOf(ring: Ring, held: readonly string[]): Map<string, number> {
  const counts = new Map(ring.members.map(({ name }) => [name, 0]));
  for (const room of held) counts.set(ring.of(room), (counts.get(ring.of(room)) ?? 0) + 1);
  return counts;
}

/** Where the rooms that are somewhere else now came from, and where they are. */
const moves = (before: Ring, after: Ring, held: readonly string[]) =>
  held.map((room) => ({ from: before.of(room), to: after.of(room) })).filter(({ from, to }) => from !== to);

/** What a share of a random placement stays within, all but once in millions. */
const within = (count: number, share: number, of: number) =>
  Math.abs(count - share * of) <= 5.5 * Math.sqrt(share * (1 - share) * of) + 4;

const weights = fc.oneof(fc.constant(1), fc.double({ min: 0.01, max: 100, noNaN: true }));
const memberLists = (minLength: number) =>
  fc.uniqueArray(fc.record({ name: fc.string({ unit: "binary", minLength: 1, maxLength: 20 }), weight: weights }), {
    selector: ({ name }) => name,
    minLength,
    maxLength: 9,
  });

test("100,000 rooms are on 8 shards so evenly that none holds a tenth more than the mean", () => {
  const held = roomNames(100_000);
  const most = Math.max(...countsOf(new Ring(equal(8)), held).values());
  assert.ok(most / (held.length / 8) <= 1.1, `the fullest shard has ${most}`);
});

test("a shard's share of the rooms is its share of the weights", () => {
  fc.assert(
    fc.property(memberLists(2), (members) => {
      const total = members.reduce((sum, { weight }) => sum + weight, 0);
      const counts = countsOf(new Ring(members), rooms);
      for (const { name, weight } of members) {
        assert.ok(within(counts.get(name) ?? 0, weight / total, rooms.length), `${name} has ${counts.get(name)}`);
      }
    }),
    { numRuns },
  );
});

test("weights that differ a hundredfold are kept to within a tenth", () => {
  const held = roomNames(100_000);
  const members = [1, 10, 100].map((weight) => ({ name: `w${weight}`, weight }));
  for (const [name, count] of countsOf(new Ring(members), held)) {
    const expected = (held.length * Number(name.slice(1))) / 111;
    assert.ok(Math.abs(count / expected - 1) < 0.1, `${name}: ${count} instead of ${expected}`);
  }
});

test("a shard that is added takes its share and 2 % at the most, and nothing moves between the others", () => {
  for (let n = 1; n <= 12; n++) {
    const moved = moves(new Ring(equal(n)), new Ring(equal(n + 1)), rooms);
    assert.ok(moved.length / rooms.length <= 1 / (n + 1) + 0.02, `${moved.length} moved`);
    assert.ok(moved.length > 0);
    assert.ok(moved.every(({ to }) => to === `shard-${n}`));
  }
});

test("a shard that is removed gives up its rooms alone, whatever the names and weights", () => {
  fc.assert(
    fc.property(memberLists(2), fc.nat(), (members, pick) => {
      const gone = members[pick % members.length] as RingMember;
      const [all, rest] = [new Ring(members), new Ring(members.filter((member) => member !== gone))];
      const moved = moves(all, rest, rooms);
      assert.ok(moved.every(({ from }) => from === gone.name));
      assert.equal(moved.length, countsOf(all, rooms).get(gone.name));
    }),
    { numRuns },
  );
});

test("the rooms of a shard that is removed are spread evenly over the others", () => {
  const held = roomNames(40_000);
  const [all, rest] = [new Ring(equal(5)), new Ring(equal(5).slice(1))];
  const moved = moves(all, rest, held);
  for (const { name } of rest.members) {
    assert.ok(within(moved.filter(({ to }) => to === name).length, 1 / 4, moved.length), name);
  }
});

test("a shard that gets more weight only gains rooms, and one that gets less only loses some", () => {
  fc.assert(
    fc.property(memberLists(2), fc.nat(), fc.double({ min: 1.01, max: 50, noNaN: true }), (members, pick, factor) => {
      const changed = members[pick % members.length] as RingMember;
      const heavier = members.map((member) =>
        member === changed ? { ...member, weight: member.weight * factor } : member,
      );
      const [light, heavy] = [new Ring(members), new Ring(heavier)];
      assert.ok(moves(light, heavy, rooms).every(({ to }) => to === changed.name));
      assert.ok(moves(heavy, light, rooms).every(({ from }) => from === changed.name));
    }),
    { numRuns },
  );
});

test("the members' order is of no account, and neither is the unit of the weights", () => {
  fc.assert(
    fc.property(memberLists(1), fc.integer({ min: -3, max: 3 }), (members, exponent) => {
      const ring = new Ring(members);
      const others = [...members].reverse().map(({ name, weight }) => ({ name, weight: weight * 2 ** exponent }));
      assert.deepEqual(moves(ring, new Ring(others), rooms), []);
    }),
    { numRuns },
  );
});

test("a shard of weight 0 holds nothing, and the others hold what they hold without it", () => {
  const ring = new Ring([...equal(3), { name: "out", weight: 0 }]);
  assert.equal(countsOf(ring, rooms).get("out"), 0);
  assert.deepEqual(moves(ring, new Ring(equal(3)), rooms), []);
  assert.equal(ring.members.length, 4);
  const last = new Ring([
    { name: "a", weight: 0 },
    { name: "b", weight: 0.5 },
  ]);
  assert.ok(rooms.every((room) => last.of(room) === "b"));
});

test("members that make no ring are refused, with the field", () => {
  const refused: readonly (readonly [members: readonly RingMember[], message: string])[] = [
    [[], "members: expected at least one with a weight above 0, got none"],
    [[{ name: "a", weight: 0 }], "members: expected at least one with a weight above 0, got none"],
    [[...equal(1), { name: "b", weight: -1 }], "members[1].weight: expected a number of 0 or more, got -1 (b)"],
    [[{ name: "a", weight: Number.NaN }], "members[0].weight: expected a number of 0 or more, got NaN (a)"],
    [[{ name: "a", weight: 1 / 0 }], "members[0].weight: expected a number of 0 or more, got Infinity (a)"],
    [[...equal(2), ...equal(1)], "members[2].name: expected each name once, got shard-0 again"],
  ];
  for (const [members, message] of refused) assert.throws(() => new Ring(members), new TypeError(message));
});

test("rooms are where they always were", () => {
  assert.ok(vectors.length >= 6);
  for (const { note, members, rooms: places, counts } of vectors) {
    const ring = new Ring(members);
    const found = Object.fromEntries(Object.keys(places).map((room) => [room, ring.of(room)]));
    assert.deepEqual(found, places, note);
    assert.deepEqual(Object.fromEntries(countsOf(ring, roomNames(10_000))), counts, note);
  }
});

test("another process finds the same places", () => {
  const program = `
    import { readFileSync } from "node:fs";
    import { Ring } from ${JSON.stringify(new URL("../../server/engine/ring.js", import.meta.url).href)};
    const vectors = JSON.parse(readFileSync(new URL(${JSON.stringify(file.href)}), "utf8"));
    const found = vectors.map(({ members, rooms }) => Object.keys(rooms).map((room) => new Ring(members).of(room)));
    console.log(JSON.stringify(found));`;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  const expected = vectors.map((vector) => Object.values(vector.rooms));
  assert.deepEqual(JSON.parse(output), expected);
});
