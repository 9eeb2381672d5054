/** Who may be told of a room's members, and who may not any more. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Action, ServerOptions } from "../../server/server.js";
import { EVER_MS, joinWith, ROOM, startWith, Watched } from "../support/presence.js";
import { connect, startServer } from "../support/start-server.js";
import { SECRET, tokenOf } from "../support/tenants.js";

const presence = { intervalMs: 50, graceMs: EVER_MS };
const TOLD = { rooms: { "*": "join members" } };
const IN = { rooms: { "*": "join" } };

const start = (t: TestContext, options: ServerOptions = {}) =>
  startServer(t, { secret: SECRET, kinds: { "*": { presence } }, ...options });

const bearer = (t: TestContext, server: { readonly url: string }, claims: { readonly [claim: string]: unknown }) =>
  connect(t, server, { hello: { token: tokenOf({ sub: "ann", ...claims }) } });

const members = { type: "members", room: ROOM } as const;

test("being told takes the action members beside join", async (t) => {
  const server = await start(t);
  const client = await bearer(t, server, IN);
  const { code, message } = await client.refusal({ type: "join", room: ROOM, presence: true });
  assert.deepEqual([code, message], ["forbidden", `room: you may not members in "${ROOM}"`]);
  assert.equal((await client.refusal(members)).code, "forbidden");
  await client.ask("joined", { type: "join", room: ROOM });
  // A refused join leaves it in the room where it was in it, as it was.
  assert.equal((await client.refusal({ type: "join", room: ROOM, presence: true })).code, "forbidden");
  assert.equal((await server.count(ROOM)).count, 1);
  const other = await bearer(t, server, { sub: "bob", ...TOLD });
  assert.deepEqual((await joinWith(other)).members, [{ user: "bob" }]);
});

test("who loses it by a newer token is taken out, and the others see it go; who was never told stays", async (t) => {
  const server = await start(t);
  const told = await bearer(t, server, TOLD);
  const plain = await bearer(t, server, TOLD);
  const other = await bearer(t, server, { sub: "bob", ...TOLD });
  const seen = new Watched(other, await joinWith(other));
  await joinWith(told);
  await plain.ask("joined", { type: "join", room: ROOM });
  await seen.sees("ann bob");
  for (const client of [told, plain])
    await client.ask("renewed", { type: "renew", token: tokenOf({ sub: "ann", ...IN }) });
  const { room, code } = await told.next("removed");
  assert.deepEqual([room, code], [ROOM, "forbidden"]);
  await seen.sees("bob");
  await plain.ping();
  assert.ok(!plain.frames.some(({ type }) => type === "removed"));
  assert.equal((await server.count(ROOM)).count, 2);
});

test("who has it taken back is taken out", async (t) => {
  const server = await start(t);
  const told = await bearer(t, server, TOLD);
  const plain = await bearer(t, server, TOLD);
  await joinWith(told);
  await plain.ask("joined", { type: "join", room: ROOM });
  await server.revoke({ user: "ann", room: "chat:*", actions: ["members"], until: Date.now() + 60_000 });
  assert.equal((await told.next("removed")).code, "forbidden");
  assert.equal((await told.refusal({ type: "join", room: ROOM, presence: true })).code, "forbidden");
  await plain.ping();
  assert.ok(!plain.frames.some(({ type }) => type === "removed"));
});

test("the application is asked for it as for the join, and what it has allowed stays over a renewal", async (t) => {
  const asked: Action[] = [];
  const server = await startWith(
    t,
    {},
    {
      authorize: ({ action, user }) => {
        asked.push(action);
        return user !== "bob" || action !== "members";
      },
    },
  );
  const ann = await connect(t, server, { hello: { token: "ann" } });
  await joinWith(ann);
  assert.deepEqual(asked.splice(0), ["join", "members"]);
  await ann.ask("joined", { type: "join", room: "chat:2" });
  assert.deepEqual(asked.splice(0), ["join"]);
  await ann.ask("renewed", { type: "renew", token: "ann" });
  await ann.ping();
  assert.deepEqual(asked, []);
  const bob = await connect(t, server, { hello: { token: "bob" } });
  assert.equal((await bob.refusal({ type: "join", room: ROOM, presence: true })).code, "forbidden");
  assert.equal((await server.members(ROOM)).count, 1);
});

test("what rules no longer give the application is asked for once more, each action by itself", async (t) => {
  const asked: string[] = [];
  let may = true;
  const server = await start(t, {
    authorize: ({ action }) => {
      asked.push(action);
      return may;
    },
  });
  const client = await bearer(t, server, TOLD);
  await joinWith(client);
  assert.deepEqual(asked, []);
  await client.ask("renewed", { type: "renew", token: tokenOf({ sub: "ann", ...IN }) });
  await client.ping();
  assert.deepEqual(asked, ["members"]);
  // It is asked again, since it was not the application that let it in.
  may = false;
  await client.ask("renewed", { type: "renew", token: tokenOf({ sub: "ann", ...IN }) });
  assert.equal((await client.next("removed")).code, "forbidden");
});

test("a room token may allow it, and takes its session out with its end", async (t) => {
  const server = await start(t);
  const client = await bearer(t, server, {});
  const until = Math.floor(Date.now() / 1000) + 2;
  const token = tokenOf({ sub: "ann", room: ROOM, may: "join members", exp: until });
  assert.deepEqual((await client.ask("joined", { type: "join", room: ROOM, token, presence: true })).members, [
    { user: "ann" },
  ]);
  assert.equal((await client.next("removed")).code, "expired");
  assert.equal((await server.members(ROOM)).count, 0);
});
