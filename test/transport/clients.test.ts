import assert from "node:assert/strict";
import { test } from "node:test";
import type { Position } from "../../protocol/positions.js";
import { Refusal } from "../../server/server.js";
import { openStream } from "../support/event-stream.js";
import { eventually } from "../support/eventually.js";
import { RawSocket } from "../support/raw-socket.js";
import { connect, type Server, startServer } from "../support/start-server.js";
import { inSeconds, withSecret } from "../support/tokens.js";

const SECRET = "s".repeat(32);
const token = (more: object = {}) =>
  withSecret(SECRET, {
    ...{ sub: "ann", exp: inSeconds(600), rooms: { "chat:*": ["join", "publish", "history"] } },
    ...more,
  });

type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly body: { readonly [name: string]: unknown };
};

async function ask(
  server: Server,
  method: string,
  path: string,
  body?: unknown,
  headers: { readonly [name: string]: string } = { authorization: `Bearer ${token()}` },
): Promise<Answer> {
  const type = { "content-type": "application/json" };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const init = body === undefined ? { method, headers } : { method, headers: { ...type, ...headers }, body: text };
  const response = await fetch(`${server.url}${path}`, init);
  const answer = await response.text();
  return { status: response.status, headers: response.headers, body: answer === "" ? {} : JSON.parse(answer) };
}

const kinds = {
  "*": { history: { size: 100 } },
  plain: { history: { size: 0 }, allow: { user: ["publish" as const] } },
};

test("a client publishes, reads what was published and calls, by its own token and without a connection", async (t) => {
  const server = await startServer(t, {
    secret: SECRET,
    kinds,
    authorize: ({ action }) => action === "call",
    onCall: ({ user, method, data }) => ({ user, method, data }),
  });
  const stream = await openStream(t, server, "/v1/rooms/chat:1/events", { authorization: `Bearer ${token()}` });
  const published = await ask(server, "POST", "/v1/rooms/chat:1/events", { event: "said", data: { a: [1] }, key: "k" });
  assert.equal(published.status, 200);
  const position = published.body["position"] as Position;
  const again = await ask(server, "POST", "/v1/rooms/chat:1/events", { event: "said", data: { a: [1] }, key: "k" });
  assert.deepEqual(again.body, { position });
  const text = '{ "data":\n {"b" : "}"}, "event":"said", "type":"join", "id":7, "room":"chat:2", "from":"eve" }';
  assert.equal((await ask(server, "POST", "/v1/rooms/chat:1/events", text)).status, 200);
  await stream.until("two events", () => stream.told.length === 2);
  assert.deepEqual(
    stream.told.map(({ room, data }) => [room, data]),
    [
      ["chat:1", { a: [1] }],
      ["chat:1", { b: "}" }],
    ],
  );
  assert.match(stream.events.at(-1)?.data ?? "", /"from":"ann"/);
  const since = `${position.epoch}:1`;
  const read = await ask(server, "GET", `/v1/rooms/chat:1/history?since=${since}`);
  assert.equal(read.status, 200);
  assert.deepEqual(
    (read.body["events"] as { data: unknown }[]).map(({ data }) => data),
    [{ b: "}" }],
  );
  assert.deepEqual([read.body["more"], read.body["position"]], [false, { ...position, offset: 2 }]);
  const before = await ask(server, "GET", `/v1/rooms/chat:1/history?before=${position.epoch}:2&limit=1`);
  assert.equal((before.body["events"] as unknown[]).length, 1);
  assert.deepEqual((await ask(server, "POST", "/v1/rooms/plain:1/events", { event: "n", data: 1 })).body, {});
  const called = await ask(server, "POST", "/v1/call", { method: "sum", data: [1, 2] });
  assert.deepEqual(called.body, { data: { user: "ann", method: "sum", data: [1, 2] } });
  stream.end();
  await eventually(() => server.connections === 0);
});

