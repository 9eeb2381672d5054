import assert from "node:assert/strict";
import test from "node:test";
import { Questions } from "../../server/cluster/questions.js";
import { EngineError } from "../../server/engine/engine.js";
import { eventually } from "../support/eventually.js";
import { namesIn, newLog, newNode, startNode } from "./support.js";

const unavailable = (error: unknown) => error instanceof EngineError && error.code === "unavailable";

test("a user is disconnected on every node, and the answer adds up", async (t) => {
  const log = newLog();
  const nodes = [await startNode(t, log, "a"), await startNode(t, log, "b"), await startNode(t, log, "c")];
  assert.deepEqual(await nodes[1]?.cluster.disconnect("alice"), { count: 3, nodes: 3, missing: [] });
  for (const { acts } of nodes) assert.deepEqual(acts.disconnected, ["alice"]);
});

test("a user is taken out of a room on every node", async (t) => {
  const log = newLog();
  const nodes = [await startNode(t, log, "a"), await startNode(t, log, "b")];
  assert.deepEqual(await nodes[0]?.cluster.remove("alice", "chat:1"), { count: 2, nodes: 2, missing: [] });
  for (const { acts } of nodes) assert.deepEqual(acts.removed, [["alice", "chat:1"]]);
});

test("counts are sums over all nodes", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a");
  await startNode(t, log, "b", { actions: { count: (room) => (room === "chat:1" ? 40 : 0) } });
  assert.deepEqual(await a.cluster.counts(), { connections: 6, sessions: 4, rooms: 2, nodes: 2, missing: [] });
  assert.deepEqual(await a.cluster.count("chat:1"), { count: 41, nodes: 2, missing: [] });
});

test("a node that has begun a moment ago waits for those it does not know yet", async (t) => {
  const log = newLog();
  await startNode(t, log, "a");
  const b = newNode(t, log, "b");
  void b.cluster.start();
  await eventually(async () => (await b.cluster.counts().catch(() => undefined)) !== undefined);
  assert.equal((await b.cluster.counts()).nodes, 2);
});

test("who only asks is in nobody's list, and gets answers", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a");
  const asking = await startNode(t, log, "cli", { asksOnly: true });
  await eventually(() => namesIn(asking).length === 1);
  assert.deepEqual(await asking.cluster.disconnect("alice"), { count: 1, nodes: 1, missing: [] });
  assert.deepEqual(namesIn(a), ["a"]);
});

test("what comes more than once is done once", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a", { faults: { copies: 3 } });
  const b = await startNode(t, log, "b", { faults: { copies: 3 } });
  assert.deepEqual(await a.cluster.disconnect("alice"), { count: 2, nodes: 2, missing: [] });
  assert.deepEqual(b.acts.disconnected, ["alice"]);
});

test("a node that does not answer in time is named, and the others' answers count", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a", { answerMs: 500 });
  await startNode(t, log, "b");
  const never = await startNode(t, log, "never", { actions: { disconnect: () => new Promise(() => undefined) } });
  await eventually(() => namesIn(a).length === 3);
  assert.deepEqual(await a.cluster.disconnect("alice"), { count: 2, nodes: 2, missing: ["never"] });
  never.faults.isMute = true;
  assert.deepEqual((await a.cluster.counts()).missing, ["never"], "silent, and not given up yet");
});

test("a node that cannot do it is named without waiting, and says why in its own log", async (t) => {
  const log = newLog();
  // So long that a wait for it would be the end of the test.
  const a = await startNode(t, log, "a", { answerMs: 600_000 });
  const fail = () => {
    throw new Error("broken");
  };
  const broken = await startNode(t, log, "broken", { actions: { disconnect: fail, remove: async () => fail() } });
  await eventually(() => namesIn(a).length === 2);
  assert.deepEqual(await a.cluster.disconnect("alice"), { count: 1, nodes: 1, missing: ["broken"] });
  assert.deepEqual(await a.cluster.remove("alice", "r"), { count: 1, nodes: 1, missing: ["broken"] });
  assert.deepEqual(
    broken.lines.map(({ level }) => level),
    ["error", "error"],
  );
});

test("nobody waits for a node that has gone meanwhile", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a", { answerMs: 600_000 });
  const b = await startNode(t, log, "b", { actions: { disconnect: () => new Promise(() => undefined) } });
  await eventually(() => namesIn(a).length === 2);
  const asked = a.cluster.disconnect("alice");
  await b.cluster.close();
  assert.deepEqual(await asked, { count: 1, nodes: 1, missing: [] });
});

test("an answer that comes late is passed over", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a", { answerMs: 400 });
  let answer: (count: number) => void = () => undefined;
  const slow = new Promise<number>((resolve) => {
    answer = resolve;
  });
  await startNode(t, log, "slow", { actions: { disconnect: () => slow } });
  await eventually(() => namesIn(a).length === 2);
  assert.deepEqual((await a.cluster.disconnect("alice")).missing, ["slow"]);
  answer(5);
  assert.deepEqual(await a.cluster.count("r"), { count: 2, nodes: 2, missing: [] });
  assert.deepEqual(a.lines, []);
});

test("an instance's second answer does not count", async () => {
  const questions = new Questions();
  const { request, answered } = questions.open(
    new Map([
      ["x", "a"],
      ["y", "b"],
    ]),
    0,
    60_000,
  );
  for (let time = 0; time < 3; time++) questions.take(request, "x", "a", { count: 1 });
  questions.take(request, "y", "b", { count: 1 });
  assert.deepEqual(await answered, { numbers: { count: 2 }, nodes: 2, missing: [] });
  assert.equal(questions.size, 0);
});

test("while the engine is away, and after the end, calls are refused", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a");
  a.faults.isAway = true;
  await assert.rejects(a.cluster.counts(), unavailable);
  await assert.rejects(a.cluster.disconnect("alice"), unavailable);
  assert.deepEqual(a.acts.disconnected, ["alice"], "done on this node at least");
  a.faults.isAway = false;
  assert.equal((await a.cluster.counts()).nodes, 1);
  const waiting = assert.rejects(a.cluster.counts(), unavailable);
  await a.cluster.close();
  await waiting;
  await assert.rejects(a.cluster.counts(), unavailable);
});

test("before the engine was reached calls are refused", async (t) => {
  const a = newNode(t, newLog(), "a", { faults: { isAway: true } });
  await assert.rejects(a.cluster.disconnect("alice"), unavailable);
  assert.deepEqual(a.acts.disconnected, ["alice"]);
});

test("what cannot be a user or a room is refused by its name", async (t) => {
  const a = await startNode(t, newLog(), "a");
  await assert.rejects(a.cluster.disconnect(""), /^ProtocolError: user: expected 1 to 256 characters, got ""$/);
  await assert.rejects(a.cluster.remove("u", "$nodes"), /^ProtocolError: room: expected a room's name, got "\$nodes"$/);
  await assert.rejects(a.cluster.count("ä"), /^ProtocolError: room/);
});
