import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test, { type TestContext } from "node:test";
import { createServer, type ServerOptions } from "../../server/server.js";
import { httpRoutes, metricsRoutes, type Route } from "../../server/transport/http.js";
import { Listener } from "../../server/transport/listener.js";
import { WebSockets } from "../../server/transport/websocket.js";
import { RawSocket, upgradeText } from "../support/raw-socket.js";

async function serve(t: TestContext, options: ServerOptions = {}): Promise<string> {
  const server = await createServer({ port: 0, logLevel: "error", ...options });
  t.after(() => server.close());
  return server.url;
}

/** What the page asks the browser to fetch. */
function assetsIn(html: string): string[] {
  return [...html.matchAll(/(?:href|src)="(assets\/[^"]+)"/g)].map((match) => match[1] ?? "");
}

test("a running node says that it lives and that it is ready", async (t) => {
  const url = await serve(t);
  for (const [path, body] of [
    ["/live", "live\n"],
    ["/ready", "ready\n"],
  ]) {
    const response = await fetch(url + path);
    assert.equal(response.status, 200);
    assert.equal(await response.text(), body);
    assert.equal(response.headers.get("cache-control"), "no-store");
  }
});

test("a node that takes no clients lives, and answers 503 at /ready with a time to come back", () => {
  let problems: string[] = [];
  const routes = httpRoutes({ problems: () => problems, page: false });
  assert.equal(routes.get("/ready")?.().status, 200);
  problems = ["closing"];
  assert.equal(routes.get("/ready")?.().status, 503);
  assert.equal(routes.get("/ready")?.().headers["retry-after"], "5");
  assert.equal(routes.get("/live")?.().status, 200);
});

test("an engine that cannot be reached is named at /ready, and does not count under the path of another", () => {
  const problems = ["redis cache.internal:6379: connection lost", "redis other.internal:6379: connection lost"];
  const routes = httpRoutes({ problems: () => problems, engines: ["redis", "nats"], page: false });
  for (const path of ["/ready", "/ready/redis"]) {
    assert.deepEqual([routes.get(path)?.().status, routes.get(path)?.().body], [503, "not ready: redis\n"]);
  }
  assert.equal(routes.get("/ready/nats")?.().status, 200);
  problems.push("closing");
  assert.deepEqual(
    [routes.get("/ready/nats")?.().status, routes.get("/ready/nats")?.().body],
    [503, "not ready: closing\n"],
  );
});

test("HEAD answers as GET does, without the body", async (t) => {
  const url = await serve(t);
  const response = await fetch(`${url}/live`, { method: "HEAD" });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-length"), "5");
  assert.equal(response.headers.get("content-type"), "text/plain; charset=utf-8");
  assert.equal(await response.text(), "");
  assert.equal((await fetch(`${url}/nothing`, { method: "HEAD" })).status, 404);
  assert.equal((await fetch(`${url}/live`)).status, 200, "the node lives on");
});

test("other methods are 405 and other paths 404", async (t) => {
  const url = await serve(t);
  const posted = await fetch(`${url}/live`, { method: "POST", body: "x" });
  assert.equal(posted.status, 405);
  assert.equal(posted.headers.get("allow"), "GET, HEAD");
  for (const path of ["/nothing", "/assets/", "/assets/../index.html", "/%2e%2e/package.json", "/index.html"]) {
    assert.equal((await fetch(url + path)).status, 404, path);
  }
});

test("the start page may run its own scripts only, and may not be framed", async (t) => {
  const response = await fetch(await serve(t));
  assert.equal(response.headers.get("content-type"), "text/html; charset=utf-8");
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  assert.equal(response.headers.get("referrer-policy"), "no-referrer");
  const policy = response.headers.get("content-security-policy") ?? "";
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]) {
    assert.ok(policy.includes(part), part);
  }
  assert.doesNotMatch(policy, /unsafe/);
  assert.doesNotMatch(await response.text(), /<script(?![^>]* src=)|<style|style="| on\w+="|https?:\/\//);
});

