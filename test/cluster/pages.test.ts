/** Pages of names over several nodes: each name once, with the sum of all nodes, whatever the nodes list at a time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readAnswers, writeAnswers } from "../../server/cluster/answers.js";
import type { RoomsAsk } from "../../server/cluster/asks.js";
import { listRooms } from "../../server/cluster/everywhere.js";
import { type Entry, fitPage, LIST_BYTES, mergePages } from "../../server/cluster/pages.js";
import { FirstNames } from "../../server/room/first-names.js";
import { newLog, say, startNode } from "./support.js";

const numRuns = Number(process.env["ROOMCAST_PROPERTY_RUNS"] ?? 200);

/** What a node has, in any order. */
type Counts = readonly Entry[];

/** A node's answer, as a node makes it. */
function pageOf(counts: Counts, after: string | undefined, limit: number) {
  const first = new FirstNames<number>(after, limit);
  for (const [name, count] of counts) if (first.wants(name)) first.set(name, count);
  return first.page();
}

function sumsOf(nodes: readonly Counts[]): Entry[] {
  const sums = new Map<string, number>();
  for (const [name, count] of nodes.flat()) sums.set(name, (sums.get(name) ?? 0) + count);
  const names = [...sums.keys()].sort();
  return names.map((name) => [name, sums.get(name) as number]);
}

const names = fc.oneof(
  fc.stringMatching(/^[a-c:]{1,4}$/),
  fc.string({ minLength: 1, maxLength: 8, unit: "binary" }),
  // So long that only a few of them fit a note.
  fc.stringMatching(/^[a-c]{1,3}$/).map((name) => `${name}${"\u0001".repeat(200)}`),
);
const counts = fc.uniqueArray(fc.tuple(names, fc.integer({ min: 1, max: 9 })), {
  selector: ([name]) => name,
  size: "large",
  maxLength: 120,
});

/** Nodes, and how many bytes of names each can tell at a time: one of the longest at the least. */
const nodes = fc.array(fc.tuple(counts, fc.integer({ min: 1300, max: 4000 })), { minLength: 1, maxLength: 5 });

test("whatever nodes have, pages give each name once and in order, with the sum of all nodes", () => {
  fc.assert(
    fc.property(nodes, fc.integer({ min: 1, max: 60 }), (listed, limit) => {
      const nodes = listed.map(([node]) => node);
      const read: Entry[] = [];
      let after: string | undefined;
      for (let pages = 0; ; pages++) {
        assert.ok(pages <= 700, "pages go on for ever");
        const lists = listed.map(([node, bytes]) => fitPage(pageOf(node, after, limit), bytes));
        const { entries, next } = mergePages(lists, limit);
        assert.ok(entries.length <= limit);
        read.push(...entries);
        if (next === undefined) break;
        assert.equal(next, entries.at(-1)?.[0], "a page that is followed by another has something");
        after = next;
      }
      assert.deepEqual(read, sumsOf(nodes));
    }),
    { numRuns },
  );
});

test("a page that is full and has all there is, is the last one", () => {
  const { entries, next } = mergePages([{ entries: [["a", 1]], more: false }], 1);
  assert.deepEqual([entries, next], [[["a", 1]], undefined]);
});

const facts = {
  ...{ name: "old", version: "0", host: "h", pid: 1, startedAt: 1, problems: [], draining: false },
  ...{ connections: 0, sessions: 0, rooms: 0 },
};

test("a node of an older version, which does not know the question, is named, and the others are listed", async (t) => {
  const log = newLog();
  const rooms = async () => ({ entries: [["a", 2] as const], more: false });
  const { cluster } = await startNode(t, log, "new", { answerMs: 300, actions: { rooms } });
  await say(log, "node", { v: 1, id: "old-1", seq: 1, ...facts });
  assert.deepEqual(await listRooms(cluster), { rooms: [{ room: "a", clients: 2 }], nodes: 1, missing: ["old"] });
});

