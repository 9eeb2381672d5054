import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { makeApiKey, scopes } from "../../server/access/api-keys.js";
import { type ApiError, ServerClient } from "../../server/server.js";
import { SECRET } from "../support/sign.js";
import { connect, type Server, startServer } from "../support/start-server.js";

/** A server in front of another, which does with each request what it is told; how many have come. */
async function front(
  t: TestContext,
  act: (count: number, request: IncomingMessage, response: ServerResponse, body: Buffer) => void,
) {
  const state = { count: 0, url: "" };
  const server = createHttpServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    act(++state.count, request, response, Buffer.concat(chunks));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return state;
}

/** Passes the request on to the server; resolves once it has been answered. */
async function passOn(
  server: Server,
  request: IncomingMessage,
  body: Buffer,
): Promise<{ status: number; text: string }> {
  const headers = Object.fromEntries(
    Object.entries(request.headers).filter(([name]) => !/^(host|connection|content-length)$/.test(name)),
  );
  const init = { method: request.method ?? "GET", headers: headers as Record<string, string> };
  const response = await fetch(
    server.url + request.url,
    body.length === 0 ? init : { ...init, body: new Uint8Array(body) },
  );
  return { status: response.status, text: await response.text() };
}

test("a backend with a key does by HTTP what a program around the server does", async (t) => {
  const { key, entry } = makeApiKey({ name: "backend", scopes: new Set(scopes), tenant: "" });
  const server = await startServer(t, { secret: SECRET, apiKeys: [entry] });
  const api = new ServerClient({ url: server.url, key });
  const first = await api.publish("chat:1", "said", { text: "hi" });
  assert.equal(first?.offset, 1);
  const { results, failed } = await api.batch([
    { room: "chat:1", event: "said", data: 2 },
    { room: "chat:/2", event: "said", data: 3, from: "ann" },
  ]);
  assert.deepEqual([failed, results.length], [0, 2]);
  assert.equal((await api.publishMany(["chat:1", "chat:3"], "said", null)).failed, 0);
  const { events = [] } = await api.history("chat:1", { limit: 10 });
  assert.deepEqual(
    events?.map(({ data }) => data),
    [{ text: "hi" }, 2, null],
  );
  assert.equal((await api.count("chat:/2")).clients, 0);
  assert.equal((await api.nodes()).nodes.length, 1);
  assert.deepEqual((await api.disconnect("ann")).count, 0);
  await api.block("ann", Date.now() + 60_000);
  await api.unblock("ann");
});

test("a refusal names the field, and is not tried again", async (t) => {
  const server = await startServer(t);
  const proxy = await front(t, (_, request, response, body) => {
    void passOn(server, request, body).then(({ status, text }) => response.writeHead(status).end(text));
  });
  const api = new ServerClient({ url: proxy.url });
  await assert.rejects(api.publish("chat:1", "no such name", 1), (error: ApiError) => {
    assert.deepEqual([error.status, error.code, error.errors[0]?.field], [400, "bad_request", "event"]);
    return true;
  });
  assert.equal(proxy.count, 1);
});

test("a publish whose answer was lost is sent again, and is one event", async (t) => {
  const server = await startServer(t);
  const proxy = await front(t, (count, request, response, body) => {
    void passOn(server, request, body).then(({ status, text }) => {
      if (count > 2) response.writeHead(status).end(text);
      else request.socket.destroy();
    });
  });
  const api = new ServerClient({ url: proxy.url });
  const position = await api.publish("chat:1", "said", 1);
  assert.equal(proxy.count, 3);
  const { results } = await api.batch([{ room: "chat:1", event: "said", data: 2 }]);
  assert.equal((results[0] as { position: { offset: number } }).position.offset, (position?.offset ?? 0) + 1);
  const client = await connect(t, server);
  const { events } = await client.ask("history", { type: "history", room: "chat:1" });
  assert.deepEqual(
    events.map(({ data }) => data),
    [1, 2],
  );
});

test("where one node is away the next is asked", async (t) => {
  const server = await startServer(t);
  const api = new ServerClient({ url: ["http://127.0.0.1:1", server.url] });
  assert.equal((await api.publish("chat:1", "said", 1))?.offset, 1);
});

test("what stays away is told after so many tries, and what never answers after its time", async (t) => {
  const busy = await front(t, (_, _request, response) => {
    const problem = { status: 503, code: "unavailable", detail: "the engine is away", retryMs: 1 };
    response.writeHead(503, { "content-type": "application/problem+json" }).end(JSON.stringify(problem));
  });
  await assert.rejects(new ServerClient({ url: busy.url, tries: 3 }).publish("a", "b", 1), {
    code: "unavailable",
    status: 503,
  });
  assert.equal(busy.count, 3);
  const silent = await front(t, () => undefined);
  await assert.rejects(new ServerClient({ url: silent.url, tries: 2, timeoutMs: 50 }).count("a"), { status: 0 });
  assert.equal(silent.count, 2);
});

test("a user's sessions are asked once, whatever comes of it", async (t) => {
  const cut = await front(t, (_, request) => request.socket.destroy());
  await assert.rejects(new ServerClient({ url: cut.url }).call("ann", "where", 1), { status: 0 });
  assert.equal(cut.count, 1);
});

test("a URL that is none is refused at once", () => {
  for (const url of ["", "rooms.example", "ftp://a", []])
    assert.throws(() => new ServerClient({ url }), /^TypeError: url: /);
});
