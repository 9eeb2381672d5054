/** `room.members`: what the server says of who is there, as the application sees it. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ConnectOptions, MembersSnapshot } from "../../client/index.js";
import type { TestConnection } from "../../client/testing.js";
import type { Member } from "../../protocol/frames.js";
import { at, connected, move, settle } from "./support.js";

const ann = { user: "ann", info: { name: "Ann" } };
const bob = { user: "bob" };
const carl = { user: "carl", info: [1, { two: 2 }] };

const presence = (server: TestConnection, told: Parameters<TestConnection["presence"]>[1]) =>
  server.presence("r", told);

/** Answers the next join of the connection with who is there. */
async function answer(server: TestConnection, members?: readonly Member[]) {
  const join = await server.take("join");
  const { id, room } = join;
  const listed = members && { members };
  server.send({ type: "joined", id, room, recovered: true, position: at(1), ...listed, events: [] });
  return join;
}

/** A room that is about to be joined with presence, and all that is told of its members: `=` is a change. */
async function opened(t: TestContext, options: ConnectOptions = {}) {
  const made = await connected(t, options);
  const room = made.client.room("r", { presence: true });
  const told: string[] = [];
  const stops = [
    room.onEnter(({ user }) => told.push(`+${user}`)),
    room.onLeave(({ user }) => told.push(`-${user}`)),
    room.members.onChange(({ size, count }) => told.push(`=${size} of ${count}`)),
  ];
  /** What was told since it was asked last. */
  const news = () => told.splice(0).join(" ");
  return { ...made, room, stops, news };
}

/** The same, joined, with these there. */
async function joined(t: TestContext, members: readonly Member[] | undefined, options: ConnectOptions = {}) {
  const made = await opened(t, options);
  await answer(made.server, members);
  made.news();
  return made;
}

const namesOf = ({ members }: { members: Iterable<Member> }) => [...members].map(({ user }) => user).join(" ");

test("presence is asked for; who is there at the join is in the map, and no news", async (t) => {
  const { room, server, news } = await opened(t);
  const { members } = room;
  assert.deepEqual([members.size, members.count, members.isListed, [...members]], [0, undefined, false, []]);
  const states: string[] = [];
  room.onState(({ status }) => states.push(`${status} ${namesOf(room)}`));
  assert.equal((await answer(server, [ann, bob])).presence, true);
  assert.equal(room.members, members);
  assert.deepEqual([members.size, members.count, members.isListed], [2, 2, true]);
  assert.deepEqual([...members], [ann, bob]);
  assert.deepEqual([members.get("ann"), members.get("nobody")], [ann, undefined]);
  assert.deepEqual([members.has("bob"), members.has("nobody")], [true, false]);
  assert.equal(news(), "=2 of 2");
  assert.deepEqual(states, ["joined ann bob"], "it is known once the room is joined");
});

test("without presence nothing is asked for, and the map stays empty", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r");
  room.onEnter(() => assert.fail());
  const { presence: asked } = await answer(server, undefined);
  assert.equal(asked, undefined);
  presence(server, { entered: [ann], all: true, count: 1 });
  assert.deepEqual([room.members.size, room.members.count, room.members.isListed], [0, undefined, false]);
});

test("who comes and goes is told, each change once, after the map has it", async (t) => {
  const { room, server, news } = await joined(t, [ann]);
  const seen: string[] = [];
  room.onEnter(() => seen.push(namesOf(room)));
  room.onLeave((member) => seen.push(`${namesOf(room)} without ${JSON.stringify(member.info)}`));
  presence(server, { entered: [bob, carl], count: 3 });
  assert.equal(news(), "+bob +carl =3 of 3");
  presence(server, { entered: [{ user: "dora" }], left: [{ user: "ann" }, bob], count: 2 });
  assert.equal(news(), "-ann -bob +dora =2 of 2");
  assert.deepEqual(seen, [
    "ann bob carl",
    "ann bob carl",
    // The info is the one that was known.
    `carl dora without ${JSON.stringify(ann.info)}`,
    "carl dora without undefined",
    "carl dora",
  ]);
});

test("who is named as come and is there, or as gone and is not, is no news; nor is who is named as both", async (t) => {
  const { room, server, news } = await joined(t, [ann, carl]);
  const before = room.members.snapshot();
  presence(server, { entered: [structuredClone(carl)], left: [bob], count: 2 });
  presence(server, { entered: [ann], left: [ann], count: 2 });
  assert.equal(news(), "");
  assert.equal(room.members.snapshot(), before);
});

test("newer info of somebody is a change, and nobody entered", async (t) => {
  const { room, server, news } = await joined(t, [ann]);
  presence(server, { entered: [{ user: "ann", info: { name: "Anna" } }], count: 1 });
  assert.equal(news(), "=1 of 1");
  assert.deepEqual(room.members.get("ann"), { user: "ann", info: { name: "Anna" } });
  presence(server, { entered: [{ user: "ann" }], count: 1 });
  assert.equal(news(), "=1 of 1");
  assert.deepEqual([...room.members], [{ user: "ann" }]);
});

