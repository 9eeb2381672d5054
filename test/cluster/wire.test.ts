import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { RoomEvent } from "../../protocol/event.js";
import { Payload } from "../../protocol/payload.js";
import { NODES_ROOM } from "../../server/cluster/cluster.js";
import { NodeList } from "../../server/cluster/nodes.js";
import { type NodeFacts, type Note, readNote, writeNote } from "../../server/cluster/note.js";
import { Repeats } from "../../server/cluster/repeats.js";
import { decodeRecord, encodeRecord } from "../../server/engine/record.js";
import { eventually } from "../support/eventually.js";
import { linesLog, namesIn, newLog, say, sayPayload, startNode } from "./support.js";

const facts: NodeFacts = {
  ...{ name: "x", version: "1", host: "h", pid: 1, startedAt: 1, address: "http://x" },
  ...{ connections: 1, sessions: 1, rooms: 1, problems: ["p"], draining: false },
};
const head = { v: 1, id: "someone", seq: 1 };

const notes: readonly Note[] = [
  { type: "node", facts },
  { type: "who" },
  { type: "left" },
  { type: "ask", request: 7, ask: { what: "disconnect", user: "alice", tenant: "" } },
  { type: "ask", request: 7, ask: { what: "remove", user: "alice", tenant: "acme", room: "chat:1" } },
  { type: "ask", request: 7, ask: { what: "revoke", revocation: { kind: "token", token: "t", until: 1 } } },
  { type: "ask", request: 7, ask: { what: "counts" } },
  { type: "ask", request: 7, ask: { what: "count", tenant: "acme", room: "chat:1" } },
  { type: "ask", request: 7, ask: { what: "rooms", tenant: "", prefix: "", limit: 1 } },
  { type: "ask", request: 7, ask: { what: "rooms", tenant: "acme", prefix: "chat:", limit: 1000, after: "" } },
  { type: "ask", request: 7, ask: { what: "rooms", tenant: "", prefix: "a", limit: 10, after: "\u0001".repeat(256) } },
  { type: "ask", request: 7, ask: { what: "call", tenant: "", user: "u", method: "m", json: "[1]", withinMs: 30_000 } },
  { type: "ask", request: 7, ask: { what: "forget", forget: { user: "u", tenant: "acme" } } },
  { type: "ask", request: 7, ask: { what: "forget", forget: {} } },
  { type: "ask", request: 7, ask: { what: "occupied", rooms: ["acme|chat:1", "a"] } },
  {
    type: "answer",
    to: "me",
    request: 7,
    numbers: { more: 1 },
    listed: [
      ["a", 1],
      ["b", 2],
    ],
  },
  { type: "answer", to: "me", request: 7, numbers: { count: 3 } },
  { type: "answer", to: "me", request: 7, numbers: undefined },
];

test("a note comes out as it went in, through the bytes of an engine", () => {
  for (const note of notes) {
    const said = { id: "someone", sequence: 5, note };
    assert.deepEqual(readNote(decodeRecord(0, encodeRecord(writeNote(said)))), said);
  }
});

test("texts of any length and any characters go in notes", () => {
  const odd = { ...facts, host: "\ud800".repeat(999), problems: new Array(99).fill("\udc00 ".repeat(999)) };
  const read = readNote(new RoomEvent(0, writeNote({ id: "i", sequence: 1, note: { type: "node", facts: odd } })));
  assert.ok(read?.note.type === "node");
  assert.equal(read.note.facts.problems.length, 20);
});

