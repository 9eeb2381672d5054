/** Who is in a room, by the SDK against real servers: users and their info come from tokens. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { type Client, type ConnectOptions, connect, type Room } from "../../client/index.js";
import { streams } from "../../client/stream-transport.js";
import { msgpack } from "../../protocol/msgpack.js";
import { eventually } from "../support/eventually.js";
import { type ServerOptions, startServer } from "../support/start-server.js";
import { inSeconds, withSecret } from "../support/tokens.js";

const SECRET = "the secret of these tests, 32 characters and more";
const ROOM = "chat:1";

/** Frames come soon, and nobody is given up while a test goes on. */
const started = (t: TestContext, presence: object = {}, options: ServerOptions = {}) =>
  startServer(t, {
    secret: SECRET,
    kinds: { chat: { presence: { intervalMs: 50, graceMs: 300_000, ...presence } } },
    ...options,
  });

const tokenOf = (user: string, claims: object = {}) =>
  withSecret(SECRET, {
    sub: user,
    exp: inSeconds(600),
    info: { name: user.toUpperCase() },
    rooms: { "*": "join members publish" },
    ...claims,
  });

type Came = { readonly client: Client; readonly room: Room; readonly told: string[]; readonly cut: () => void };

/** A user in the room; `told`: who entered and left as it was told, and how its room fared. */
async function come(t: TestContext, url: string, user: string, options: ConnectOptions = {}): Promise<Came> {
  const sockets: WebSocket[] = [];
  class Socket extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols);
      sockets.push(this);
    }
  }
  const client = connect(url, { WebSocket: Socket, token: tokenOf(user), minDelayMs: 20, ...options });
  t.after(() => client.close());
  const room = client.room(ROOM, { presence: true });
  const told: string[] = [];
  room.onEnter(({ user: who, info }) => told.push(`+${who} ${(info as { name: string }).name}`));
  room.onLeave(({ user: who, info }) => told.push(`-${who} ${(info as { name: string }).name}`));
  await room.joined;
  return { client, room, told, cut: () => sockets.at(-1)?.terminate() };
}

const namesOf = ({ members }: Room) =>
  [...members]
    .map(({ user }) => user)
    .sort()
    .join(" ");

/** Loses the connection and comes back with another one. */
async function flap({ room, cut }: Came): Promise<void> {
  const states: string[] = [];
  const stop = room.onState(({ status }) => states.push(status));
  cut();
  await eventually(() => states.join(" ") === "joining joined");
  stop();
}

for (const codec of ["json", "msgpack"]) {
  test(`over ${codec}: who is there, who comes with which info, and who leaves`, async (t) => {
    const options = codec === "msgpack" ? { codec: msgpack } : {};
    const { url } = await started(t);
    const ann = await come(t, url, "ann", options);
    assert.deepEqual([...ann.room.members], [{ user: "ann", info: { name: "ANN" } }]);
    const bob = await come(t, url, "bob", options);
    assert.equal(namesOf(bob.room), "ann bob");
    await eventually(() => namesOf(ann.room) === "ann bob");
    assert.deepEqual(ann.room.members.get("bob")?.info, { name: "BOB" });
    bob.room.leave();
    await eventually(() => namesOf(ann.room) === "ann");
    assert.deepEqual(ann.told, ["+bob BOB", "-bob BOB"]);
    assert.deepEqual(bob.told, []);
    assert.equal(ann.room.members.count, 1);
  });
}

test("reconnects, one's own and others', make no noise", async (t) => {
  const { url } = await started(t);
  const ann = await come(t, url, "ann");
  const bob = await come(t, url, "bob");
  await eventually(() => namesOf(ann.room) === "ann bob");
  ann.told.length = 0;
  let changes = 0;
  ann.room.members.onChange(() => changes++);
  const before = ann.room.members.snapshot();
  for (let round = 0; round < 3; round++) {
    await flap(ann);
    await flap(bob);
  }
  // What comes after it has come after all of that.
  const carl = await come(t, url, "carl");
  await eventually(() => namesOf(ann.room) === "ann bob carl");
  await eventually(() => namesOf(bob.room) === "ann bob carl");
  assert.deepEqual([ann.told, bob.told, carl.told], [["+carl CARL"], ["+carl CARL"], []]);
  assert.equal(changes, 1);
  assert.deepEqual(ann.room.members.snapshot().members.slice(0, 2), before.members);
});

