/** The verb `members`: who is there, a page at a time; over a WebSocket and over HTTP. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServerFrame } from "../../protocol/frames.js";
import { eventually } from "../support/eventually.js";
import { come, enter, ROOM, startWith } from "../support/presence.js";
import { startServer, usersMayAll } from "../support/start-server.js";
import { member, Recording, SECRET, TENANTS, tokenOf } from "../support/tenants.js";
import { clientCodecs } from "../support/ws-client.js";

const name = (n: number): string => `user-${String(n).padStart(3, "0")}`;

for (const codec of clientCodecs) {
  test(`${codec.name}: pages have each user once, in order, with what is shown of it`, async (t) => {
    const server = await startWith(t, { of: "everyone", maxListed: 3 });
    const users = Array.from({ length: 25 }, (_, n) => name(n));
    for (const user of users) {
      const client = await come(t, server, `${user}#i`);
      await client.ask("joined", { type: "join", room: ROOM });
    }
    const client = await come(t, server, "reader", { codec });
    // Nobody is told of them: what the node says of them is written a moment later.
    await eventually(async () => (await server.members(ROOM)).count === 25);
    const read: string[] = [];
    let next: string | undefined;
    let pages = 0;
    do {
      const page: ServerFrame<"members"> = await client.ask("members", {
        ...{ type: "members", room: ROOM, limit: 10 },
        ...(next === undefined ? {} : { after: next }),
      });
      assert.deepEqual([page.count, page.anonymous], [25, 0]);
      assert.ok(page.members.every(({ info }) => info === "i"));
      read.push(...page.members.map(({ user }) => user));
      next = page.next;
      pages++;
    } while (next !== undefined);
    assert.deepEqual([read, pages], [users, 3]);
    const behind = await client.ask("members", { type: "members", room: ROOM, after: "x" });
    assert.deepEqual([behind.members, behind.next, behind.count], [[], undefined, 25]);
  });
}

test("a page has 100 users where nothing is said, and 1,000 at the most; one where none is asked for", async (t) => {
  const server = await startWith(t, {}, { maxRooms: 1000, requestRate: 100_000 });
  const reader = await come(t, server, "reader");
  for (let n = 0; n < 110; n++) await enter(t, server, name(n));
  const lengths = [];
  for (const limit of [undefined, 0, 5000]) {
    const page = await reader.ask("members", {
      type: "members",
      room: ROOM,
      ...(limit === undefined ? {} : { limit }),
    });
    lengths.push([page.members.length, page.next]);
  }
  assert.deepEqual(lengths, [
    [100, name(99)],
    [1, name(0)],
    [110, undefined],
  ]);
  const { code, message } = await reader.refusal({ type: "members", room: ROOM, after: "x".repeat(257) });
  assert.equal(code, "bad_request");
  assert.match(message, /^after: expected at most 256 characters/);
});

test("pages that a session asks for at once are answered in the order they were asked for", async (t) => {
  const server = await startWith(t, {}, { kinds: { none: { presence: { of: "nobody" } } } });
  const client = await enter(t, server, "ann");
  const asked: number[] = [];
  for (let n = 0; n < 20; n++) {
    asked.push(client.nextId());
    client.send({ type: "members", id: asked[n] as number, room: `${n % 2 === 0 ? "chat" : "other"}:1` });
  }
  const counts = [];
  for (const id of asked) {
    const answers = client.frames.filter(({ type }) => type === "members");
    assert.ok(answers.every((answer) => "id" in answer && (answer.id ?? 0) >= id));
    counts.push((await client.next("members", (answer) => answer.id === id)).count);
  }
  assert.deepEqual(
    counts,
    asked.map((_, n) => (n % 2 === 0 ? 1 : 0)),
  );
  assert.equal((await client.refusal({ type: "members", room: "none:1" })).code, "forbidden");
});

test("a page is as large as an answer may be, also where users have much info", async (t) => {
  const info = "x".repeat(1000);
  const server = await startServer(t, {
    authenticate: ({ token }) => ({ user: token, info }),
    kinds: usersMayAll,
    maxBackpressureBytes: 65_536,
    maxFrameBytes: 16_384,
  });
  const reader = await come(t, server, "reader");
  for (let n = 0; n < 80; n++) await enter(t, server, name(n));
  const read: string[] = [];
  let next: string | undefined;
  do {
    const page: ServerFrame<"members"> = await reader.ask("members", {
      ...{ type: "members", room: ROOM, limit: 1000 },
      ...(next === undefined ? {} : { after: next }),
    });
    assert.ok(page.members.length <= 33, `${page.members.length} users of a kilobyte each`);
    read.push(...page.members.map(({ user }) => user));
    next = page.next;
  } while (next !== undefined);
  assert.deepEqual(
    read,
    Array.from({ length: 80 }, (_, n) => name(n)),
  );
  const backend = await server.members(ROOM, { limit: 1000 });
  assert.deepEqual([backend.members.length, backend.next], [80, undefined]);
});

test("each tenant has members of its own, in rooms of one name", async (t) => {
  const server = await startServer(t, { secret: SECRET });
  const recording = new Recording();
  const [zebra, quagga] = TENANTS;
  const clients = [];
  for (const [tenant, user] of [
    [zebra, "ann"],
    [quagga, "bob"],
    [undefined, "carl"],
  ] as const) {
    const client = await member(t, server, recording, { tenant, user });
    const joined = await client.ask("joined", { type: "join", room: ROOM, presence: true });
    assert.deepEqual(joined.members, [{ user }]);
    clients.push([client, tenant, user] as const);
  }
  for (const [client, tenant, user] of clients) {
    const page = await client.ask("members", { type: "members", room: ROOM });
    assert.deepEqual([page.members, page.count], [[{ user }], 1]);
    const listed = await server.members(ROOM, { tenant });
    assert.deepEqual(listed.members, [{ user, sessions: 1 }]);
    assert.ok(!client.frames.some(({ type }) => type === "presence"));
  }
  recording.saysNothing();
});

test("a client asks for members over HTTP by its own token", async (t) => {
  const server = await startServer(t, { secret: SECRET });
  await member(t, server, new Recording(), { tenant: undefined, user: "ann" }).then((client) =>
    client.ask("joined", { type: "join", room: ROOM, presence: true }),
  );
  const ask = (query: string, claims: { readonly [claim: string]: unknown } = {}) =>
    fetch(`${server.url}/v1/rooms/${ROOM}/members${query}`, {
      headers: { authorization: `Bearer ${tokenOf({ sub: "bob", ...claims })}` },
    });
  const answer = await ask("?limit=5");
  assert.equal(answer.status, 200);
  assert.deepEqual(await answer.json(), { members: [{ user: "ann" }], count: 1, anonymous: 0 });
  assert.deepEqual(await (await ask("?after=ann")).json(), { members: [], count: 1, anonymous: 0 });
  assert.equal((await ask("?limit=many")).status, 400);
  assert.equal((await ask("", { tenant: TENANTS[0] })).status, 200);
  const strict = await startServer(t, { secret: SECRET, kinds: {} });
  const refused = await fetch(`${strict.url}/v1/rooms/${ROOM}/members`, {
    headers: { authorization: `Bearer ${tokenOf({ sub: "bob" })}` },
  });
  assert.equal(refused.status, 403);
});
