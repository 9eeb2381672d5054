import assert from "node:assert/strict";
import { test } from "node:test";
import { openStream } from "../support/event-stream.js";
import { eventually } from "../support/eventually.js";
import { connect, startServer } from "../support/start-server.js";

const logged = { "*": { history: { size: 100 } }, plain: { history: { size: 0 } } };

test("a stream has its head once it is joined, and each event with its position as its id", async (t) => {
  const server = await startServer(t, { kinds: logged });
  const stream = await openStream(t, server, "/v1/rooms/chat:1/events");
  assert.equal(stream.status, 200);
  const { headers } = stream.response;
  assert.deepEqual(
    [headers["content-type"], headers["cache-control"], headers["x-accel-buffering"]],
    ["text/event-stream", "no-store", "no"],
  );
  assert.equal((await stream.next("welcome")).session.startsWith("s_"), true);
  assert.equal((await stream.next("joined")).recovered, false);
  const ids: string[] = [];
  for (const n of [1, 2, 3]) {
    const position = await server.publish("chat:1", "said", { n }, { from: "ann", key: `k${n}` });
    ids.push(`${position?.epoch}:${position?.offset}`);
  }
  await stream.until("three events", () => stream.told.length === 3);
  assert.deepEqual(
    stream.told.map(({ room, offset, event, data }) => [room, offset, event, data]),
    [1, 2, 3].map((n) => ["chat:1", n, "said", { n }]),
  );
  assert.deepEqual(
    stream.events.filter(({ type }) => type === "message").map(({ id }) => id),
    ids,
  );
  assert.match(stream.events.at(-1)?.data ?? "", /"from":"ann".*"key":"k3"/);
  assert.ok(Number(stream.parser.retryMs) > 0);
});

test("who comes back with Last-Event-ID, or asks since a position, gets what was missed and then what comes", async (t) => {
  const server = await startServer(t, { kinds: logged });
  const positions = [];
  for (const n of [1, 2, 3, 4]) positions.push(await server.publish("chat:1", "n", n));
  const id = `${positions[1]?.epoch}:2`;
  for (const [path, headers] of [
    ["", { "last-event-id": id }],
    [`?since=${id}`, {}],
    // What a browser has seen since is later than what the page asked for first.
    [`?since=${positions[0]?.epoch}:1`, { "last-event-id": id }],
  ] as const) {
    const stream = await openStream(t, server, `/v1/rooms/chat:1/events${path}`, headers);
    const joined = await stream.next("joined");
    assert.deepEqual([joined.recovered, joined.events], [true, []]);
    assert.deepEqual(
      stream.told.map(({ data }) => data),
      [3, 4],
    );
    assert.equal(stream.parser.lastEventId, `${positions[0]?.epoch}:4`);
    stream.end();
  }
  const lost = await openStream(t, server, "/v1/rooms/chat:1/events", { "last-event-id": "another:2" });
  assert.equal((await lost.next("joined")).recovered, false);
  assert.equal(lost.parser.lastEventId, `${positions[0]?.epoch}:4`);
  await server.publish("chat:1", "n", 5);
  await lost.until("the next event", () => lost.told.length === 1);
});

test("several rooms are one stream, whose ids say where it is in each that has a log", async (t) => {
  const server = await startServer(t, { kinds: logged });
  const path = "/v1/events?room=chat:1&room=plain:2&room=chat%3A3%2Fa";
  const stream = await openStream(t, server, path);
  for (const _ of [1, 2, 3]) await stream.next("joined");
  await server.publish("chat:1", "n", "one");
  await stream.until("one event", () => stream.told.length === 1);
  await server.publish("plain:2", "n", "two");
  await stream.until("two events", () => stream.told.length === 2);
  const { epoch = "" } = (await server.publish("chat:3/a", "n", "three")) ?? {};
  await stream.until("three events", () => stream.told.length === 3);
  assert.equal(stream.parser.lastEventId, `chat:1=${epoch}:1,chat:3/a=${epoch}:1`);
  assert.deepEqual(
    stream.told.map(({ room, data }) => [room, data]),
    [
      ["chat:1", "one"],
      ["plain:2", "two"],
      ["chat:3/a", "three"],
    ],
  );
  stream.end();
  await server.publish("chat:3/a", "n", "four");
  await server.publish("chat:1", "n", "five");
  const back = await openStream(t, server, path, { "last-event-id": stream.parser.lastEventId });
  const recovered = new Map<string, boolean>();
  for (const _ of [1, 2, 3]) {
    const joined = await back.next("joined");
    recovered.set(joined.room, joined.recovered);
  }
  assert.deepEqual(Object.fromEntries(recovered), { "chat:1": true, "plain:2": false, "chat:3/a": true });
  assert.deepEqual(new Set(back.told.map(({ data }) => data)), new Set(["four", "five"]));
  assert.equal(back.parser.lastEventId, `chat:1=${epoch}:2,chat:3/a=${epoch}:2`);
});

test("a stream of several rooms that is cut before all are joined again still knows where it was in the others", async (t) => {
  const gates = new Map<string, (may: boolean) => void>();
  const server = await startServer(t, {
    kinds: logged,
    authorize: ({ action, room = "" }) =>
      action !== "join" || room === "a:1" || new Promise<boolean>((resolve) => gates.set(room, resolve)),
  });
  const { epoch = "" } = (await server.publish("a:1", "n", 1)) ?? {};
  // Enough that the stream goes on before the other room is joined: its head is not held back for so much.
  for (let n = 0; n < 30; n++) await server.publish("a:1", "n", "x".repeat(10_000));
  const since = `a:1=${epoch}:0,b:1=${epoch}:7`;
  const stream = await openStream(t, server, "/v1/events?room=a:1&room=b:1", { "last-event-id": since });
  await stream.until("the first room", () => stream.told.length === 31);
  assert.equal(stream.parser.lastEventId, `a:1=${epoch}:31,b:1=${epoch}:7`);
  gates.get("b:1")?.(true);
});