test("entries that no node of this version writes are passed over", async (t) => {
  const log = newLog();
  const odd = [null, 7, "a", [], ["a"], [7, 1], ["b", "{"], ["c", 1.5], ["d", 1], ["s", "code", "words", 1]];
  const rooms = async () => ({ entries: [["d", 2] as const], more: false });
  const { cluster } = await startNode(t, log, "a", { actions: { rooms } });
  await say(log, "node", { v: 1, id: "odd", seq: 1, ...facts });
  const asked = listRooms(cluster);
  await say(log, "answer", { v: 1, id: "odd", seq: 2, to: cluster.id, request: 1, numbers: { more: 1 }, listed: odd });
  assert.deepEqual(await asked, { rooms: [{ room: "d", clients: 3 }], next: "d", nodes: 2, missing: [] });
  const right = [
    ["s", "1"],
    ["s", "unavailable", ""],
    ["t", "too_large", ""],
    ["u", "busy", "no"],
  ];
  assert.deepEqual(readAnswers([...odd, ...right]), [
    { data: 1 },
    { error: { code: "too_large", message: "the answer is larger than nodes tell each other" } },
    { error: { code: "busy", message: "no" } },
  ]);
});

test("answers fit a note, however large they are and however many", () => {
  const large = (length: number) => ({ json: JSON.stringify('"'.repeat(length)) });
  for (const count of [1, 2, 50, 100, 5000]) {
    const replies = Array.from({ length: count }, (_, n) => [`s_${n}`, large((n * 37) % 16_000)] as const);
    const written = writeAnswers(replies);
    assert.equal(written.length, Math.min(count, 100));
    assert.ok(JSON.stringify(written).length <= 30_000, `${JSON.stringify(written).length} bytes of ${count}`);
  }
});

test("of a million names in any order no more than twice the page is kept, and they are the first", () => {
  const first = new FirstNames<number>("n:5", 1000);
  let kept = 0;
  for (let n = 999_999; n >= 0; n--) {
    const name = `n:${(n * 7919) % 1_000_000}`;
    if (!first.wants(name)) continue;
    first.set(name, n);
    kept++;
  }
  const { entries, more } = first.page();
  const expected = Array.from({ length: 1_000_000 }, (_, n) => `n:${n}`).sort();
  const from = expected.indexOf("n:5") + 1;
  assert.deepEqual(
    entries.map(([name]) => name),
    expected.slice(from, from + 1000),
  );
  assert.equal(more, true);
  assert.ok(kept < 100_000, `${kept} were not told apart early`);
});

test("the longest names are listed in as many pages as it takes, by nodes that tell each other in notes", async (t) => {
  const log = newLog();
  const room = (n: number) => `${"r".repeat(120)}${String(n).padStart(4, "0")}`;
  const rooms = [0, 1, 2].map((node) => Array.from({ length: 700 }, (_, n): Entry => [room(n * (node + 1)), node + 1]));
  const clusters = [];
  for (const [index, own] of rooms.entries()) {
    const actions = { rooms: async ({ after, limit }: RoomsAsk) => pageOf(own, after, limit) };
    clusters.push((await startNode(t, log, `n${index}`, { actions })).cluster);
  }
  const [, asked] = clusters as [(typeof clusters)[0], (typeof clusters)[0]];
  const read: Entry[] = [];
  let pages = 0;
  for (let after: string | undefined, more = true; more; pages++) {
    const page = await listRooms(asked, { limit: 1000, ...(after === undefined ? {} : { after }) });
    assert.deepEqual([page.nodes, page.missing], [3, []]);
    read.push(...page.rooms.map(({ room: name, clients }): Entry => [name, clients]));
    more = page.next !== undefined;
    after = page.next;
  }
  assert.deepEqual(read, sumsOf(rooms));
  assert.ok(pages > (700 * 120) / LIST_BYTES, `${pages} pages`);
});
