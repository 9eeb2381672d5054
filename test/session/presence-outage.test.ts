/** Joins with presence while the engine is away. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { byName, come, joinWith, ROOM, Watched } from "../support/presence.js";
import { startRedis } from "../support/services/redis.js";
import { startServer } from "../support/start-server.js";

async function ground(t: TestContext) {
  const redis = await startRedis(t);
  const server = await startServer(t, { ...byName(), redis: [redis.url], engineTimeoutMs: 300, probeMs: 100 });
  // Somebody who keeps the room open, and asks for nobody.
  const keeper = await come(t, server, "keeper");
  await keeper.ask("joined", { type: "join", room: ROOM });
  redis.pause();
  await eventually(() => server.problems().length > 0);
  return { redis, server };
}

test("who joins while it cannot be known who is there is in the room all the same, and is told once it is", async (t) => {
  const { redis, server } = await ground(t);
  const ann = await come(t, server, "ann");
  const joined = await joinWith(ann);
  assert.equal(joined.members, undefined);
  const told = new Watched(ann, joined);
  assert.deepEqual([told.frames, told.count], [0, undefined]);
  redis.resume();
  await told.sees("ann");
  assert.deepEqual([told.isListed, told.changes], [true, []]);
  const bob = await come(t, server, "bob");
  await joinWith(bob);
  await told.sees("ann bob");
});

test("who leaves, joins again or goes while it waits for who is there is answered, and leaves nothing behind", async (t) => {
  const { redis, server } = await ground(t);
  const [ann, gone] = [await come(t, server, "ann"), await come(t, server, "gone")];
  gone.send({ type: "join", id: gone.nextId(), room: ROOM, presence: true });
  gone.socket.close(3000);
  const id = ann.nextId();
  ann.send({ type: "join", id, room: ROOM, presence: true });
  assert.equal((await ann.refusal({ type: "join", room: ROOM })).code, "bad_request");
  await ann.ask("left", { type: "leave", room: ROOM });
  const again = await ann.ask("joined", { type: "join", room: ROOM });
  assert.equal(again.members, undefined);
  await eventually(() => server.connections === 2);
  const { code } = await ann.next("error", (frame) => frame.id === id);
  assert.equal(code, "not_joined");
  redis.resume();
  const bob = await come(t, server, "bob");
  const told = new Watched(bob, await joinWith(bob));
  await told.sees("bob");
  await eventually(async () => (await server.members(ROOM)).count === 1);
  assert.equal((await server.count(ROOM)).count, 3);
});
