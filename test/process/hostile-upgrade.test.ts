import assert from "node:assert/strict";
import { test } from "node:test";
import { ChildServer } from "../support/child-server.js";
import { frameBytes, RawSocket, type UpgradeParts, upgradeText } from "../support/raw-socket.js";

const JSON_PROTOCOL = "roomcast.v1.json";

test("no request ends the process or disturbs the others", async (t) => {
  const server = await ChildServer.start(t);
  const raw = async (): Promise<RawSocket> => {
    const socket = await RawSocket.connect(server.port);
    t.after(() => socket.destroy());
    return socket;
  };
  /** 0 where the connection ends without an answer. */
  const statusOr0 = (socket: RawSocket): Promise<number> =>
    socket.response().then(
      ({ status }) => status,
      () => 0,
    );
  const statusOf = async (text: string): Promise<number> => {
    const socket = await raw();
    socket.write(text);
    const { status } = await socket.response();
    socket.destroy();
    return status;
  };

  const upgrades: readonly (readonly [string, UpgradeParts["headers"], number])[] = [
    ["Connection: close", { Connection: "close" }, 400],
    ["Connection: close beside Upgrade", { Connection: "close, Upgrade" }, 400],
    ["Connection: Upgrade beside Close, in other letters", { Connection: "uPgRaDe,CLOSE" }, 400],
    ["Connection without the token upgrade", { Connection: "keep-alive" }, 400],
    ["Connection with a word that only holds the token", { Connection: "no-upgrade" }, 400],
    ["no Connection", { Connection: undefined }, 400],
    ["Upgrade to something else", { Upgrade: "h2c" }, 400],
    ["version 12", { "Sec-WebSocket-Version": "12" }, 426],
    ["version 013", { "Sec-WebSocket-Version": "013" }, 426],
    ["no version", { "Sec-WebSocket-Version": undefined }, 426],
    ["a key of another length", { "Sec-WebSocket-Key": "garbage" }, 426],
    ["a key of 24 characters that is not 16 bytes", { "Sec-WebSocket-Key": "A".repeat(24) }, 400],
    ["a key of 15 bytes", { "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAA" }, 426],
    ["an unknown subprotocol", { "Sec-WebSocket-Protocol": "mqtt" }, 400],
    ["a subprotocol of a later version", { "Sec-WebSocket-Protocol": "roomcast.v2.json" }, 400],
    ["another host, on loopback", { Host: "example.org" }, 403],
    ["a page of another host", { Origin: "https://example.org" }, 403],
    ["the usual headers", {}, 101],
    ["Connection with more words", { Connection: "keep-alive, Upgrade" }, 101],
    ["header words in other letters", { Connection: "uPgRaDe", Upgrade: "WebSocket" }, 101],
    ["a known subprotocol behind an unknown one", { "Sec-WebSocket-Protocol": `mqtt, ${JSON_PROTOCOL}` }, 101],
  ];
  for (const [words, headers, status] of upgrades) {
    await t.test(`an upgrade with ${words} gets ${status}`, async () => {
      assert.equal(await statusOf(upgradeText({ headers: headers ?? {} })), status);
      await server.unharmed();
    });
  }

  await t.test("without a key, or without Upgrade, there is no WebSocket", async () => {
    assert.notEqual(await statusOf(upgradeText({ headers: { "Sec-WebSocket-Key": undefined } })), 101);
    assert.notEqual(await statusOf(upgradeText({ headers: { Upgrade: undefined } })), 101);
    assert.notEqual(await statusOf(upgradeText({ path: "/" })), 101);
    assert.notEqual(await statusOf(upgradeText({ method: "POST" })), 101);
    await server.unharmed();
  });

  await t.test("an accepted subprotocol is named in the answer, and only where one was offered", async () => {
    for (const [offered, named] of [
      [JSON_PROTOCOL, JSON_PROTOCOL],
      [undefined, undefined],
    ] as const) {
      const socket = await raw();
      socket.write(upgradeText({ headers: { "Sec-WebSocket-Protocol": offered } }));
      const { headers } = await socket.response();
      assert.equal(headers.get("sec-websocket-protocol"), named);
      assert.equal(headers.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
      assert.equal(headers.has("sec-websocket-extensions"), false);
      socket.destroy();
    }
  });

  await t.test("an upgrade in HTTP/1.0, or with Connection twice, is survived whatever the answer", async () => {
    const usual = upgradeText({ headers: { Connection: undefined } });
    const ancient = upgradeText().replace("HTTP/1.1", "HTTP/1.0");
    const withLines = (...lines: string[]): string => usual.replace("\r\n\r\n", `\r\n${lines.join("\r\n")}\r\n\r\n`);
    const texts = [
      ancient,
      ancient.replace("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
      withLines("Connection: Upgrade", "Connection: close"),
      withLines("Connection: close", "Connection: Upgrade"),
      withLines("Connection: Upgrade", "Content-Length: 5"),
      withLines("Connection: Upgrade", "Transfer-Encoding: chunked"),
      withLines("Connection: Upgrade", "Upgrade: h2c"),
      withLines("Connection: Upgrade", "Host: evil.example"),
    ];
    for (const text of texts) {
      for (const goesOn of [true, false]) {
        const socket = await raw();
        socket.write(text);
        const status = await statusOr0(socket);
        if (goesOn && status === 101) {
          socket.sendFrame({ payload: '{"type":"hello","id":1}' });
          socket.sendFrame({ payload: '{"type":"join","id":2,"room":"a"}' });
          await socket.message();
        }
        socket.destroy();
        await server.unharmed();
      }
    }
  });

  await t.test("Connection: close many times over, each with a reader that goes away, is survived", async () => {
    for (let count = 0; count < 200; count++) {
      const socket = await raw();
      socket.write(upgradeText({ headers: { Connection: count % 2 === 0 ? "close" : "Upgrade" } }));
      if (count % 3 === 0) socket.destroy();
      else await socket.response();
      socket.destroy();
    }
    await server.unharmed();
  });

  await t.test("an upgrade that is split at any byte is one upgrade", async () => {
    const text = upgradeText({ headers: { "Sec-WebSocket-Protocol": JSON_PROTOCOL } });
    const probe = await server.connect(t);
    for (let at = 1; at < text.length; at++) {
      const socket = await raw();
      socket.write(text.slice(0, at));
      await probe.ping();
      await probe.ping();
      socket.write(text.slice(at));
      const status = await statusOr0(socket);
      // uWebSockets.js wants the request line whole from its path on, and answers 505 where it is not: see below.
      const within = at >= "GET ".length && at < text.indexOf("\r\n") + 2;
      assert.ok(status === 101 || (within && status === 505), `split at ${at}: ${status}`);
      socket.destroy();
    }
    await server.unharmed();
  });

  await t.test(
    "a request that is split within its version is answered or refused, and the process goes on",
    async () => {
      const probe = await server.connect(t);
      const text = "GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
      for (let at = 1; at < text.length; at++) {
        const socket = await raw();
        socket.write(text.slice(0, at));
        await probe.ping();
        await probe.ping();
        socket.write(text.slice(at));
        const status = await statusOr0(socket);
        assert.ok([200, 505, 400, 0].includes(status), `split at ${at}: ${status}`);
        socket.destroy();
      }
      await server.unharmed();
    },
  );

  await t.test("requests behind each other in one write are answered in their order", async () => {
    const socket = await raw();
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
    socket.write(get("/live") + get("/nowhere") + get("/ready") + get("/v1/socket"));
    const statuses = [];
    for (let count = 0; count < 4; count++) statuses.push((await socket.response()).status);
    assert.deepEqual(statuses, [200, 404, 200, 426]);
    socket.destroy();
  });

  await t.test("frames in the same write as the upgrade do no harm", async () => {
    const socket = await raw();
    socket.write(Buffer.concat([Buffer.from(upgradeText()), frameBytes({ payload: '{"type":"hello","id":1}' })]));
    assert.equal((await socket.response()).status, 101);
    // They may be lost: a client waits for the answer. What it sends after that counts.
    socket.sendFrame({ payload: '{"type":"hello","id":2}' });
    const frame = JSON.parse((await socket.message())?.toString() ?? "{}") as { type: string };
    assert.ok(["welcome", "error"].includes(frame.type));
    socket.destroy();
    await server.unharmed();
  });

  await t.test("headers without an end, too many of them, and what is no HTTP at all, are refused or cut", async () => {
    const many = Array.from({ length: 2000 }, (_, index) => `X-${index}: ${"y".repeat(20)}`).join("\r\n");
    const texts = [
      upgradeText({ headers: { "X-Long": "x".repeat(100_000) } }),
      `GET /live HTTP/1.1\r\nHost: a\r\n${many}\r\n\r\n`,
      `GET /${"a".repeat(200_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
      "\u0000\u0001\u0002\r\n\r\n",
      "GET\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
      "GET /live HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /v1/socket HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "GET /live HTTP/1.1\r\nHost : a\r\n\r\n",
    ];
    for (const text of texts) {
      const socket = await raw();
      socket.write(Buffer.from(text, "latin1"));
      socket.socket.end();
      const status = await statusOr0(socket);
      assert.notEqual(status, 101, text.slice(0, 40));
      socket.destroy();
    }
    await server.unharmed();
  });
});

test("more connections than the server takes get 503, and there is room again when others go", async (t) => {
  const server = await ChildServer.start(t, { maxConnections: 5 });
  const [one, two] = [await server.connect(t), await server.connect(t)];
  await assert.rejects(RawSocket.open(server.port), /got 503/);
  two.end();
  const opened = async (): Promise<RawSocket> => RawSocket.open(server.port).catch(() => opened());
  (await opened()).destroy();
  await one.ping();
  await server.unharmed();
});
