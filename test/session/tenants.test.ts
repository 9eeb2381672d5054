import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { AuthorizeQuestion, CallQuestion, PublishQuestion } from "../../server/server.js";
import { type ServerOptions, startServer, usersMayAll } from "../support/start-server.js";
import { everyTenant, member, ofTenant, Recording, SECRET, TENANTS, type Tenant, tokenOf } from "../support/tenants.js";
import { clientCodecs, WsClient } from "../support/ws-client.js";

const [ZEBRA, QUAGGA] = TENANTS;

async function start(t: TestContext, options: ServerOptions = {}) {
  const server = await startServer(t, { secret: SECRET, ...options });
  const recording = new Recording();
  const join = async (tenant: Tenant, room = "chat:1", user = "ann") => {
    const client = await member(t, server, recording, { tenant, user });
    await client.ask("joined", { type: "join", room });
    return client;
  };
  return { server, recording, join };
}

for (const codec of clientCodecs) {
  test(`${codec.subprotocol}: rooms of one name, and users of one name, are each tenant's own`, async (t) => {
    const { server, recording } = await start(t);
    const clients = await Promise.all(everyTenant.map((tenant) => member(t, server, recording, { tenant, codec })));
    for (const client of clients) await client.ask("joined", { type: "join", room: "chat:1" });
    for (const [index, client] of clients.entries()) {
      const { position } = await client.ask("published", { type: "publish", room: "chat:1", event: "n", data: index });
      assert.equal(position?.offset, 1, "the first of its room");
    }
    for (const [index, client] of clients.entries()) {
      const { events } = await client.next("events");
      assert.deepEqual(
        events.map(({ data, from, offset }) => [data, from, offset]),
        [[index, "ann", 1]],
      );
      const history = await client.ask("history", { type: "history", room: "chat:1" });
      assert.deepEqual(
        history.events.map(({ data }) => data),
        [index],
      );
      await client.ping();
      assert.deepEqual(client.frames, []);
    }
    recording.saysNothing();
  });
}

test("a key of a user names a publish of its own in each tenant", async (t) => {
  const { server, recording } = await start(t);
  const clients = await Promise.all(everyTenant.map((tenant) => member(t, server, recording, { tenant })));
  const publish = { type: "publish", room: "chat:1", event: "n", data: 1, key: "k" } as const;
  for (const client of clients) {
    const first = await client.ask("published", publish);
    const again = await client.ask("published", publish);
    assert.deepEqual(again.position, first.position, "sent again it is the same");
    const { events } = await client.ask("history", { type: "history", room: "chat:1" });
    assert.equal(events.length, 1, "its own, and no other's answer");
  }
});

test("what the application does to a user or a room, it does to one tenant's", async (t) => {
  const { server, recording, join } = await start(t);
  for (const tenant of everyTenant) {
    const clients = await Promise.all(everyTenant.map((one) => join(one)));
    const at = everyTenant.indexOf(tenant);
    const others = clients.filter((_, index) => index !== at);
    const mine = clients[at] as WsClient;
    assert.equal((await server.count("chat:1", ofTenant(tenant))).count, 1);
    await server.publish("chat:1", "told", at, ofTenant(tenant));
    assert.deepEqual(
      (await mine.next("events")).events.map(({ data }) => data),
      [at],
    );
    assert.equal((await server.remove("ann", "chat:1", ofTenant(tenant))).count, 1);
    assert.deepEqual(await mine.next("removed"), { type: "removed", room: "chat:1", code: "forbidden" });
    assert.equal((await server.count("chat:1", ofTenant(tenant))).count, 0);
    assert.equal((await server.disconnect("ann", ofTenant(tenant))).count, 1);
    assert.equal((await mine.close()).code, 4201);
    for (const other of others) {
      await other.ping();
      assert.deepEqual([other.frames, other.closed], [[], undefined], "nobody else is told anything");
      other.end();
      await other.close();
    }
  }
  recording.saysNothing();
});

