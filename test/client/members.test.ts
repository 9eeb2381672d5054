/** `room.members`: what the server says of who is there, as the application sees it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connected } from "./support.js";

test("presence is asked for; who is there at the join is in the map, and who comes and goes is told", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r", { presence: true });
  const told: string[] = [];
  room.onEnter(({ user }) => told.push(`+${user}`));
  room.onLeave(({ user }) => told.push(`-${user}`));
  const { id, presence } = await server.take("join");
  assert.equal(presence, true);
  server.send({ type: "joined", id, room: "r", recovered: false, members: [{ user: "ann" }], events: [] });
  assert.deepEqual([...room.members], [{ user: "ann" }]);
  server.send({ type: "presence", room: "r", entered: [{ user: "bob" }], left: [{ user: "ann" }], count: 1 });
  assert.deepEqual([...room.members], [{ user: "bob" }]);
  assert.deepEqual(told, ["-ann", "+bob"]);
});
