/** Who is in a room, as sessions are told: over one node with real clients. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.js";
import { come, enter, joinWith, ROOM, startWith, Watched, watcher } from "../support/presence.js";
import { clientCodecs } from "../support/ws-client.js";

const left = { type: "leave", room: ROOM } as const;

for (const codec of clientCodecs) {
  test(`${codec.name}: who joins with presence is told who is there, itself among them, and the others of it`, async (t) => {
    const server = await startWith(t);
    const ann = await come(t, server, "ann#tall", { codec });
    const first = await joinWith(ann);
    assert.deepEqual(first.members, [{ user: "ann", info: "tall" }]);
    const told = new Watched(ann, first);
    const bob = await come(t, server, "bob", { codec });
    const second = await joinWith(bob);
    assert.deepEqual(
      new Map(second.members?.map(({ user, info }) => [user, info])),
      new Map([
        ["ann", "tall"],
        ["bob", undefined],
      ]),
    );
    await told.sees("ann bob");
    assert.deepEqual([told.changes, told.count], [["+bob"], 2]);
    await bob.ask("left", left);
    await told.sees("ann");
    assert.equal(told.count, 1);
    // Out of the room it is told nothing any more.
    await enter(t, server, "carl", { codec });
    await told.sees("ann carl");
    await bob.ping();
    assert.ok(
      !bob.frames.some(
        ({ type, ...frame }) =>
          type === "presence" && "entered" in frame && frame.entered.some(({ user }) => user === "carl"),
      ),
    );
  });
}

test("a join without presence is no member, and is told nothing", async (t) => {
  const server = await startWith(t);
  const { told } = await watcher(t, server);
  const quiet = await come(t, server, "quiet");
  const joined = await quiet.ask("joined", { type: "join", room: ROOM });
  assert.equal(joined.members, undefined);
  await enter(t, server, "ann");
  await told.sees("ann watcher");
  await quiet.ping();
  assert.ok(!quiet.frames.some(({ type }) => type === "presence"));
  assert.equal(await server.count(ROOM).then(({ count }) => count), 3);
  assert.equal((await server.members(ROOM)).count, 2);
});

test("a user is there from the first session to the last", async (t) => {
  const server = await startWith(t);
  const { told } = await watcher(t, server);
  const one = await enter(t, server, "ann");
  await told.sees("ann watcher");
  const two = await enter(t, server, "ann");
  await one.ask("left", left);
  await enter(t, server, "bob");
  await told.sees("ann bob watcher");
  await two.ask("left", left);
  await told.sees("bob watcher");
  assert.deepEqual(told.changes, ["+ann", "+bob", "-ann"]);
});

test("sessions without a user are counted, and not listed", async (t) => {
  const server = await startWith(t);
  const { told, client } = await watcher(t, server);
  const nobody = await enter(t, server, "");
  await eventually(() => told.count === 2);
  assert.deepEqual([told.names, told.changes], ["watcher", []]);
  const { members, count, anonymous } = await client.ask("members", { type: "members", room: ROOM });
  assert.deepEqual([members, count, anonymous], [[{ user: "watcher" }], 2, 1]);
  // Who comes into a room whose users are listed is told of the others at once, which no list has.
  const ann = await come(t, server, "ann");
  await joinWith(ann);
  const first = ann.frames.find(({ type }) => type !== "heartbeat") ?? (await ann.next("presence"));
  assert.deepEqual(first, { type: "presence", room: ROOM, entered: [], left: [], count: 3 });
  await ann.ask("left", left);
  await nobody.ask("left", left);
  await eventually(() => told.count === 1);
});

test("who leaves, closes with 1000, is taken out, disconnected or revoked has gone at once, whatever the grace", async (t) => {
  const server = await startWith(t);
  const { told } = await watcher(t, server);
  const ends = {
    leaves: (client: Awaited<ReturnType<typeof enter>>) => client.ask("left", left),
    closes: (client: Awaited<ReturnType<typeof enter>>) => client.socket.close(1000),
    removed: () => server.remove("removed", ROOM),
    disconnected: () => server.disconnect("disconnected"),
    revoked: () => server.revoke({ user: "revoked", until: Date.now() + 60_000 }),
  };
  for (const [user, end] of Object.entries(ends)) {
    const client = await enter(t, server, user);
    await told.sees([user, "watcher"].sort().join(" "));
    await end(client);
    await told.sees("watcher");
  }
});

test("who is lost, or is closed to come back, stays for the grace; nobody is told of one who comes back", async (t) => {
  const server = await startWith(t);
  const { told } = await watcher(t, server);
  const lost = await enter(t, server, "lost");
  const closing = await enter(t, server, "closing");
  const tab = await enter(t, server, "tab");
  const broken = await enter(t, server, "broken");
  await told.sees("broken closing lost tab watcher");
  lost.end();
  closing.socket.close(3000);
  // A page that is left or loaded anew.
  tab.socket.close(1001);
  broken.socket.send("no frame");
  for (const client of [lost, closing, tab, broken]) await client.close();
  const back = await enter(t, server, "lost", { session: lost.welcome.session });
  const anew = await enter(t, server, "tab");
  await back.ask("left", left);
  await told.sees("closing tab watcher");
  assert.equal((await server.members(ROOM)).count, 3);
  assert.deepEqual(told.changes.slice(4), ["-broken", "-lost"]);
  anew.end();
});

test("after the grace who is lost has left", async (t) => {
  const server = await startWith(t, { graceMs: 100 });
  const { told } = await watcher(t, server);
  const ann = await enter(t, server, "ann");
  await told.sees("ann watcher");
  ann.end();
  await told.sees("watcher");
  assert.deepEqual(told.changes, ["+ann", "-ann"]);
});

test("a token that ends closes the session, and its user may come back with another before anybody is told", async (t) => {
  const ends = Date.now() + 500;
  const server = await startWith(
    t,
    {},
    {
      authenticate: ({ token }) => ({ user: token, ...(token === "ann" ? { expiresAt: ends } : {}) }),
    },
  );
  const { told } = await watcher(t, server);
  const ann = await enter(t, server, "ann");
  await told.sees("ann watcher");
  assert.equal((await ann.close()).code, 4203);
  await enter(t, server, "bob");
  await told.sees("ann bob watcher");
  assert.deepEqual(told.changes, ["+ann", "+bob"]);
});

test("a session that joins again is not seen to go, and is told who is there anew", async (t) => {
  const server = await startWith(t);
  const { told } = await watcher(t, server);
  const ann = await enter(t, server, "ann");
  await told.sees("ann watcher");
  for (let n = 0; n < 5; n++) {
    const { position, members } = await joinWith(ann);
    assert.deepEqual(members?.map(({ user }) => user).sort(), ["ann", "watcher"]);
    await ann.ask("joined", { type: "join", room: ROOM, presence: true, ...(position && { since: position }) });
  }
  await enter(t, server, "bob");
  await told.sees("ann bob watcher");
  assert.deepEqual(told.changes, ["+ann", "+bob"]);
  const { entered } = await ann.next("presence", ({ entered }) => entered.some(({ user }) => user === "bob"));
  assert.deepEqual(entered, [{ user: "bob" }]);
  // Without presence it is in the room, and no member any more.
  await ann.ask("joined", { type: "join", room: ROOM });
  await told.sees("bob watcher");
  assert.equal((await server.count(ROOM)).count, 3);
});

test("a client that joins and leaves in a loop costs the others one frame an interval at the most", async (t) => {
  // So long that there is one interval.
  const server = await startWith(t, { intervalMs: 60_000 }, { requestRate: 10_000 });
  const { client, told } = await watcher(t, server);
  const ann = await come(t, server, "ann");
  for (let n = 0; n < 200; n++) {
    await joinWith(ann);
    await ann.ask("left", left);
  }
  await client.ping();
  assert.ok(told.frames <= 1, `${told.frames} frames`);
  const mine = ann.frames.filter(({ type }) => type === "presence").length;
  assert.ok(mine <= 1, `${mine} frames to who joins and leaves`);
});

test("with other info in a newer token the others are shown that", async (t) => {
  const server = await startWith(t);
  const { told } = await watcher(t, server);
  const ann = await enter(t, server, "ann#tall");
  await told.sees("ann watcher");
  assert.equal(told.users.get("ann"), "tall");
  await ann.ask("renewed", { type: "renew", token: "ann#taller" });
  await eventually(() => told.users.get("ann") === "taller");
  assert.deepEqual(told.changes, ["+ann", "=ann"]);
});

test("more than are listed are counted alone: after `joined`, and to those who were there", async (t) => {
  const server = await startWith(t, { maxListed: 2 });
  const { told } = await watcher(t, server);
  const ann = await enter(t, server, "ann");
  await told.sees("ann watcher");
  const bob = await come(t, server, "bob");
  const joined = await joinWith(bob);
  assert.equal(joined.members, undefined);
  // The very next frame.
  const next = bob.frames.find(({ type }) => type !== "heartbeat");
  const { entered, left: gone, count, countOnly } = next?.type === "presence" ? next : await bob.next("presence");
  assert.deepEqual([entered, gone, count, countOnly], [[], [], 3, true]);
  await eventually(() => told.count === 3 && !told.isListed);
  assert.equal(told.names, "");
  await ann.ask("left", left);
  await bob.ask("left", left);
  await told.sees("watcher");
  assert.equal(told.isListed, true);
});

test("where everyone who joins is a member, who asks alone is told; where nobody is, presence is refused", async (t) => {
  const server = await startWith(
    t,
    {},
    {
      kinds: {
        all: { presence: { of: "everyone", intervalMs: 50 } },
        none: { presence: { of: "nobody" } },
      },
    },
  );
  const ann = await come(t, server, "ann");
  await ann.ask("joined", { type: "join", room: "all:1" });
  const bob = await come(t, server, "bob");
  const joined = await joinWith(bob, "all:1");
  assert.deepEqual(joined.members?.map(({ user }) => user).sort(), ["ann", "bob"]);
  await ann.ping();
  assert.ok(!ann.frames.some(({ type }) => type === "presence"));
  for (const frame of [
    { type: "join", room: "none:1", presence: true },
    { type: "members", room: "none:1" },
  ] as const) {
    const { code, message } = await ann.refusal(frame);
    assert.equal(code, "forbidden");
    assert.match(message, /^presence: .*"none".*presence\.of/);
  }
  await ann.ask("joined", { type: "join", room: "none:1" });
  assert.deepEqual(await server.members("none:1"), { members: [], count: 0, anonymous: 0 });
});