test("what is no note is passed over, and told once", async (t) => {
  const log = newLog();
  const node = await startNode(t, log, "a");
  const { count } = { count: node.lines.length };
  const wrong: [string, unknown][] = [
    ["node", null],
    ["node", "text"],
    ["node", []],
    ["node", head],
    ["node", { ...facts, ...head, v: 2 }],
    ["node", { ...facts, ...head, id: "" }],
    ["node", { ...facts, ...head, id: "x".repeat(1000) }],
    ["node", { ...facts, ...head, seq: 0 }],
    ["node", { ...facts, ...head, seq: -1 }],
    ["node", { ...facts, ...head, seq: 1.5 }],
    ["node", { ...facts, ...head, name: 5 }],
    ["node", { ...facts, ...head, connections: -1 }],
    ["node", { ...facts, ...head, problems: "none" }],
    ["node", { ...facts, ...head, problems: new Array(1000).fill("") }],
    ["node", { ...facts, ...head, draining: 1 }],
    ["node", { ...facts, ...head, more: "x".repeat(100_000) }],
    ["dance", head],
    ["ask", head],
    ["ask", { ...head, request: 1, ask: null }],
    ["ask", { ...head, request: 1, ask: { what: "disconnect" } }],
    ["ask", { ...head, request: 1, ask: { what: "disconnect", user: "" } }],
    ["ask", { ...head, request: 1, ask: { what: "remove", user: "u", room: "$nodes" } }],
    ["ask", { ...head, request: 1, ask: { what: "shut down" } }],
    ["ask", { ...head, ask: { what: "counts" } }],
    ["ask", { ...head, request: 1, ask: { what: "rooms", prefix: "", limit: 0 } }],
    ["ask", { ...head, request: 1, ask: { what: "rooms", prefix: "", limit: 1001 } }],
    ["ask", { ...head, request: 1, ask: { what: "rooms", prefix: "$", limit: 1 } }],
    ["ask", { ...head, request: 1, ask: { what: "rooms", prefix: "", limit: 1, after: 7 } }],
    ["ask", { ...head, request: 1, ask: { what: "count", room: "$x" } }],
    ["ask", { ...head, request: 1, ask: { what: "call", user: "", method: "m", json: "1", withinMs: 1 } }],
    ["ask", { ...head, request: 1, ask: { what: "call", user: "u", method: "a b", json: "1", withinMs: 1 } }],
    ["ask", { ...head, request: 1, ask: { what: "call", user: "u", method: "m", json: 1, withinMs: 1 } }],
    ["ask", { ...head, request: 1, ask: { what: "call", user: "u", method: "m", json: "1", withinMs: 30_001 } }],
    ["ask", { ...head, request: 1, ask: { what: "forget" } }],
    ["ask", { ...head, request: 1, ask: { what: "forget", forget: { user: 7 } } }],
    ["ask", { ...head, request: 1, ask: { what: "occupied", rooms: new Array(151).fill("a") } }],
    ["ask", { ...head, request: 1, ask: { what: "occupied", rooms: [7] } }],
    ["answer", { ...head, request: 1 }],
    ["answer", { ...head, to: "me", request: 1, numbers: [1] }],
    ["answer", { ...head, to: "me", request: 1, numbers: { count: "1" } }],
    ["answer", { ...head, to: "me", request: 1, numbers: { count: -1 } }],
  ];
  for (const [type, data] of wrong) {
    assert.equal(readNote(new RoomEvent(0, { event: type, data: Payload.ofValue(data), at: 0 })), undefined);
    await say(log, type, data);
  }
  await sayPayload(log, "node", Payload.ofJson("no json"));
  await sayPayload(log, "node", Payload.ofMsgpack(new Uint8Array([0xc1]), false));
  assert.deepEqual(namesIn(node), ["a"]);
  assert.deepEqual(node.acts, { disconnected: [], removed: [] });
  assert.deepEqual(
    node.lines.slice(count).map(({ level }) => level),
    ["warn"],
  );
});

test("a note with fields of a later version is read", async (t) => {
  const log = newLog();
  const node = await startNode(t, log, "a");
  await say(log, "node", { ...facts, ...head, colour: "blue" });
  assert.deepEqual(namesIn(node), ["a", "x"]);
  assert.ok(!("colour" in (node.cluster.nodes()[1] ?? {})), "and only what is known is kept");
});

test("events of other rooms are none of its business", async (t) => {
  const log = newLog();
  const node = await startNode(t, log, "a");
  const event = new RoomEvent(0, writeNote({ id: "i", sequence: 1, note: { type: "node", facts } }));
  node.cluster.deliver("$other", [event]);
  assert.deepEqual(namesIn(node), ["a"]);
  node.cluster.deliver(NODES_ROOM, [event]);
  assert.deepEqual(namesIn(node), ["a", "x"]);
});

