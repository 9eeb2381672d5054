import assert from "node:assert/strict";
import test from "node:test";
import { natsQueues } from "../../server/engine/nats/queues.js";
import { uniqueName } from "../engine/nats-support.js";
import { eventually } from "../support/eventually.js";
import { startNatsCluster } from "../support/services/nats-cluster.js";
import { addSome, openWork, type QueueGround, untilEmpty } from "./conformance.js";
import { recordCases } from "./conformance-records.js";
import { workCases } from "./conformance-work.js";

const nothing = (): void => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
/** Those in which more servers make a difference. */
const WORTH_IT = /order in which|dead letters|two nodes|stays until|survive|away|whichever node/;

test("NATS, three servers that keep each stream: the queue and the record log", async (t) => {
  const { nodes, urls } = await startNatsCluster(t, 3);
  const queuesOf = (namespace: string) =>
    natsQueues({ servers: urls, replicas: 3, storage: "file", namespace, timeoutMs: 3000, probeMs: 500, log });
  const cases = Object.entries({ ...workCases, ...recordCases }).filter(([says]) => WORTH_IT.test(says));
  for (const [says, run] of cases) {
    await t.test(says, async (inner) => {
      const ground: QueueGround = {
        queues: queuesOf(uniqueName()),
        async outage(during) {
          await Promise.all(nodes.map((node) => node.kill()));
          await during();
          await Promise.all(nodes.map((node) => node.start()));
        },
        records: () => Promise.reject(new Error("not read here")),
      };
      if (!says.startsWith("of two nodes")) await run(inner, ground);
    });
  }
  await t.test("each of the servers killed in turn, while commands are applied", async (inner) => {
    const ground = { queues: queuesOf(uniqueName()), outage: nothing as never, records: nothing as never };
    const takers = [await openWork(inner, ground, { ackMs: 2000 }), await openWork(inner, ground, { ackMs: 2000 })];
    const work = await openWork(inner, ground);
    const seen = new Set<string>();
    for (const taker of takers) {
      taker.start(async ({ id }) => {
        await new Promise((next) => setTimeout(next, 20));
        seen.add(id);
        return { done: true };
      });
    }
    const ids: string[] = [];
    for (const node of nodes) {
      const killed = node.kill();
      for (let index = 0; index < 60; index++) {
        const id = `${ids.length}`;
        ids.push(id);
        const added = () =>
          work.add(id, Buffer.from("{}")).then(
            () => true,
            () => false,
          );
        await eventually(added, "a command could not be added", 60_000);
      }
      await killed;
      await node.start();
    }
    await eventually(() => seen.size === ids.length, "not all were applied", 60_000);
    await untilEmpty(work);
    assert.equal((await work.numbers()).dead, 0);
    assert.equal((await addSome(work, 1)).length, 1);
  });
});