test("the application may not name a room of another by a room's name, nor a tenant that cannot be", async (t) => {
  const { server } = await start(t);
  for (const room of [`${ZEBRA}|chat:1`, "|chat:1", "$nodes"]) {
    await assert.rejects(server.publish(room, "n", 1), /room: expected a room's name/);
    await assert.rejects(server.remove("ann", room), /room/);
    await assert.rejects(server.count(room), /room/);
  }
  for (const tenant of ["a|b", "a b", "x".repeat(33), "ä", "a:b", "$"]) {
    await assert.rejects(server.publish("chat:1", "n", 1, { tenant }), /tenant: expected/);
    await assert.rejects(server.remove("ann", "chat:1", { tenant }), /tenant: expected/);
    await assert.rejects(server.disconnect("ann", { tenant }), /tenant: expected/);
    await assert.rejects(server.count("chat:1", { tenant }), /tenant: expected/);
  }
});

test("the application's hooks are told the tenant, and the name that its clients know", async (t) => {
  const asked: (AuthorizeQuestion | PublishQuestion | CallQuestion)[] = [];
  const note = <Question extends AuthorizeQuestion | PublishQuestion | CallQuestion>(question: Question) => {
    asked.push(question);
    return true;
  };
  const { server, recording } = await start(t, {
    authorize: note,
    onPublish: (question) => void note(question),
    onCall: note,
  });
  for (const tenant of everyTenant) {
    const client = await member(t, server, recording, { tenant });
    await client.ask("joined", { type: "join", room: "chat:1" });
    await client.ask("published", { type: "publish", room: "chat:1", event: "n", data: 1 });
    await client.ask("history", { type: "history", room: "chat:1" });
    await client.ask("members", { type: "members", room: "chat:1" });
    await client.ask("result", { type: "call", method: "m", data: 1 });
    assert.ok(asked.length >= 7);
    for (const question of asked.splice(0)) {
      assert.equal(question.tenant, tenant);
      assert.equal("tenant" in question, tenant !== undefined);
      if ("room" in question) assert.equal(question.room, "chat:1");
    }
  }
  recording.saysNothing();
});

test("the application's own identities may be a tenant's, and cannot be of one that cannot be", async (t) => {
  const { server } = await start(t, {
    secret: undefined,
    kinds: usersMayAll,
    authenticate: ({ token }) => ({ user: "ann", tenant: token }),
  });
  const connect = async (token: string) => {
    const client = await WsClient.connect(server.url, { hello: { token } });
    t.after(() => client.end());
    await client.ask("joined", { type: "join", room: "chat:1" });
    return client;
  };
  const [zebra, quagga] = [await connect(ZEBRA), await connect(QUAGGA)];
  await zebra.ask("published", { type: "publish", room: "chat:1", event: "n", data: 1 });
  await zebra.next("events");
  await quagga.ping();
  assert.deepEqual(quagga.frames, []);
  for (const token of ["a|b", "", "x".repeat(33), "$"]) {
    const refused = await WsClient.connect(server.url, { hello: false });
    t.after(() => refused.end());
    await refused.refusal({ type: "hello", token });
  }
});

test("a session that is resumed, by token or without the application being asked, is the same tenant's", async (t) => {
  const { server, recording, join } = await start(t);
  for (const tenant of everyTenant) {
    const first = await join(tenant);
    first.end();
    await first.close();
    const claims = { exp: Math.floor(Date.now() / 1000) + 3000 };
    const token = { sub: "ann", ...ofTenant(tenant), ...claims };
    const client = await member(t, server, recording, { tenant, claims });
    const again = await member(t, server, recording, { tenant, claims, session: client.welcome.session });
    assert.equal(again.welcome.resumed, true, JSON.stringify(token));
    await again.ask("joined", { type: "join", room: "chat:1" });
    for (const other of everyTenant) await server.publish("chat:1", "n", String(other), ofTenant(other));
    assert.deepEqual(
      (await again.next("events")).events.map(({ data }) => data),
      [String(tenant)],
    );
    await again.ping();
    assert.deepEqual(again.frames, []);
  }
});

test("a ticket of one tenant is nothing with the token of another", async (t) => {
  const { server, recording } = await start(t);
  const zebra = await member(t, server, recording, { tenant: ZEBRA });
  const quagga = await member(t, server, recording, { tenant: QUAGGA, session: zebra.welcome.session });
  assert.equal(quagga.welcome.resumed, false);
  await quagga.ask("joined", { type: "join", room: "chat:1" });
  await server.publish("chat:1", "n", 1, { tenant: ZEBRA });
  await quagga.ping();
  assert.deepEqual(quagga.frames, []);
});

test("a newer token of another tenant is refused, and the session stays where it is", async (t) => {
  const { server, recording, join } = await start(t);
  for (const tenant of everyTenant) {
    const client = await join(tenant, "chat:1", "eve");
    for (const other of everyTenant.filter((one) => one !== tenant)) {
      const { code } = await client.refusal({ type: "renew", token: tokenOf({ sub: "eve", ...ofTenant(other) }) });
      assert.equal(code, "forbidden");
    }
    await client.ask("renewed", { type: "renew", token: tokenOf({ sub: "eve", ...ofTenant(tenant) }) });
    await server.publish("chat:1", "n", 1, ofTenant(tenant));
    await client.next("events");
    client.end();
  }
  recording.saysNothing();
});

test("a room token is good in its own tenant alone", async (t) => {
  const { server, recording } = await start(t, { kinds: {} });
  for (const tenant of everyTenant) {
    const client = await member(t, server, recording, { tenant });
    assert.equal((await client.refusal({ type: "join", room: "secret" })).code, "forbidden");
    for (const other of everyTenant.filter((one) => one !== tenant)) {
      const token = tokenOf({ room: "secret", ...ofTenant(other) });
      assert.equal((await client.refusal({ type: "join", room: "secret", token })).code, "forbidden");
    }
    for (const room of [`${tenant}|secret`, `${ZEBRA}|secret`, "|secret"]) {
      const token = tokenOf({ room, ...ofTenant(tenant) });
      assert.equal((await client.refusal({ type: "join", room: "secret", token })).code, "unauthorized");
    }
    await client.ask("joined", {
      type: "join",
      room: "secret",
      token: tokenOf({ room: "secret", ...ofTenant(tenant) }),
    });
    await server.publish("secret", "n", 1, ofTenant(tenant));
    await client.next("events");
  }
  recording.saysNothing();
});

test("a tenant's rooms have the rules of the kind that their clients know", async (t) => {
  const { server, recording, join } = await start(t, {
    kinds: {
      "*": { allow: { user: ["join", "publish", "history"] } },
      live: { history: { size: 0 } },
      read: { allow: { user: ["join"], token: ["join"] } },
      [ZEBRA]: { history: { size: 0 } },
    },
  });
  for (const tenant of everyTenant) {
    const live = await join(tenant, "live:1");
    await live.ask("published", { type: "publish", room: "live:1", event: "n", data: 1 });
    const [event] = (await live.next("events")).events;
    assert.equal(event?.offset, undefined, "without history there are no positions");
    const chat = await join(tenant, "chat:1");
    const { position } = await chat.ask("published", { type: "publish", room: "chat:1", event: "n", data: 1 });
    assert.ok(position, "a kind that is called as the tenant is none of its rooms'");
    const claims = { rooms: { "read:*": "join publish" } };
    const reader = await member(t, server, recording, { tenant, claims });
    await reader.ask("joined", { type: "join", room: "read:1" });
    assert.equal((await reader.refusal({ type: "publish", room: "read:1", event: "n", data: 1 })).code, "forbidden");
  }
  recording.saysNothing();
});

test("the patterns of a token stand for rooms of its own tenant", async (t) => {
  const { server, recording } = await start(t, { kinds: {} });
  const claims = { rooms: { "*": "join publish history" } };
  const everything = await member(t, server, recording, { tenant: ZEBRA, claims });
  await everything.ask("joined", { type: "join", room: "chat:1" });
  for (const other of [QUAGGA, undefined]) await server.publish("chat:1", "n", 1, ofTenant(other));
  await everything.ping();
  assert.deepEqual(everything.frames, []);
  for (const pattern of [`${QUAGGA}|*`, "|*", "*|chat"]) {
    const token = tokenOf({ sub: "eve", tenant: ZEBRA, rooms: { [pattern]: "join" } });
    const client = await WsClient.connect(server.url, { hello: false });
    t.after(() => client.end());
    assert.equal((await client.refusal({ type: "hello", token })).code, "unauthorized");
  }
});

test("rooms with the longest names are each tenant's own, with the longest tenant's name too", async (t) => {
  const { server, recording } = await start(t);
  const room = `chat:${"x".repeat(123)}`;
  for (const tenant of ["t".repeat(32), "u".repeat(32)]) {
    const client = await member(t, server, recording, { tenant: undefined, claims: { tenant } });
    await client.ask("joined", { type: "join", room });
    const { position } = await client.ask("published", { type: "publish", room, event: "n", data: tenant.length });
    assert.equal(position?.offset, 1);
    await client.next("events");
    assert.equal((await server.count(room, { tenant })).count, 1);
  }
  const wrong = await WsClient.connect(server.url, { hello: false });
  t.after(() => wrong.end());
  await wrong.refusal({ type: "hello", token: tokenOf({ sub: "ann", tenant: "t".repeat(33) }) });
});