test("who came while a client was away is told when it is back, and who left, too", async (t) => {
  const { url } = await started(t);
  const ann = await come(t, url, "ann");
  const bob = await come(t, url, "bob");
  await eventually(() => namesOf(ann.room) === "ann bob");
  ann.told.length = 0;
  // It gets a token at first, and then none until it is to be back.
  let isAway = false;
  const dora = await come(t, url, "dora", {
    token: () => {
      if (isAway) throw new Error("not yet");
      return tokenOf("dora");
    },
  });
  dora.client.on("error", () => {});
  isAway = true;
  dora.cut();
  await eventually(() => dora.room.state.status === "joining");
  bob.room.leave();
  await come(t, url, "carl");
  await eventually(() => namesOf(ann.room) === "ann carl dora");
  assert.equal(namesOf(dora.room), "ann bob dora", "it goes on showing who was there");
  isAway = false;
  await eventually(() => dora.room.state.status === "joined");
  assert.equal(namesOf(dora.room), "ann carl dora");
  assert.deepEqual(dora.told, ["-bob BOB", "+carl CARL"]);
});

test("sessions without a user are counted from the join on, and over a reconnect", async (t) => {
  const { url } = await started(
    t,
    {},
    { secret: undefined, authenticate: ({ token }) => ({ user: token }), authorize: () => true },
  );
  const nobody = async () => {
    const client = connect(url, { WebSocket });
    t.after(() => client.close());
    const room = client.room(ROOM, { presence: true });
    await room.joined;
    return room;
  };
  const first = await nobody();
  await eventually(() => first.members.count === 1);
  await nobody();
  await eventually(() => first.members.count === 2);
  const ann = await come(t, url, "ann", { token: "ann" });
  await eventually(() => ann.room.members.count === 3);
  const counts: unknown[] = [];
  ann.room.members.onChange(({ size, count }) => counts.push([size, count]));
  await flap(ann);
  const { members, count, anonymous } = await ann.room.members.page();
  assert.deepEqual([members, count, anonymous], [[{ user: "ann" }], 3, 2]);
  assert.deepEqual(counts, []);
});

test("a room that has become too large to be listed is counted, read in pages, and listed again when it is smaller", async (t) => {
  const { url } = await started(t, { maxListed: 2 });
  const ann = await come(t, url, "ann");
  const bob = await come(t, url, "bob");
  await eventually(() => namesOf(ann.room) === "ann bob");
  ann.told.length = 0;
  const carl = await come(t, url, "carl");
  await eventually(() => !ann.room.members.isListed);
  await eventually(() => ann.room.members.count === 3);
  await eventually(() => carl.room.members.count === 3);
  assert.equal(carl.room.members.size, 0);
  const page = await ann.room.members.page({ limit: 2 });
  assert.deepEqual([page.members.map(({ user }) => user), page.count, page.next], [["ann", "bob"], 3, "bob"]);
  const rest = await ann.room.members.page({ after: "bob" });
  assert.deepEqual([rest.members.map(({ user }) => user), rest.next], [["carl"], undefined]);
  carl.room.leave();
  bob.room.leave();
  await eventually(() => namesOf(ann.room) === "ann");
  assert.equal(ann.room.members.isListed, true);
  assert.deepEqual(ann.told, []);
});

test("a token without the right to members fails the room; a page of them is refused", async (t) => {
  const { url } = await started(t);
  const client = connect(url, { WebSocket, token: tokenOf("ann", { rooms: { "*": "join" } }) });
  t.after(() => client.close());
  await assert.rejects(client.room(ROOM, { presence: true }).join(), { code: "forbidden" });
  await assert.rejects(client.room("chat:2").members.page(), { code: "forbidden" });
});

test("where WebSockets are blocked it comes over streams, and another room makes no noise", async (t) => {
  const { url } = await started(t);
  const ann = await come(t, url, "ann");
  const transport = streams(WebSocket, () => {});
  const bob = await come(t, url, "bob", { transport });
  await eventually(() => namesOf(ann.room) === "ann bob");
  assert.equal(namesOf(bob.room), "ann bob");
  await bob.client.room("chat:2").join();
  const carl = await come(t, url, "carl");
  await eventually(() => namesOf(bob.room) === "ann bob carl");
  await eventually(() => namesOf(ann.room) === "ann bob carl");
  carl.room.leave();
  await eventually(() => namesOf(bob.room) === "ann bob");
  assert.deepEqual(bob.told, ["+carl CARL", "-carl CARL"]);
  assert.deepEqual(ann.told, ["+bob BOB", "+carl CARL", "-carl CARL"]);
  const { members } = await bob.room.members.page({ limit: 1 });
  assert.deepEqual(members, [{ user: "ann", info: { name: "ANN" } }]);
});
