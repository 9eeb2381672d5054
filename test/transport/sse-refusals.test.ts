import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal } from "../../server/server.js";
import { openStream } from "../support/event-stream.js";
import { eventually } from "../support/eventually.js";
import { connect, startServer } from "../support/start-server.js";
import { inSeconds, withSecret } from "../support/tokens.js";

const SECRET = "s".repeat(32);
const token = (more: object = {}) =>
  withSecret(SECRET, { sub: "ann", exp: inSeconds(600), rooms: { "chat:*": ["join"] }, ...more });
const strict = { secret: SECRET, kinds: {} };

test("a refusal for good has a status of its own, and says what it is about", async (t) => {
  const server = await startServer(t, strict);
  const good = { authorization: `Bearer ${token()}` };
  const long = Array.from({ length: 80 }, (_, n) => `room=chat:${n}-with-a-name-that-is-rather-long`).join("&");
  const cases: [path: string, headers: { [name: string]: string }, status: number, detail: RegExp][] = [
    ["/v1/rooms/chat:1/events", {}, 401, /token/],
    ["/v1/rooms/chat:1/events", { authorization: "Bearer nonsense" }, 401, /token/],
    ["/v1/rooms/chat:1/events", { authorization: "Basic YTpi" }, 401, /expected Bearer/],
    ["/v1/rooms/chat:1/events", { authorization: `Bearer ${token({ exp: inSeconds(-600) })}` }, 401, /end/],
    ["/v1/rooms/news:1/events", good, 403, /news:1/],
    ["/v1/events?room=chat:1&room=news:1&room=chat:2", good, 403, /"news:1"/],
    ["/v1/rooms/chat:1/events?token=abc", good, 400, /^token: .*Authorization/],
    ["/v1/rooms/chat:1/events?access_token=abc", good, 400, /^access_token: /],
    ["/v1/rooms/chat:1/events", { ...good, "last-event-id": "garbage" }, 400, /Last-Event-ID/],
    ["/v1/rooms/chat:1/events?since=a:1:2", good, 400, /since/],
    ["/v1/rooms/chat:1/events?since=a:99999999999999999", good, 400, /since/],
    ["/v1/events?room=chat:1&room=chat:2", { ...good, "last-event-id": "a:1" }, 400, /Last-Event-ID/],
    ["/v1/events?room=chat:1&room=chat:2", { ...good, "last-event-id": "chat:3=a:1" }, 400, /Last-Event-ID/],
    ["/v1/events", good, 400, /^room: /],
    ["/v1/events?room=a%20b", good, 400, /^room: /],
    ["/v1/rooms/%24own/events", good, 400, /^room: /],
    ["/v1/rooms/%zz/events", good, 400, /^room: /],
    [`/v1/events?${long}`, good, 400, /^room: .*fewer/],
    ["/v1/rooms/chat:1/events", { ...good, accept: "application/json" }, 406, /accept/],
    ["/v1/rooms/chat:1/events", { ...good, origin: "https://evil.example" }, 403, /origin/],
    ["/v1/rooms/chat:1/events", { ...good, "sec-fetch-site": "cross-site" }, 403, /origin/],
    ["/v1/rooms/chat:1/events", { ...good, host: "evil.example" }, 403, /origin/],
  ];
  for (const [path, headers, status, detail] of cases) {
    const answer = await openStream(t, server, path, headers);
    const problem = await answer.problem();
    assert.deepEqual([path, answer.status, problem.status], [path, status, status], JSON.stringify(problem));
    assert.match(problem.detail, detail);
    assert.equal(answer.response.headers["content-type"], "application/problem+json");
    assert.ok(!answer.text.includes("nonsense"), "no token in an answer");
  }
  const stream = await openStream(t, server, "/v1/rooms/chat:1/events", good);
  assert.equal(stream.status, 200);
  await eventually(() => server.connections === 1, "whoever was refused has left nothing");
});

test("where it may be different a moment later, the stream is answered, says when to come back, and ends", async (t) => {
  let refusal: Error = new Refusal("unavailable", "the directory is away", 700);
  const server = await startServer(t, {
    authenticate: ({ token }) => {
      if (token === "first") throw refusal;
      return { user: "ann" };
    },
    authorize: ({ room }) => {
      if (room === "chat:2") throw new Refusal("rate_limited", "slowly", 300);
      return true;
    },
    secret: SECRET,
    userConnections: 2,
  });
  const path = "/v1/rooms/chat:1/events";
  const first = { authorization: "Bearer first" };
  const away = async (asked: string, headers = {}) => {
    const stream = await openStream(t, server, asked, headers);
    assert.equal(stream.status, 200, await stream.whole());
    await stream.whole();
    assert.equal(stream.isStream && stream.ended, true);
    const close = await stream.next("close");
    assert.equal(close.retryMs, stream.parser.retryMs);
    return stream;
  };
  const told = await away(path, first);
  assert.match(told.text, /directory is away/);
  assert.equal(told.parser.retryMs, 700);
  refusal = new Error("planted, with a secret in it");
  const failed = await away(path, first);
  assert.ok(!failed.text.includes("planted"));
  assert.ok(Number(failed.parser.retryMs) >= 500);
  assert.equal((await away("/v1/rooms/chat:2/events")).parser.retryMs, 300);
  assert.equal((await away("/v1/events?room=chat:1&room=chat:2")).parser.retryMs, 300);
  for (const _ of [1, 2]) await (await openStream(t, server, path)).next("joined");
  assert.match((await away(path)).text, /userConnections/);
  assert.equal(server.connections, 2);
});

