import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import fc from "fast-check";
import type { Position } from "../../protocol/positions.js";
import { event, placed, rules, values } from "../../server/engine/conformance-ground.js";
import type { Broker, History } from "../../server/engine/engine.js";
import { eventually } from "../support/eventually.js";
import { type Redis, startRedis } from "../support/services/redis.js";
import { openNode, redisOptions, untilWell } from "./redis-ground.js";

/** How many random histories of losses are tried. */
const RUNS = Number(process.env["ROOMCAST_TEST_GAP_RUNS"] ?? 4);
const ROOM = "room:1";

/** A server that loses what came after its last `SAVE` when it is killed, and a node on it. */
async function losing(t: TestContext) {
  const redis = await startRedis(t);
  const broker = await openNode(redisOptions([redis.url], { probeMs: 200 }));
  t.after(() => broker.close());
  const publish = async (value: unknown, room = ROOM, kept = rules()): Promise<Position> =>
    placed(await broker.publish(room, event(value), kept));
  const since = (position: Position, kept = rules()): Promise<History> =>
    broker.history(ROOM, { since: position }, 100, kept);
  return { redis, broker, publish, since };
}

async function crash(redis: Redis, broker: Broker): Promise<void> {
  await redis.kill();
  await redis.start();
  await untilWell(broker);
}

test("a restart that lost nothing costs no reader anything", async (t) => {
  const { redis, broker, publish, since } = await losing(t);
  const positions = [await publish(1), await publish(2)];
  await redis.command("SAVE");
  await crash(redis, broker);
  assert.deepEqual(values((await since(positions[0]!)).events), [2]);
  assert.deepEqual(values((await since(positions[1]!)).events), []);
  const third = await publish(3);
  assert.deepEqual(values((await since(positions[0]!)).events), [2, 3]);
  assert.deepEqual(values((await since(positions[1]!)).events), [3]);
  assert.equal(third.epoch, positions[0]?.epoch);
});

test("who has seen events that are gone is told where to read on, and from then on everybody is", async (t) => {
  const { redis, broker, publish, since } = await losing(t);
  const kept = await publish("kept");
  await redis.command("SAVE");
  const gone = [await publish("gone"), await publish("gone too")];
  await crash(redis, broker);
  await publish("after");
  assert.deepEqual(values((await since(kept)).events), ["after"], "as far as anybody knows nothing was lost");
  const told = await since(gone[0]!);
  assert.deepEqual([told.events, told.more], [undefined, true]);
  assert.notEqual(told.position.epoch, kept.epoch);
  assert.deepEqual(values((await since(told.position)).events), ["after"]);
  // Who was away while the lost events were there has missed them for good.
  for (const position of [kept, gone[1]!]) {
    const read = await since(position);
    assert.deepEqual([read.events, read.position.epoch], [undefined, told.position.epoch]);
  }
  const next = await publish("next");
  assert.equal(next.epoch, told.position.epoch);
  assert.deepEqual(values((await since(told.position)).events), ["after", "next"]);
});

test("a loss is told also before anything was published since, and a place that never was changes nothing", async (t) => {
  const { redis, broker, publish, since } = await losing(t);
  const kept = await publish("kept");
  await redis.command("SAVE");
  const gone = await publish("gone");
  const forged = await since({ ...gone, offset: gone.offset + 1000 });
  assert.deepEqual([forged.events, forged.position], [undefined, gone]);
  await crash(redis, broker);
  const told = await since(gone);
  assert.deepEqual([told.events, told.position.offset], [undefined, kept.offset]);
  assert.notEqual(told.position.epoch, kept.epoch);
  assert.equal((await since(kept)).events, undefined);
});

test("a loss that takes the note of an earlier one with it uses no offset again", async (t) => {
  const { redis, broker, publish, since } = await losing(t);
  const kept = await publish("kept");
  await redis.command("SAVE");
  const seen: Position[] = [];
  for (const value of ["first", "second", "third"]) {
    await crash(redis, broker);
    seen.push(await publish(value));
  }
  assert.equal(new Set(seen.map(({ offset }) => offset)).size, 3);
  assert.deepEqual(values((await since(kept)).events), ["third"]);
  for (const position of seen.slice(0, 2)) assert.equal((await since(position)).events, undefined);
});

