/** What the operations do, on two nodes. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startRedis } from "../support/services/redis.js";
import { connect, type Server, startServer, usersMayAll } from "../support/start-server.js";
import type { WsClient } from "../support/ws-client.js";
import { type Answer, ask, keyFor } from "./support.js";

const { key, entry } = keyFor();

type Ground = {
  readonly redis: Awaited<ReturnType<typeof startRedis>>;
  readonly one: Server;
  readonly two: Server;
  /** A client of the user, in the room where there is one, on a node. */
  client(server: Server, user: string, room?: string): Promise<WsClient>;
};

async function ground(t: TestContext): Promise<Ground> {
  const redis = await startRedis(t);
  const options = {
    apiKeys: [entry],
    redis: [redis.url],
    kinds: usersMayAll,
    engineTimeoutMs: 300,
    probeMs: 100,
    authenticate: ({ token }: { readonly token?: string | undefined }) =>
      token === undefined ? { user: undefined } : { user: token },
  };
  const [one, two] = await Promise.all([startServer(t, options), startServer(t, options)]);
  await eventually(() => [one, two].every((server) => server.nodes().length === 2));
  const client = async (server: Server, user: string, room?: string): Promise<WsClient> => {
    const joined = await connect(t, server, { hello: { token: user } });
    if (room !== undefined) await joined.ask("joined", { type: "join", room });
    return joined;
  };
  return { redis, one, two, client };
}

const post = (server: Server, path: string, body: unknown = {}): Promise<Answer> => ask(server, path, { key, body });
const get = async (server: Server, path: string) => {
  const answer = await ask(server, path, { key });
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
};

test("who is where, on all nodes: rooms by pages, a room's count, its members", async (t) => {
  const { one, two, client } = await ground(t);
  for (const [server, user, room] of [
    [one, "ann", "chat:1"],
    [two, "ann", "chat:1"],
    [two, "ben", "chat:1"],
    [one, "ann", "chat:2"],
    [two, "cleo", "doc:a/b"],
  ] as const) {
    const presence = room === "chat:1";
    await (await client(server, user)).ask("joined", { type: "join", room, presence });
  }
  const whole = { nodes: 2, missing: [] };
  await eventually(async () => (await get(one, "/v1/rooms/chat:1")).members === 2);
  assert.deepEqual(await get(one, "/v1/rooms/chat:1"), { room: "chat:1", clients: 3, members: 2, ...whole });
  assert.deepEqual(await get(one, "/v1/rooms/doc:a%2Fb"), { room: "doc:a/b", clients: 1, members: 0, ...whole });
  const first = await get(one, "/v1/rooms?limit=2");
  assert.deepEqual(
    [first.rooms, first.next],
    [
      [
        { room: "chat:1", clients: 3 },
        { room: "chat:2", clients: 1 },
      ],
      "chat:2",
    ],
  );
  const second = await get(two, `/v1/rooms?limit=2&after=${first.next}`);
  assert.deepEqual([second.rooms, second.next], [[{ room: "doc:a/b", clients: 1 }], undefined]);
  const prefixed = await get(two, "/v1/rooms?prefix=chat:");
  assert.deepEqual(
    prefixed.rooms.map(({ room }: { room: string }) => room),
    ["chat:1", "chat:2"],
  );
  const members = await get(one, "/v1/rooms/chat:1/members?limit=1");
  assert.deepEqual(members, { members: [{ user: "ann", sessions: 2 }], count: 2, anonymous: 0, next: "ann" });
  const rest = await get(one, `/v1/rooms/chat:1/members?after=${members.next}`);
  assert.deepEqual(rest.members, [{ user: "ben", sessions: 1 }]);
});