test("line ends in what a client published, and characters that other readers take for such, break no event", async (t) => {
  const server = await startServer(t, { kinds: logged });
  const one = await openStream(t, server, "/v1/rooms/chat:1/events");
  const many = await openStream(t, server, "/v1/events?room=chat:1&room=chat:2");
  const client = await connect(t, server);
  client.socket.send('{"type":"publish","id":90,"room":"chat:1","event":"n","data":{\r\n\t"a":\n[1,\r2]}}');
  await client.until("the answer", () => client.frames.some((frame) => frame.type === "published"));
  const text = "\u2028id: chat:1=x:9\u2029\ndata: no\n\n\u0085";
  await server.publish("chat:1", "n", text);
  for (const stream of [one, many]) {
    await stream.until("both events", () => stream.told.length === 2);
    assert.deepEqual(
      stream.told.map(({ data }) => data),
      [{ a: [1, 2] }, text],
    );
    assert.match(stream.parser.lastEventId, /^(chat:1=)?[\w-]+:2(,chat:2=[\w-]+:0)?$/);
  }
});

test("a room without history has neither ids nor a past, and each event comes once", async (t) => {
  const server = await startServer(t, { kinds: logged });
  const stream = await openStream(t, server, "/v1/rooms/plain:1/events");
  await stream.next("joined");
  for (const n of [1, 2, 3]) await server.publish("plain:1", "n", n);
  await stream.until("three events", () => stream.told.length === 3);
  assert.equal(stream.parser.lastEventId, "");
  assert.deepEqual(
    stream.told.map(({ data, offset }) => [data, offset]),
    [1, 2, 3].map((n) => [n, undefined]),
  );
});

test("what is sent to sockets and what is sent to streams is the same, and a stream that ends is in no room", async (t) => {
  const server = await startServer(t, { kinds: logged });
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "chat:1" });
  const streams = await Promise.all([1, 2, 3].map(() => openStream(t, server, "/v1/rooms/chat:1/events")));
  for (const stream of streams) await stream.next("joined");
  assert.deepEqual([server.connections, (await server.count("chat:1")).count], [4, 4]);
  await client.ask("published", { type: "publish", room: "chat:1", event: "n", data: 1 });
  await client.next("events");
  for (const stream of streams) await stream.until("the event", () => stream.told.length === 1);
  streams[0]?.end();
  await eventually(() => server.connections === 3);
  assert.equal((await server.count("chat:1")).count, 3);
  await server.publish("chat:1", "n", 2);
  for (const stream of streams.slice(1)) await stream.until("the event", () => stream.told.length === 2);
});

test("where the latest event of a room is for whoever joins, a stream begins with it", async (t) => {
  const server = await startServer(t, { kinds: { "*": { history: { size: 10 }, lastValue: true } } });
  for (const n of [1, 2]) await server.publish("price:1", "is", n);
  const stream = await openStream(t, server, "/v1/rooms/price:1/events");
  assert.equal((await stream.next("joined")).recovered, false);
  assert.deepEqual(
    stream.told.map(({ data }) => data),
    [2],
  );
  const headers = { "last-event-id": stream.parser.lastEventId };
  const back = await openStream(t, server, "/v1/rooms/price:1/events", headers);
  assert.equal((await back.next("joined")).recovered, true);
  assert.deepEqual(back.told, []);
});

test("streams and requests of clients are counted", async (t) => {
  const server = await startServer(t, { kinds: logged, metricsPort: 0 });
  const streams = await Promise.all([1, 2].map(() => openStream(t, server, "/v1/rooms/chat:1/events")));
  for (const stream of streams) await stream.next("joined");
  const headers = { origin: server.url };
  await fetch(`${server.url}/v1/rooms/chat:1/history`, { headers });
  const scrape = async () => (await fetch(server.metricsUrl ?? "")).text();
  const text = await scrape();
  assert.match(text, /^roomcast_streams 2$/m);
  assert.match(text, /^roomcast_client_requests_total\{request="history"\} 1$/m);
  for (const stream of streams) stream.end();
  await eventually(async () => /^roomcast_streams 0$/m.test(await scrape()));
});

test("comments go to streams that are silent, and to none that are spoken to", async (t) => {
  const server = await startServer(t, { kinds: logged, heartbeatMs: 100 });
  const stream = await openStream(t, server, "/v1/rooms/chat:1/events");
  await stream.until("comments", () => stream.parser.comments >= 3);
  assert.equal(stream.told.length, 0);
});

test("with the ticket of a session a stream goes on as that session", async (t) => {
  let asked = 0;
  const authenticate = () => {
    asked++;
    return { user: "ann" };
  };
  const server = await startServer(t, { authenticate, secret: "s".repeat(32) });
  const first = await openStream(t, server, "/v1/rooms/chat:1/events");
  const { session } = await first.next("welcome");
  first.end();
  await eventually(() => server.connections === 0);
  const again = await openStream(t, server, "/v1/rooms/chat:1/events", { "roomcast-session": session });
  assert.match((await again.next("welcome")) && again.text, /"resumed":true/);
  assert.equal(asked, 1);
});
