import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test, { type TestContext } from "node:test";
import { createServer, type ServerOptions } from "../../server/server.js";
import { httpRoutes } from "../../server/transport/http.js";

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