test("a stream counts as a connection in every limit, beside WebSockets", async (t) => {
  const server = await startServer(t, { addressConnections: 2 });
  await connect(t, server);
  const stream = await openStream(t, server, "/v1/rooms/chat:1/events");
  await stream.next("joined");
  await assert.rejects(connect(t, server));
  const refused = await openStream(t, server, "/v1/rooms/chat:1/events");
  assert.match(await refused.whole(), /addressConnections/);
  stream.end();
  await eventually(() => server.connections === 1);
  const next = await openStream(t, server, "/v1/rooms/chat:1/events");
  await next.next("joined");
  const full = await startServer(t, { maxConnections: 1 });
  await connect(t, full);
  const refusedByAll = await openStream(t, full, "/v1/rooms/chat:1/events");
  assert.match(await refusedByAll.whole(), /as many connections as this server takes/);
});

test("a token comes by a cookie too, from this server's own pages and from those that are named", async (t) => {
  const named = "https://app.example";
  const server = await startServer(t, { ...strict, origins: [named] });
  const any = await startServer(t, { ...strict, origins: ["*"] });
  const cookie = { cookie: `a=b; roomcast_token=${token()}; roomcast_tokens=x` };
  const path = "/v1/rooms/chat:1/events";
  for (const headers of [
    cookie,
    { ...cookie, "sec-fetch-site": "same-origin" },
    { ...cookie, origin: named, "sec-fetch-site": "cross-site" },
  ]) {
    const stream = await openStream(t, server, path, headers);
    assert.equal(stream.status, 200, JSON.stringify(headers));
    await stream.next("joined");
    stream.end();
  }
  const shown = await openStream(t, server, path, { ...cookie, origin: named });
  assert.equal(shown.response.headers["access-control-allow-origin"], named);
  assert.equal(shown.response.headers["access-control-allow-credentials"], "true");
  // Any page at all may ask here, so none may use what a browser adds by itself.
  const other = await openStream(t, any, path, { ...cookie, origin: named });
  assert.deepEqual([other.status, other.response.headers["access-control-allow-origin"]], [401, "*"]);
  assert.equal(other.response.headers["access-control-allow-credentials"], undefined);
  const bearer = await openStream(t, any, path, { authorization: `Bearer ${token()}`, origin: named });
  assert.equal(bearer.status, 200);
});

test("what ends sessions ends streams, and says so before: the token's end, a revocation, a disconnect", async (t) => {
  const server = await startServer(t, { ...strict, tokenSkewMs: 0 });
  const path = "/v1/rooms/chat:1/events";
  const open = (more: object) => openStream(t, server, path, { authorization: `Bearer ${token(more)}` });
  const [short, revoked, cut] = await Promise.all([
    open({ exp: inSeconds(2) }),
    open({ sub: "bob", jti: "t1" }),
    open({ sub: "eve" }),
  ]);
  for (const stream of [short, revoked, cut]) await stream.next("joined");
  await server.revoke({ token: "t1", expiresAt: Date.now() + 600_000 });
  assert.equal((await revoked.next("close")).code, 4200);
  assert.equal((await server.disconnect("eve")).count, 1);
  assert.equal((await cut.next("close")).code, 4201);
  assert.equal((await short.next("renew")).code, undefined);
  assert.equal((await short.next("close")).code, 4203);
  for (const stream of [short, revoked, cut]) {
    await stream.whole();
    assert.equal(stream.ended, true);
    assert.ok(Number(stream.parser.retryMs) > 0);
  }
  assert.equal((await open({ sub: "bob", jti: "t1" })).status, 401);
  assert.equal(server.connections, 0);
});

test("who is taken out of a room is told, gets nothing of it any more, and keeps the rest of the stream", async (t) => {
  const server = await startServer(t, { ...strict, kinds: { "*": { history: { size: 10 } } } });
  const headers = { authorization: `Bearer ${token()}` };
  const stream = await openStream(t, server, "/v1/events?room=chat:1&room=chat:2", headers);
  for (const _ of [1, 2]) await stream.next("joined");
  assert.equal((await server.remove("ann", "chat:1")).count, 1);
  assert.equal((await stream.next("removed")).room, "chat:1");
  await server.publish("chat:1", "n", "not for ann");
  await server.publish("chat:2", "n", "for ann");
  await stream.until("an event", () => stream.told.length > 0);
  assert.deepEqual(
    stream.told.map(({ data }) => data),
    ["for ann"],
  );
  assert.match(stream.parser.lastEventId, /^chat:2=/);
});
