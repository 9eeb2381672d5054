/** Who may ask the API for what, and how refusals are told. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Scope, scopes } from "../../server/access/api-keys.js";
import { operations } from "../../server/api/operations.js";
import { RawSocket } from "../support/raw-socket.js";
import { type ServerOptions, startServer } from "../support/start-server.js";
import { ask, keyFor } from "./support.js";

const SECRET = "a secret of at least 32 characters!!";
const event = { event: "said", data: 1 };
const room = "/v1/rooms/chat:1/events";

/** A request that each operation takes, as far as its scope. */
const pathOf = (path: string): string => path.replace("{room}", "chat:1").replace("{user}", "ann");

const isProblem = (answer: Awaited<ReturnType<typeof ask>>, status: number, code: string): void => {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers["content-type"], "application/problem+json");
  assert.equal(answer.json.status, status);
  assert.equal(answer.json.code, code);
  assert.equal(answer.json.type, `urn:roomcast:error:${code}`);
  for (const field of ["title", "detail"]) assert.equal(typeof answer.json[field], "string");
};

test("every operation asks for its own scope, and says which is missing", async (t) => {
  const keys = scopes.map((scope) => ({ scope, ...keyFor([scope]) }));
  const server = await startServer(t, { apiKeys: keys.map(({ entry }) => entry) });
  for (const { method, path, scope: needed } of operations) {
    for (const { scope, key } of keys) {
      // Wrong in its form: so what passes the scope is refused after it, and does nothing.
      const options = method === "post" ? { body: { nothing: 1 } } : {};
      const answer = await ask(server, `${pathOf(path)}${method === "get" ? "?nothing=1" : ""}`, { key, ...options });
      if (scope === needed) isProblem(answer, 400, "bad_request");
      else {
        isProblem(answer, 403, "forbidden");
        assert.match(answer.json.detail, new RegExp(`expected ${needed} among them`));
      }
    }
  }
});

test("without a key, with another's, or with one that is none, nobody is let in, and no key is repeated", async (t) => {
  const { entry } = keyFor();
  const stranger = keyFor().key;
  const server = await startServer(t, { apiKeys: [entry] });
  const shown = [undefined, `Bearer ${stranger}`, "Bearer rck_x", `Basic ${stranger}`, stranger, "Bearer", "Bearer  "];
  for (const authorization of shown) {
    for (const path of ["/v1/publish", "/v1/nodes"]) {
      const headers = authorization === undefined ? {} : { authorization };
      const answer = await ask(server, path, { headers, ...(path === "/v1/publish" ? { body: event } : {}) });
      isProblem(answer, 401, "unauthorized");
      assert.equal(answer.headers["www-authenticate"], "Bearer");
      assert.ok(!answer.text.includes(stranger.slice(4)));
    }
  }
});

test("the scheme of the credentials is read in any case", async (t) => {
  const { key, entry } = keyFor(["nodes"]);
  const server = await startServer(t, { apiKeys: [entry] });
  for (const scheme of ["Bearer", "bearer", "BEARER"]) {
    const answer = await ask(server, "/v1/nodes", { headers: { authorization: `${scheme} ${key}` } });
    assert.equal(answer.status, 200, answer.text);
  }
});

test("with a secret and no key it is said that no key is configured", async (t) => {
  const server = await startServer(t, { secret: SECRET });
  const answer = await ask(server, "/v1/nodes");
  isProblem(answer, 401, "unauthorized");
  assert.match(answer.json.detail, /no API key is configured here.*apiKeys/);
});

for (const [what, options] of [
  ["authenticate", { authenticate: () => ({ user: "ann" }) }],
  ["authorize", { authorize: () => true }],
  ["a secret", { secret: SECRET }],
  ["a key", { apiKeys: [keyFor().entry] }],
] as const satisfies readonly (readonly [string, ServerOptions])[]) {
  test(`the API is closed where there is ${what}`, async (t) => {
    const server = await startServer(t, options);
    isProblem(await ask(server, "/v1/publish", { body: {} }), 401, "unauthorized");
  });
}