test("history is read on from a position, back from one, and says when the log does not reach back", async (t) => {
  const { one, two } = await ground(t);
  const items = [1, 2, 3, 4, 5].map((data) => ({ room: "chat:1", event: "n", data, from: "ann" }));
  const { results } = (await post(one, "/v1/batch", { items })).json;
  const at = (index: number): string => `${results[index].position.epoch}:${results[index].position.offset}`;
  const numbers = (page: { events: { data: unknown }[] }) => page.events.map(({ data }) => data);
  const latest = await get(two, "/v1/rooms/chat:1/history?limit=2");
  assert.deepEqual([numbers(latest), latest.more, latest.position], [[4, 5], true, results[4].position]);
  assert.deepEqual(latest.events[1].from, "ann");
  const on = await get(two, `/v1/rooms/chat:1/history?since=${at(1)}&limit=2`);
  assert.deepEqual([numbers(on), on.more], [[3, 4], true]);
  const back = await get(two, `/v1/rooms/chat:1/history?before=${encodeURIComponent(at(2))}`);
  assert.deepEqual([numbers(back), back.more], [[1, 2], false]);
  const lost = await get(two, "/v1/rooms/chat:1/history?since=another:1");
  assert.deepEqual(lost, { position: results[4].position, more: false });
  const both = await ask(two, `/v1/rooms/chat:1/history?since=${at(1)}&before=${at(2)}`, { key });
  assert.deepEqual([both.status, both.json.errors[0].field], [400, "before"]);
});

test("a user is taken out of a room, and disconnected, wherever its sessions are", async (t) => {
  const { one, two, client } = await ground(t);
  const clients = await Promise.all([client(one, "ann é/", "chat:1"), client(two, "ann é/", "chat:1")]);
  const removed = await post(one, "/v1/rooms/chat:1/remove", { user: "ann é/" });
  assert.deepEqual([removed.status, removed.json], [200, { count: 2, nodes: 2, missing: [] }]);
  for (const each of clients) assert.equal((await each.next("removed")).room, "chat:1");
  const gone = await ask(one, `/v1/users/${encodeURIComponent("ann é/")}/disconnect`, { key, method: "POST" });
  assert.deepEqual([gone.status, gone.json.count], [200, 2]);
  for (const each of clients) await each.until("closed", () => each.closed?.code === 4201);
});

test("a user is kept out until a time, and let in again", async (t) => {
  const { one, two, client } = await ground(t);
  const ann = await client(two, "ann");
  const blocked = await post(one, "/v1/users/ann/block", { until: Date.now() + 60_000 });
  assert.deepEqual([blocked.status, blocked.json], [200, {}]);
  await ann.until("closed", () => ann.closed?.code === 4200);
  await assert.rejects(client(two, "ann"));
  assert.equal((await post(two, "/v1/users/ann/unblock")).status, 200);
  await eventually(() =>
    client(one, "ann").then(
      () => true,
      () => false,
    ),
  );
  const never = await post(one, "/v1/users/ann/block", { until: Date.now() + 10 * 365 * 86_400_000 });
  assert.deepEqual([never.status, never.json.errors[0].field], [400, "until"]);
  const seconds = await post(one, "/v1/users/ann/block", { until: 1_900_000_000 });
  assert.deepEqual(seconds.json.errors[0], {
    field: "until",
    expected: "a time in Unix milliseconds",
    got: "1900000000",
  });
});

test("what a user may do in rooms is taken back on all nodes, and a wrong form of it is told by its field", async (t) => {
  const { one, two, client } = await ground(t);
  const ann = await client(two, "ann", "chat:1");
  const revoked = await post(one, "/v1/revocations", { user: "ann", room: "chat:*", actions: ["join", "publish"] });
  assert.deepEqual([revoked.status, revoked.json], [200, {}]);
  assert.equal((await ann.next("removed")).room, "chat:1");
  assert.equal((await ann.refusal({ type: "join", room: "chat:1" })).code, "forbidden");
  for (const [body, field] of [
    [{}, "user"],
    [{ user: "ann", room: "chat:*" }, "actions"],
    [{ user: "ann", room: "chat:*", actions: ["dance"] }, "actions"],
    [{ token: "jti", user: "ann" }, "user"],
    [{ user: "ann", colour: 1 }, "colour"],
  ] as const) {
    const answer = await post(one, "/v1/revocations", body);
    assert.deepEqual([answer.status, answer.json.errors?.[0]?.field], [400, field], answer.text);
  }
});

