import assert from "node:assert/strict";
import test from "node:test";
import { Addresses } from "../../server/hooks/addresses.js";
import { Unreachable } from "../../server/hooks/unreachable.js";
import { verifyHook } from "../../server/server.js";
import { HttpApplication, hookSecret } from "../support/application.js";
import { eventually } from "../support/eventually.js";
import { endpointAt, failureOf, tcpServer } from "./endpoint-support.js";

const ok = (body: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

test("a post is JSON, signed, and its answer comes back", async (t) => {
  const application = await HttpApplication.start(t, () => ({ allow: true }));
  const endpoint = endpointAt(t, `${application.url}/a?b=c`);
  assert.deepEqual(await endpoint.ask("id-1", '{"a":1}', true), { status: 200, json: { allow: true } });
  const [posted] = application.posts;
  assert.equal(posted?.path, "/a?b=c");
  assert.equal(posted?.headers["content-type"], "application/json");
  assert.equal(posted?.headers["webhook-id"], "id-1");
  assert.ok(verifyHook(posted.headers, posted.raw, hookSecret));
  assert.equal(endpoint.calls.get("answered"), 1);
});

test("posts one after the other use one connection", async (t) => {
  const ports = new Set<number | undefined>();
  const application = await HttpApplication.start(t, () => (response, request) => {
    ports.add(request.socket.remotePort);
    response.end("{}");
  });
  const endpoint = endpointAt(t, application.url);
  for (let count = 0; count < 5; count++) await endpoint.ask("id", "{}", true);
  assert.equal(ports.size, 1);
});

test("a status from 400 to 499 is an answer, with or without JSON", async (t) => {
  const application = await HttpApplication.start(t, () => (response) => {
    response.writeHead(403).end(application.posts.length === 1 ? '{"reason":"no"}' : "<html>");
  });
  const endpoint = endpointAt(t, application.url);
  assert.deepEqual(await endpoint.ask("id", "{}", true), { status: 403, json: { reason: "no" } });
  assert.deepEqual(await endpoint.ask("id", "{}", true), { status: 403, json: undefined });
  assert.equal(endpoint.calls.get("rejected"), 2);
});

test("whoever never answers is given up in time, and the connection is closed", async (t) => {
  let closed = 0;
  const url = await tcpServer(t, (socket) => socket.on("close", () => closed++).resume());
  const endpoint = endpointAt(t, url, { timeoutMs: 50 });
  const failure = await failureOf(endpoint, true);
  assert.ok(failure instanceof Unreachable);
  assert.match(failure.message, /did not answer within 50 ms/);
  assert.equal(endpoint.calls.get("timeout"), 1);
  await eventually(() => closed === 1);
});

test("a slow drip of an answer, of its head, or of hints before it does not get more time", async (t) => {
  const drips = [
    "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
    "HTTP/1.1 200 OK\r\nX-A: b",
    "HTTP/1.1 103 Early Hints\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
  ];
  for (const drip of drips) {
    const url = await tcpServer(t, (socket) => {
      socket.write(drip);
      const timer = setInterval(() => socket.write(drip.startsWith("HTTP/1.1 103") ? drip : " "), 5);
      socket.on("close", () => clearInterval(timer));
    });
    const endpoint = endpointAt(t, url, { timeoutMs: 100 });
    assert.ok((await failureOf(endpoint)) instanceof Unreachable, drip);
    assert.equal(endpoint.seconds > 0, true);
  }
});

test("an answer that is too large is not read to its end, whether it says so or not", async (t) => {
  let sent = 0;
  const application = await HttpApplication.start(t, ({ path }) => (response) => {
    if (path === "/told") response.writeHead(200, { "content-length": 100_000_000 });
    const more = (): void => {
      while (sent < 100_000_000 && !response.destroyed) {
        sent += 65_536;
        if (!response.write(" ".repeat(65_536))) return void response.once("drain", more);
      }
      response.end();
    };
    more();
  });
  for (const path of ["/told", "/chunked"]) {
    sent = 0;
    const endpoint = endpointAt(t, application.url + path);
    assert.match((await failureOf(endpoint)).message, /larger than 4096 bytes/);
    assert.equal(endpoint.calls.get("failed"), 1);
    assert.ok(sent < 50_000_000, `${sent}`);
  }
});

test("redirects are not followed", async (t) => {
  const target = await HttpApplication.start(t, () => ({ allow: true }));
  for (const status of [301, 302, 303, 307, 308]) {
    const application = await HttpApplication.start(t, () => (response) => {
      response.writeHead(status, { location: target.url }).end();
    });
    assert.match((await failureOf(endpointAt(t, application.url))).message, new RegExp(`got ${status}, which is not`));
  }
  assert.equal(target.posts.length, 0);
});

test("what is no JSON, ends too early, or is no HTTP fails", async (t) => {
  const answers = {
    "expected JSON": [ok("<html>"), ok(""), ok('{"a":'), "HTTP/1.1 204 No Content\r\n\r\n", ok("\u0000")],
    "status 5": ["HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}"],
    "ECONNRESET|too early|failed": ['HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"allow":true}', ""],
    HPE_: [
      "nonsense\r\n\r\n",
      `HTTP/1.1 200 OK\r\n${"X-A: b\r\n".repeat(10_000)}\r\n`,
      `HTTP/1.1 200 ${"x".repeat(100_000)}`,
    ],
    "got 101": ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
  };
  for (const [expected, texts] of Object.entries(answers)) {
    for (const text of texts) {
      const url = await tcpServer(t, (socket) => socket.once("data", () => socket.end(text)));
      const failure = await failureOf(endpointAt(t, url));
      assert.ok(failure instanceof Unreachable, text);
      assert.match(failure.message, new RegExp(expected), text.slice(0, 100));
    }
  }
});

test("nothing is posted to private addresses, however they are written, or to a name that has one", async (t) => {
  const application = await HttpApplication.start(t, () => ({ allow: true }));
  const { port } = new URL(application.url);
  const hosts = ["127.0.0.1", "2130706433", "0x7f.1", "0177.1", "[::ffff:127.0.0.1]", "[::1]", "localhost", "0"];
  for (const host of hosts) {
    const endpoint = endpointAt(t, `http://${host}:${port}`, { addresses: new Addresses(() => false) });
    assert.match((await failureOf(endpoint)).message, /expected a public address, or one in hookNetworks/, host);
  }
  assert.equal(application.posts.length, 0);
  const allowed = new Addresses((address) => address === "127.0.0.1");
  await endpointAt(t, `http://localhost:${port}`, { addresses: allowed }).ask("id", "{}", false);
  assert.equal(application.posts.length, 1);
});

test("a name is looked up once for a connection, which goes to the very address that was checked", async (t) => {
  const application = await HttpApplication.start(t, () => ({ allow: true }));
  const answers = ["127.0.0.1", "127.0.0.2"];
  let looks = 0;
  const addresses = new Addresses(
    (address) => address === "127.0.0.1",
    async () => [{ address: answers[looks++] ?? "127.0.0.3", family: 4 }],
  );
  const url = `http://rebinding.example:${new URL(application.url).port}`;
  const endpoint = endpointAt(t, url, { addresses });
  await endpoint.ask("id", "{}", false);
  assert.equal(looks, 1);
  assert.equal(application.posts[0]?.headers.host, new URL(url).host);
  // The connection is cut; the name has another address by now.
  await application.stop();
  await application.start();
  assert.match((await failureOf(endpoint, true)).message, /expected a public address/);
});

test("what was sent as the other side closed an idle connection is sent again, unless it may not be", async (t) => {
  let connections = 0;
  const url = await tcpServer(t, (socket) => {
    connections++;
    let requests = 0;
    // The second request on a connection finds it closed.
    socket.on("data", () => (requests++ === 0 ? socket.write(ok("{}")) : socket.resetAndDestroy()));
  });
  const endpoint = endpointAt(t, url);
  await endpoint.ask("id", "{}", true);
  await endpoint.ask("id", "{}", true);
  assert.equal(connections, 2);
  assert.match((await failureOf(endpoint, false)).message, /ECONNRESET/);
  assert.equal(connections, 2);
});
