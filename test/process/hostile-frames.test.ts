import assert from "node:assert/strict";
import { test } from "node:test";
import { ChildServer } from "../support/child-server.js";
import { type FrameParts, frameBytes, OPCODE, RawSocket, upgradeText } from "../support/raw-socket.js";
import { clientCodecs } from "../support/ws-client.js";

const HELLO = '{"type":"hello","id":1}';
const PING = '{"type":"ping","id":2}';
const MSGPACK = { headers: { "Sec-WebSocket-Protocol": "roomcast.v1.msgpack" } };

test("no WebSocket frame ends the process or disturbs the others", async (t) => {
  const server = await ChildServer.start(t, { maxFrameBytes: 4096 });
  const opened = async (parts = {}): Promise<RawSocket> => {
    const socket = await RawSocket.open(server.port, parts);
    t.after(() => socket.destroy());
    return socket;
  };
  const greeted = async (): Promise<RawSocket> => {
    const socket = await opened();
    socket.sendFrame({ payload: HELLO });
    await socket.json("welcome");
    return socket;
  };

  // 1002 and 1006 are the native code's answers: it cuts what breaks the rules of WebSocket.
  const wrong: readonly (readonly [string, readonly FrameParts[]])[] = [
    ["a reserved bit", [{ payload: PING, reserved: 4 }]],
    ["all reserved bits", [{ payload: PING, reserved: 7 }]],
    ["a reserved opcode of data", [{ payload: PING, opcode: 3 }]],
    ["a reserved opcode of control", [{ payload: PING, opcode: 15 }]],
    ["a control frame that is too long", [{ payload: "x".repeat(126), opcode: OPCODE.ping }]],
    ["a control frame in parts", [{ payload: "x", opcode: OPCODE.ping, fin: false }]],
    ["a continuation of nothing", [{ payload: PING, opcode: OPCODE.continuation }]],
    ["a message begun within another", [{ payload: "{", fin: false }, { payload: PING }]],
    ["text that is not UTF-8", [{ payload: Uint8Array.of(0x22, 0xff, 0xfe, 0x22), opcode: OPCODE.text }]],
    [
      "text with half a surrogate pair",
      [{ payload: Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), opcode: OPCODE.text }],
    ],
    ["text with an overlong form", [{ payload: Uint8Array.of(0x22, 0xc0, 0x80, 0x22), opcode: OPCODE.text }]],
    [
      "text that is cut within a character",
      [
        { payload: Uint8Array.of(0x22, 0xe2, 0x82), opcode: OPCODE.text, fin: false },
        { payload: Uint8Array.of(0x22), opcode: OPCODE.continuation },
      ],
    ],
    [
      "a length beyond all bounds",
      [{ payload: "", opcode: OPCODE.text, length: Number.MAX_SAFE_INTEGER, lengthBytes: 8 }],
    ],
    ["a length far over the limit", [{ payload: "x".repeat(100), opcode: OPCODE.text, length: 50_000_000 }]],
    ["a close with one byte", [{ payload: "x", opcode: OPCODE.close }]],
    ["a close with a code that is none", [{ payload: Uint8Array.of(0, 5), opcode: OPCODE.close }]],
    ["a close whose reason is not UTF-8", [{ payload: Uint8Array.of(3, 0xe8, 0xff), opcode: OPCODE.close }]],
  ];
  for (const [words, frames] of wrong) {
    await t.test(`${words} ends that connection alone`, async () => {
      const socket = await greeted();
      socket.write(Buffer.concat(frames.map(frameBytes)));
      const code = await socket.closeCode();
      assert.ok(code !== 1000 && code < 4000, `closed with ${code}`);
      await server.unharmed();
    });
  }

  await t.test("a message in many parts, with pings between them, is one message", async () => {
    const socket = await opened();
    const parts = [...HELLO].map((payload, index) =>
      frameBytes({ payload, opcode: index === 0 ? OPCODE.text : OPCODE.continuation, fin: index === HELLO.length - 1 }),
    );
    const ping = frameBytes({ payload: "now", opcode: OPCODE.ping });
    socket.write(
      Buffer.concat(parts.flatMap((part) => [part, frameBytes({ opcode: OPCODE.pong }), ping]).slice(0, -1)),
    );
    const seen: number[] = [];
    for (let frame = await socket.frame(); frame !== undefined; frame = await socket.frame()) {
      seen.push(frame.opcode);
      if (frame.opcode === OPCODE.pong) assert.equal(frame.payload.toString(), "now");
      if (frame.opcode === OPCODE.text) break;
    }
    assert.equal(seen.at(-1), OPCODE.text);
    socket.destroy();
  });

  await t.test("a message without an end is bounded", async () => {
    const socket = await greeted();
    socket.sendFrame({ payload: "x".repeat(4000), fin: false });
    for (let count = 0; count < 20; count++) {
      socket.sendFrame({ payload: "x".repeat(4000), opcode: OPCODE.continuation, fin: false });
    }
    assert.ok((await socket.closeCode()) < 4000);
    await server.unharmed();
  });

  await t.test("a frame that is split at any byte is one frame", async () => {
    const socket = await greeted();
    const probe = await server.connect(t);
    const bytes = frameBytes({ payload: PING, lengthBytes: 2 });
    for (let at = 1; at < bytes.length; at++) {
      socket.write(bytes.subarray(0, at));
      await probe.ping();
      await probe.ping();
      socket.write(bytes.subarray(at));
      assert.deepEqual(await socket.json("pong"), { type: "pong", id: 2 });
    }
    socket.destroy();
  });

  await t.test("binary on a JSON connection and text on a MessagePack one are closed with 4202", async () => {
    const json = await greeted();
    json.sendFrame({ payload: Buffer.from(PING) });
    assert.equal(await json.closeCode(), 4202);
    const msgpack = await opened(MSGPACK);
    msgpack.sendFrame({ payload: HELLO });
    assert.equal(await msgpack.closeCode(), 4202);
    await server.unharmed();
  });

  await t.test("what cannot be parsed at all is closed with 4202, before the hello and after it", async () => {
    for (const payload of [
      "",
      "{",
      "hello",
      '{"type":"hello","id":1',
      "\u0000",
      "[",
      '"',
      "{}{}",
      "NaN",
      "ü".repeat(300),
      "x🦊".repeat(99),
    ]) {
      for (const socket of [await opened(), await greeted()]) {
        socket.sendFrame({ payload });
        assert.equal(await socket.closeCode(), 4202, JSON.stringify(payload));
      }
    }
    for (const bytes of [[], [0xc1], [0x92, 1], [0xdd, 255, 255, 255, 255], [0x91, 1, 1], [0xdb, 127, 0, 0, 0]]) {
      const socket = await opened(MSGPACK);
      socket.sendFrame({ payload: Uint8Array.from(bytes) });
      assert.equal(await socket.closeCode(), 4202, String(bytes));
    }
    await server.unharmed();
  });

  await t.test("what is JSON or MessagePack and no frame is answered, and the connection stays", async () => {
    const json = await greeted();
    for (const payload of [
      "[]",
      "1",
      "null",
      '""',
      "{}",
      '{"type":1}',
      '{"type":"__proto__","id":1}',
      '{"type":"toString"}',
    ]) {
      json.sendFrame({ payload });
      assert.equal((await json.json("error"))["code"], "bad_request", payload);
    }
    json.sendFrame({ payload: PING });
    await json.json("pong");
    await server.unharmed();
  });

  for (const codec of clientCodecs) {
    await t.test(
      `a frame over the limit is refused under its id; far over it the connection ends (${codec.name})`,
      async () => {
        const client = await server.connect(t, { codec });
        const fitting = { type: "publish", room: "big", event: "n", data: "x".repeat(3900) } as const;
        await client.ask("published", fitting);
        const large = await client.refusal({ ...fitting, data: "x".repeat(5000) });
        assert.deepEqual([large.code, /4096/.test(large.message)], ["too_large", true]);
        await client.ping();
        const { events } = await client.ask("history", { type: "history", room: "big" });
        assert.ok(
          events.every(({ data }) => data === fitting.data),
          "the refused one is not in the log",
        );
        client.send({ ...fitting, id: 99, data: "x".repeat(100_000) });
        assert.ok((await client.close()).code < 4000);
        await server.unharmed();
      },
    );

    await t.test(
      `data that nests too deep, or names __proto__, or has half a pair, is refused (${codec.name})`,
      async () => {
        const client = await server.connect(t, { codec });
        const raw = (text: string): void => client.socket.send(text);
        if (codec.name === "json") {
          for (const data of [
            `${"[".repeat(1500)}${"]".repeat(1500)}`,
            '{"__proto__":{"polluted":true}}',
            '{"a":{"__proto__":null}}',
            '{"\\u005f_proto__":1}',
            '"\\ud800"',
            '{"\\udc00":1}',
            "1e999",
          ]) {
            raw(`{"type":"publish","id":7,"room":"big","event":"n","data":${data}}`);
            const error = await client.next("error");
            assert.deepEqual(
              [error.id, error.code, /data/.test(error.message)],
              [7, "bad_request", true],
              data.slice(0, 40),
            );
          }
        } else {
          const frame = (...data: number[]) => Uint8Array.from([0x95, 4, 7, 0xa1, 0x61, 0xa1, 0x6e, ...data]);
          const proto = [0xa9, ...Buffer.from("__proto__")];
          for (const data of [
            [...Array<number>(1500).fill(0x91), 1],
            [0x81, ...proto, 1],
            [0xa3, 0xed, 0xa0, 0x80],
            [0x81, 1, 1],
            [0xd6, 0xff, 0, 0, 0, 0],
            [0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0],
            [0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0],
          ]) {
            client.socket.send(frame(...data));
            const error = await client.next("error");
            assert.deepEqual(
              [error.id, error.code, /data/.test(error.message)],
              [7, "bad_request", true],
              String(data),
            );
          }
        }
        await client.ping();
        await server.unharmed();
      },
    );
  }
});