test("a tenant's key reaches its tenant alone, which it need not name", async (t) => {
  const [mine, any] = [keyFor(scopes, "acme"), keyFor()];
  const server = await startServer(t, { apiKeys: [mine.entry, any.entry] });
  const { key } = mine;
  const publish = (body: object, by = key) => ask(server, room, { key: by, body });
  assert.equal((await publish({ ...event, data: "unnamed" })).status, 200);
  assert.equal((await publish({ ...event, data: "named", tenant: "acme" })).status, 200);
  assert.equal((await publish({ ...event, data: "none" }, any.key)).status, 200);
  assert.equal((await publish({ ...event, data: "theirs", tenant: "acme" }, any.key)).status, 200);
  isProblem(await publish({ ...event, tenant: "other" }), 403, "forbidden");
  const history = async (query: string, by = key) => {
    const answer = await ask(server, `/v1/rooms/chat:1/history${query}`, { key: by });
    assert.equal(answer.status, 200, answer.text);
    return answer.json.events.map(({ data }: { data: unknown }) => data);
  };
  assert.deepEqual(await history(""), ["unnamed", "named", "theirs"]);
  assert.deepEqual(await history("?tenant=acme", any.key), ["unnamed", "named", "theirs"]);
  assert.deepEqual(await history("", any.key), ["none"]);
  const refused = [
    ask(server, "/v1/rooms/chat:1/history?tenant=other", { key }),
    ask(server, "/v1/rooms?tenant=other", { key }),
    ask(server, "/v1/rooms/chat:1?tenant=other", { key }),
    ask(server, "/v1/rooms/chat:1/members?tenant=other", { key }),
    ask(server, "/v1/nodes", { key }),
    ask(server, "/v1/publish", { key, body: { rooms: ["chat:1"], ...event, tenant: "other" } }),
    ask(server, "/v1/rooms/chat:1/remove", { key, body: { user: "ann", tenant: "other" } }),
    ask(server, "/v1/users/ann/disconnect", { key, body: { tenant: "other" } }),
    ask(server, "/v1/users/ann/block", { key, body: { until: Date.now() + 1000, tenant: "other" } }),
    ask(server, "/v1/users/ann/unblock", { key, body: { tenant: "other" } }),
    ask(server, "/v1/users/ann/call", { key, body: { method: "x", tenant: "other" } }),
    ask(server, "/v1/revocations", { key, body: { user: "ann", tenant: "other" } }),
    ask(server, "/v1/revocations", { key, body: { token: "some-jti" } }),
    ask(server, "/v1/cache/forget", { key, body: { tenant: "other" } }),
  ];
  for (const answer of await Promise.all(refused)) isProblem(answer, 403, "forbidden");
});

test("of a batch nothing is published where one item is for another tenant", async (t) => {
  const { key, entry } = keyFor(scopes, "acme");
  const server = await startServer(t, { apiKeys: [entry] });
  const items = [
    { room: "chat:1", ...event },
    { room: "chat:1", ...event, tenant: "other" },
  ];
  const answer = await ask(server, "/v1/batch", { key, body: { items } });
  isProblem(answer, 403, "forbidden");
  assert.match(answer.json.detail, /^items\[1\]\.tenant: /);
  const { json } = await ask(server, "/v1/rooms/chat:1/history", { key });
  assert.deepEqual(json.events, []);
});

const SCOPE: Scope = "publish";

test("a known path says which methods it has, HEAD is answered as GET, and what is not there is 404", async (t) => {
  const { key, entry } = keyFor();
  const server = await startServer(t, { apiKeys: [entry] });
  const wrong = await ask(server, "/v1/publish", { key, method: "PUT", body: event });
  isProblem(wrong, 405, "bad_request");
  assert.equal(wrong.headers.allow, "POST");
  const rooms = await ask(server, "/v1/rooms", { key, method: "DELETE" });
  assert.equal(rooms.status, 405);
  assert.equal(rooms.headers.allow, "GET, HEAD");
  const [head, get] = await Promise.all([
    ask(server, "/v1/rooms", { key, method: "HEAD" }),
    ask(server, "/v1/rooms", { key }),
  ]);
  assert.deepEqual([head.status, head.text], [200, ""]);
  assert.equal(head.headers["content-length"], get.headers["content-length"]);
  assert.equal((await ask(server, "/v1/rooms", { method: "HEAD" })).status, 401);
  for (const path of ["/v1/rooms/chat:1/nothing", "/v1", "/v1/publish/", "/v1/rooms//events/x"]) {
    assert.equal((await ask(server, path, { key })).status, 404, path);
  }
});

