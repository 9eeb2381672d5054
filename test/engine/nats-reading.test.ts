import assert from "node:assert/strict";
import test from "node:test";
import type { Position } from "../../protocol/positions.js";
import { event, placed, rules, values } from "../../server/engine/conformance-ground.js";
import { Random } from "../support/random.js";
import { startNats } from "../support/services/nats.js";
import { natsOptions, openNode } from "./nats-support.js";

const STEPS = Number(process.env["ROOMCAST_TEST_NATS_STEPS"] ?? 400);

test("a position is read on from whole or not at all, whatever the stream has let go", async (t) => {
  const server = await startNats(t);
  const size = 5;
  const kept = rules(size);
  const node = await openNode(natsOptions({ servers: [server.url], maxHistory: size }));
  t.after(() => node.close());
  const random = new Random(Number(process.env["ROOMCAST_TEST_SEED"] ?? 7));
  const rooms = ["hot", "warm", "cold"].map((name) => ({
    name,
    published: [] as { readonly position: Position; readonly value: number }[],
    /** Positions that were given out, and how many events came before them. */
    given: [] as { readonly position: Position; readonly before: number }[],
  }));
  let refused = 0;
  for (let step = 0; step < STEPS; step++) {
    const room = rooms[random.chance(0.8) ? 0 : random.chance(0.8) ? 1 : 2] as (typeof rooms)[number];
    if (random.chance(0.6)) {
      const position = placed(await node.publish(room.name, event(step), kept));
      room.published.push({ position, value: step });
      room.given.push({ position, before: room.published.length });
    } else if (random.chance(0.3)) {
      const { position } = await node.history(room.name, {}, 0, kept);
      room.given.push({ position, before: room.published.length });
    }
    const { position, before } = room.given.at(-1 - random.below(Math.min(room.given.length, 10))) ?? {};
    if (position === undefined || before === undefined) continue;
    const read = await node.history(room.name, { since: position }, 3, kept);
    const after = room.published.slice(before).map(({ value }) => value);
    if (read.events === undefined) {
      refused++;
      // An event at the position itself marks that nothing after it is gone.
      const isEvent = room.published[before - 1]?.position.offset === position.offset;
      assert.ok(after.length > size || !isEvent, `${room.name}: ${after.length} events after it were refused`);
    } else {
      assert.ok(after.length <= size, `${room.name}: ${after.length} events after it, and ${size} are kept`);
      assert.deepEqual(values(read.events), after.slice(0, 3));
      assert.equal(read.more, after.length > 3);
    }
  }
  assert.ok(refused > 0, "some positions were too far back");
});

test("a long log: the latest events and those before a position are the right ones, however many there are", async (t) => {
  const server = await startNats(t);
  const kept = rules(900);
  const node = await openNode(natsOptions({ servers: [server.url], maxHistory: 2000 }));
  t.after(() => node.close());
  const list = Array.from({ length: 1500 }, (_, n) => n);
  const positions: Position[] = [];
  // Other rooms in between, so that numbers do not follow one another evenly.
  for (const n of list) {
    if (n % 50 === 0) for (let other = 0; other < n / 50; other++) void node.publish("other", event(other), kept);
    positions.push(placed(await node.publish("long", event(n), kept)));
  }
  const latest = async (limit: number) => values((await node.history("long", {}, limit, kept)).events);
  assert.deepEqual(await latest(10), list.slice(-10));
  assert.deepEqual(await latest(300), list.slice(-300));
  assert.deepEqual(await latest(2000), list.slice(-900));
  for (const [before, limit] of [[1400, 20] as const, [800, 50] as const, [620, 100] as const]) {
    const read = await node.history("long", { before: positions[before] }, limit, kept);
    assert.deepEqual(values(read.events), list.slice(Math.max(600, before - limit), before));
    assert.equal(read.more, before - limit > 600);
  }
  const read = await node.history("long", { since: positions[700] }, 500, kept);
  assert.deepEqual({ values: values(read.events), more: read.more }, { values: list.slice(701, 1201), more: true });
  assert.equal((await node.history("long", { since: positions[500] }, 500, kept)).events, undefined);
});

test("large events: an answer ends early, says so, and the pages join", async (t) => {
  const server = await startNats(t);
  const kept = rules(100);
  const node = await openNode(natsOptions({ servers: [server.url] }));
  t.after(() => node.close());
  const start = (await node.history("big", {}, 0, kept)).position;
  const list = Array.from({ length: 30 }, (_, n) => `${n}:${"x".repeat(100_000)}`);
  for (const value of list) await node.publish("big", event(value), kept);
  const pages: unknown[] = [];
  let since = start;
  for (let more = true; more; ) {
    const read = await node.history("big", { since }, 100, kept);
    assert.ok((read.events?.length ?? 0) > 0 && (read.events?.length ?? 0) <= 12);
    pages.push(...(values(read.events) ?? []));
    since = { ...since, offset: read.events?.at(-1)?.offset ?? 0 };
    more = read.more;
  }
  assert.deepEqual(pages, list);
  const last = await node.history("big", {}, 100, kept);
  assert.equal(last.more, true);
  assert.deepEqual(values(last.events), list.slice(-(last.events?.length ?? 0)));
});
