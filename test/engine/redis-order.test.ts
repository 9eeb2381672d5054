import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { EngineError } from "../../server/engine/engine.js";
import { Refused } from "../../server/engine/redis/connection.js";
import { Order, type RoomCall } from "../../server/engine/redis/order.js";
import type { Reply } from "../../server/engine/redis/wire.js";

const SLOT = 7;
const RUNS = Number(process.env["ROOMCAST_TEST_ORDER_RUNS"] ?? 300);

type Waiting = { readonly call: RoomCall; readonly name: string; settle(reply: Reply | Error): void };

/** Lets everything run that does not wait for an answer. */
const settled = (): Promise<void> => new Promise((next) => setImmediate(next));

/**
 * Two servers that answer in the order in which they were asked, when they are told to. One of them holds the slot; the
 * other one refuses. What is asked next is sent to the one that was named last.
 */
class TwoServers {
  readonly order: Order;
  readonly effects: string[] = [];
  readonly queues: readonly [Waiting[], Waiting[]] = [[], []];
  holder = 0;
  #known = 0;

  constructor() {
    this.order = new Order(60_000, (_, error) => {
      if (!(error instanceof Refused)) return undefined;
      if (error.reply.startsWith("MOVED")) this.look();
      return 0;
    });
  }

  /** Finds out who holds the slot. */
  look(): void {
    if (this.#known === this.holder) return;
    this.#known = this.holder;
    this.order.turned(SLOT);
  }

  call(room: string, name: string): Promise<string> {
    const send = (call: RoomCall): Promise<Reply> =>
      new Promise((resolve, reject) => {
        const settle = (reply: Reply | Error): void => (reply instanceof Error ? reject(reply) : resolve(reply));
        this.queues[this.#known as 0 | 1].push({ call, name, settle });
      });
    return this.order.call(room, SLOT, send).then(
      () => "done",
      (error: EngineError) => error.code,
    );
  }

  /** Answers the first that a server has been asked: as it should, by an effect that nobody is told of, or by a refusal. */
  async answer(server: 0 | 1, how: "well" | "lost" | "busy" = "well"): Promise<void> {
    const asked = this.queues[server].shift();
    if (asked === undefined) return;
    if (server !== this.holder) asked.settle(new Refused("redis c", `MOVED ${SLOT} other:1`));
    else if (how === "busy") asked.settle(new Refused("redis c", "TRYAGAIN"));
    else {
      this.effects.push(`${asked.call.room} ${asked.name}`);
      asked.settle(how === "lost" ? new EngineError("timeout", "no answer") : 1);
    }
    await settled();
  }

  async drain(): Promise<void> {
    while (this.queues[0].length + this.queues[1].length > 0) {
      await this.answer(0);
      await this.answer(1);
    }
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ what: fc.constant("call" as const), room: fc.constantFrom("a", "b") }) },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant("answer" as const),
      server: fc.constantFrom(0 as const, 1 as const),
      how: fc.constantFrom("well" as const, "lost" as const, "busy" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("move" as const) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("look" as const) }) },
);

test("whatever moves when: the calls of a room that take effect do so in their order, and all of them settle", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const servers = new TwoServers();
      const calls: Promise<string>[] = [];
      for (const one of steps) {
        if (one.what === "move") servers.holder = 1 - servers.holder;
        else if (one.what === "look") servers.look();
        else if (one.what === "answer") await servers.answer(one.server, one.how);
        else calls.push(servers.call(one.room, String(calls.length)));
      }
      await servers.drain();
      const ends = await Promise.all(calls);
      assert.equal(new Set(servers.effects).size, servers.effects.length);
      for (const room of ["a", "b"]) {
        const names = servers.effects
          .filter((effect) => effect.startsWith(room))
          .map((effect) => Number(effect.slice(2)));
        assert.deepEqual(
          names,
          [...names].sort((one, other) => one - other),
        );
      }
      const done = ends.filter((end) => end === "done").length;
      assert.ok(
        done <= servers.effects.length &&
          done + ends.filter((end) => end === "timeout").length === servers.effects.length,
      );
    }),
    { numRuns: RUNS },
  );
});

test("a call waits for those before it that are sent elsewhere", async () => {
  const servers = new TwoServers();
  const calls = [servers.call("a", "1"), servers.call("a", "2")];
  servers.holder = 1;
  await servers.answer(0);
  calls.push(servers.call("a", "3"));
  assert.deepEqual([servers.queues[0].length, servers.queues[1].length], [1, 0]);
  await servers.answer(0);
  await servers.drain();
  assert.deepEqual(await Promise.all(calls), ["done", "done", "done"]);
  assert.deepEqual(servers.effects, ["a 1", "a 2", "a 3"]);
});

test("a call that a later one of its room has overtaken is refused; other rooms' calls are not", async () => {
  const servers = new TwoServers();
  const calls = [servers.call("a", "1"), servers.call("b", "2"), servers.call("a", "3")];
  servers.holder = 1;
  await servers.answer(0);
  await servers.answer(0);
  // The slot has come back before the third one gets there.
  servers.holder = 0;
  await servers.answer(0);
  await servers.drain();
  assert.deepEqual(await Promise.all(calls), ["unavailable", "done", "done"]);
  assert.deepEqual(servers.effects, ["a 3", "b 2"]);
});

test("what waits is refused when it is closed", async () => {
  const servers = new TwoServers();
  const calls = [servers.call("a", "1"), servers.call("a", "2")];
  servers.holder = 1;
  await servers.answer(0);
  servers.order.close();
  assert.equal(await calls[0], "unavailable");
});