test("nothing in the room makes a node throw", () => {
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom<unknown>(
        1,
        0,
        -1,
        "x",
        "disconnect",
        "remove",
        "count",
        "counts",
        "rooms",
        "call",
        "forget",
        "occupied",
        null,
        true,
        "$",
        2 ** 53,
      ),
      fc.string(),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom(
          "v",
          "id",
          "seq",
          "ask",
          "what",
          "user",
          "room",
          "to",
          "request",
          "numbers",
          "count",
          "name",
          "prefix",
          "limit",
          "listed",
        ),
        tie("value"),
      ),
    ),
  })).value;
  const type = fc.constantFrom("node", "who", "left", "ask", "answer", "__proto__");
  const said = fc.tuple(type, fc.oneof(value, fc.record({ v: fc.constant(1), id: fc.string(), seq: fc.nat() }), value));
  fc.assert(
    fc.property(said, ([event, data]) => {
      const body = typeof data === "object" && data !== null && !Array.isArray(data) ? { ...head, ...data } : data;
      readNote(new RoomEvent(0, { event, data: Payload.ofJson(JSON.stringify(body)), at: 0 }));
    }),
    { numRuns: Number(process.env["ROOMCAST_TEST_RUNS"] ?? 500) },
  );
});

test("each number is new once, in whatever order copies come", () => {
  const order = fc.shuffledSubarray([...Array(200).keys()], { minLength: 200 });
  fc.assert(
    fc.property(order, order, (first, second) => {
      const repeats = new Repeats();
      const fresh = [...first, ...second].filter((number) => repeats.isNew(1000 + number));
      assert.deepEqual(fresh, first);
    }),
    { numRuns: 50 },
  );
});

test("what is far behind counts as a repeat", () => {
  const repeats = new Repeats();
  assert.ok(repeats.isNew(1));
  assert.ok(repeats.isNew(1000));
  assert.ok(repeats.isNew(999));
  assert.ok(!repeats.isNew(1000 - 256));
  assert.ok(!repeats.isNew(1000 - 512));
});

test("what a node said before it left does not bring it back when it comes late", async (t) => {
  const log = newLog();
  const node = await startNode(t, log, "a");
  await say(log, "node", { ...facts, ...head, seq: 1 });
  assert.deepEqual(namesIn(node), ["a", "x"]);
  await say(log, "left", { ...head, seq: 3 });
  await say(log, "node", { ...facts, ...head, seq: 2 });
  assert.deepEqual(namesIn(node), ["a"]);
});

test("of two notes in the wrong order the newer one holds", async (t) => {
  const log = newLog();
  const node = await startNode(t, log, "a");
  await say(log, "node", { ...facts, ...head, seq: 2, connections: 22 });
  await say(log, "node", { ...facts, ...head, seq: 1, connections: 11 });
  assert.equal(node.cluster.nodes()[1]?.connections, 22);
});

test("however many speak, few are kept, and those who fall silent are forgotten", () => {
  let now = 0;
  const { log, lines } = linesLog();
  const list = new NodeList({ leaseMs: 100, log, now: () => now });
  let taken = 0;
  for (let index = 0; index < 5000; index++) {
    if (!list.hear(`id${index}`, 1)) continue;
    taken++;
    list.put(`id${index}`, 1, { ...facts, name: `n${index}` }, undefined);
  }
  assert.equal(taken, 1000);
  assert.equal(list.others().length, 1000);
  assert.deepEqual(
    lines.map(({ level }) => level),
    ["warn"],
    "said once",
  );
  now = 100;
  assert.equal(list.others().length, 0, "the lease holds also without a sweep");
  for (let index = 0; index < 20; index++) list.sweep();
  assert.equal(list.size, 0);
});

test("a process that stood still tells repeats from news in what it finds waiting", () => {
  let now = 0;
  const list = new NodeList({ leaseMs: 100, log: linesLog().log, now: () => now });
  assert.ok(list.hear("other", 1));
  now = 1_000_000;
  list.sweep();
  assert.ok(!list.hear("other", 1));
  assert.ok(list.hear("other", 2));
});

test("answers that nobody waits for leave nothing behind", async (t) => {
  const log = newLog();
  const node = await startNode(t, log, "a");
  for (let seq = 1; seq <= 100; seq++) {
    await say(log, "answer", { ...head, seq, to: node.cluster.id, request: seq, numbers: { count: 1000 } });
  }
  await eventually(async () => (await node.cluster.count("r")).count === 1);
});
