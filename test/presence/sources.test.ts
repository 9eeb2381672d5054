/** What other nodes say of a room: in order, late, twice, damaged, and in registers that are older than what was told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Crowd } from "../../server/presence/crowd.js";
import { entryOf, type Part, readNote, readPart, writeNote, writePart } from "../../server/presence/register.js";
import { Sources } from "../../server/presence/sources.js";

const KEEP_MS = 5000;

function listening() {
  const crowd = new Crowd();
  const heard: string[] = [];
  const sources = new Sources({
    crowd,
    keepMs: KEEP_MS,
    heard: (node, isHere) => void heard.push(`${isHere ? "+" : "-"}${node}`),
    seen: () => undefined,
  });
  const read = (began: number, registers: readonly { node: string; part: number; value: Buffer }[]) =>
    sources.read(registers, began, () => false);
  return { crowd, sources, heard, read, names: () => [...crowd.names()].sort() };
}

const said = (count: number, users: readonly string[], life = 1): Part => ({
  revision: { life, count },
  entries: users.map((user) => entryOf(`s-${user}`, user, undefined, 1)),
});
const register = (part: number, words: Part, node = "n.0") => ({ node, part, value: Buffer.from(writePart(words)) });

test("what comes late or twice changes nothing, and a hole is seen", () => {
  const { sources, names } = listening();
  assert.equal(sources.take("n.0", 0, said(1, ["ann"]), 0), false);
  assert.equal(sources.take("n.0", 0, said(2, ["ann", "bob"]), 0), false);
  assert.equal(sources.take("n.0", 0, said(1, ["ann"]), 0), false);
  assert.deepEqual(names(), ["ann", "bob"]);
  assert.equal(sources.take("n.0", 1, said(4, ["cat"]), 0), true, "the third has not come");
});

test("registers that were read before a node erased one do not bring back who was in it", async () => {
  const { sources, names, read } = listening();
  const before = register(0, said(1, ["ann"]));
  sources.take("n.0", 0, said(1, ["ann"]), 10);
  // The read began at 20, the node erased it at 30 and told so; only then the answer came.
  sources.take("n.0", 0, said(2, []), 30);
  await read(20, [before]);
  assert.deepEqual(names(), []);
  await read(40, []);
  sources.take("n.0", 0, said(3, ["bob"]), 50);
  assert.deepEqual(names(), ["bob"], "the part is used again");
});

test("what the engine has lost is believed for a while, and no longer", async () => {
  const { sources, names, read } = listening();
  sources.take("n.0", 0, said(1, ["ann"]), 0);
  await read(100, []);
  assert.ok(sources.isDoubtful());
  await read(100 + KEEP_MS - 1, []);
  assert.deepEqual(names(), ["ann"]);
  await read(100 + KEEP_MS, []);
  assert.deepEqual(names(), []);
  assert.ok(!sources.isDoubtful());
});

test("what was written again in time was never lost", async () => {
  const { sources, names, read } = listening();
  sources.take("n.0", 0, said(1, ["ann"]), 0);
  await read(100, []);
  await read(200, [register(0, said(1, ["ann"]))]);
  await read(100 + KEEP_MS, []);
  assert.deepEqual(names(), ["ann"], "missing since now, not since then");
});

test("a node that begins anew takes back what it said, once it is read what it says now", async () => {
  const { sources, names, read } = listening();
  sources.take("n.0", 0, said(5, ["ann"]), 0);
  sources.take("n.0", 1, said(6, ["bob"]), 0);
  assert.equal(sources.take("n.0", 0, said(1, ["cat"], 2), 10), true);
  await read(20, [register(0, said(1, ["cat"], 2))]);
  assert.deepEqual(names(), ["cat"]);
  assert.equal(sources.take("n.0", 1, said(7, ["bob"]), 30), false);
  assert.deepEqual(names(), ["cat"], "what comes late of the life before is past");
});

test("a node that has gone takes its members along, and not those that another has", () => {
  const { sources, names, heard } = listening();
  sources.take("n1.0", 0, said(1, ["ann", "bob"]), 0);
  sources.take("n2.0", 0, said(1, ["ann"]), 0);
  sources.gone("n1.0");
  assert.deepEqual(names(), ["ann"]);
  sources.clear();
  assert.deepEqual([names(), heard], [[], ["+n1.0", "+n2.0", "-n1.0", "-n2.0"]]);
});

test("bytes that are no register harm nothing", async () => {
  const { sources, names, read } = listening();
  sources.take("n.0", 0, said(1, ["ann"]), 0);
  const texts = [
    "",
    "{}",
    "[]",
    "[1]",
    "[1,2,3]",
    "[1,2,[3]]",
    '[1,2,[[1,"x",1]]]',
    "[-1,2,[]]",
    "[1e99,1,[]]",
    "\u0000",
    "[[[[",
  ];
  const other = texts.map((text, part) => ({ node: "x.0", part, value: Buffer.from(text) }));
  await read(10, [
    ...other,
    { node: "n.0", part: 0, value: Buffer.from([0xff, 0xfe, 0x00]) },
    register(1, said(2, ["bob"])),
  ]);
  assert.deepEqual(names(), ["ann", "bob"]);
});

test("any bytes are read as a register, or a note, or as nothing", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.jsonValue().map((value) => JSON.stringify(value)),
      ),
      (text) => {
        for (const read of [readPart(text)?.entries ?? [], readNote(text)?.said.entries ?? []]) {
          for (const { session, at, bytes } of read) assert.ok(session.length > 0 && at >= 0 && Number.isFinite(bytes));
        }
      },
    ),
  );
  const name = fc.string({ minLength: 1, unit: "binary" });
  const entry = fc
    .tuple(name, fc.option(name, { nil: undefined }), fc.option(fc.jsonValue(), { nil: undefined }), fc.nat())
    .map(([session, user, info, at]) => entryOf(session, user, info === null ? undefined : info, at));
  fc.assert(
    fc.property(fc.array(entry), fc.nat(), fc.nat(), fc.nat(), (entries, life, count, part) => {
      const words = { revision: { life, count }, entries };
      const plain = JSON.parse(JSON.stringify({ node: "n.0", part, said: words }));
      assert.deepEqual(JSON.parse(JSON.stringify(readNote(writeNote({ node: "n.0", part, said: words })))), plain);
    }),
  );
});
