import { strict as assert } from "node:assert";
import { type Cases, event, type Ground, type GroundNode, placed, rules, values } from "./conformance-ground.js";
import { EngineError, OWN, RESERVED } from "./engine.js";

/** How a call ended: with the value, or with the code of its `EngineError`. Anything else fails the case. */
async function ending(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "done";
  } catch (error) {
    assert.ok(error instanceof EngineError, `expected an EngineError, got ${String(error)}`);
    return error.code;
  }
}

/** Resolves once the node knows that its engine is away. */
async function noticed(node: GroundNode): Promise<void> {
  for (let attempt = 0; node.broker.problems().length === 0; attempt++) {
    assert.ok(attempt < 2000, "the node did not notice that its engine is away");
    await new Promise((next) => setTimeout(next, 10));
  }
}

/** Publishes, over and over, until it is taken: as a client with a key does. */
async function publishAtLast(node: GroundNode, room: string, value: unknown) {
  for (let attempt = 0; ; attempt++) {
    try {
      return placed(await node.publish(room, value, rules(), { key: `k-${value}` }));
    } catch (error) {
      assert.ok(error instanceof EngineError && attempt < 1000, String(error));
      await new Promise((next) => setTimeout(next, 20));
    }
  }
}

async function subscribed(ground: Ground): Promise<{ node: GroundNode; other: GroundNode; room: string }> {
  const room = ground.room();
  const [node, other] = [await ground.subscriber(room), await ground.subscriber(room)];
  await node.publishAll(room, ["before"]);
  await Promise.all([node.until(room, "before"), other.until(room, "before")]);
  return { node, other, room };
}

/** What holds while an engine is away, and once it is back. */
export const outageCases: Cases = {
  "in an outage every call settles, and once it is noticed calls are refused": async (ground) => {
    const { node, room } = await subscribed(ground);
    await ground.outage(async () => {
      const early = await Promise.all(
        [1, 2, 3].map((n) => ending(node.publish(room, n))).concat(ending(node.read(room))),
      );
      assert.ok(!early.includes("done"), `nobody was there to do it: ${early}`);
      await noticed(node);
      const refused = [
        node.broker.publish(room, event(4), rules()),
        node.broker.history(room, {}, 10, rules()),
        node.broker.subscribe(ground.room(), rules()),
      ];
      assert.deepEqual(await Promise.all(refused.map(ending)), ["unavailable", "unavailable", "unavailable"]);
    });
  },

  "an outage is a problem while it lasts, and none once it is over": async (ground) => {
    const { node, room } = await subscribed(ground);
    assert.deepEqual(node.broker.problems(), []);
    await ground.outage(async () => {
      await noticed(node);
      for (const problem of node.broker.problems()) assert.match(problem, /^[a-z]+ \S.*: \S/);
    });
    await ground.whole(node);
    await node.publish(room, "after");
  },

  "after an outage the engine doubts every room that is subscribed, and delivers again": async (ground) => {
    const { node, other, room } = await subscribed(ground);
    await ground.outage(() => Promise.all([noticed(node), noticed(other)]).then(() => undefined));
    await Promise.all([node.untilSuspected(room), other.untilSuspected(room)]);
    await publishAtLast(node, room, "after");
    await Promise.all([node.until(room, "after"), other.until(room, "after")]);
    assert.deepEqual((await other.read(room)).values, ["before", "after"]);
  },

  "after an outage the engine doubts the server's own rooms too": async (ground) => {
    const { node } = await subscribed(ground);
    const own = [RESERVED, OWN].map((start) => `${start}${ground.room()}`);
    for (const room of own) await node.broker.subscribe(room, rules(0));
    await ground.outage(() => noticed(node));
    for (const room of own) await node.untilSuspected(room);
  },

  "a room that was left in an outage is not subscribed again": async (ground) => {
    const { node, other, room } = await subscribed(ground);
    const stays = ground.room();
    await node.broker.subscribe(stays, rules());
    await ground.outage(async () => {
      await noticed(node);
      await ending(node.broker.unsubscribe(room));
    });
    await node.untilSuspected(stays);
    await publishAtLast(other, room, "after");
    await publishAtLast(other, stays, "mark");
    await node.until(stays, "mark");
    assert.ok(!values(node.told(room))?.includes("after"));
  },

  "publishes that are tried again through an outage come into the log once each, in their order": async (ground) => {
    const { node, other, room } = await subscribed(ground);
    const list = Array.from({ length: 60 }, (_, n) => n);
    const published = (async () => {
      for (const value of list) await publishAtLast(node, room, value);
    })();
    await other.until(room, 3);
    await ground.outage(() => noticed(node));
    await published;
    await ground.whole(other);
    assert.deepEqual((await other.read(room)).values, ["before", ...list]);
  },
};
