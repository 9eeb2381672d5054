import { strict as assert } from "node:assert";
import type { RoomEvent } from "../../protocol/event.js";
import { at, type Cases, rules, WINDOW_MS } from "./conformance-ground.js";

/** What can be read of a log, and when it is forgotten. */
export const readingCases: Cases = {
  "a room nobody has published in is empty, and can be read on from its end": async (ground) => {
    const room = ground.room();
    const node = await ground.node();
    const fresh = await node.read(room);
    assert.deepEqual({ values: fresh.values, more: fresh.more }, { values: [], more: false });
    assert.deepEqual((await node.read(room, { since: fresh.position })).values, []);
    await node.publish(room, 1);
    assert.deepEqual((await node.read(room, { since: fresh.position })).values, [1]);
  },

  "since a position: what came after it, on any node, and the log's end": async (ground) => {
    const room = ground.room();
    const [node, other] = [await ground.node(), await ground.node()];
    const positions = await node.publishAll(room, [1, 2, 3]);
    for (const [index, since] of positions.entries()) {
      const read = await other.read(room, { since });
      assert.deepEqual(read.values, [1, 2, 3].slice(index + 1));
      assert.deepEqual(read.position, positions[2]);
      assert.equal(read.more, false);
    }
  },

  "since with a limit: the first events, and whether there are more": async (ground) => {
    const room = ground.room();
    const node = await ground.node();
    const [since] = await node.publishAll(room, [1, 2, 3, 4]);
    for (const [limit, expected, more] of [[2, [2, 3], true] as const, [3, [2, 3, 4], false] as const]) {
      const read = await node.read(room, { since }, limit);
      assert.deepEqual({ values: read.values, more: read.more }, { values: expected, more });
    }
  },

  "before a position: the last events of those before it": async (ground) => {
    const room = ground.room();
    const node = await ground.node();
    const positions = await node.publishAll(room, [1, 2, 3, 4]);
    for (const [limit, expected, more] of [[2, [2, 3], true] as const, [3, [1, 2, 3], false] as const]) {
      const read = await node.read(room, { before: positions[3] }, limit);
      assert.deepEqual({ values: read.values, more: read.more }, { values: expected, more });
      assert.deepEqual(read.position, positions[3]);
    }
    const first = await node.read(room, { before: positions[0] });
    assert.deepEqual({ values: first.values, more: first.more }, { values: [], more: false });
  },

  "without a range: the latest events": async (ground) => {
    const room = ground.room();
    const node = await ground.node();
    await node.publishAll(room, [1, 2, 3]);
    for (const [limit, expected, more] of [[2, [2, 3], true] as const, [3, [1, 2, 3], false] as const]) {
      const read = await node.read(room, {}, limit);
      assert.deepEqual({ values: read.values, more: read.more }, { values: expected, more });
    }
  },

  "limit 0: the end alone, and whether there is anything after a position": async (ground) => {
    const room = ground.room();
    const node = await ground.node();
    const positions = await node.publishAll(room, [1, 2]);
    for (const [range, more] of [
      [{}, undefined] as const,
      [{ since: positions[0] }, true] as const,
      [{ since: positions[1] }, false] as const,
      [{ before: positions[1] }, undefined] as const,
    ]) {
      const read = await node.read(room, range, 0);
      assert.deepEqual({ values: read.values, position: read.position }, { values: [], position: positions[1] });
      assert.equal(read.more, more ?? read.more);
    }
  },

  "pages join without a hole or a repeat, forwards and backwards": async (ground) => {
    const room = ground.room();
    const node = await ground.node();
    const start = (await node.read(room, {}, 0)).position;
    const list = Array.from({ length: 25 }, (_, n) => n);
    await node.publishAll(room, list);
    for (const direction of ["since", "before"] as const) {
      const pages: unknown[][] = [];
      let range = direction === "since" ? { since: start } : {};
      for (let more = true; more; ) {
        const page = await node.read(room, range, 4);
        const edge = page.events?.at(direction === "since" ? -1 : 0) as RoomEvent;
        assert.equal(page.events?.length, pages.length === 6 ? 1 : 4);
        pages.push(page.values ?? []);
        range = { [direction]: at(page.position, edge) };
        more = page.more;
      }
      assert.deepEqual((direction === "since" ? pages : pages.reverse()).flat(), list);
    }
  },

  "a position of another epoch cannot be read on from": async (ground) => {
    const room = ground.room();
    const node = await ground.node();
    const [first, second] = await node.publishAll(room, [1, 2]);
    assert.ok(first !== undefined);
    const stranger = { ...first, epoch: `${first.epoch}x` };
    for (const range of [{ since: stranger }, { before: stranger }]) {
      const read = await node.read(room, range);
      assert.deepEqual({ events: read.events, position: read.position }, { events: undefined, position: second });
    }
  },

  "a position beyond the log's end cannot be read on from": async (ground) => {
    const room = ground.room();
    const node = await ground.node();
    const [end] = await node.publishAll(room, [1]);
    assert.ok(end !== undefined);
    const read = await node.read(room, { since: { ...end, offset: end.offset + 1000 } });
    assert.deepEqual({ events: read.events, position: read.position }, { events: undefined, position: end });
  },

  "the log keeps the last events, as many as the rules say": async (ground) => {
    const [room, kept] = [ground.room(), rules(3)];
    const node = await ground.node();
    const positions = await node.publishAll(room, [1, 2, 3, 4, 5], kept);
    assert.deepEqual((await node.read(room, {}, 10, kept)).values, [3, 4, 5]);
    assert.equal((await node.read(room, {}, 10, kept)).more, false);
    assert.equal((await node.read(room, { since: positions[0] }, 10, kept)).events, undefined);
    assert.deepEqual((await node.read(room, { since: positions[1] }, 10, kept)).values, [3, 4, 5]);
    assert.deepEqual((await node.read(room, { before: positions[3] }, 10, kept)).values, [3]);
  },

  "the log keeps an event as long as the rules say": async (ground) => {
    const [room, kept] = [ground.room(), rules(100, WINDOW_MS)];
    const node = await ground.node();
    const [first] = await node.publishAll(room, ["first"], kept);
    await ground.advance(WINDOW_MS * 0.6);
    const [second] = await node.publishAll(room, ["second"], kept);
    await ground.advance(WINDOW_MS * 0.6);
    const read = await node.read(room, {}, 10, kept);
    assert.deepEqual({ values: read.values, position: read.position }, { values: ["second"], position: second });
    assert.deepEqual((await node.read(room, { since: first }, 10, kept)).values, ["second"]);
  },

  "a log whose events are all too old still has its end, and goes on from there": async (ground) => {
    const [room, kept] = [ground.room(), rules(100, WINDOW_MS)];
    const node = await ground.node();
    const [first, second] = await node.publishAll(room, [1, 2], kept);
    await ground.advance(WINDOW_MS * 1.5);
    const read = await node.read(room, { since: second }, 10, kept);
    assert.deepEqual({ values: read.values, position: read.position }, { values: [], position: second });
    assert.equal((await node.read(room, { since: first }, 10, kept)).events, undefined);
    await node.publish(room, 3, kept);
    assert.deepEqual((await node.read(room, { since: second }, 10, kept)).values, [3]);
  },
};
