import assert from "node:assert/strict";
import { test } from "node:test";
import { isLoopback, originAllowed } from "../../server/transport/upgrade.js";
import { RawSocket, upgradeText } from "../support/raw-socket.js";
import { startServer } from "../support/start-server.js";

const open = (origins: readonly string[] = []) => ({ origins, loopback: false });
const local = (origins: readonly string[] = []) => ({ origins, loopback: true });
const APP = "https://app.example";

const cases: readonly (readonly [string, string, string, ReturnType<typeof open>, boolean])[] = [
  ["no origin: a program, not a page", "", "chat.example", open(), true],
  ["no origin, with a list", "", "chat.example", open([APP]), true],
  ["the same host", "https://chat.example", "chat.example", open(), true],
  ["the same host and port", "http://chat.example:8000", "chat.example:8000", open(), true],
  ["the same host in other letters", "https://chat.example", "CHAT.example", open(), true],
  ["the same host, beside a list", "https://chat.example", "chat.example", open([APP]), true],
  ["another port", "http://chat.example:8001", "chat.example:8000", open(), false],
  ["another host", "https://evil.example", "chat.example", open(), false],
  ["a host that only begins alike", "https://chat.example.evil.example", "chat.example", open(), false],
  ["a host below", "https://x.chat.example", "chat.example", open(), false],
  ["a page of no host, such as a sandbox", "null", "chat.example", open(), false],
  ["a page of no host, with a list", "null", "chat.example", open([APP]), false],
  ["what is no origin", "://", "chat.example", open(), false],
  ["what is no origin and no host", "://", "://", open(), false],
  ["an origin on the list", APP, "chat.example", open([APP]), true],
  ["an origin on the list, in other letters", "HTTPS://APP.example", "chat.example", open([APP]), true],
  ["an origin on the list with another scheme", "http://app.example", "chat.example", open([APP]), false],
  ["an origin on the list with another port", `${APP}:444`, "chat.example", open([APP]), false],
  ["an origin that is not on the list", "https://evil.example", "chat.example", open([APP]), false],
  ["any origin, with *", "https://evil.example", "chat.example", open(["*"]), true],
  ["null, with *", "null", "chat.example", open(["*"]), true],
  ["a page of no host, where the server is called null", "null", "null", open(), false],
  ["a page of another scheme, such as an app's", "app://chat.example", "chat.example", open(), false],
  ["an app's page that is on the list", "app://chat.example", "x.example", open(["app://chat.example"]), true],
  ["a page of another port, written as the scheme's", "https://chat.example:80", "chat.example", open(), false],
  ["a page at the scheme's own port, written out in Host", "http://chat.example", "chat.example:80", open(), true],
  ["a host with a dot at its end, from one without", "https://chat.example.", "chat.example", open(), false],
  ["a host without a dot at its end, from one with", "https://chat.example", "chat.example.", open(), false],
  ["an origin on the list, with a dot at its end", `${APP}.`, "chat.example", open([APP]), false],
  ["an origin on the list, with its scheme's own port", `${APP}:443`, "chat.example", open([APP]), false],
  ["an origin on the list, with a slash", `${APP}/`, "chat.example", open([APP]), false],
  ["an origin on the list, with a blank", `${APP} `, "chat.example", open([APP]), false],
  ["two origins, one on the list", `${APP}, https://evil.example`, "chat.example", open([APP]), false],
  ["an origin that begins with one on the list", `${APP}.evil.example`, "chat.example", open([APP]), false],
  ["an origin that ends with one on the list", "https://evilapp.example", "chat.example", open([APP]), false],
  ["an origin with a user, of a host on the list", "https://evil@app.example", "chat.example", open([APP]), false],
  ["an origin with a user, of this host", "https://evil@chat.example", "chat.example", open(), false],
  ["an origin with this host as its user", "https://chat.example@evil.example", "chat.example", open(), false],
  ["an origin with a path, of this host", "https://chat.example/x", "chat.example", open(), false],
  ["an origin with a backslash", "https://chat.example\\.evil.example", "chat.example", open(), false],
  ["an origin with a letter that only looks alike", "https://\uff43hat.example", "chat.example", open(), false],
  ["a letter that is small only to Unicode", "https://\u212aat.example", "kat.example", open(), false],
  [
    "such a letter, where the list has its small one",
    "https://\u212aat.example",
    "x",
    open(["https://kat.example"]),
    false,
  ],
  ["a star, without one on the list", "*", "chat.example", open([APP]), false],
  ["a star as a host", "https://*", "*", open(), false],
  ["no host", "https://chat.example", "", open(), false],
  ["a host with a user", "https://chat.example", "x@chat.example", open(), false],
  ["two hosts", "https://chat.example", "chat.example, evil.example", open(), false],
  ["the same IPv6 address", "https://[2001:db8::1]:8000", "[2001:db8::1]:8000", open(), true],
  ["the same IPv6 address, written otherwise", "https://[2001:db8::1]", "[2001:DB8:0:0::1]", open(), true],
  ["another IPv6 address", "https://[2001:db8::2]", "[2001:db8::1]", open(), false],
  ["an IPv6 address with a zone", "https://[fe80::1%25eth0]", "[fe80::1%25eth0]", open(), false],
  ["an IPv4 address in IPv6, for the same in IPv4", "http://[::ffff:10.0.0.1]", "10.0.0.1", open(), false],

  ["on loopback, its own page", "http://127.0.0.1:8000", "127.0.0.1:8000", local(), true],
  ["on loopback, a page of another port of this machine", "http://localhost:3000", "127.0.0.1:8000", local(), true],
  ["on loopback, a page on IPv6", "http://[::1]:3000", "localhost:8000", local(), true],
  ["on loopback, a page from outside", "https://evil.example", "127.0.0.1:8000", local(), false],
  [
    "on loopback, a page from outside whose name leads here",
    "http://evil.example:8000",
    "evil.example:8000",
    local(),
    false,
  ],
  ["on loopback, a name that leads here, of a page on the list", APP, "evil.example:8000", local([APP]), false],
  ["on loopback, a name that leads here, without an origin", "", "evil.example:8000", local(), false],
  ["on loopback, a name that leads here, with *", "http://evil.example", "evil.example", local(["*"]), false],
  [
    "on loopback, a name that only begins like it",
    "http://localhost.evil.example",
    "localhost.evil.example",
    local(),
    false,
  ],
  ["on loopback, no host at all", "", "", local(), false],
  ["on loopback, a page on the list", APP, "localhost:8000", local([APP]), true],
  ["on loopback, its own page beside a list", "http://localhost:8000", "localhost:8000", local([APP]), true],
  ["on loopback, another port beside a list", "http://localhost:3000", "localhost:8000", local([APP]), false],
  ["on loopback, a page of no host", "null", "localhost:8000", local(), false],
  ["on loopback, an app's page", "capacitor://localhost", "localhost:8000", local(), false],
  ["on loopback, a page of a host with a user", "http://x@localhost", "localhost:8000", local(), false],
  ["on loopback, loopback as the user of a host", "http://localhost@evil.example", "localhost:8000", local(), false],
  ["on loopback, a host with a user, without an origin", "", "x@127.0.0.1:8000", local(), false],
  ["on loopback, loopback before a path, without an origin", "", "127.0.0.1/x", local(), false],
  ["on loopback, loopback behind another host", "", "evil.example#@127.0.0.1", local(), false],
  ["on loopback, a name that ends in a dot", "", "localhost.", local(), false],
  ["on loopback, IPv4 loopback in IPv6", "", "[::ffff:127.0.0.1]:8000", local(), false],
  ["on loopback, any address of the machine", "http://0.0.0.0:3000", "127.0.0.1:8000", local(), false],
  ["on loopback, its own page, as IPv6 in full", "http://[::1]:8000", "[0:0:0:0:0:0:0:1]:8000", local(), true],
];

