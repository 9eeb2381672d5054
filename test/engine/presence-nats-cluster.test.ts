import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { EngineError } from "../../server/engine/engine.js";
import { eventually } from "../support/eventually.js";
import { startNatsCluster } from "../support/services/nats-cluster.js";
import { openPresence, presenceConforms, presenceOptions } from "./presence-nats-support.js";

const LONG_MS = 600_000;

test("presence on NATS, three servers: the contract", async (t) => {
  const { nodes: servers } = await startNatsCluster(t, 3);
  await presenceConforms(t, "NATS, three servers", { servers, storage: "file", replicas: 3 });
});

test("three servers that are killed one after the other under load take nothing with them", async (t) => {
  const { nodes: servers, urls, leader } = await startNatsCluster(t, 3);
  // In memory: what is there at the end has been on the servers that stayed.
  const options = presenceOptions({ servers: urls, replicas: 3, storage: "memory", timeoutMs: 1000 });
  const nodes = [await openPresence(t, options), await openPresence(t, options)] as const;
  /** Calls until it is done. */
  const atLast = async <T>(call: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        assert.ok(error instanceof EngineError, String(error));
        await pause(20);
      }
    }
  };
  const rooms = Array.from({ length: 20 }, (_, n) => `chat:${n}`);
  const names = ["a.1", "b.1"] as const;
  for (const n of [0, 1] as const) await atLast(() => nodes[n].beat(names[n], LONG_MS));
  for (const [n, room] of rooms.entries()) {
    const at = (n % 2) as 0 | 1;
    await atLast(() => nodes[at].write(room, names[at], 7, Buffer.from("still")));
  }
  let [round, isOver] = [0, false];
  const writing = (async () => {
    while (!isOver) {
      round++;
      for (const room of rooms.slice(0, 5)) {
        await Promise.all(
          ([0, 1] as const).map((n) => atLast(() => nodes[n].write(room, names[n], 0, Buffer.from(String(round))))),
        );
      }
    }
  })();
  for (const server of servers) {
    const before = round;
    await server.kill();
    await eventually(() => round > before + 1, "nothing was written while one server was away", 60_000);
    await server.start();
    // All three have it again before the next one goes.
    await eventually(async () => (await leader()) !== undefined, "there is no leader", 60_000);
    await eventually(async () => (await server.monitor("/healthz"))["status"] === "ok");
  }
  isOver = true;
  await writing;
  for (const n of [0, 1] as const) assert.equal((await atLast(() => nodes[n].beat(names[n], LONG_MS))).isNew, false);
  for (const [n, room] of rooms.entries()) {
    const expected = n < 5 ? names.map((name) => `${name} 0 ${round}`) : [];
    expected.push(`${names[(n % 2) as 0 | 1]} 7 still`);
    for (const node of nodes) {
      const registers = await atLast(() => node.read(room));
      const read = registers.map(({ node: name, part, value }) => `${name} ${part} ${value}`);
      assert.deepEqual(read.sort(), expected.sort());
    }
  }
});
