/** Publishing by HTTP: to a room, to many rooms, many events at once. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ServerFrame } from "../../protocol/frames.js";
import { connect, type ServerOptions, startServer } from "../support/start-server.js";
import type { WsClient } from "../support/ws-client.js";
import { ask, keyFor } from "./support.js";

const { key, entry } = keyFor(["publish"]);

const start = (t: TestContext, options: ServerOptions = {}) => startServer(t, { apiKeys: [entry], ...options });

async function inRoom(t: TestContext, server: { readonly url: string }, room: string): Promise<WsClient> {
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room });
  return client;
}

/** The next events, until there are so many. */
async function eventsOf(client: WsClient, count: number): Promise<ServerFrame<"events">["events"]> {
  const events = [];
  while (events.length < count) events.push(...(await client.next("events")).events);
  return events;
}

test("an event published by HTTP reaches who is in the room, at the position that the answer names", async (t) => {
  const server = await start(t);
  const client = await inRoom(t, server, "chat:1");
  const body = { event: "said", data: { text: "hé \u2028" }, from: "ann", key: "k1" };
  const answer = await ask(server, "/v1/rooms/chat:1/events", { key, body });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers["content-type"], "application/json");
  const [event] = await eventsOf(client, 1);
  assert.equal(event?.offset, answer.json.position.offset);
  assert.equal(typeof answer.json.position.epoch, "string");
  assert.deepEqual([event?.event, event?.data, event?.from, event?.key], ["said", { text: "hé \u2028" }, "ann", "k1"]);
});

test("a room's name in a path may hold a slash, written as %2F", async (t) => {
  const server = await start(t);
  const client = await inRoom(t, server, "doc:a/b@c");
  const answer = await ask(server, "/v1/rooms/doc%3Aa%2Fb%40c/events", { key, body: { event: "x", data: null } });
  assert.equal(answer.status, 200, answer.text);
  assert.equal((await client.next("events")).room, "doc:a/b@c");
  const broken = await ask(server, "/v1/rooms/doc%zz/events", { key, body: { event: "x", data: null } });
  assert.equal(broken.status, 400);
  assert.deepEqual(broken.json.errors[0].field, "room");
});

test("a room without history answers without a position", async (t) => {
  const server = await start(t, { kinds: { live: { history: { size: 0 } } } });
  const answer = await ask(server, "/v1/rooms/live:1/events", { key, body: { event: "x", data: 1 } });
  assert.deepEqual(answer.json, {});
});

test("the same Idempotency-Key publishes once, and is answered with the first position", async (t) => {
  const server = await start(t);
  const client = await inRoom(t, server, "chat:1");
  const headers = { "idempotency-key": "order-17" };
  const first = await ask(server, "/v1/rooms/chat:1/events", { key, headers, body: { event: "a", data: 1 } });
  const second = await ask(server, "/v1/rooms/chat:1/events", { key, headers, body: { event: "a", data: 1 } });
  const other = await ask(server, "/v1/rooms/chat:1/events", { key, body: { event: "b", data: 2 } });
  assert.deepEqual(second.json, first.json);
  assert.equal(other.json.position.offset, first.json.position.offset + 1);
  const events = await eventsOf(client, 2);
  assert.deepEqual(
    events.map(({ event }) => event),
    ["a", "b"],
  );
});

test("an Idempotency-Key that cannot be one is refused by its name", async (t) => {
  const server = await start(t);
  for (const length of [128, 129]) {
    const headers = { "idempotency-key": "k".repeat(length) };
    const answer = await ask(server, "/v1/rooms/chat:1/events", { key, headers, body: { event: "a", data: 1 } });
    assert.equal(answer.status, length === 128 ? 200 : 400);
    if (length === 129) assert.equal(answer.json.errors[0].field, "Idempotency-Key");
  }
});

test("one event goes to many rooms, with a result for each", async (t) => {
  const server = await start(t, { kinds: { small: { maxEventBytes: 4 } } });
  const clients = await Promise.all(["chat:1", "chat:2"].map((room) => inRoom(t, server, room)));
  const body = { rooms: ["chat:1", "small:1", "chat:2"], event: "news", data: "longer than four" };
  const answer = await ask(server, "/v1/publish", { key, body });
  assert.equal(answer.status, 207);
  assert.equal(answer.json.failed, 1);
  const [first, second, third] = answer.json.results;
  assert.ok(first.position.offset > 0 && third.position.offset > 0);
  assert.equal(second.error.code, "bad_request");
  assert.equal(second.error.field, "data");
  assert.match(second.error.message, /at most 4 bytes \(maxEventBytes\), got 18/);
  for (const client of clients) assert.equal((await eventsOf(client, 1))[0]?.data, "longer than four");
});