test("what goes wrong has the status that fits it, and the protocol's word", async (t) => {
  const server = await startServer(t, {
    secret: SECRET,
    kinds,
    maxFrameBytes: 2000,
    authorize: ({ action, room }) => {
      if (room === "away:1") throw new Refusal("unavailable", "the directory is away", 2500);
      if (room === "odd:1") throw new Error("planted, with a secret in it");
      return action === "call";
    },
  });
  const event = { event: "n", data: 1 };
  const path = "/v1/rooms/chat:1/events";
  const other = { authorization: `Bearer ${token()}x` };
  const cases: [answer: Promise<Answer>, status: number, code: string, detail: RegExp][] = [
    [ask(server, "POST", path, event, other), 401, "unauthorized", /token/],
    [
      ask(server, "POST", path, event, { authorization: `Bearer ${token({ exp: inSeconds(-60) })}` }),
      401,
      "expired",
      /end/,
    ],
    [ask(server, "POST", "/v1/rooms/news:1/events", event), 403, "forbidden", /news:1/],
    [ask(server, "POST", path, { data: 1 }), 400, "bad_request", /^event: /],
    [ask(server, "POST", path, { event: "n" }), 400, "bad_request", /^data: /],
    [ask(server, "POST", path, "{"), 400, "bad_request", /^body: /],
    [ask(server, "POST", path, '{"a":1}}'), 400, "bad_request", /JSON/],
    [ask(server, "POST", path, '["n"]'), 400, "bad_request", /^body: /],
    [ask(server, "POST", path, { ...event, data: "x".repeat(3000) }), 413, "too_large", /./],
    [ask(server, "POST", "/v1/call", { method: "sum", data: 1 }), 404, "unknown_method", /sum/],
    [ask(server, "POST", "/v1/rooms/away:1/events", event), 503, "unavailable", /directory/],
    [ask(server, "POST", "/v1/rooms/odd:1/events", event), 500, "internal", /^the server failed at this$/],
    [ask(server, "GET", "/v1/rooms/chat:1/history?since=x"), 400, "bad_request", /^since: /],
    [ask(server, "GET", "/v1/rooms/chat:1/history?limit=x"), 400, "bad_request", /^limit: /],
    [ask(server, "GET", "/v1/rooms/chat:1/history?since=a:1&before=a:1"), 400, "bad_request", /both/],
    [ask(server, "POST", `${path}?token=abc`, event), 400, "bad_request", /^token: /],
  ];
  for (const [answer, status, code, detail] of cases) {
    const { status: got, body, headers } = await answer;
    assert.deepEqual([got, body["code"], body["status"]], [status, code, status], JSON.stringify(body));
    assert.match(String(body["detail"]), detail);
    assert.equal(headers.get("content-type"), "application/problem+json");
    if (status === 503) assert.equal(headers.get("retry-after"), "3");
  }
  for (const [method, asked, allow] of [
    ["POST", "/v1/events", "GET"],
    ["GET", "/v1/call", "POST"],
  ] as const) {
    const { status, headers } = await ask(server, method, asked);
    assert.deepEqual([status, headers.get("allow")], [405, allow]);
  }
  const noType = await fetch(`${server.url}${path}`, { method: "POST", headers: other, body: "{}" });
  assert.equal(noType.status, 415);
});

test("limits of users and addresses hold for requests: each is a connection for as long as it takes", async (t) => {
  const gates: (() => void)[] = [];
  const onCall = () => new Promise<unknown>((resolve) => gates.push(() => resolve("done")));
  const settings = { secret: SECRET, kinds, authorize: () => true, onCall };
  const server = await startServer(t, { ...settings, addressConnections: 2, userPublishRate: 2 });
  const call = { method: "wait", data: null };
  const waiting = [ask(server, "POST", "/v1/call", call), ask(server, "POST", "/v1/call", call)];
  await eventually(() => gates.length === 2);
  const refused = await ask(server, "POST", "/v1/call", call);
  assert.deepEqual([refused.status, refused.body["code"]], [429, "too_many"]);
  assert.ok(Number(refused.headers.get("retry-after")) >= 1);
  await assert.rejects(connect(t, server));
  for (const open of gates) open();
  for (const answer of waiting) assert.deepEqual((await answer).body, { data: "done" });
  const codes = [];
  for (let n = 0; n < 6; n++) {
    codes.push((await ask(server, "POST", "/v1/rooms/chat:1/events", { event: "n", data: n })).status);
  }
  assert.ok(codes.includes(200) && codes.includes(429), codes.join(" "));
  const rated = await startServer(t, { ...settings, addressRate: 1 });
  const statuses = [];
  for (let n = 0; n < 5; n++) statuses.push((await ask(rated, "GET", "/v1/rooms/chat:1/history")).status);
  assert.ok(statuses.includes(429), statuses.join(" "));
});

