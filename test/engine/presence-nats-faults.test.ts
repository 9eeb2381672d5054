import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { EngineError } from "../../server/engine/engine.js";
import { encodeLease } from "../../server/engine/nats/presence-layout.js";
import type { Presence } from "../../server/engine/presence.js";
import { eventually } from "../support/eventually.js";
import { TcpProxy } from "../support/proxy.js";
import { startNats } from "../support/services/nats.js";
import { askServer, openPresence, presenceOptions, untilThere } from "./presence-nats-support.js";

const LONG_MS = 600_000;
const FAST = { timeoutMs: 400, probeMs: 200 };
const ROOM = "chat:1";

async function ground(t: TestContext, more: Parameters<typeof presenceOptions>[0] | object = {}) {
  const nats = await startNats(t);
  const options = presenceOptions({ servers: [nats.url], ...more });
  const server = await askServer(t, [nats.url]);
  return { nats, options, server, namespace: options.namespace, presence: await openPresence(t, options) };
}

const texts = async (presence: Presence, room = ROOM): Promise<string[]> =>
  (await presence.read(room)).map(({ node, part, value }) => `${node} ${part} ${value}`).sort();

/** Whether it was done; anything but an `EngineError` fails the test. */
const isDone = (call: Promise<unknown>): Promise<boolean> =>
  call.then(
    () => true,
    (error: unknown) => {
      assert.ok(error instanceof EngineError, String(error));
      return false;
    },
  );

async function inTurns(count: number, act: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const work = async () => {
    for (let n = next++; n < count; n = next++) await act(n);
  };
  await Promise.all(Array.from({ length: 100 }, work));
}

test("what was written under a lease that held is never erased, however many clear the node meanwhile", async (t) => {
  const { presence, options } = await ground(t);
  const others = [await openPresence(t, options), await openPresence(t, options)] as const;
  let isOver = false;
  const clearing = others.map(async (other) => {
    while (!isOver) await isDone(other.clear("a.1"));
  });
  let [held, lost] = [0, 0];
  for (let n = 0; n < 300; n++) {
    await presence.beat("a.1", n % 3 === 0 ? 1 : 1000);
    await presence.write(ROOM, "a.1", n % 4, Buffer.from(String(n)));
    const read = await texts(others[0]);
    if ((await presence.beat("a.1", 1000)).isNew) {
      lost++;
      continue;
    }
    held++;
    assert.ok(read.includes(`a.1 ${n % 4} ${n}`), `${n} was erased, read: ${read}`);
  }
  isOver = true;
  await Promise.all(clearing);
  assert.ok(held > 50 && lost > 50, `${held} leases held, ${lost} were lost`);
});

test("through connections that are cut, writes and erasures keep their order, and leave nothing behind", async (t) => {
  const { nats, options, server, namespace, presence: other } = await ground(t, { strayMs: 300 });
  const proxy = await TcpProxy.start(t, nats);
  const presence = await openPresence(t, { ...options, ...FAST, servers: [proxy.url("nats")] });
  await other.beat("a.1", LONG_MS);
  await eventually(() => isDone(presence.beat("a.1", LONG_MS)));
  let failed = 0;
  for (let n = 0; n < 400; n++) {
    if (n % 40 === 20) proxy.cut();
    const room = `chat:${n % 5}`;
    const value = n % 3 === 2 ? undefined : Buffer.from(String(n));
    // Another one follows at once, which may find that the one before is under way yet.
    while (!(await isDone(presence.write(room, "a.1", n % 2, value)))) {
      failed++;
      await pause(2);
    }
    const own = (await texts(other, room)).filter((text) => text.startsWith(`a.1 ${n % 2} `));
    assert.deepEqual(own, value === undefined ? [] : [`a.1 ${n % 2} ${n}`]);
  }
  assert.ok(failed > 0, "no write was cut");
  for (let n = 0; n < 5; n++) {
    for (const part of [0, 1]) await presence.write(`chat:${n}`, "a.1", part, undefined);
  }
  // What may not be deleted yet is, by a later beat.
  await eventually(async () => {
    await presence.beat("a.1", LONG_MS);
    return (await server.subjects(namespace)).length === 1;
  });
});

test("a clearing that got no further than its mark is ended by the next", async (t) => {
  const { presence, server, namespace, options } = await ground(t);
  await presence.beat("a.1", LONG_MS);
  await presence.write(ROOM, "a.1", 0, Buffer.from("left"));
  await server.jetstream.publish(`${namespace}-presence.lease.a,1`, encodeLease({ leaseMs: undefined }));
  const other = await openPresence(t, options);
  assert.equal(await other.clear("a.1"), true);
  const subjects = await server.subjects(namespace);
  assert.deepEqual(subjects, [`${namespace}-presence.lease.a,1`]);
  assert.equal((await presence.beat("a.1", LONG_MS)).isNew, true);
});