test("every asset of the start page comes from the node, named by its contents and kept for ever", async (t) => {
  const url = await serve(t);
  const assets = assetsIn(await (await fetch(url)).text());
  assert.deepEqual([...new Set(assets.map((name) => name.replace(/^.*\./, "")))].sort(), ["css", "js", "svg"]);
  for (const asset of assets) {
    const response = await fetch(`${url}/${asset}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    assert.equal(response.status, 200, asset);
    assert.match(response.headers.get("cache-control") ?? "", /immutable/);
    assert.ok(asset.includes(createHash("sha256").update(bytes).digest("hex").slice(0, 10)), asset);
  }
});

test("with page: false there is nothing at /", async (t) => {
  assert.equal((await fetch(await serve(t, { page: false }))).status, 404);
});

type Wanted = { readonly [header: string]: RegExp };

/** What each answer must have, whatever it answers. */
const SAFE: Wanted = {
  "x-content-type-options": /^nosniff$/,
  "content-security-policy": /^default-src 'none';.*frame-ancestors 'none'$/,
  "referrer-policy": /^no-referrer$/,
  "cross-origin-resource-policy": /^same-origin$/,
  "cache-control": /^no-store$/,
  "content-type": /^text\/plain; charset=utf-8$/,
};
const HTML = {
  "cache-control": /^no-cache$/,
  "cross-origin-opener-policy": /^same-origin$/,
  "content-type": /^text\/html/,
};
const ASSET = {
  "cache-control": /immutable$/,
  "content-type": /^(text\/(css|javascript); charset=utf-8|image\/svg\+xml)$/,
};
const CLIENT = {
  "cross-origin-resource-policy": /^cross-origin$/,
  "access-control-allow-origin": /^\*$/,
  "cache-control": /^public, max-age=\d+$/,
  "content-type": /^text\/javascript/,
};
/** Any page may find out that it has come to a node. */
const NO_SOCKET = { "cross-origin-resource-policy": /^cross-origin$/ };
const CLIENT_LATER = { ...CLIENT, "cache-control": /immutable$/ };
const METRICS = { "content-type": /^text\/plain; version=/ };
/** Those that are not as all others are. */
const different: { readonly [path: string]: Wanted } = {
  "/": HTML,
  "/v1/client.js": CLIENT,
  "/v1/socket": NO_SOCKET,
  "/metrics": METRICS,
};

type Headers = { get(name: string): string | null | undefined };

function assertSafe(headers: Headers, words: string, path = ""): void {
  const own = path.startsWith("/assets/") ? ASSET : path.startsWith("/v1/client-") ? CLIENT_LATER : different[path];
  const wanted: Wanted = { ...SAFE, ...own };
  for (const [name, value] of Object.entries(wanted))
    assert.match(headers.get(name) ?? "none", value, `${words}: ${name}`);
  assert.equal(headers.get("set-cookie") ?? "none", "none", words);
  // The library says which it is; nothing else is said of what runs here.
  for (const name of ["server", "x-powered-by", "via"]) assert.equal(headers.get(name) ?? "none", "none", words);
  // Only what is for pages of any origin may be read by them.
  if (!path.startsWith("/v1/")) assert.equal(headers.get("access-control-allow-origin") ?? "none", "none", words);
}

test("every route there is, and every way to miss one, has the headers of its kind", async (t) => {
  const server = await createServer({ port: 0, metricsPort: 0, logLevel: "error" });
  t.after(() => server.close());
  const problems = (): string[] => [];
  // From what the server itself makes its routes of, so that a new one is among them.
  const routes = [...httpRoutes({ problems, engines: ["memory"], page: true }).keys()];
  const metrics = { contentType: "", text: () => Promise.resolve("") };
  const metricsUrl = new URL(server.metricsUrl ?? "").origin;
  assert.ok(routes.length > 6, routes.join(" "));
  const asked = [
    ...routes.filter((path) => !path.startsWith("/ready/")).map((path) => ({ url: server.url, path })),
    ...[...metricsRoutes(metrics).keys()].map((path) => ({ url: metricsUrl, path })),
  ];
  for (const { url, path } of asked) {
    for (const method of ["GET", "HEAD"]) {
      const response = await fetch(url + path, { method });
      await response.arrayBuffer();
      assert.equal(response.status, path === "/v1/socket" ? 426 : 200, path);
      assertSafe(response.headers, `${method} ${path}`, path);
    }
    const posted = await fetch(url + path, { method: "POST" });
    assert.equal(posted.status, 405);
    assertSafe(posted.headers, `POST ${path}`);
  }
  for (const url of [server.url, metricsUrl]) {
    for (const method of ["GET", "POST", "OPTIONS"]) {
      const missed = await fetch(`${url}/nothing`, { method });
      assert.equal(missed.status, 404);
      assertSafe(missed.headers, `${method} /nothing`);
    }
  }
});

test("a node that is not ready, and a route that fails, answer with the same headers", async (t) => {
  const listener = await Listener.create();
  t.after(() => {
    listener.stop();
    listener.cut();
  });
  const errors: unknown[] = [];
  const fail = (): never => {
    throw new Error("planted: keep this to yourself");
  };
  const routes = new Map<string, Route>([
    ...httpRoutes({ problems: () => ["redis 10.0.0.7:6379: connection lost"], page: false }),
    ["/throws", fail],
    ["/rejects", () => Promise.resolve().then(fail)],
  ]);
  listener.serve(routes, (error) => errors.push(error));
  const url = `http://127.0.0.1:${await listener.listen("127.0.0.1", 0)}`;
  for (const [path, status] of [
    ["/ready", 503],
    ["/throws", 500],
    ["/rejects", 500],
  ] as const) {
    const response = await fetch(url + path);
    assert.equal(response.status, status);
    assertSafe(response.headers, path);
    assert.doesNotMatch(await response.text(), /planted|10\.0/);
  }
  assert.equal(errors.length, 2);
});

test("an upgrade that is refused has the headers of every other answer, whatever the reason", async (t) => {
  const server = await createServer({ port: 0, logLevel: "silent", page: false, maxConnections: 1 });
  t.after(() => server.close());
  const socket = async (headers = {}): Promise<RawSocket> => {
    const raw = await RawSocket.connect(server.port);
    t.after(() => raw.destroy());
    raw.write(upgradeText({ headers }));
    return raw;
  };
  for (const [headers, status] of [
    [{ Origin: "https://evil.example" }, 403],
    [{ Connection: "close, Upgrade" }, 400],
    [{ "Sec-WebSocket-Version": "12" }, 426],
    [{ "Sec-WebSocket-Protocol": "mqtt" }, 400],
  ] as const) {
    const answer = await (await socket(headers)).response();
    assert.equal(answer.status, status);
    assertSafe(answer.headers, String(status));
  }
  assert.equal((await (await socket()).response()).status, 101);
  const full = await (await socket()).response();
  assert.deepEqual([full.status, Number(full.headers.get("retry-after")) > 0], [503, true]);
  assertSafe(full.headers, "503");
});

test("an upgrade at which the server itself fails ends that connection, and not the process", async (t) => {
  const listener = await Listener.create();
  t.after(() => {
    listener.stop();
    listener.cut();
  });
  const errors: unknown[] = [];
  const limits = { connectRate: 1000, maxHandshakes: 10, maxConnections: 10, addressConnections: 10, addressRate: 10 };
  const sizes = { maxFrameBytes: 1000, maxBackpressureBytes: 10_000, idleTimeoutMs: 60_000, heartbeatMs: 20_000 };
  const options = {
    ...{ ...limits, ...sizes, loopback: true, trustProxy: [] },
    get origins(): never {
      throw new Error("planted");
    },
  };
  const sockets = new WebSockets(listener.app, options, (error) => errors.push(error));
  t.after(() => sockets.stop());
  listener.serve(httpRoutes({ problems: () => [], page: false }), (error) => errors.push(error));
  const port = await listener.listen("127.0.0.1", 0);
  for (let count = 1; count <= 3; count++) {
    const raw = await RawSocket.connect(port);
    t.after(() => raw.destroy());
    raw.write(upgradeText({ headers: { Origin: "https://app.example", Host: "127.0.0.1" } }));
    await raw.end();
    assert.equal(errors.length, count);
  }
  assert.equal((await fetch(`http://127.0.0.1:${port}/live`)).status, 200);
});