test("a body that is not said to be JSON, or is none, is refused", async (t) => {
  const { key, entry } = keyFor([SCOPE]);
  const server = await startServer(t, { apiKeys: [entry] });
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]) {
    const answer = await ask(server, room, { key, body: event, headers: { "content-type": type } });
    isProblem(answer, 415, "bad_request");
    assert.match(answer.json.detail, /expected application\/json/);
  }
  for (const type of ["application/json", "Application/JSON; charset=utf-8"]) {
    const answer = await ask(server, room, { key, body: event, headers: { "content-type": type } });
    assert.equal(answer.status, 200);
  }
  for (const body of ["{", "nothing", '{"event":"a","data":1}x', Buffer.from([0x22, 0xff, 0x22])]) {
    const answer = await ask(server, room, { key, body });
    isProblem(answer, 400, "bad_request");
    assert.equal(answer.json.errors[0].field, "body");
  }
  for (const body of ["[]", "null", "1", '"x"']) {
    const answer = await ask(server, room, { key, body });
    isProblem(answer, 400, "bad_request");
    assert.equal(answer.json.errors[0].expected, "an object");
  }
});

test("what a path, a query and a body have wrong is named, all of it", async (t) => {
  const { key, entry } = keyFor();
  const server = await startServer(t, { apiKeys: [entry] });
  const query = "?limit=ten&befor=1&since=nowhere";
  const answer = await ask(server, `/v1/rooms/a%20b/history${query}`, { key });
  isProblem(answer, 400, "bad_request");
  assert.deepEqual(
    answer.json.errors.map(({ field, got }: { field: string; got: string }) => [field, got]),
    [
      ["room", '"a b"'],
      ["since", '"nowhere"'],
      ["limit", '"ten"'],
      ["befor", '"befor", which is no field'],
    ],
  );
  const twice = await ask(server, "/v1/rooms?limit=1&limit=2", { key });
  isProblem(twice, 400, "bad_request");
  assert.equal(twice.json.errors[0].field, "limit");
  for (const limit of ["0", "1001", "1.5", "-1", "0x10", " 5", ""]) {
    assert.equal((await ask(server, `/v1/rooms?limit=${encodeURIComponent(limit)}`, { key })).status, 400, limit);
  }
  assert.equal((await ask(server, "/v1/rooms?limit=1000", { key })).status, 200);
});

/** Open, as in development: a request as a browser sends it for a page. */
async function fromPage(t: TestContext, server: { readonly port: number }, headers: string, path = "/v1/publish") {
  const raw = await RawSocket.connect(server.port);
  t.after(() => raw.destroy());
  const body = JSON.stringify({ rooms: ["chat:1"], ...event });
  raw.write(`POST ${path} HTTP/1.1\r\ncontent-length: ${body.length}\r\n${headers}\r\n\r\n${body}`);
  return raw.response();
}

test("in development the API is open to programs of this machine, and to no other site's page", async (t) => {
  const server = await startServer(t);
  const here = `host: localhost:${server.port}`;
  const json = "content-type: application/json";
  const open = await fromPage(t, server, `${here}\r\n${json}`);
  assert.equal(open.status, 200, open.body);
  const own = await fromPage(t, server, `${here}\r\n${json}\r\norigin: http://localhost:${server.port}`);
  assert.equal(own.status, 200, own.body);
  const refused = [
    // A page of another site.
    [403, `${here}\r\n${json}\r\norigin: https://evil.example`],
    [403, `${here}\r\n${json}\r\norigin: null`],
    [403, `${here}\r\n${json}\r\nsec-fetch-site: cross-site`],
    // A page of a name that resolves to this machine.
    [403, `host: evil.example:${server.port}\r\n${json}\r\norigin: http://evil.example:${server.port}`],
    [403, `host: evil.example:${server.port}\r\n${json}`],
    // The native code asks for a host itself.
    [400, json],
    // What a form may send without asking first.
    [415, `${here}\r\ncontent-type: text/plain`],
    [415, here],
  ] as const;
  for (const [status, headers] of refused) {
    const answer = await fromPage(t, server, headers);
    assert.equal(answer.status, status, headers);
  }
  const { json: log } = await ask(server, "/v1/rooms/chat:1/history");
  assert.equal(log.events.length, 2, "nothing of what was refused was done");
  const bodiless = await RawSocket.connect(server.port);
  t.after(() => bodiless.destroy());
  bodiless.write(`POST /v1/users/ann/disconnect HTTP/1.1\r\n${here}\r\n\r\n`);
  assert.equal((await bodiless.response()).status, 415);
});
