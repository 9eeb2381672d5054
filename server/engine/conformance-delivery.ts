import { strict as assert } from "node:assert";
import { pack } from "../../protocol/msgpack.js";
import { Payload } from "../../protocol/payload.js";
import {
  type Cases,
  event,
  type Ground,
  type GroundNode,
  placed,
  rejectsUnavailable,
  rules,
  values,
} from "./conformance-ground.js";

const numbers = (from: number, until: number): number[] => Array.from({ length: until - from }, (_, n) => from + n);

/** Fails where a node's deliveries of a room leave out or repeat something: each must begin where the last one ended. */
function assertUnbroken(node: GroundNode, room: string): void {
  let end: number | undefined;
  for (const delivery of node.deliveries.filter((one) => one.room === room)) {
    assert.ok(delivery.events.length > 0, "a delivery carries events");
    assert.equal(delivery.previous, end ?? delivery.previous, "previous is the offset before the first event");
    end = delivery.previous;
    for (const { offset } of delivery.events) {
      assert.ok(offset > end, `offsets rise: ${offset} after ${end}`);
      end = offset;
    }
  }
}

/** Two nodes publish a hundred events between them, all on their way at once; resolves when both have been told of the last. */
async function publishAtOnce(ground: Ground) {
  const room = ground.room();
  const nodes = [await ground.subscriber(room), await ground.subscriber(room)] as const;
  const [ann, bob] = nodes;
  const sent = numbers(0, 50).flatMap((n) => [ann.publish(room, `a${n}`), bob.publish(room, `b${n}`)]);
  const positions = (await Promise.all(sent)).map(placed);
  const last = placed(await ann.publish(room, "last", rules(200)));
  const log = await bob.read(room, {}, 1000, rules(200));
  assert.equal(log.position.offset, last.offset);
  for (const node of nodes) {
    await node.until(room, "last");
    // The last may have come before one that was swapped with it.
    await node.untilTold(room, positions.length + 1);
  }
  return { room, nodes, positions, log };
}

