/** What may only happen in a moment is held there: requests wait in a proxy, or arrive late on another connection. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import test, { type TestContext } from "node:test";
import { EngineError } from "../../server/engine/engine.js";
import type { Presence } from "../../server/engine/presence.js";
import { eventually } from "../support/eventually.js";
import { TcpProxy } from "../support/proxy.js";
import { type Nats, startNats } from "../support/services/nats.js";
import { openPresence, presenceOptions, untilThere } from "./presence-nats-support.js";

const LONG_MS = 600_000;
const ROOM = "chat:1";

async function ground(t: TestContext) {
  const nats = await startNats(t);
  const proxy = await TcpProxy.start(t, nats);
  const options = presenceOptions({ servers: [nats.url], timeoutMs: 5000 });
  const straight = await openPresence(t, options);
  const behind = await openPresence(t, { ...options, servers: [proxy.url("nats")] });
  return { nats, proxy, straight, behind };
}

const texts = async (presence: Presence): Promise<string[]> =>
  (await presence.read(ROOM)).map(({ node, part, value }) => `${node} ${part} ${value}`).sort();

/** Holds what goes to the server from the first request on that has `mark` in it. Resolves once there is one. */
function hold(proxy: TcpProxy, mark: string): Promise<void> {
  return new Promise((resolve) => {
    proxy.filter("toServer", (chunk) => {
      if (!chunk.includes(mark)) return chunk;
      proxy.filter("toServer", undefined);
      proxy.stall("toServer");
      resolve();
      return chunk;
    });
  });
}

/** Takes the next request with `mark` in it away, and cuts the connection. Resolves with it. */
function take(proxy: TcpProxy, mark: string): Promise<Buffer> {
  return new Promise((resolve) => {
    proxy.filter("toServer", (chunk, cut) => {
      if (!chunk.includes(mark)) return chunk;
      proxy.filter("toServer", undefined);
      resolve(Buffer.from(chunk));
      cut();
      return undefined;
    });
  });
}

/** Sends it on a connection of its own. Resolves once the server has had it. */
async function arrive(nats: Nats, request: Buffer): Promise<void> {
  const socket = connect(nats.port, nats.host);
  socket.write('CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n');
  socket.write(request);
  socket.write("PING\r\n");
  let received = String((await once(socket, "data"))[0]);
  while (!received.includes("PONG")) received += (await once(socket, "data"))[0];
  assert.ok(!received.includes("-ERR"), received);
  socket.destroy();
}

test("what a node writes after it has beaten again is not erased by a clearing that is under way", async (t) => {
  const { proxy, straight, behind } = await ground(t);
  await straight.beat("a.1", 1);
  await straight.write(ROOM, "a.1", 0, Buffer.from("before"));
  await straight.write(ROOM, "a.1", 1, Buffer.from("before"));
  const held = hold(proxy, "STREAM.PURGE");
  const clearing = eventually(() => behind.clear("a.1"));
  await held;
  assert.equal((await straight.beat("a.1", LONG_MS)).isNew, true);
  await straight.write(ROOM, "a.1", 0, Buffer.from("after"));
  proxy.heal();
  await clearing;
  for (const each of [straight, behind]) assert.deepEqual(await texts(each), ["a.1 0 after"]);
});

test("a node that beats in the moment in which it is cleared is not cleared", async (t) => {
  const { proxy, straight, behind } = await ground(t);
  await straight.beat("a.1", 1);
  await straight.write(ROOM, "a.1", 0, Buffer.from("before"));
  const held = hold(proxy, "cleared");
  const clearing = behind.clear("a.1");
  await held;
  await straight.beat("a.1", LONG_MS);
  proxy.heal();
  assert.equal(await clearing, false);
  assert.equal((await straight.beat("a.1", LONG_MS)).isNew, false);
  for (const each of [straight, behind]) assert.deepEqual(await texts(each), ["a.1 0 before"]);
});

test("a write that arrives late, after a later one, changes nothing", async (t) => {
  const { nats, proxy, straight, behind } = await ground(t);
  await behind.beat("a.1", LONG_MS);
  for (const part of [0, 1]) {
    await behind.write(ROOM, "a.1", part, Buffer.from("before"));
    const taken = take(proxy, "is late");
    await assert.rejects(behind.write(ROOM, "a.1", part, Buffer.from("is late")), EngineError);
    await untilThere(behind);
    await behind.write(ROOM, "a.1", part, Buffer.from("after"));
    await arrive(nats, await taken);
  }
  assert.deepEqual(await texts(straight), ["a.1 0 after", "a.1 1 after"]);
});

test("a write that arrives late, after the register was erased, does not bring it back", async (t) => {
  const { nats, proxy, straight, behind } = await ground(t);
  await behind.beat("a.1", LONG_MS);
  for (const part of [0, 1]) {
    const taken = take(proxy, "is late");
    await assert.rejects(behind.write(ROOM, "a.1", part, Buffer.from("is late")), EngineError);
    await untilThere(behind);
    await behind.write(ROOM, "a.1", part, undefined);
    await arrive(nats, await taken);
    assert.deepEqual(await texts(straight), []);
  }
  // Also where it was written once more before.
  const taken = take(proxy, "is late");
  await assert.rejects(behind.write("chat:2", "a.1", 0, Buffer.from("is late")), EngineError);
  await untilThere(behind);
  await behind.write("chat:2", "a.1", 0, Buffer.from("after"));
  await behind.write("chat:2", "a.1", 0, undefined);
  await arrive(nats, await taken);
  assert.deepEqual(await straight.read("chat:2"), []);
  await behind.write("chat:2", "a.1", 0, Buffer.from("again"));
  assert.equal(String((await straight.read("chat:2"))[0]?.value), "again");
});