for (const [words, hello, payload] of [
  ["300,000 frames that are no request", true, "{}"],
  ["300,000 pings", true, '{"type":"ping","id":2}'],
  ["300,000 frames before the hello", false, "{}"],
] as const) {
  test(`${words} in one write cost the sender its connection, and the others nothing`, async (t) => {
    const server = await ChildServer.start(t);
    const socket = await RawSocket.open(server.port);
    t.after(() => socket.destroy());
    if (hello) {
      socket.sendFrame({ payload: HELLO });
      await socket.json("welcome");
    }
    const others = await Promise.all(clientCodecs.map((codec) => server.connect(t, { codec })));
    await server.report();
    const frame = frameBytes({ payload });
    socket.write(Buffer.alloc(300_000 * frame.length, frame));
    const pings = others.map(async (other) => {
      for (let count = 0; count < 100; count++) await other.ping();
    });
    assert.equal(await socket.closeCode(), 4029);
    await Promise.all(pings);
    await server.unharmed();
    t.diagnostic(`the event loop was held for ${(await server.report()).stallMs.toFixed(1)} ms at the most`);
  });
}

test("many connections at once that never finish what they began, or never say hello, are closed in time", async (t) => {
  const server = await ChildServer.start(t, { helloTimeoutMs: 300 });
  const sockets = await Promise.all(Array.from({ length: 100 }, () => RawSocket.open(server.port)));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (const socket of sockets) socket.write(frameBytes({ payload: HELLO }).subarray(0, 5));
  for (const socket of sockets) assert.equal(await socket.closeCode(), 4010);
  const unfinished = await RawSocket.connect(server.port);
  unfinished.write(upgradeText().slice(0, 30));
  unfinished.destroy();
  await server.unharmed();
});