test("with a session's ticket the application is not asked again who it is", async (t) => {
  let asked = 0;
  const authenticate = () => {
    asked++;
    return { user: "ann" };
  };
  const server = await startServer(t, { authenticate, secret: SECRET });
  const stream = await openStream(t, server, "/v1/rooms/chat:1/events");
  const { session } = await stream.next("welcome");
  const headers = { "roomcast-session": session };
  for (let n = 0; n < 3; n++) {
    assert.equal((await ask(server, "POST", "/v1/rooms/chat:1/events", { event: "n", data: n }, headers)).status, 200);
  }
  await stream.until("three events", () => stream.told.length === 3);
  assert.equal(asked, 1);
  assert.equal(stream.closed, false, "it does not take the place of the stream");
});

test("pages of other sites may not ask; those that are named may, with what their browser adds", async (t) => {
  const named = "https://app.example";
  const server = await startServer(t, { secret: SECRET, kinds, origins: [named] });
  const cookie = { cookie: `roomcast_token=${token()}` };
  const path = "/v1/rooms/chat:1/events";
  const event = { event: "n", data: 1 };
  const evil = await ask(server, "POST", path, event, { ...cookie, origin: "https://evil.example" });
  assert.equal(evil.status, 403);
  const withPage = await ask(server, "POST", path, event, { ...cookie, origin: named });
  assert.deepEqual([withPage.status, withPage.headers.get("access-control-allow-origin")], [200, named]);
  // Nobody says that it is a page of this server's own who asks for the change.
  assert.equal((await ask(server, "POST", path, event, cookie)).status, 401);
  assert.equal((await ask(server, "POST", path, event, { ...cookie, origin: server.url })).status, 200);
  for (const [origin, status] of [
    [named, 204],
    ["https://evil.example", 403],
  ] as const) {
    for (const asked of [path, "/v1/events", "/v1/call", "/v1/rooms/chat:1/history"]) {
      const method = { "access-control-request-method": "POST" };
      const answer = await ask(server, "OPTIONS", asked, undefined, { origin, ...method });
      assert.equal(answer.status, status);
      assert.equal(answer.headers.get("access-control-allow-origin"), status === 204 ? named : null);
    }
  }
});

test("requests cut anywhere, and clients that go before their answer, leave nothing behind", async (t) => {
  const gates: (() => void)[] = [];
  const server = await startServer(t, {
    authorize: () => true,
    onCall: () => new Promise((resolve) => gates.push(() => resolve(1))),
    addressConnections: 40,
  });
  const body = '{"event":"n","data":1}';
  const text = `POST /v1/rooms/chat:1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: ${server.url}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  for (let at = 40; at < text.length; at++) {
    const raw = await RawSocket.connect(server.port);
    raw.write(text.slice(0, at));
    if (at % 3 === 0) {
      raw.destroy();
      continue;
    }
    await new Promise((resolve) => setImmediate(resolve));
    raw.write(text.slice(at));
    const { status } = await raw.response();
    assert.ok(status === 200 || status === 403, `${status}`);
    raw.destroy();
  }
  const call = text.replace("/v1/rooms/chat:1/events", "/v1/call").replace('"event"', '"method"');
  for (let round = 0; round < 60; round++) {
    const raw = await RawSocket.connect(server.port);
    raw.write(call.replace(/Content-Length: \d+/, `Content-Length: ${body.length + 1}`));
    await eventually(() => gates.length === round + 1);
    raw.destroy();
    // More of them than may be under way at once.
    await eventually(async () => (await fetch(`${server.url}/live`)).status === 200);
  }
  for (const open of gates) open();
  assert.equal((await ask(server, "GET", "/v1/rooms/chat:1/history", undefined, { origin: server.url })).status, 200);
});
