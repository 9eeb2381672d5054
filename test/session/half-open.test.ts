/** Connections whose other side is gone though TCP says nothing, and those that are only quiet. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { TcpProxy } from "../support/proxy.js";
import { OPCODE, RawSocket } from "../support/raw-socket.js";
import { connect, startServer } from "../support/start-server.js";
import { clientCodecs, WsClient } from "../support/ws-client.js";

/** The least there is. */
const IDLE_MS = 8000;
const HEARTBEAT_MS = 1000;
const LIMITS = { idleTimeoutMs: IDLE_MS, heartbeatMs: HEARTBEAT_MS };
/** So many heartbeats take longer than an idle connection may. */
const LONG = (IDLE_MS / HEARTBEAT_MS) * 1.5;
const HOST = "127.0.0.1";

// Side by side: they mostly wait.
suite("half-open and idle", { concurrency: true }, () => {
  for (const codec of clientCodecs) {
    test(`half-open clients in a busy room are freed, and nobody else notices; one that is only quiet stays (${codec.name})`, async (t) => {
      const server = await startServer(t, { ...LIMITS, kinds: { "*": { batchMs: 0 } } });
      const proxy = await TcpProxy.start(t, { host: HOST, port: server.port });
      const halfOpen = await Promise.all(
        Array.from({ length: 5 }, () => connect(t, { url: proxy.url("http") }, { codec })),
      );
      const reader = await connect(t, server, { codec });
      const quiet = await connect(t, server, { codec });
      for (const client of [...halfOpen, reader]) await client.ask("joined", { type: "join", room: "busy" });
      const seen: unknown[] = [];
      reader.watch((frame) => {
        if (frame.type === "events") seen.push(...frame.events.map(({ data }) => data));
        return true;
      });
      let heartbeats = 0;
      quiet.watch((frame) => {
        if (frame.type === "heartbeat") heartbeats++;
        return true;
      });
      proxy.blackhole();
      let published = 0;
      await eventually(async () => {
        await server.publish("busy", "n", ++published);
        await reader.until("the event", () => seen.length === published);
        return server.connections === 2;
      }, "the half-open clients are still here");
      assert.deepEqual(
        seen,
        Array.from({ length: published }, (_, index) => index + 1),
      );
      assert.deepEqual(
        halfOpen.map(({ closed }) => closed),
        halfOpen.map(() => undefined),
        "no end came through",
      );
      assert.equal((await server.count("busy")).count, 1);
      await quiet.until("heartbeats for longer than a silent connection lasts", () => heartbeats >= LONG);
      assert.deepEqual([server.connections, reader.closed, quiet.closed], [2, undefined, undefined]);
    });
  }

  test("a client that answers no ping is freed, and one that answers nothing else is not", async (t) => {
    const server = await startServer(t, LIMITS);
    const open = async () => {
      const raw = await RawSocket.open(server.port);
      t.after(() => raw.destroy());
      raw.sendFrame({ payload: JSON.stringify({ type: "hello", id: 1 }) });
      await raw.json("welcome");
      return raw;
    };
    const [silent, answering] = [await open(), await open()];
    let heartbeats = 0;
    const answer = async () => {
      for (let frame = await answering.frame(); frame !== undefined; frame = await answering.frame()) {
        if (frame.opcode === OPCODE.text) heartbeats++;
        if (frame.opcode === OPCODE.ping) answering.sendFrame({ opcode: OPCODE.pong, payload: frame.payload });
        if (heartbeats >= LONG) return;
      }
    };
    const [code] = await Promise.all([silent.closeCode(), answer()]);
    // There is nobody to say goodbye to.
    assert.equal(code, 1006);
    assert.ok(heartbeats >= LONG, `the one that answers was cut off after ${heartbeats} heartbeats`);
    assert.equal(server.connections, 1);
  });

  test("a half-open connection that never said hello gives its place back", async (t) => {
    const server = await startServer(t, { ...LIMITS, helloTimeoutMs: 100, maxConnections: 1 });
    const proxy = await TcpProxy.start(t, { host: HOST, port: server.port });
    const halfOpen = await connect(t, { url: proxy.url("http") }, { hello: false });
    proxy.blackhole();
    await assert.rejects(WsClient.connect(server.url), "its place is taken");
    await eventually(() => server.connections === 0, "it was never closed");
    await connect(t, server);
    assert.equal(halfOpen.closed, undefined, "no end came through");
  });
});
