/** Presence of sessions that go from one node to another, over Redis. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Server } from "../../server/server.js";
import { eventually } from "../support/eventually.js";
import { byName, come, enter, joinWith, ROOM, Watched, watcher } from "../support/presence.js";
import { startRedis } from "../support/services/redis.js";
import { startServer } from "../support/start-server.js";

const SECRET = "a secret of the nodes of this test, long enough";

async function startNodes(t: TestContext, presence: Parameters<typeof byName>[0] = {}): Promise<[Server, Server]> {
  const { url } = await startRedis(t);
  const options = { ...byName(presence), redis: [url], secret: SECRET, drainMs: 200, deadlineMs: 10_000 };
  const [a, b] = await Promise.all([
    startServer(t, { ...options, node: "a" }),
    startServer(t, { ...options, node: "b" }),
  ]);
  await eventually(() => [a, b].every((server) => server.nodes().length === 2));
  return [a, b];
}

test("members of all nodes are told of each other, and are one list", async (t) => {
  const [a, b] = await startNodes(t);
  const { told } = await watcher(t, a);
  const ann = await enter(t, b, "ann#tall");
  await told.sees("ann watcher");
  assert.equal(told.users.get("ann"), "tall");
  const { members } = await joinWith(await come(t, b, "bob"));
  assert.deepEqual(members?.map(({ user }) => user).sort(), ["ann", "bob", "watcher"]);
  await ann.ask("left", { type: "leave", room: ROOM });
  await told.sees("bob watcher");
  await eventually(async () => (await b.members(ROOM)).count === 2);
  assert.deepEqual(
    told.changes.filter((change) => change.includes("ann")),
    ["+ann", "-ann"],
  );
});

test("a session that is lost and resumes on another node is not seen to go", async (t) => {
  const [a, b] = await startNodes(t);
  const { told } = await watcher(t, b);
  const ann = await enter(t, a, "ann");
  await told.sees("ann watcher");
  ann.end();
  const back = await enter(t, b, "ann", { session: ann.welcome.session });
  await enter(t, a, "bob");
  await told.sees("ann bob watcher");
  // Once it leaves there, it has: the node it came from has seen it on the other.
  await back.ask("left", { type: "leave", room: ROOM });
  await told.sees("bob watcher");
  assert.deepEqual(told.changes, ["+ann", "+bob", "-ann"]);
});

test("a session that moves as its node drains is not seen to go, though it closes the old connection with 1000", async (t) => {
  const [a, b] = await startNodes(t);
  const { told } = await watcher(t, b);
  // It stays where the others go from: there it could be told that they left before it is that they are elsewhere.
  const { told: staying, client } = await watcher(t, a, "staying");
  const ann = await enter(t, a, "ann");
  const nobody = await enter(t, a, "");
  const late = await enter(t, a, "late");
  for (const each of [told, staying]) await each.until("all five", () => each.count === 5);
  const drained = a.drain();
  for (const leaving of [ann, nobody]) {
    await leaving.next("move");
    const { session } = leaving.welcome;
    const moved = await come(t, b, leaving === ann ? "ann" : "", { session });
    assert.equal(moved.welcome.resumed, true);
    const list = new Watched(moved, await joinWith(moved));
    assert.equal(list.names, "ann late staying watcher");
    leaving.socket.close(1000);
  }
  // It is on its way for longer.
  await late.next("move");
  late.socket.close(1000);
  await late.close();
  await enter(t, b, "bob");
  for (const each of [told, staying]) {
    await each.sees("ann bob late staying watcher");
    assert.equal(each.count, 6);
    assert.ok(!each.changes.some((change) => change.startsWith("-")), each.changes.join(" "));
  }
  client.end();
  await drained;
  await enter(t, b, "late", { session: late.welcome.session });
  await enter(t, b, "cleo");
  await told.sees("ann bob cleo late staying watcher");
  assert.ok(!told.changes.some((change) => change.startsWith("-")), told.changes.join(" "));
});

test("who leaves on the new node while its old connection is still there has left with the old one", async (t) => {
  const [a, b] = await startNodes(t);
  const { told } = await watcher(t, b);
  const one = await enter(t, a, "ann");
  await told.sees("ann watcher");
  const other = await enter(t, b, "ann");
  await other.ask("left", { type: "leave", room: ROOM });
  // The user's other session is there.
  await enter(t, b, "bob");
  await told.sees("ann bob watcher");
  one.socket.close(1000);
  await told.sees("bob watcher");
  assert.deepEqual(told.changes, ["+ann", "+bob", "-ann"]);
});