for (const [words, origin, host, rules, allowed] of cases) {
  test(`${allowed ? "let in" : "kept out"}: ${words}`, () => {
    assert.equal(originAllowed(origin, host, rules), allowed);
    // The answer does not depend on who asked before.
    assert.equal(originAllowed("https://other.example", "other.example", open()), true);
    assert.equal(originAllowed(origin, host, rules), allowed);
  });
}

test("loopback is what cannot be reached from outside", () => {
  for (const host of ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"])
    assert.equal(isLoopback(host), true, host);
  for (const host of [
    "",
    "0.0.0.0",
    "128.0.0.1",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "::",
    "10.0.0.1",
  ]) {
    assert.equal(isLoopback(host), false, host);
  }
});

test("a page that is kept out gets 403 and no WebSocket; one that is let in gets one", async (t) => {
  const server = await startServer(t, { origins: [APP] });
  const status = async (headers: { readonly [name: string]: string | undefined }): Promise<number> => {
    const socket = await RawSocket.connect(server.port);
    t.after(() => socket.destroy());
    socket.write(upgradeText({ headers }));
    return (await socket.response()).status;
  };
  assert.equal(await status({}), 101);
  assert.equal(await status({ Origin: APP }), 101);
  assert.equal(await status({ Origin: `http://127.0.0.1:${server.port}`, Host: `127.0.0.1:${server.port}` }), 101);
  assert.equal(await status({ Origin: "https://evil.example" }), 403);
  assert.equal(await status({ Origin: "null" }), 403);
  assert.equal(await status({ Origin: "http://evil.example", Host: "evil.example" }), 403);
  assert.equal(await status({ Host: "evil.example" }), 403);
  // Two of a header: what holds is what none of them can be used for. uWebSockets.js shows one of them.
  assert.equal(await status({ Origin: "https://evil.example\r\nOrigin: https://evil.example" }), 403);
  assert.equal(await status({ Host: "evil.example\r\nHost: evil.example" }), 403);
  assert.equal(server.connections <= 3, true);
});

test("the WebSocket's path asks for an upgrade where there is none, and for GET", async (t) => {
  const server = await startServer(t);
  const get = await fetch(`${server.url}/v1/socket`);
  assert.deepEqual([get.status, get.headers.get("upgrade")], [426, "websocket"]);
  assert.equal((await fetch(`${server.url}/v1/socket`, { method: "HEAD" })).status, 426);
  const post = await fetch(`${server.url}/v1/socket`, { method: "POST", body: "x" });
  assert.deepEqual([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
});