/** What a publish does, and what nodes are told of it. */
export const deliveryCases: Cases = {
  "a publish on one node reaches every node that has the room subscribed, with its position": async (ground) => {
    const room = ground.room();
    const [ann, bob, publisher] = [await ground.subscriber(room), await ground.subscriber(room), await ground.node()];
    const position = placed(await publisher.publish(room, "one"));
    for (const node of [ann, bob]) {
      await node.until(room, "one");
      const [delivery] = node.deliveries;
      assert.equal(delivery?.epoch, position.epoch);
      assert.deepEqual(
        delivery?.events.map(({ offset }) => offset),
        [position.offset],
      );
    }
    assert.deepEqual(publisher.deliveries, []);
  },

  "a delivery's previous is the offset of the event before it": async (ground) => {
    const room = ground.room();
    const node = await ground.subscriber(room);
    const before = await node.read(room);
    const positions = await node.publishAll(room, [1, 2, 3]);
    await node.until(room, 3);
    assert.deepEqual(values(node.told(room)), [1, 2, 3]);
    assert.equal(node.deliveries[0]?.previous, before.position.offset);
    assertUnbroken(node, room);
    assert.deepEqual(
      node.told(room).map(({ offset }) => offset),
      positions.map(({ offset }) => offset),
    );
  },

  "publishes at once take effect in the order of the calls": async (ground) => {
    const room = ground.room();
    const [node, other] = [await ground.subscriber(room), await ground.subscriber(room)];
    const list = numbers(0, 200);
    const kept = rules(list.length);
    const positions = (await Promise.all(list.map((value) => node.publish(room, value, kept)))).map(placed);
    assert.ok(positions.every(({ offset }, index) => index === 0 || offset > (positions[index - 1]?.offset ?? 0)));
    for (const each of [node, other]) {
      await each.until(room, 199);
      assert.deepEqual(values(each.told(room)), list);
      assertUnbroken(each, room);
    }
    assert.deepEqual((await other.read(room, {}, 1000, kept)).values, list);
  },

  "two nodes that publish at once are seen in one order everywhere, the order of the log": async (ground) => {
    const { room, nodes, log } = await publishAtOnce(ground);
    for (const node of nodes) {
      assert.deepEqual(values(node.told(room))?.slice(-100), log.values?.slice(-100));
      assertUnbroken(node, room);
    }
  },

  "of two nodes that publish at once every event comes everywhere once, at its position": async (ground) => {
    const { room, nodes, positions } = await publishAtOnce(ground);
    for (const node of nodes) {
      const told = node.told(room);
      assert.equal(told.length, positions.length + 1);
      const byOffset = new Map(told.map(({ offset, data }) => [offset, data.value]));
      positions.forEach(({ offset }, index) => {
        assert.equal(byOffset.get(offset), `${index % 2 === 0 ? "a" : "b"}${index >> 1}`);
      });
    }
  },

  "a node is told nothing of rooms that it has not subscribed": async (ground) => {
    const [room, other] = [ground.room(), ground.room()];
    const [node, publisher] = [await ground.subscriber(room), await ground.node()];
    await publisher.publish(other, "other");
    await publisher.publish(room, "mark");
    await node.until(room, "mark");
    assert.deepEqual(values(node.deliveries.flatMap(({ events }) => events)), ["mark"]);
  },

  "a node that has unsubscribed is soon told nothing more, and one that stays is": async (ground) => {
    const [room, other] = [ground.room(), ground.room()];
    const [node, stays] = [await ground.subscriber(room), await ground.subscriber(room)];
    await node.broker.subscribe(other, rules());
    await node.broker.unsubscribe(room);
    for (let attempt = 1, quiet = false; !quiet; attempt++) {
      assert.ok(attempt <= 20, "the node is still told of the room");
      const before = node.told(room).length;
      await stays.publish(room, attempt);
      await stays.publish(other, attempt);
      await Promise.all([stays.until(room, attempt), node.until(other, attempt)]);
      quiet = node.told(room).length === before;
    }
    assert.deepEqual(values(stays.told(room)), numbers(1, stays.told(room).length + 1));
  },

  "a node that subscribes again is told again": async (ground) => {
    const room = ground.room();
    const node = await ground.subscriber(room);
    await node.broker.unsubscribe(room);
    await node.publish(room, 1);
    await node.broker.subscribe(room, rules());
    await node.publish(room, 2);
    await node.until(room, 2);
    assert.equal(node.told(room).at(-1)?.data.value, 2);
  },

  "a room subscribed twice is delivered once": async (ground) => {
    const room = ground.room();
    const node = await ground.subscriber(room);
    await node.broker.subscribe(room, rules());
    await node.publishAll(room, [1, 2]);
    await node.until(room, 2);
    assert.deepEqual(values(node.told(room)), [1, 2]);
  },

  "rooms do not mix: neither events nor histories": async (ground) => {
    const [room, other] = [ground.room(), ground.room()];
    const node = await ground.subscriber(room);
    await node.broker.subscribe(other, rules());
    await Promise.all(numbers(0, 20).flatMap((n) => [node.publish(room, `a${n}`), node.publish(other, `b${n}`)]));
    for (const [name, letter] of [[room, "a"] as const, [other, "b"] as const]) {
      const expected = numbers(0, 20).map((n) => `${letter}${n}`);
      await node.until(name, `${letter}19`);
      assert.deepEqual(values(node.told(name)), expected);
      assert.deepEqual((await node.read(name)).values, expected);
      assertUnbroken(node, name);
    }
  },

  "between a subscribe and the history read after it nothing is lost": async (ground) => {
    const room = ground.room();
    const [publisher, node] = [await ground.node(), await ground.node()];
    const kept = rules(300);
    const start = (await publisher.read(room, {}, 0, kept)).position;
    const sent = numbers(0, 200).map((value) => publisher.publish(room, value, kept));
    await sent[20];
    const later = sent.slice(21).concat(
      (async () => {
        for (const value of numbers(200, 220)) await publisher.publish(room, value, kept);
        return undefined;
      })(),
    );
    await node.broker.subscribe(room, kept);
    const read = await node.read(room, { since: start }, 1000, kept);
    await Promise.all(later);
    await publisher.publish(room, "last", kept);
    await node.until(room, "last");
    const live = node.told(room).filter(({ offset }) => offset > read.position.offset);
    assert.deepEqual([...(read.values ?? []), ...(values(live) ?? [])], [...numbers(0, 220), "last"]);
  },

  "a room without history: delivered in order, without positions": async (ground) => {
    const [room, none] = [ground.room(), rules(0)];
    const [node, publisher] = [await ground.subscriber(room, none), await ground.node()];
    for (const value of [1, 2, 3]) assert.equal(await publisher.publish(room, value, none), undefined);
    await node.until(room, 3);
    assert.deepEqual(values(node.told(room)), [1, 2, 3]);
    for (const { epoch, previous, events } of node.deliveries) {
      assert.deepEqual(
        { epoch, previous, offsets: events.map(({ offset }) => offset) },
        {
          epoch: "",
          previous: 0,
          offsets: events.map(() => 0),
        },
      );
    }
    const read = await node.read(room, {}, 10, none);
    assert.deepEqual({ values: read.values, more: read.more }, { values: [], more: false });
  },

  "an event arrives as it was published: name, sender, time, key": async (ground) => {
    const room = ground.room();
    const [node, publisher] = [await ground.subscriber(room), await ground.node()];
    const full = { event: "chat:said", from: "ann", at: 1_790_000_000_123, key: "k-1 ü" };
    await publisher.publish(room, 1, rules(), full);
    await publisher.publish(room, 2);
    await node.until(room, 2);
    for (const events of [node.told(room), (await publisher.read(room)).events ?? []]) {
      const [first, second] = events.map(({ event: name, from, at, key }) => ({ event: name, from, at, key }));
      assert.deepEqual(first, full);
      assert.deepEqual(second, { event: "test", from: undefined, at: 1_790_000_000_000, key: undefined });
    }
  },

  "JSON data arrives as it was published": async (ground) => {
    const room = ground.room();
    const [node, publisher] = [await ground.subscriber(room), await ground.node()];
    const list = [{ text: 'ä 😀 \u2028 " \\ \n' }, [1, -0.5, 1e21, null, true, ""], null, 0, false, "", {}];
    for (const value of list) await publisher.publish(room, value);
    await publisher.publish(room, "last");
    await node.until(room, "last");
    for (const events of [node.told(room), (await publisher.read(room)).events ?? []]) {
      assert.deepEqual(
        events.map(({ data }) => JSON.parse(data.json)),
        [...list, "last"],
      );
    }
  },

  "MessagePack data arrives as it was published, with its binary": async (ground) => {
    const room = ground.room();
    const [node, publisher] = [await ground.subscriber(room), await ground.node()];
    const value = { bytes: new Uint8Array([0, 255, 10, 13, 128]), text: "ü", list: [1, null, 2.5] };
    const payloads = [Payload.ofMsgpack(pack(value), true), Payload.ofValue(value)];
    for (const data of payloads) await publisher.publish(room, undefined, rules(), { data });
    await publisher.publish(room, "last");
    await node.until(room, "last");
    for (const events of [node.told(room), (await publisher.read(room)).events ?? []]) {
      for (const { data } of events.slice(0, 2)) {
        assert.deepEqual(Buffer.from(data.msgpack), Buffer.from(pack(value)));
        assert.deepEqual(JSON.parse(data.json), { ...value, bytes: "AP8KDYA=" });
      }
    }
  },

  "an event of a megabyte arrives whole": async (ground) => {
    const room = ground.room();
    const [node, publisher] = [await ground.subscriber(room), await ground.node()];
    const large = "0123456789abcdef".repeat(65_536);
    await publisher.publish(room, large);
    await node.until(room, large);
    assert.ok((await publisher.read(room)).events?.[0]?.data.value === large);
  },

  "a closed node refuses everything, is told nothing, and leaves the others alone": async (ground) => {
    const room = ground.room();
    const [node, other] = [await ground.subscriber(room), await ground.subscriber(room)];
    await node.publish(room, 1);
    await Promise.all([node.until(room, 1), other.until(room, 1)]);
    await node.broker.close();
    await node.broker.close();
    await rejectsUnavailable(node.broker.publish(room, event(2), rules()));
    await rejectsUnavailable(node.broker.subscribe(room, rules()));
    await rejectsUnavailable(node.broker.unsubscribe(room));
    await rejectsUnavailable(node.broker.history(room, {}, 1, rules()));
    await other.publish(room, 3);
    await other.until(room, 3);
    assert.deepEqual(values(node.told(room)), [1]);
    assert.deepEqual((await other.read(room)).values, [1, 3]);
  },
};