test("the first event after a jump has the place before it as its previous", async (t) => {
  const redis = await startRedis(t);
  const told: { offset: number; previous: number }[] = [];
  const broker = await openNode(redisOptions([redis.url], { probeMs: 200 }), (_room, _epoch, events, previous) => {
    for (const { offset } of events) told.push({ offset, previous });
  });
  t.after(() => broker.close());
  await broker.subscribe(ROOM, rules());
  const first = placed(await broker.publish(ROOM, event(1), rules()));
  await redis.command("SAVE");
  await crash(redis, broker);
  const second = placed(await broker.publish(ROOM, event(2), rules()));
  assert.ok(second.offset > first.offset + 1000);
  const third = placed(await broker.publish(ROOM, event(3), rules()));
  await eventually(() => told.length >= 3);
  assert.deepEqual(told, [
    { offset: first.offset, previous: first.offset - 1 },
    { offset: second.offset, previous: second.offset - 1 },
    { offset: third.offset, previous: second.offset },
  ]);
});

test("of more jumps than are noted the oldest make what stands before them unreadable", async (t) => {
  const { redis, broker, publish, since } = await losing(t);
  const first = await publish("first");
  const positions: Position[] = [];
  for (let jump = 0; jump < 20; jump++) {
    // Another primary, as far as the script can tell.
    for (const key of (await redis.command("KEYS", "*:end")) as string[])
      await redis.command("HSET", key, "replid", `r${jump}`);
    positions.push(await publish(jump));
  }
  assert.equal((await since(first)).events, undefined);
  assert.equal((await since(positions[2]!)).events, undefined);
  assert.deepEqual(values((await since(positions[4]!)).events)?.length, 15);
  assert.deepEqual(values((await since(positions[19]!)).events), []);
  assert.equal((await broker.history(ROOM, {}, 100, rules())).events?.length, 21);
});

type Step = "publish" | "save" | "crash";

test("whatever is lost: a reader gets all that came after its place, or is told", async (t) => {
  const { redis, broker } = await losing(t);
  let run = 0;
  const steps = fc.array(fc.constantFrom<Step>("publish", "publish", "publish", "save", "crash"), { maxLength: 14 });
  await fc.assert(
    fc.asyncProperty(steps, fc.constantFrom(3, 100), async (list, size) => {
      const room = `room:${run++}`;
      const kept = rules(size);
      const start = (await broker.history(room, {}, 0, kept)).position;
      await redis.command("SAVE");
      const seen: { position: Position; value: number }[] = [];
      let log: typeof seen = [];
      let saved: typeof seen = [];
      for (const [value, step] of list.entries()) {
        if (step === "save") {
          await redis.command("SAVE");
          saved = log;
        } else if (step === "crash") {
          await crash(redis, broker);
          log = saved;
        } else {
          const position = placed(await broker.publish(room, event(value), kept));
          assert.ok(
            seen.every((one) => one.position.offset !== position.offset),
            "an offset is used once",
          );
          seen.push({ position, value });
          log = [...log, { position, value }];
        }
      }
      const places = [{ position: start, value: -1 }, ...seen];
      const isThere = (place: (typeof places)[number]) =>
        place.value === -1 || log.some(({ value }) => value === place.value);
      // Those first that have missed nothing: who has seen what is lost makes it known to all.
      places.sort((a, b) => Number(isThere(b)) - Number(isThere(a)));
      let isKnown = false;
      for (const place of places) {
        const read = await broker.history(room, { since: place.position }, 100, kept);
        const after = log.slice(log.findIndex(({ value }) => value === place.value) + 1);
        if (isThere(place) && after.length <= size)
          assert.deepEqual(
            values(read.events),
            after.map(({ value }) => value),
          );
        else assert.equal(read.events, undefined);
        if (isThere(place)) continue;
        assert.notEqual(read.position.epoch, start.epoch);
        if (!isKnown && read.more) {
          const again = await broker.history(room, { since: read.position }, 100, kept);
          assert.ok(again.events !== undefined, "the place that is given can be read on from");
          const since = log.filter(({ position }) => position.offset > place.position.offset);
          assert.deepEqual(
            values(again.events),
            since.map(({ value }) => value),
          );
        }
        isKnown = true;
      }
    }),
    { numRuns: RUNS },
  );
});