test("a batch keeps each room's order, and says of each item what became of it", async (t) => {
  const server = await start(t);
  const client = await inRoom(t, server, "chat:1");
  const items = Array.from({ length: 300 }, (_, n) => ({
    room: n % 3 === 0 ? "chat:2" : "chat:1",
    event: "n",
    data: n,
  }));
  const answer = await ask(server, "/v1/batch", { key, body: { items } });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.failed, 0);
  assert.equal(answer.json.results.length, 300);
  const expected = items.flatMap(({ room, data }) => (room === "chat:1" ? [data] : []));
  const events = await eventsOf(client, expected.length);
  assert.deepEqual(
    events.map(({ data }) => data),
    expected,
  );
  const offsets = answer.json.results.flatMap((result: { position: { offset: number } }, n: number) =>
    items[n]?.room === "chat:1" ? [result.position.offset] : [],
  );
  assert.deepEqual(
    offsets,
    events.map(({ offset }) => offset),
  );
});

test("a batch that is sent again with its Idempotency-Key publishes nothing again, however long the key", async (t) => {
  const server = await start(t);
  for (const name of ["b1", "k".repeat(128)]) {
    const items = [0, 1, 2].map((data) => ({ room: "chat:1", event: "n", data }));
    const headers = { "idempotency-key": name };
    const first = await ask(server, "/v1/batch", { key, headers, body: { items } });
    const again = await ask(server, "/v1/batch", { key, headers, body: { items } });
    assert.equal(first.status, 200, first.text);
    assert.deepEqual(again.json, first.json);
    const offsets = first.json.results.map((one: { position: { offset: number } }) => one.position.offset);
    assert.equal(new Set(offsets).size, 3);
  }
});

test("a batch with an item that is none is refused whole, with the item's place and field", async (t) => {
  const server = await start(t);
  const good = { room: "chat:1", event: "n", data: 1 };
  const items = [good, good, good, { room: "chat:1", event: "a b", data: 1 }, { room: "chat:1", data: 1, evnt: "x" }];
  const answer = await ask(server, "/v1/batch", { key, body: { items } });
  assert.equal(answer.status, 400);
  assert.deepEqual(answer.json.errors, [
    { field: "items[3].event", expected: "1 to 64 characters of A-Z a-z 0-9 _ - . : @ /", got: '"a b"' },
    { field: "items[4].event", expected: "1 to 64 characters of A-Z a-z 0-9 _ - . : @ /", got: "nothing" },
    {
      field: "items[4].evnt",
      expected: "one of room, event, data, from, key, tenant",
      got: '"evnt", which is no field',
    },
  ]);
  const next = await ask(server, "/v1/rooms/chat:1/events", { key, body: { event: "first", data: 1 } });
  assert.equal(next.json.position.offset, 1, "nothing of the batch was published");
});

test("no more than 20 wrong fields are named, and lists have their bounds", async (t) => {
  const server = await start(t);
  const bad = Array.from({ length: 500 }, () => ({ room: "", event: "", data: 1 }));
  assert.equal((await ask(server, "/v1/batch", { key, body: { items: bad } })).json.errors.length, 20);
  const many = Array.from({ length: 1001 }, () => ({ room: "a", event: "b", data: 1 }));
  for (const items of [[], many]) {
    const answer = await ask(server, "/v1/batch", { key, body: { items } });
    assert.equal(answer.status, 400);
    assert.deepEqual(answer.json.errors, [{ field: "items", expected: "a list of 1 to 1000", got: "an array" }]);
  }
  const rooms = Array.from({ length: 1001 }, (_, n) => `r:${n}`);
  assert.equal((await ask(server, "/v1/publish", { key, body: { rooms, event: "e", data: 1 } })).status, 400);
});

test("data that may not travel is refused by its place", async (t) => {
  const server = await start(t);
  const deep = `${"[".repeat(65)}${"]".repeat(65)}`;
  const cases: readonly (readonly [string, RegExp])[] = [
    ['{"event":"e"}', /^data: expected a value, got nothing$/],
    ['{"event":"e","data":{"__proto__":1}}', /^data: expected keys other than/],
    ['{"event":"e","data":"\\ud800"}', /^data: expected well-formed text/],
    [`{"event":"e","data":${deep}}`, /at most 64 levels/],
    [`{"event":"e","data":"${"x".repeat(70_000)}"}`, /^data: expected at most 65536 bytes/],
  ];
  for (const [body, expected] of cases) {
    const answer = await ask(server, "/v1/rooms/chat:1/events", { key, body });
    assert.equal(answer.status, 400, answer.text);
    assert.match(answer.json.detail, expected);
    assert.ok(answer.json.errors[0].field.startsWith("data"), answer.text);
  }
});
