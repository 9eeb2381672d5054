import assert from "node:assert/strict";
import test from "node:test";
import { event, placed, rules } from "../../server/engine/conformance-ground.js";
import { startNats } from "../support/services/nats.js";
import { natsOptions, openNode, untilWell } from "./nats-support.js";

const ROOM = "room:1";

test("a NATS that comes back without anything begins another epoch, for nodes that knew the one before too", async (t) => {
  const nats = await startNats(t);
  const options = natsOptions({ servers: [nats.url], storage: "memory" });
  const nodes = [await openNode(options), await openNode(options)] as const;
  t.after(() => Promise.all(nodes.map((node) => node.close())));
  const before = placed(await nodes[0].publish(ROOM, event(1), rules()));
  await nats.kill();
  await nats.start();
  for (const node of nodes) {
    await untilWell(node);
    const { position, events } = await node.history(ROOM, { since: before }, 10, rules());
    assert.equal(events, undefined, "there is nothing to go on from");
    assert.notEqual(position.epoch, before.epoch);
  }
  const after = await Promise.all(nodes.map((node) => node.publish(ROOM, event(2), rules())));
  assert.equal(new Set(after.map((position) => placed(position).epoch)).size, 1, "all nodes follow the same one");
});
