import assert from "node:assert/strict";
import test from "node:test";
import { eventually } from "../support/eventually.js";
import { namesIn, newLog, newNode, startNode } from "./support.js";

const LEASE_MS = 400;

test("nodes that begin one after another all know of all", async (t) => {
  const log = newLog();
  const nodes = [];
  for (const name of ["b", "a", "c"]) nodes.push(await startNode(t, log, name));
  for (const node of nodes) await eventually(() => namesIn(node).length === 3);
  assert.deepEqual(
    nodes.map(namesIn),
    [
      ["b", "a", "c"],
      ["a", "b", "c"],
      ["c", "a", "b"],
    ],
    "itself first, then by name",
  );
});

test("an entry says how the node is, and how old that is", async (t) => {
  const log = newLog();
  const asking = await startNode(t, log, "a");
  const state = { connections: 7, sessions: 6, rooms: 5, problems: ["redis: away"], draining: true };
  await startNode(t, log, "b", { actions: { state: () => ({ ...state, address: "http://b:8000" }) } });
  const [self, other] = asking.cluster.nodes();
  assert.equal(self?.self, true);
  assert.ok(other !== undefined && other.ageMs >= 0);
  const { id, ageMs, startedAt, host, ...rest } = other;
  assert.notEqual(id, self?.id);
  assert.ok(startedAt <= Date.now() && host !== "");
  assert.deepEqual(rest, {
    ...{ name: "b", self: false, version: "1.2.3", pid: process.pid, address: "http://b:8000" },
    ...state,
  });
});

test("a node that closes is gone from the others' lists at once", async (t) => {
  const log = newLog();
  const [a, b] = [await startNode(t, log, "a"), await startNode(t, log, "b")];
  await eventually(() => namesIn(b).length === 2);
  await b.cluster.close();
  assert.deepEqual(namesIn(a), ["a"]);
  assert.deepEqual(namesIn(b), [], "what is closed is no node");
});

test("a node that falls silent is gone once its lease has ended, and back with its next sign", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a", { leaseMs: LEASE_MS });
  const b = await startNode(t, log, "b", { leaseMs: LEASE_MS });
  await eventually(() => namesIn(a).length === 2 && namesIn(b).length === 2);
  b.faults.isMute = true;
  await eventually(() => namesIn(a).length === 1 && namesIn(b).length === 1);
  b.faults.isMute = false;
  await eventually(() => namesIn(a).length === 2 && namesIn(b).length === 2);
});

test("a node that gives signs stays, lease after lease", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a", { leaseMs: LEASE_MS });
  let told = 0;
  const state = () => {
    told++;
    return { connections: 0, sessions: 0, rooms: 0, problems: [], draining: false };
  };
  await startNode(t, log, "b", { leaseMs: LEASE_MS, actions: { state } });
  await eventually(() => {
    assert.deepEqual(namesIn(a), ["a", "b"]);
    return told > 12;
  });
});

test("a node that begins while the engine is away is known once it is back", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a", { leaseMs: LEASE_MS });
  const b = newNode(t, log, "b", { leaseMs: LEASE_MS, faults: { isAway: true } });
  void b.cluster.start();
  assert.deepEqual(namesIn(b), ["b"]);
  b.faults.isAway = false;
  await eventually(() => namesIn(a).length === 2 && namesIn(b).length === 2);
});

test("after an outage nodes find each other again without being told of it", async (t) => {
  const log = newLog();
  const faults = {};
  const a = await startNode(t, log, "a", { leaseMs: LEASE_MS, faults });
  const b = await startNode(t, log, "b", { leaseMs: LEASE_MS, faults });
  await eventually(() => namesIn(b).length === 2);
  Object.assign(faults, { isAway: true });
  await eventually(() => namesIn(a).length === 1 && namesIn(b).length === 1);
  Object.assign(faults, { isAway: false });
  await eventually(() => namesIn(a).length === 2 && namesIn(b).length === 2);
});

test("a node that could not say anything asks who is there with the first it can say", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a");
  a.faults.isAway = true;
  await startNode(t, log, "b");
  a.cluster.announce();
  await new Promise((next) => setImmediate(next));
  a.faults.isAway = false;
  assert.deepEqual(namesIn(a), ["a"]);
  a.cluster.announce();
  await eventually(() => namesIn(a).length === 2);
});

test("where the engine suspects the room, a node asks at once who is there", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "a");
  a.faults.isMute = true;
  await startNode(t, log, "b");
  a.faults.isMute = false;
  assert.deepEqual(namesIn(a), ["a"]);
  a.cluster.suspect();
  await eventually(() => namesIn(a).length === 2);
});

test("a node that is closed while it waits for the engine gives up", async (t) => {
  const node = newNode(t, newLog(), "a", { faults: { isAway: true } });
  const started = node.cluster.start();
  await node.cluster.close();
  await started;
});

test("two nodes of one name are both listed, and an error says so, once", async (t) => {
  const log = newLog();
  const a = await startNode(t, log, "twin", { leaseMs: LEASE_MS });
  const b = await startNode(t, log, "twin", { leaseMs: LEASE_MS });
  const c = await startNode(t, log, "other", { leaseMs: LEASE_MS });
  const clashes = ({ lines }: typeof a) => lines.filter(({ message }) => /TWO NODES ARE CALLED twin/.test(message));
  await eventually(() => [a, b, c].every((node) => clashes(node).length > 0));
  assert.deepEqual(namesIn(c), ["other", "twin", "twin"]);
  a.cluster.announce();
  b.cluster.announce();
  for (const node of [a, b, c])
    assert.deepEqual(
      clashes(node).map(({ level }) => level),
      ["error"],
    );
});

test("a node that was killed and begins anew under its name is no clash", async (t) => {
  const log = newLog();
  const watching = await startNode(t, log, "watching");
  const killed = await startNode(t, log, "web-1");
  await eventually(() => namesIn(watching).length === 2);
  killed.faults.isMute = true;
  const again = await startNode(t, log, "web-1");
  await eventually(() => namesIn(again).length === 2);
  again.cluster.announce();
  assert.equal(namesIn(watching).length, 3, "until the lease ends");
  for (const { lines } of [watching, again]) assert.deepEqual(lines, []);
});