test("a user's sessions are asked, on all nodes, and their answers collected", async (t) => {
  const { one, two, client } = await ground(t);
  const clients = await Promise.all([client(one, "ann"), client(two, "ann")]);
  const asked = post(one, "/v1/users/ann/call", { method: "confirm", data: { amount: 5 }, timeoutMs: 20_000 });
  for (const [index, each] of clients.entries()) {
    const call = await each.next("call");
    assert.deepEqual([call.method, call.data], ["confirm", { amount: 5 }]);
    each.send({ type: "answer", id: call.id, data: { yes: index } });
  }
  const { status, json } = await asked;
  assert.deepEqual([status, json.sessions, json.nodes, json.missing], [200, 2, 2, []]);
  const answers = json.answers.map(({ data }: { data: { yes: number } }) => data.yes);
  assert.deepEqual(answers.sort(), [0, 1]);
  const nobody = await post(one, "/v1/users/nobody/call", { method: "confirm" });
  assert.deepEqual([nobody.status, nobody.json.sessions, nobody.json.answers], [200, 0, []]);
  const late = await post(one, "/v1/users/ann/call", { method: "confirm", timeoutMs: 30_001 });
  assert.deepEqual([late.status, late.json.errors[0].field], [400, "timeoutMs"]);
});

test("nodes are listed, the one that answers first; what is remembered is forgotten on all", async (t) => {
  const { one, two } = await ground(t);
  const { nodes } = await get(one, "/v1/nodes");
  assert.deepEqual(
    nodes.map(({ name, self }: { name: string; self: boolean }) => [name, self]),
    [
      [one.settings.node, true],
      [two.settings.node, false],
    ],
  );
  const forgotten = await post(two, "/v1/cache/forget", { user: "ann", room: "chat:1" });
  assert.deepEqual([forgotten.status, forgotten.json], [200, { nodes: 2, missing: [] }]);
});

test("a key that was used on one node is known on the other", async (t) => {
  const { one, two, client } = await ground(t);
  const ann = await client(two, "ann", "chat:1");
  const headers = { "idempotency-key": "order 17/é" };
  const said = (server: Server, data: unknown) =>
    ask(server, "/v1/rooms/chat:1/events", { key, headers, body: { event: "n", data } });
  const items = [0, 1].map((data) => ({ room: "chat:1", event: "n", data }));
  const batch = (server: Server) => ask(server, "/v1/batch", { key, headers, body: { items } });
  const first = await said(one, "first");
  const again = await said(two, "again");
  assert.equal(first.status, 200, first.text);
  assert.deepEqual(again.json, first.json);
  const [whole, repeated] = [await batch(two), await batch(one)];
  assert.equal(whole.status, 200, whole.text);
  assert.deepEqual(repeated.json, whole.json);
  await said(one, "not this one");
  await ask(one, "/v1/rooms/chat:1/events", { key, body: { event: "last", data: 1 } });
  const events: unknown[] = [];
  while (events.at(-1) !== "last")
    events.push(...(await ann.next("events")).events.map(({ event, data }) => (event === "last" ? event : data)));
  assert.deepEqual(events, ["first", 0, 1, "last"]);
});

test("while the engine is away it is said that it is, with a time to try again, of each item too", async (t) => {
  const { one, redis } = await ground(t);
  await redis.kill();
  await eventually(() => one.problems().length > 0);
  const answer = await post(one, "/v1/rooms/chat:1/events", { event: "n", data: 1 });
  assert.equal(answer.status, 503);
  assert.equal(answer.headers["content-type"], "application/problem+json");
  assert.equal(answer.json.code, "unavailable");
  assert.ok(answer.json.retryMs > 0);
  assert.equal(answer.headers["retry-after"], String(Math.ceil(answer.json.retryMs / 1000)));
  const items = [0, 1].map((data) => ({ room: "chat:1", event: "n", data }));
  const batch = await post(one, "/v1/batch", { items });
  assert.deepEqual([batch.status, batch.json.failed], [207, 2]);
  for (const { error } of batch.json.results) {
    assert.equal(error.code, "unavailable");
    assert.ok(error.retryMs > 0);
  }
  assert.equal((await ask(one, "/v1/rooms", { key })).status, 503);
  await redis.start();
  await eventually(() => one.problems().length === 0);
  assert.equal((await post(one, "/v1/batch", { items })).status, 200);
});
