import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Recorded } from "../../server/engine/queue.js";
import { eventually } from "../support/eventually.js";
import { atLast, bytesOf, openRecords, type QueueGround } from "./conformance.js";

type Case = (t: TestContext, ground: QueueGround) => Promise<void>;

const ROOM = "chat:a.b/c *>é";
const EPOCH = "e1:2";

const entry = (offset: number, room = ROOM) => ({
  position: { epoch: EPOCH, offset },
  bytes: bytesOf({ room, offset }),
});
const positionOf = (recorded: Recorded | undefined) => recorded?.position;

/** The cases of the stream of what happened, by what they say. */
export const recordCases: { readonly [says: string]: Case } = {
  async "a record is there once by its key"(t, ground) {
    const records = await openRecords(t, ground);
    await records.append("connected", "user.one", "k1", bytesOf(1));
    await records.append("connected", "user.one", "k1", bytesOf(1));
    await records.append("left", "user.one", "k2", bytesOf(2));
    await records.append("left", undefined, "k3", bytesOf(3));
    assert.deepEqual(await ground.records(), ["1", "2", "3"]);
    assert.equal(await records.count(), 3);
  },

  async "a room is recorded up to its last record, whichever node asks"(t, ground) {
    const records = await openRecords(t, ground);
    const other = await openRecords(t, ground);
    assert.equal(await records.last(ROOM), undefined);
    const first = await records.appendAfter(ROOM, undefined, [entry(1), entry(5)]);
    assert.deepEqual(positionOf(first), { epoch: EPOCH, offset: 5 });
    assert.deepEqual(positionOf(await other.last(ROOM)), { epoch: EPOCH, offset: 5 });
    const second = await other.appendAfter(ROOM, await other.last(ROOM), [entry(6)]);
    assert.deepEqual(positionOf(second), { epoch: EPOCH, offset: 6 });
    assert.equal(await other.last("chat:a.b/c"), undefined);
  },

  async "who comes second in a room adds nothing that is there, and is told"(t, ground) {
    const records = await openRecords(t, ground);
    const other = await openRecords(t, ground);
    const stale = await other.appendAfter(ROOM, undefined, [entry(1)]);
    await records.appendAfter(ROOM, await records.last(ROOM), [entry(2)]);
    assert.equal(await other.appendAfter(ROOM, stale, [entry(2), entry(3)]), undefined);
    assert.equal(await other.appendAfter(ROOM, undefined, [entry(1)]), undefined);
    assert.equal(await records.count(), 2);
    const told = await other.appendAfter(ROOM, await other.last(ROOM), [entry(3)]);
    assert.deepEqual(positionOf(told), { epoch: EPOCH, offset: 3 });
  },

  async "of two nodes that record a room at once the records stand in the room's order, each once"(t, ground) {
    const nodes = [await openRecords(t, ground), await openRecords(t, ground)];
    const last = 60;
    await Promise.all(
      nodes.map(async (node, index) => {
        for (;;) {
          const known = await node.last(ROOM);
          const from = (known?.position.offset ?? 0) + 1;
          if (from > last) return;
          const count = Math.min(1 + ((from + index) % 4), last - from + 1);
          await node.appendAfter(
            ROOM,
            known,
            Array.from({ length: count }, (_, step) => entry(from + step)),
          );
        }
      }),
    );
    const offsets = (await ground.records()).map((text) => (JSON.parse(text) as { offset: number }).offset);
    assert.deepEqual(
      offsets,
      Array.from({ length: last }, (_, index) => index + 1),
    );
  },

  async "a mark stays until it is taken back, through an outage and for every node, the oldest first"(t, ground) {
    const records = await openRecords(t, ground);
    const first = await records.mark(ROOM);
    await records.mark("chat:2");
    await ground.outage(async () => undefined);
    await eventually(() => records.problems().length === 0);
    const other = await openRecords(t, ground);
    // Of several servers some may not have found together again.
    const rooms = async () => (await atLast(() => other.marked(0, 10))).map(({ room }) => room);
    assert.deepEqual(await rooms(), [ROOM, "chat:2"]);
    assert.deepEqual(
      (await other.marked(0, 1)).map(({ room }) => room),
      [ROOM],
    );
    assert.deepEqual(await other.marked(3_600_000, 10), []);
    await atLast(() => records.unmark(first, undefined));
    assert.deepEqual(await rooms(), ["chat:2"]);
  },

  async "a mark that another one followed is not taken back"(t, ground) {
    const records = await openRecords(t, ground);
    const earlier = await records.mark(ROOM);
    const later = await records.mark(ROOM);
    await records.unmark(earlier, undefined);
    const [still, ...more] = await records.marked(0, 10);
    assert.deepEqual([still?.room, more], [ROOM, []]);
    await records.unmark(still ?? later, undefined);
    assert.deepEqual(await records.marked(0, 10), []);
  },

  async "up to where a room is recorded is known after its records have gone"(t, ground) {
    const records = await openRecords(t, ground, { max: 1000 });
    const mark = await records.mark(ROOM);
    const recorded = await records.appendAfter(ROOM, undefined, [entry(1), entry(2)]);
    await records.unmark(mark, recorded);
    let others: Recorded | undefined;
    for (let from = 0; from < 1200; from += 100) {
      const entries = Array.from({ length: 100 }, (_, index) => entry(from + index + 1, "chat:other"));
      others = await records.appendAfter("chat:other", others, entries);
    }
    await eventually(async () => !(await ground.records()).some((text) => text.includes(ROOM)), "they never went");
    const last = await records.last(ROOM);
    assert.deepEqual(positionOf(last), { epoch: EPOCH, offset: 2 });
    assert.deepEqual(positionOf(await records.appendAfter(ROOM, last, [entry(3)])), { epoch: EPOCH, offset: 3 });
    // Who knew the records that have gone goes on as well.
    assert.equal(await records.appendAfter(ROOM, recorded, [entry(3)]), undefined);
  },
};
