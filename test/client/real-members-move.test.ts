/** Who is in a room while nodes end one after the other, and while connections are lost: who stays is told of to nobody. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { connect, type Room } from "../../client/index.js";
import { eventually } from "../support/eventually.js";
import { byName, ROOM } from "../support/presence.js";
import { startRedis } from "../support/services/redis.js";
import { type Server, startServer } from "../support/start-server.js";

/** Long before the grace is over, and long after the lease of a node that is gone. */
const GRACE_MS = 20_000;

async function startNodes(t: TestContext, count: number): Promise<Server[]> {
  const redis = await startRedis(t);
  const slow = { noticeMs: 0, drainMs: 50, deadlineMs: 10_000, secret: "s".repeat(32) };
  const start = () => startServer(t, { ...byName({ graceMs: GRACE_MS }), redis: [redis.url], ...slow });
  const nodes = await Promise.all(Array.from({ length: count }, start));
  for (const node of nodes) await eventually(() => node.nodes().length === count, "the nodes never saw each other");
  return nodes;
}

/** A user in the room whose next connection goes to the last of these nodes that is not left; and what it was told. */
async function come(t: TestContext, way: { to: Server }, user: string) {
  const sockets: WebSocket[] = [];
  class Routed extends WebSocket {
    constructor(_: string, protocols: string[]) {
      super(`${way.to.url.replace("http", "ws")}/v1/socket`, protocols);
      sockets.push(this);
    }
  }
  const client = connect("http://nodes", { WebSocket: Routed, minDelayMs: 20, token: user });
  t.after(() => client.close());
  const room = client.room(ROOM, { presence: true });
  const told: string[] = [];
  room.onEnter((member) => told.push(`+${member.user}`));
  room.onLeave((member) => told.push(`-${member.user}`));
  await room.joined;
  return { client, room, told, sockets };
}

const namesOf = ({ members }: Room) =>
  [...members]
    .map(({ user }) => user)
    .sort()
    .join(" ");

test("three nodes end one after the other, and connections are lost between: nobody enters and nobody leaves", async (t) => {
  const nodes = await startNodes(t, 4);
  const ways = [0, 0, 1, 2].map((index) => ({ to: nodes[index] as Server }));
  const users = ["ann", "bob", "carl", "dora"];
  const came = await Promise.all(users.map((user, index) => come(t, ways[index] as { to: Server }, user)));
  const sees = (names: string) =>
    eventually(() => came.every(({ room }) => namesOf(room) === names), `not all see ${names}`);
  await sees("ann bob carl dora");
  let changes = 0;
  for (const { room, told } of came) {
    told.length = 0;
    room.members.onChange(() => changes++);
  }
  for (const [index, node] of nodes.slice(0, 3).entries()) {
    for (const way of ways) if (way.to === node) way.to = nodes[index + 1] as Server;
    await node.drain();
    const { room, sockets } = came[index] as (typeof came)[number];
    const states: string[] = [];
    const stop = room.onState(({ status }) => states.push(status));
    sockets.at(-1)?.terminate();
    await eventually(() => states.join(" ") === "joining joined");
    stop();
  }
  // What is told after it is told after all of that.
  const eve = await come(t, { to: nodes[3] as Server }, "eve");
  await sees("ann bob carl dora eve");
  eve.room.leave();
  await sees("ann bob carl dora");
  assert.deepEqual(
    came.map(({ told }) => told),
    users.map(() => ["+eve", "-eve"]),
  );
  assert.equal(changes, 2 * users.length);
  assert.ok(came.every(({ sockets }) => sockets.length >= 2));
});
