import assert from "node:assert/strict";
import { test } from "node:test";
import { heldRoom, holdRoom } from "../../client/held-rooms.js";
import type { Client, RoomOptions } from "../../client/index.js";
import type { TestConnection } from "../../client/testing.js";
import { answerJoin, at, connected, events, settle } from "./support.js";

/** A component that uses a room, and what it was shown each time that it was told to look. */
function component(client: Client, name: string, options: RoomOptions = {}) {
  const shown: string[] = [];
  const look = () => heldRoom(client, name, options).view();
  const stop = holdRoom(client, name, options, () => shown.push(look().state.status));
  return { shown, look, stop };
}

const typesOf = (server: TestConnection) => server.sent.map(({ type }) => type).filter((type) => type !== "hello");
/** Until what was put off to a later turn is done. */
const later = () => new Promise((resolve) => setTimeout(resolve, 1));

test("looking at a room has no effect, and gives the same object until something changes", async (t) => {
  const { client, server } = await connected(t);
  const held = heldRoom(client, "r", {});
  assert.equal(held.view().state.status, "idle");
  assert.equal(heldRoom(client, "r", {}).view(), held.view());
  assert.equal(held.idle(), held.idle());
  await settle();
  assert.deepEqual(typesOf(server), []);
});

test("components share a room: joined once, told to all of them, left when the last has gone", async (t) => {
  const { client, server } = await connected(t);
  const [ann, bob] = [component(client, "r"), component(client, "r")];
  assert.equal(ann.look().room, bob.look().room);
  await answerJoin(server, at(3));
  for (const { shown, look } of [ann, bob]) {
    assert.deepEqual([look().state.status, shown.at(-1)], ["joined", "joined"]);
  }
  ann.stop();
  await later();
  assert.equal(bob.look().state.status, "joined");
  bob.stop();
  await later();
  assert.deepEqual(typesOf(server), ["join", "leave"]);
  assert.equal(heldRoom(client, "r", {}).view().state.status, "idle", "whoever comes later gets another room");
});

test("who goes and comes in one turn neither leaves nor joins", async (t) => {
  const { client, server } = await connected(t);
  const first = component(client, "r");
  await answerJoin(server, at(3));
  const { room } = first.look();
  first.stop();
  const second = component(client, "r");
  await later();
  assert.equal(second.look().room, room);
  assert.deepEqual(typesOf(server), ["join"]);
});

test("presence counts while somebody asks for it: the room goes on from where it was", async (t) => {
  const { client, server } = await connected(t);
  const chat = component(client, "r");
  assert.equal((await answerJoin(server, at(3))).presence, false);
  server.send(events("r", 3, 4));
  const who = component(client, "r", { presence: true });
  assert.equal(chat.look().room, who.look().room);
  const { id } = await server.take("leave");
  server.send({ type: "left", id });
  const join = await answerJoin(server, at(4));
  assert.deepEqual([join.presence, join.since], [true, at(4)]);
  assert.equal(chat.shown.at(-1), "joined");
  who.stop();
  await later();
  await server.take("leave");
  assert.equal((await server.take("join")).presence, false);
});

test("presence that is asked for in the same turn costs one join", async (t) => {
  const { client, server } = await connected(t);
  component(client, "r");
  component(client, "r", { presence: true });
  assert.equal((await answerJoin(server, at(3))).presence, true);
  await later();
  assert.equal(typesOf(server).filter((type) => type === "join").length, 1);
});

test("a room that the application has joined is left to it", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r");
  void room.join();
  await answerJoin(server, at(3));
  const used = component(client, "r", { presence: true });
  assert.equal(used.look().room, room);
  used.stop();
  await later();
  assert.equal(room.state.status, "joined");
  assert.deepEqual(typesOf(server), ["join"]);
});

test("of token functions the last is asked, and a failed room is joined again when there is another token", async (t) => {
  const { client, server } = await connected(t);
  component(client, "f", { token: () => "old" });
  component(client, "f", { token: () => "new" });
  assert.equal((await server.take("join")).token, "new");

  const first = component(client, "r", { token: "one" });
  const join = await server.take("join");
  assert.equal(join.token, "one");
  server.send({ type: "error", id: join.id, code: "forbidden", message: "no" });
  assert.equal(first.look().state.status, "failed");
  component(client, "r", { token: "one" });
  await settle();
  assert.equal(first.look().state.status, "failed", "another component does not set it off again");
  component(client, "r", { token: "two" });
  assert.equal((await answerJoin(server, at(1))).token, "two");
  assert.equal(first.shown.at(-1), "joined");
});

test("a room whose token ends goes on with the one that was given meanwhile", async (t) => {
  const { client, server } = await connected(t);
  const old = component(client, "r", { token: "one" });
  await answerJoin(server, at(3));
  const now = component(client, "r", { token: "two" });
  old.stop();
  await later();
  assert.deepEqual(typesOf(server), ["join"], "nothing is done about it before");
  server.send({ type: "removed", room: "r", code: "expired" });
  const join = await answerJoin(server, at(3));
  assert.deepEqual([join.token, join.since], ["two", at(3)]);
  assert.ok(!now.shown.includes("failed"));
});

test("a room that was left by hand is another one for the next component", async (t) => {
  const { client, server } = await connected(t);
  const first = component(client, "r");
  await answerJoin(server, at(3));
  first.look().room.leave();
  assert.equal(first.shown.at(-1), "left");
  const second = component(client, "r");
  await server.take("join");
  assert.equal(second.look().state.status, "joining");
  client.close();
  assert.equal(second.look().state.status, "left");
  component(client, "r");
  assert.equal(second.look().state.status, "left");
});

test("of rooms that were rendered and never used no more than a hundred are kept", async (t) => {
  const { client } = await connected(t);
  const rooms = Array.from({ length: 150 }, (_, index) => heldRoom(client, `r${index}`, {}).view().room);
  component(client, "used");
  assert.equal(rooms.filter(({ state }) => state.status === "left").length, 50);
  assert.equal(rooms[49]?.state.status, "left");
  assert.equal(heldRoom(client, "r50", {}).view().room, rooms[50]);
});