test("a snapshot is the same object until something changes, and never changes itself", async (t) => {
  const { room, server } = await opened(t);
  const snapshots: MembersSnapshot[] = [room.members.snapshot()];
  assert.equal(room.members.snapshot(), snapshots[0]);
  await answer(server, [ann]);
  snapshots.push(room.members.snapshot());
  presence(server, { count: 1 });
  assert.equal(room.members.snapshot(), snapshots[1]);
  presence(server, { entered: [bob], count: 2 });
  snapshots.push(room.members.snapshot());
  presence(server, { count: 7 });
  snapshots.push(room.members.snapshot());
  assert.deepEqual(snapshots, [
    { members: [], count: undefined, isListed: false },
    { members: [ann], count: 1, isListed: true },
    { members: [ann, bob], count: 2, isListed: true },
    { members: [ann, bob], count: 7, isListed: true },
  ]);
});

test("where it is not known yet who is there, it is learned later, and nobody has entered then", async (t) => {
  const { room, server, news } = await opened(t);
  await answer(server, undefined);
  assert.equal(news(), "");
  presence(server, { count: 3, countOnly: true });
  assert.equal(news(), "=0 of 3");
  assert.equal(room.members.isListed, false);
  presence(server, { entered: [ann, bob], count: 3, all: true });
  assert.equal(news(), "=2 of 3");
  assert.equal(room.members.isListed, true);
  presence(server, { entered: [carl], count: 4 });
  assert.equal(news(), "+carl =3 of 4");
});

test("of a list that is not known a difference tells the count alone", async (t) => {
  const { room, server, news } = await opened(t);
  await answer(server, undefined);
  presence(server, { entered: [ann], left: [bob], count: 5 });
  assert.deepEqual([news(), room.members.isListed], ["=0 of 5", false]);
});

test("a room that has grown too large is counted: nobody has left; nor entered, once it is listed again", async (t) => {
  const { room, server, news } = await joined(t, [ann, bob]);
  presence(server, { count: 500, countOnly: true });
  assert.equal(news(), "=0 of 500");
  assert.deepEqual([room.members.isListed, room.members.has("ann")], [false, false]);
  presence(server, { count: 501, countOnly: true });
  presence(server, { count: 501, countOnly: true });
  assert.equal(news(), "=0 of 501");
  presence(server, { entered: [bob, carl], count: 2, all: true });
  assert.equal(news(), "=2 of 2");
});

test("a list of everybody is compared with who was there", async (t) => {
  const { server, news } = await joined(t, [ann, bob]);
  presence(server, { entered: [structuredClone(bob), carl], left: [], count: 2, all: true });
  assert.equal(news(), "-ann +carl =2 of 2");
  presence(server, { entered: [carl, bob], left: [], count: 2, all: true });
  assert.equal(news(), "");
});

test("over a lost connection the members stay, and only who really came or went is told", async (t) => {
  const { room, server, transport, news } = await joined(t, [ann, bob]);
  server.cut();
  const second = await transport.next();
  await second.welcome();
  assert.deepEqual([room.state.status, namesOf(room), room.members.isListed], ["joining", "ann bob", true]);
  const before = room.members.snapshot();
  await answer(second, [structuredClone(bob), structuredClone(ann)]);
  assert.equal(news(), "");
  assert.equal(room.members.snapshot(), before);
  second.cut();
  const third = await transport.next();
  await third.welcome();
  await answer(third, [bob, carl]);
  assert.equal(news(), "-ann +carl =2 of 2");
});

test("where the new connection does not know them yet, the members stay until it does", async (t) => {
  const { room, server, transport, news } = await joined(t, [ann, bob]);
  server.cut();
  const second = await transport.next();
  await second.welcome();
  await answer(second, undefined);
  assert.deepEqual([namesOf(room), room.members.isListed, news()], ["ann bob", true, ""]);
  presence(second, { entered: [ann, carl], count: 2, all: true });
  assert.equal(news(), "-bob +carl =2 of 2");
});

test("over a move nobody is told of who stays, and what the old connection says later is for nobody", async (t) => {
  const { room, server, transport, news } = await joined(t, [ann, bob]);
  server.send(move);
  const second = await transport.next();
  await second.welcome();
  const { id } = await second.take("join");
  presence(server, { entered: [carl], count: 3 });
  presence(second, { entered: [], count: 0, all: true });
  assert.equal(news(), "+carl =3 of 3");
  second.send({ type: "joined", id, room: "r", recovered: true, members: [ann, bob, carl], events: [] });
  presence(server, { left: [ann], count: 2 });
  await settle();
  assert.deepEqual([namesOf(room), news()], ["ann bob carl", ""]);
  presence(second, { left: [bob], count: 2 });
  assert.equal(news(), "-bob =2 of 2");
});

