import { strict as assert } from "node:assert";
import { type Cases, placed, rules, values, WINDOW_MS } from "./conformance-ground.js";

/** What a publish with a key promises. */
export const keyCases: Cases = {
  "a key used again, on any node, gives the first position and appends nothing": async (ground) => {
    const room = ground.room();
    const [node, other] = [await ground.subscriber(room), await ground.subscriber(room)];
    const first = await node.publish(room, "first", rules(), { key: "k", from: "ann" });
    assert.deepEqual(await node.publish(room, "again", rules(), { key: "k", from: "ann" }), first);
    assert.deepEqual(await other.publish(room, "there", rules(), { key: "k", from: "ann" }), first);
    await other.publish(room, "last");
    for (const each of [node, other]) {
      await each.until(room, "last");
      assert.deepEqual(values(each.told(room)), ["first", "last"]);
    }
    assert.deepEqual((await node.read(room)).values, ["first", "last"]);
  },

  "of publishes at once with one key one takes effect": async (ground) => {
    const room = ground.room();
    const [node, other] = [await ground.node(), await ground.node()];
    const sent = Array.from({ length: 10 }, (_, n) =>
      (n % 2 === 0 ? node : other).publish(room, n, rules(), { key: "k", from: "ann" }),
    );
    const offsets = new Set((await Promise.all(sent)).map((position) => placed(position).offset));
    assert.equal(offsets.size, 1);
    assert.equal((await node.read(room)).events?.length, 1);
  },

  "a key is its sender's and its room's own": async (ground) => {
    const [room, other] = [ground.room(), ground.room()];
    const node = await ground.node();
    const senders = [
      { from: "ann", key: "k" },
      { from: "bob", key: "k" },
      { key: "k" },
      // Written one after the other these two would look the same.
      { from: "a", key: "bc" },
      { from: "ab", key: "c" },
    ];
    for (const [index, sender] of senders.entries()) await node.publish(room, index, rules(), sender);
    for (const [index, sender] of senders.entries()) await node.publish(room, `again ${index}`, rules(), sender);
    await node.publish(other, "other", rules(), { from: "ann", key: "k" });
    assert.deepEqual((await node.read(room)).values, [0, 1, 2, 3, 4]);
    assert.deepEqual((await node.read(other)).values, ["other"]);
  },

  "a key is remembered although its event has left the log": async (ground) => {
    const [room, kept] = [ground.room(), rules(1)];
    const node = await ground.node();
    const first = await node.publish(room, "first", kept, { key: "k" });
    await node.publish(room, "second", kept);
    assert.deepEqual(await node.publish(room, "again", kept, { key: "k" }), first);
    assert.deepEqual((await node.read(room, {}, 10, kept)).values, ["second"]);
  },

  "a key is forgotten after its window": async (ground) => {
    const room = ground.room();
    const kept = rules(100, 60_000, WINDOW_MS);
    const node = await ground.node();
    const first = placed(await node.publish(room, "first", kept, { key: "k" }));
    await ground.advance(WINDOW_MS * 1.5);
    const second = placed(await node.publish(room, "second", kept, { key: "k" }));
    assert.ok(second.offset > first.offset);
    assert.deepEqual((await node.read(room, {}, 10, kept)).values, ["first", "second"]);
  },

  "a key works in a room without history": async (ground) => {
    const [room, none] = [ground.room(), rules(0)];
    const node = await ground.subscriber(room, none);
    for (const value of ["first", "again"]) {
      assert.equal(await node.publish(room, value, none, { key: "k", from: "ann" }), undefined);
    }
    await node.publish(room, "last", none);
    await node.until(room, "last");
    assert.deepEqual(values(node.told(room)), ["first", "last"]);
  },
};
