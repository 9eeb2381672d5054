import assert from "node:assert/strict";
import { test } from "node:test";
import { allowed, ask, type Claims, enter, frameOf, left, roomToken, seconds, start } from "../support/permissions.js";
import { signed } from "../support/sign.js";
import { connect } from "../support/start-server.js";
import type { WsClient } from "../support/ws-client.js";

test("a room token lets into its room, to do what it says", async (t) => {
  const server = await start(t);
  const ann = await enter(t, server, { sub: "ann" });
  await ann.ask("joined", { type: "join", room: "chat:1", token: roomToken() });
  assert.equal((await ann.request(frameOf("history", "chat:1"))).type, "history");
  assert.equal(await ask(ann, "members", "chat:1"), "yes");
  assert.equal(await ask(ann, "publish", "chat:1"), "forbidden", "by default it is for reading");
  const bob = await enter(t, server, { sub: "bob" });
  await bob.ask("joined", { type: "join", room: "chat:1", token: roomToken({ may: ["join", "publish"] }) });
  assert.equal(await ask(bob, "publish", "chat:1"), "yes");
  assert.equal(await ask(bob, "history", "chat:1"), "forbidden");
  await ann.next("events");
  for (const client of [ann, bob]) assert.equal(await ask(client, "join", "chat:2"), "forbidden");
});

test("what a room token granted ends when its room is left", async (t) => {
  const client = await enter(t, await start(t), { sub: "ann" });
  const token = roomToken({ may: "join publish history" });
  await client.ask("joined", { type: "join", room: "chat:1", token });
  await client.ask("left", { type: "leave", room: "chat:1" });
  assert.equal(await allowed(client, "chat:1"), "");
});

test("a room token is good for its room, user and tenant alone", async (t) => {
  const server = await start(t);
  const ann = await enter(t, server, { sub: "ann" });
  const elsewhere = await enter(t, server, { sub: "ann", tenant: "acme" });
  const cases: readonly (readonly [WsClient, Claims, string])[] = [
    [ann, { room: "chat:2" }, "another room"],
    [ann, { room: "chat:1:2" }, "a longer name"],
    [ann, { sub: "bob" }, "another user"],
    [ann, { tenant: "acme" }, "another tenant"],
    [ann, { may: "publish" }, "no join"],
    [elsewhere, {}, "no tenant"],
  ];
  for (const [client, claims, what] of cases) {
    const answer = await client.refusal({ type: "join", room: "chat:1", token: roomToken(claims) });
    assert.equal(answer.code, "forbidden", what);
    assert.equal(await allowed(client, "chat:1"), "", what);
  }
  await ann.ask("joined", { type: "join", room: "chat:1", token: roomToken({ sub: "ann" }) });
  await elsewhere.ask("joined", { type: "join", room: "chat:1", token: roomToken({ tenant: "acme" }) });
});

test("a room token that is none is refused, and so is one with a pattern for its room", async (t) => {
  const client = await enter(t, await start(t), { sub: "ann" });
  const session = signed({ sub: "ann", rooms: { "chat:1": "join" } });
  const bad: readonly (readonly [string, string, string])[] = [
    ["garbage", "garbage", "unauthorized"],
    ["a session's token", session, "unauthorized"],
    ["past its end", roomToken({ exp: 1 }), "expired"],
    ["a pattern", roomToken({ room: "chat:*" }), "unauthorized"],
    ["an unknown action", roomToken({ may: "join fly" }), "unauthorized"],
    ["patterns as well", roomToken({ rooms: { "chat:*": "join" } }), "unauthorized"],
    ["another secret", `${roomToken()}x`, "unauthorized"],
  ];
  for (const [what, token, code] of bad) {
    assert.equal((await client.refusal({ type: "join", room: "chat:1", token })).code, code, what);
    assert.equal(await allowed(client, "chat:1"), "", what);
  }
});

test("a room token is no session's: neither in a hello nor to renew with", async (t) => {
  const server = await start(t);
  const token = roomToken({ sub: "ann" });
  const stranger = await connect(t, server, { hello: false });
  assert.equal((await stranger.refusal({ type: "hello", token })).code, "unauthorized");
  const ann = await enter(t, server, { sub: "ann" });
  assert.equal((await ann.refusal({ type: "renew", token })).code, "unauthorized");
  await ann.ping();
});

test("a room token grants no more than the kind lets tokens grant", async (t) => {
  const server = await start(t, { kinds: { chat: { allow: { token: ["join"] } } } });
  const client = await enter(t, server, { sub: "ann" });
  const token = roomToken({ may: "join publish history members" });
  await client.ask("joined", { type: "join", room: "chat:1", token });
  assert.equal(await ask(client, "publish", "chat:1"), "forbidden");
  assert.equal(await ask(client, "history", "chat:1"), "forbidden");
});

test("who joined with a room token is taken out when it ends, hears nothing more, and comes back with another", async (t) => {
  const server = await start(t, { tokenSkewMs: 0 });
  const ann = await enter(t, server, { sub: "ann" });
  await ann.ask("joined", { type: "join", room: "chat:1", token: roomToken({ exp: seconds(700) }) });
  await ann.ask("joined", { type: "join", room: "chat:2", token: roomToken({ room: "chat:2" }) });
  const removed = await ann.next("removed");
  assert.deepEqual([removed.room, removed.code], ["chat:1", "expired"]);
  await server.publish("chat:1", "said", 1);
  await server.publish("chat:2", "said", 2);
  assert.equal((await ann.next("events")).room, "chat:2", "the other room is another token's");
  await ann.ping();
  assert.deepEqual(left(ann), []);
  const { events } = await ann.ask("joined", {
    ...({ type: "join", room: "chat:1", token: roomToken() } as const),
    since: { epoch: (await server.publish("chat:1", "said", 3))?.epoch ?? "", offset: 0 },
  });
  assert.deepEqual(
    events.map(({ data }) => data),
    [1, 3],
    "what was said meanwhile is in the log",
  );
});

test("who joins again with a room token that ends later stays until then", async (t) => {
  const server = await start(t, { tokenSkewMs: 0 });
  const ann = await enter(t, server, { sub: "ann" });
  await ann.ask("joined", {
    type: "join",
    room: "chat:2",
    token: roomToken({ room: "chat:2", exp: seconds(900) }),
  });
  await ann.ask("joined", { type: "join", room: "chat:1", token: roomToken({ exp: seconds(500) }) });
  await ann.ask("joined", { type: "join", room: "chat:1", token: roomToken() });
  assert.equal((await ann.next("removed")).room, "chat:2", "which ends later than the first of the two");
  await server.publish("chat:1", "said", 1);
  assert.equal((await ann.next("events")).room, "chat:1");
});