test("sessions without a user are counted over a reconnect as they were, until the server has counted them", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { room, server, transport, news } = await joined(t, [ann]);
  presence(server, { count: 4 });
  news();
  server.cut();
  t.mock.timers.tick(0);
  const second = await transport.next();
  await second.welcome();
  await answer(second, [ann]);
  assert.equal(room.members.count, 4);
  presence(second, { count: 4 });
  t.mock.timers.tick(5000);
  assert.equal(news(), "");
  second.cut();
  t.mock.timers.tick(0);
  const third = await transport.next();
  await third.welcome();
  await answer(third, [ann]);
  // The server says nothing: there are none any more.
  t.mock.timers.tick(999);
  assert.equal(room.members.count, 4);
  t.mock.timers.tick(1);
  assert.equal(news(), "=1 of 1");
});

test("a room that is left has no members, and so has one that failed; joined again it starts anew", async (t) => {
  const { room, server, news, client } = await joined(t, [ann, bob]);
  server.send({ type: "removed", room: "r", code: "forbidden" });
  assert.equal(news(), "=0 of undefined");
  assert.deepEqual(room.members.snapshot(), { members: [], count: undefined, isListed: false });
  void room.join();
  await answer(server, [ann, carl]);
  assert.equal(news(), "=2 of 2");
  room.leave();
  assert.equal(news(), "=0 of undefined");
  presence(server, { entered: [bob], count: 1, all: true });
  assert.equal(news(), "");
  const next = client.room("r", { presence: true });
  assert.notEqual(next.members, room.members);
  assert.equal(next.members.size, 0);
});

test("a client that is closed has nobody in its rooms", async (t) => {
  const { room, client, news } = await joined(t, [ann]);
  client.close();
  assert.deepEqual([news(), room.members.isListed], ["=0 of undefined", false]);
});

test("a room token that ends and is followed by another changes nothing", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r", { presence: true, token: () => "t" });
  const told: unknown[] = [];
  room.onEnter((member) => told.push(member));
  room.onLeave((member) => told.push(member));
  await answer(server, [ann]);
  server.send({ type: "removed", room: "r", code: "expired" });
  await answer(server, [ann]);
  assert.deepEqual([told, namesOf(room)], [[], "ann"]);
});

test("a listener that throws harms nobody, and who leaves the room in one hears no more", async (t) => {
  const { room, server, errors, news } = await joined(t, [ann]);
  const stop = room.onEnter(() => {
    throw new Error("mine");
  });
  presence(server, { entered: [bob], count: 2 });
  assert.equal(news(), "+bob =2 of 2");
  assert.deepEqual(
    errors.map(({ message }) => message),
    ["mine"],
  );
  stop();
  room.onLeave(() => room.leave());
  presence(server, { entered: [carl], left: [ann, bob], count: 1 });
  assert.equal(news(), "-ann =0 of undefined");
  assert.equal(room.members.size, 0);
});

test("who has stopped listening is told nothing", async (t) => {
  const { room, server, stops, news } = await joined(t, [ann]);
  for (const stop of stops) stop();
  presence(server, { entered: [bob], left: [ann], count: 1 });
  assert.deepEqual([news(), namesOf(room)], ["", "bob"]);
});

test("names that objects have by themselves are names like others", async (t) => {
  const { room, server, news } = await joined(t, [{ user: "constructor" }]);
  presence(server, { entered: [{ user: "__proto__" }, { user: "toString" }], count: 3 });
  assert.equal(news(), "+__proto__ +toString =3 of 3");
  assert.deepEqual([room.members.has("valueOf"), room.members.get("__proto__")], [false, { user: "__proto__" }]);
});

test("a page of the members is asked for as the application says, also without presence", async (t) => {
  const { client, server } = await connected(t);
  const page = client.room("r").members.page({ after: "ann", limit: 2 });
  const { id, type: _, ...asked } = await server.take("members");
  assert.deepEqual(asked, { room: "r", after: "ann", limit: 2 });
  server.send({ type: "members", id, members: [bob, carl], count: 900, next: "carl", anonymous: 4 });
  const { members, count, next, anonymous } = await page;
  assert.deepEqual(
    { members, count, next, anonymous },
    { members: [bob, carl], count: 900, next: "carl", anonymous: 4 },
  );
  const refused = client.room("r").members.page();
  const second = await server.take("members");
  assert.deepEqual(Object.keys(second).sort(), ["id", "room", "type"]);
  server.send({ type: "error", id: second.id, code: "forbidden", message: "not you" });
  await assert.rejects(refused, { name: "RoomcastError", code: "forbidden" });
  const lost = client.room("r").members.page();
  client.close();
  await assert.rejects(lost, { code: "closed" });
});