test("frames that are not masked are answered or cut, and do no harm", async (t) => {
  const server = await ChildServer.start(t, { helloTimeoutMs: 300 });
  for (const payload of [HELLO, "", "x".repeat(5000)]) {
    const socket = await RawSocket.open(server.port);
    t.after(() => socket.destroy());
    socket.sendFrame({ payload, masked: false, opcode: OPCODE.text });
    await socket.closeCode();
    await server.unharmed();
  }
});

test("readers that stop at every point of their connection do not end the process", async (t) => {
  // The native code calls `dropped` for them, where hardly anything may be done.
  const server = await ChildServer.start(t, {
    kinds: {
      "*": { batchMs: 0, history: { size: 50 } },
      skip: { slow: "skip", batchMs: 0 },
      live: { history: { size: 0 } },
    },
    maxBackpressureBytes: 524_288,
    // Whoever publishes is not what this is about.
    ...{ requestRate: 1_000_000, byteRate: 1_073_741_824, userPublishRate: 1_000_000 },
  });
  const rooms = ["hot", "skip:1", "live:1"];
  const publisher = await server.connect(t);
  const stalled: RawSocket[] = [];
  t.after(() => {
    for (const socket of stalled) socket.destroy();
  });
  for (let count = 0; count < 30; count++) {
    const socket = await RawSocket.open(server.port);
    stalled.push(socket);
    socket.sendFrame({ payload: HELLO });
    rooms.slice(0, 1 + (count % 3)).forEach((room, index) => {
      socket.sendFrame({ payload: JSON.stringify({ type: "join", id: index, room }) });
    });
    await socket.json("joined");
    socket.socket.pause();
  }
  const data = "x".repeat(30_000);
  for (let round = 0; round < 500; round++) {
    for (const room of rooms) publisher.send({ type: "publish", room, event: "n", data });
    if (round % 10 === 0) {
      await publisher.ping();
      server.publish();
    }
    if (round === 300) for (const socket of stalled.slice(0, 10)) socket.destroy();
    if (round === 400) for (const socket of stalled.slice(10, 20)) socket.socket.resume();
  }
  await server.unharmed();
  for (const socket of stalled.slice(20)) socket.socket.resume();
  // Each reads what the kernel had for it, and then why it was closed, or that it has skipped.
  for (const socket of stalled.slice(20).filter((_, index) => (20 + index) % 3 === 0)) {
    assert.equal(await socket.closeCode(), 4008);
  }
  await server.unharmed();
  const { rssBytes, stallMs } = await server.report();
  assert.ok(rssBytes < 400_000_000, `${rssBytes} bytes`);
  t.diagnostic(`${Math.round(rssBytes / 1e6)} MB; the event loop was held for ${stallMs.toFixed(1)} ms at the most`);
});
