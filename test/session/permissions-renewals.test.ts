import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, enter, left, roomToken, start } from "../support/permissions.js";
import { signed } from "../support/sign.js";
import { connect } from "../support/start-server.js";

test("a renewal that allows less takes the client out of rooms at once, and only out of those", async (t) => {
  const server = await start(t);
  const ann = await enter(t, server, { sub: "ann", rooms: { "*": "join publish" } });
  for (const room of ["chat:1", "chat:2", "news:1"]) await ann.ask("joined", { type: "join", room });
  const less = { "chat:1": "join", "news:*": "publish" };
  const renewed = ann.ask("renewed", { type: "renew", token: signed({ sub: "ann", rooms: less }) });
  await renewed;
  const out = [await ann.next("removed"), await ann.next("removed")];
  assert.deepEqual(out.map(({ room, code }) => `${room} ${code}`).sort(), ["chat:2 forbidden", "news:1 forbidden"]);
  for (const room of ["chat:2", "news:1", "chat:1"]) await server.publish(room, "said", room);
  assert.equal((await ann.next("events")).room, "chat:1");
  await ann.ping();
  assert.deepEqual(left(ann), []);
  assert.equal(await ask(ann, "publish", "chat:1"), "forbidden");
  assert.equal(await ask(ann, "publish", "news:1"), "yes");
});

test("a renewal that allows more is good at once, and takes nobody out", async (t) => {
  const server = await start(t);
  const ann = await enter(t, server, { sub: "ann", rooms: { "chat:1": "join" } });
  await ann.ask("joined", { type: "join", room: "chat:1" });
  assert.equal(await ask(ann, "join", "chat:2"), "forbidden");
  await ann.ask("renewed", { type: "renew", token: signed({ sub: "ann", rooms: { "chat:*": "join publish" } }) });
  assert.equal(await ask(ann, "join", "chat:2"), "yes");
  assert.equal(await ask(ann, "publish", "chat:1"), "yes");
  assert.equal((await ann.next("events")).room, "chat:1");
  assert.deepEqual(left(ann), []);
});

test("a renewal takes nobody out of a room that rules, a room token or the application let them into", async (t) => {
  const server = await start(t, {
    kinds: { news: { allow: { user: ["join"] } } },
    authorize: ({ room }) => room === "asked:1",
  });
  const ann = await enter(t, server, { sub: "ann", rooms: { "chat:2": "join" } });
  for (const room of ["news:1", "asked:1", "chat:2"]) await ann.ask("joined", { type: "join", room });
  await ann.ask("joined", { type: "join", room: "chat:1", token: roomToken() });
  await ann.ask("renewed", { type: "renew", token: signed({ sub: "ann" }) });
  assert.equal((await ann.next("removed")).room, "chat:2");
  for (const room of ["news:1", "asked:1", "chat:1"]) {
    await server.publish(room, "said", 1);
    assert.equal((await ann.next("events")).room, room);
  }
  assert.deepEqual(left(ann), []);
});

test("a renewal is of the same user and the same tenant", async (t) => {
  const server = await start(t);
  const ann = await enter(t, server, { sub: "ann", tenant: "acme", rooms: { "chat:1": "join" } });
  for (const claims of [
    { sub: "bob", tenant: "acme" },
    { sub: "ann" },
    { sub: "ann", tenant: "other" },
    { tenant: "acme" },
  ]) {
    const token = signed({ ...claims, rooms: { "*": "join" } });
    assert.equal((await ann.refusal({ type: "renew", token })).code, "forbidden", JSON.stringify(claims));
  }
  assert.equal(await ask(ann, "join", "chat:1"), "yes");
  assert.equal(await ask(ann, "join", "chat:2"), "forbidden");
});

test("a session that is resumed may what its token says, not what an earlier one said", async (t) => {
  const server = await start(t);
  const [wide, narrow] = [
    signed({ sub: "ann", rooms: { "chat:*": "join publish" } }),
    signed({ sub: "ann", rooms: { "chat:1": "join" } }),
  ];
  const first = await connect(t, server, { hello: { token: wide } });
  const { session } = first.welcome;
  const again = await connect(t, server, { hello: { token: wide, session } });
  assert.equal(again.welcome.resumed, true);
  assert.equal(await ask(again, "publish", "chat:2"), "yes");
  const other = await connect(t, server, { hello: { token: narrow, session } });
  assert.equal(other.welcome.resumed, false, "a ticket goes with its token");
  assert.equal(await ask(other, "publish", "chat:2"), "forbidden");
  const none = await connect(t, server, { hello: false });
  assert.equal((await none.refusal({ type: "hello", session })).code, "unauthorized");
});