test("marks of cleared nodes go, and with them what the nodes have written since", async (t) => {
  const { presence, server, namespace, options } = await ground(t, { markMs: 200 });
  const other = await openPresence(t, options);
  await presence.beat("a.1", 1);
  await presence.write(ROOM, "a.1", 0, Buffer.from("left"));
  await eventually(() => other.clear("a.1"));
  // As a node does that stood still: it has not heard of it.
  await server.jetstream.publish(`${namespace}-presence.in.a,1.chat:1.7`, Buffer.from("late"));
  await eventually(async () => {
    await other.beat("b.1", LONG_MS);
    const subjects = await server.subjects(namespace);
    return !subjects.some((subject) => subject.includes("a,1"));
  });
});

test("of a node that writes without a lease all is told, so that it is cleared", async (t) => {
  const { presence, server, namespace, options } = await ground(t);
  await presence.write(ROOM, "a.1", 3, Buffer.from("left"));
  const other = await openPresence(t, options);
  const { leases } = await other.beat("b.1", LONG_MS);
  assert.ok(leases.some(({ node, leftMs }) => node === "a.1" && leftMs <= 0));
  assert.equal(await other.clear("a.1"), true);
  assert.deepEqual(await texts(other), []);
  const subjects = await server.subjects(namespace);
  assert.ok(!subjects.some((subject) => subject.includes("presence.in.")), String(subjects));
});

test("what a node writes after the server has lost everything, before it beats, is cleared with it", async (t) => {
  const { nats, presence, options } = await ground(t, { storage: "memory", ...FAST });
  await presence.beat("a.1", 2000);
  await nats.kill();
  await nats.start();
  await eventually(() => isDone(presence.write(ROOM, "a.1", 0, Buffer.from("again"))));
  const other = await openPresence(t, options);
  const { leases } = await other.beat("b.1", LONG_MS);
  // Nobody is to take it for gone: it has not had the time to beat.
  assert.ok(leases.some(({ node, leftMs }) => node === "a.1" && leftMs > 0));
  assert.deepEqual(await texts(other), ["a.1 0 again"]);
  assert.equal((await presence.beat("a.1", 1)).isNew, true);
  await eventually(() => other.clear("a.1"));
  assert.deepEqual(await texts(other), []);
});

test("a stream that was deleted is made again by whoever finds it gone", async (t) => {
  const { presence, server, namespace } = await ground(t, { storage: "memory" });
  await presence.beat("a.1", LONG_MS);
  await presence.write(ROOM, "a.1", 0, Buffer.from("before"));
  await server.forget(namespace);
  assert.equal(await isDone(presence.beat("a.1", LONG_MS)), false);
  await untilThere(presence);
  assert.equal((await presence.beat("a.1", LONG_MS)).isNew, true);
  await presence.write(ROOM, "a.1", 0, Buffer.from("after"));
  assert.deepEqual(await texts(presence), ["a.1 0 after"]);
});

test("a server that stands still is found out: calls settle, then are refused, and go on when it does", async (t) => {
  const { nats, presence } = await ground(t, FAST);
  await presence.beat("a.1", LONG_MS);
  nats.pause();
  const early = [presence.write(ROOM, "a.1", 0, Buffer.from("x")), presence.read(ROOM), presence.beat("a.1", LONG_MS)];
  for (const call of [...early, presence.clear("a.1")]) assert.equal(await isDone(call), false);
  await eventually(() => presence.problems().length > 0);
  assert.equal(await isDone(presence.read(ROOM)), false);
  nats.resume();
  await untilThere(presence);
  await eventually(() => isDone(presence.write(ROOM, "a.1", 0, Buffer.from("on"))));
  assert.deepEqual(await texts(presence), ["a.1 0 on"]);
});

test("10,000 registers of one node are read, then cleared, while others write and read", async (t) => {
  const { presence, server, namespace, options } = await ground(t);
  const other = await openPresence(t, options);
  await presence.beat("a.1", LONG_MS);
  await other.beat("b.1", LONG_MS);
  await inTurns(10_000, (n) => presence.write(`chat:${n % 5000}`, "a.1", n < 5000 ? 0 : 1, Buffer.from(String(n))));
  let count = 0;
  await inTurns(5000, async (n) => {
    const registers = await other.read(`chat:${n}`);
    count += registers.length;
  });
  assert.equal(count, 10_000);
  await presence.beat("a.1", 1);
  let isCleared = false;
  const clearing = eventually(() => other.clear("a.1")).then(() => {
    isCleared = true;
  });
  for (let n = 0; n < 10 || !isCleared; n++) {
    await other.write("chat:7", "b.1", 0, Buffer.from(String(n)));
    assert.ok((await texts(other, "chat:7")).includes(`b.1 0 ${n}`));
  }
  await clearing;
  const left = (await server.subjects(namespace)).filter((subject) => subject.includes("presence.in."));
  assert.deepEqual(left, [`${namespace}-presence.in.b,1.chat:7`]);
});
