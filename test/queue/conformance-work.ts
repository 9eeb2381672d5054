import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Outcome, TakenCommand } from "../../server/engine/queue.js";
import { eventually } from "../support/eventually.js";
import { addSome, atLast, bytesOf, openWork, type QueueGround, type Seen, seenOf, untilEmpty } from "./conformance.js";

type Case = (t: TestContext, ground: QueueGround) => Promise<void>;

const done: Outcome = { done: true };

/** Settles nothing until it is let go. */
function holding() {
  const seen: Seen[] = [];
  const releases: (() => void)[] = [];
  const take = (command: TakenCommand): Promise<Outcome> => {
    seen.push(seenOf(command));
    return new Promise((resolve) => releases.push(() => resolve(done)));
  };
  const release = (): void => {
    for (const each of releases.splice(0)) each();
  };
  return { seen, take, release };
}

/** The cases of the queue of commands, by what they say. */
export const workCases: { readonly [says: string]: Case } = {
  async "a command is taken with its id and its bytes, and is gone once it is done"(t, ground) {
    const work = await openWork(t, ground);
    const before = Date.now();
    await work.add("first", bytesOf({ do: "it" }));
    const seen: Seen[] = [];
    work.start(async (command) => {
      seen.push(seenOf(command));
      return done;
    });
    await untilEmpty(work);
    const [{ id, text, tries, at } = { id: "", text: "", tries: 0, at: 0 }, ...more] = seen;
    assert.deepEqual([id, text, tries, more], ["first", '{"do":"it"}', 1, []]);
    assert.ok(Math.abs(at - before) < 60_000, `expected a time about ${before}, got ${at}`);
  },

  async "a second command with an id is the first one"(t, ground) {
    const work = await openWork(t, ground);
    assert.equal(await work.add("one", bytesOf(1)), true);
    assert.equal(await work.add("one", bytesOf(2)), false);
    assert.equal(await work.add("two", bytesOf(3)), true);
    const seen: Seen[] = [];
    work.start(async (command) => {
      seen.push(seenOf(command));
      return done;
    });
    await untilEmpty(work);
    assert.deepEqual(
      seen.map(({ text }) => text),
      ["1", "3"],
    );
  },

  async "commands are taken in the order in which they were written, at most as many as the prefetch"(t, ground) {
    const work = await openWork(t, ground, { prefetch: 4 });
    const ids = await addSome(work, 30);
    const { seen, take, release } = holding();
    work.start(take);
    while (seen.length < ids.length) {
      const before = seen.length;
      await eventually(() => seen.length === Math.min(ids.length, before + 4) || seen.length > before + 4);
      assert.ok(seen.length <= before + 4, `expected at most ${before + 4} taken, got ${seen.length}`);
      release();
    }
    release();
    await untilEmpty(work);
    assert.deepEqual(
      seen.map(({ id }) => id),
      ids,
    );
  },

  async "a command that is to be tried again is given out again, as the same one, with its tries counted"(t, ground) {
    const work = await openWork(t, ground);
    await work.add("again", bytesOf("text"));
    const seen: Seen[] = [];
    work.start(async (command) => {
      seen.push(seenOf(command));
      return command.tries < 3 ? { retryMs: 20 } : done;
    });
    await untilEmpty(work);
    assert.deepEqual(
      seen.map(({ id, text, tries }) => [id, text, tries]),
      [1, 2, 3].map((tries) => ["again", '"text"', tries]),
    );
    assert.equal(new Set(seen.map(({ at }) => at)).size, 1);
  },

  async "a command that waits for its next try holds no other up"(t, ground) {
    const work = await openWork(t, ground, { prefetch: 2 });
    await work.add("wrong", bytesOf(0));
    const ids = await addSome(work, 10);
    const finished: string[] = [];
    work.start(async ({ id }) => {
      if (id === "wrong") return { retryMs: 600_000 };
      finished.push(id);
      return done;
    });
    await eventually(() => finished.length === ids.length, "the others never came");
    assert.deepEqual(finished, ids);
  },

  async "a command that never will be done is among the dead letters, with its reason, and nowhere else"(t, ground) {
    const work = await openWork(t, ground);
    await work.add("wörst ☠", bytesOf({ no: "good" }));
    await work.add("good", bytesOf(1));
    work.start(async ({ id, tries }) => {
      if (id === "good") return done;
      return tries < 2 ? { retryMs: 0 } : { dead: "expected a room,\r\ngot “ä”" };
    });
    await untilEmpty(work);
    const letters = await work.deadLetters(10);
    assert.deepEqual(
      letters.map(({ id, bytes, reason, tries }) => [id, Buffer.from(bytes).toString(), reason, tries]),
      [["wörst ☠", '{"no":"good"}', "expected a room, got “ä”", 2]],
    );
    assert.equal((await work.numbers()).dead, 1);
  },

  async "what takes longer than ackMs stays with the node that has it"(t, ground) {
    const ackMs = 1000;
    const work = await openWork(t, ground, { ackMs });
    const other = await openWork(t, ground, { ackMs });
    const { seen, take, release } = holding();
    work.start(take);
    await work.add("long", bytesOf(1));
    await eventually(() => seen.length === 1);
    const elsewhere: Seen[] = [];
    other.start(async (command) => {
      elsewhere.push(seenOf(command));
      return done;
    });
    const until = performance.now() + 2.5 * ackMs;
    await eventually(() => performance.now() > until);
    release();
    await untilEmpty(work);
    assert.deepEqual([elsewhere, seen.length], [[], 1]);
  },

  async "two nodes share the commands, and each is taken once"(t, ground) {
    const nodes = [await openWork(t, ground, { prefetch: 5 }), await openWork(t, ground, { prefetch: 5 })];
    const ids = await addSome(nodes[0] as (typeof nodes)[0], 60);
    const seen: string[] = [];
    const by = nodes.map(() => 0);
    for (const [index, node] of nodes.entries()) {
      node.start(async ({ id }) => {
        seen.push(id);
        by[index] = (by[index] ?? 0) + 1;
        await new Promise((next) => setImmediate(next));
        return done;
      });
    }
    await untilEmpty(nodes[0] as (typeof nodes)[0]);
    assert.deepEqual([...seen].sort(), [...ids].sort());
    assert.ok(
      by.every((count) => count > 0),
      `expected some at each node, got ${by}`,
    );
  },

  async "a queue that closes waits for what is done in time, and gives back the rest at once"(t, ground) {
    const work = await openWork(t, ground, { ackMs: 600_000 });
    const other = await openWork(t, ground, { ackMs: 600_000 });
    await addSome(work, 2);
    let finish: (() => void) | undefined;
    const taken: string[] = [];
    work.start(({ id }) => {
      taken.push(id);
      return new Promise((resolve) => {
        if (id === "c0") finish = () => resolve(done);
      });
    });
    await eventually(() => taken.length === 2);
    const closed = work.close(300);
    finish?.();
    await closed;
    const seen: Seen[] = [];
    other.start(async (command) => {
      seen.push(seenOf(command));
      return done;
    });
    await untilEmpty(other);
    assert.deepEqual(
      seen.map(({ id }) => id),
      ["c1"],
    );
  },

  async "outcomes that came about while the engine was away arrive once it is back, and nothing is lost"(t, ground) {
    const work = await openWork(t, ground, { prefetch: 10 });
    const ids = await addSome(work, 40);
    const { seen, take, release } = holding();
    let isAway = false;
    const finished: string[] = [];
    work.start((command) => {
      const taken = isAway || finished.length === 0 ? take(command) : Promise.resolve(done);
      return taken.then((outcome) => {
        finished.push(command.id);
        return outcome;
      });
    });
    await eventually(() => seen.length === 10);
    await ground.outage(async () => {
      isAway = true;
      release();
      await eventually(() => finished.length === 10);
    });
    isAway = false;
    await untilEmpty(work);
    // Once each: those whose outcome was told late were not given out again.
    assert.deepEqual([...finished].sort(), [...ids].sort());
  },

  async "commands survive the engine's end, and can be added again once it is back"(t, ground) {
    const work = await openWork(t, ground);
    await addSome(work, 5);
    await ground.outage(async () => {
      await assert.rejects(work.add("meanwhile", bytesOf(1)), { name: "EngineError" });
    });
    await atLast(() => work.add("after", bytesOf(1)));
    const seen: string[] = [];
    work.start(async ({ id }) => {
      seen.push(id);
      return done;
    });
    await untilEmpty(work);
    assert.deepEqual(
      seen.filter((id) => id !== "meanwhile"),
      ["c0", "c1", "c2", "c3", "c4", "after"],
    );
  },

  async "what is done is known to be at every node"(t, ground) {
    const work = await openWork(t, ground);
    const other = await openWork(t, ground);
    assert.equal(await other.isDone("id.with * > odd"), false);
    await work.markDone("id.with * > odd");
    assert.equal(await other.isDone("id.with * > odd"), true);
    assert.equal(await other.isDone("another"), false);
  },

  async "a command that is too large is not added"(t, ground) {
    const work = await openWork(t, ground, { maxBytes: 1000 });
    await assert.rejects(work.add("large", Buffer.alloc(1001)), TypeError);
  },
};
