/** What is taken back while something else is under way; on one node. */
import assert from "node:assert/strict";
import test from "node:test";
import type { Revoke } from "../../server/server.js";
import { eventually } from "../support/eventually.js";
import { SECRET, signed } from "../support/sign.js";
import { connect, startServer } from "../support/start-server.js";

const MINUTE = 60_000;
const block = (user: string): Revoke => ({ user, blockedUntil: Date.now() + MINUTE });
const publish = { type: "publish", room: "chat:1", event: "n", data: 1 } as const;

/** Something that waits until it is let go. */
function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

test("a token that is revoked while the application is asked who it is lets nobody in", async (t) => {
  const { open, opened } = gate();
  let asked = 0;
  const authenticate = async () => {
    asked++;
    await opened;
    return { user: "ann" };
  };
  const server = await startServer(t, { authenticate });
  const client = await connect(t, server, { hello: false });
  client.send({ type: "hello", id: 1, token: "t" });
  await eventually(() => asked === 1);
  await server.revoke(block("ann"));
  open();
  assert.equal((await client.next("error")).code, "unauthorized");
  assert.equal((await client.close()).code, 4200);
});

test("a session that the application had let in is not resumed once its user is blocked", async (t) => {
  const server = await startServer(t, { authenticate: ({ token }) => ({ user: token ?? "nobody" }) });
  const client = await connect(t, server, { hello: { token: "ann" } });
  const { session } = client.welcome;
  await server.revoke(block("ann"));
  assert.equal((await client.close()).code, 4200);
  const again = await connect(t, server, { hello: false });
  assert.equal((await again.request({ type: "hello", token: "ann", session })).type, "error");
  assert.equal((await again.close()).code, 4200);
  await connect(t, server, { hello: { token: "bob" } });
});

test("a room that is taken back while the application is asked about it is not joined", async (t) => {
  const { open, opened } = gate();
  let asked = 0;
  const authorize = async () => {
    asked++;
    await opened;
    return true;
  };
  const server = await startServer(t, { authenticate: () => ({ user: "ann" }), authorize });
  const client = await connect(t, server, { hello: { token: "t" } });
  const joining = client.request({ type: "join", room: "chat:1" });
  await eventually(() => asked === 1);
  await server.revoke({ user: "ann", room: "chat:*", actions: "join" });
  open();
  assert.equal((await joining).type, "error");
  assert.equal((await server.count("chat:1")).count, 0);
  await client.ask("joined", { type: "join", room: "other" });
});

test("a publish that the application looks at while it is taken back does not come into the log", async (t) => {
  const { open, opened } = gate();
  let asked = 0;
  const onPublish = async () => {
    asked++;
    await opened;
  };
  const kinds = { "*": { history: { size: 10 }, allow: { anonymous: ["join" as const], user: ["publish" as const] } } };
  const server = await startServer(t, { authenticate: ({ token }) => ({ user: token ?? "" }), onPublish, kinds });
  const reader = await connect(t, server, { hello: { token: "bob" } });
  await reader.ask("joined", { type: "join", room: "chat:1" });
  const [ann, eve] = [
    await connect(t, server, { hello: { token: "ann" } }),
    await connect(t, server, { hello: { token: "eve" } }),
  ];
  const refused = ann.refusal(publish);
  eve.send({ ...publish, id: 7 });
  await eventually(() => asked === 2);
  await server.revoke({ user: "ann", room: "chat:1", actions: "publish" });
  await server.revoke(block("eve"));
  assert.equal((await eve.close()).code, 4200);
  open();
  assert.equal((await refused).code, "forbidden");
  const { offset } = (await server.publish("chat:1", "end", 1)) ?? {};
  const { events } = await reader.next("events");
  assert.deepEqual([events.map(({ event }) => event), offset], [["end"], 1]);
});

test("a room token is revoked by its id: its holder leaves that room, and stays in the others", async (t) => {
  const server = await startServer(t, { secret: SECRET, kinds: { open: { allow: { anonymous: ["join"] } } } });
  const client = await connect(t, server, { hello: { token: signed({ sub: "ann" }) } });
  const [one, two] = ["one", "two"].map((jti) => signed({ jti, room: `chat:${jti}` })) as [string, string];
  await client.ask("joined", { type: "join", room: "chat:one", token: one });
  await client.ask("joined", { type: "join", room: "chat:two", token: two });
  await client.ask("joined", { type: "join", room: "open" });
  await server.revoke({ token: "one" });
  assert.deepEqual(await client.next("removed"), { type: "removed", room: "chat:one", code: "forbidden" });
  assert.equal((await client.refusal({ type: "join", room: "chat:one", token: one })).code, "forbidden");
  for (const room of ["chat:two", "open"]) {
    await server.publish(room, "n", 1);
    assert.equal((await client.next("events")).room, room);
  }
});

test("who renewed in time keeps its session when the token before is revoked", async (t) => {
  const server = await startServer(t, { secret: SECRET });
  const [before, after] = [signed({ sub: "ann", jti: "before" }), signed({ sub: "ann", jti: "after" })];
  const client = await connect(t, server, { hello: { token: before } });
  await client.ask("renewed", { type: "renew", token: after });
  await server.revoke({ token: "before" });
  await client.ping();
  await server.revoke({ token: "after" });
  assert.equal((await client.close()).code, 4200);
});

test("what cannot be taken back is refused with the field's name, and nothing is done", async (t) => {
  const server = await startServer(t, { secret: SECRET });
  const client = await connect(t, server, { hello: { token: signed({ sub: "ann" }) } });
  const wrong = [{ user: "ann", blockUntil: Date.now() + MINUTE }, { user: "ann", room: "chat:*" }, {}, "ann"];
  for (const what of wrong) await assert.rejects(server.revoke(what as never), { name: "ProtocolError" });
  const pattern = (index: number): Revoke => ({ user: "bob", room: `chat:${index}`, actions: "join" });
  for (let index = 0; index < 100; index++) await server.revoke(pattern(index));
  await assert.rejects(server.revoke(pattern(100)), { name: "ProtocolError", field: "room" });
  await server.revoke(pattern(0));
  await client.ping();
});
