import assert from "node:assert/strict";
import { test } from "node:test";
import { EventList } from "../../client/event-list.js";
import type { Room } from "../../client/index.js";
import type { TestConnection } from "../../client/testing.js";
import { answerJoin, at, connected, event, events, settle } from "./support.js";

function follow(room: Room, asked: { event?: string; limit?: number; past?: boolean } = {}) {
  const { event, limit = 3, past = false } = asked;
  const list = new EventList({ event, limit, past });
  let told = 0;
  const stop = list.follow(room as Room<unknown>, () => told++);
  const shown = () => list.view().events.map(({ data }) => data);
  return { list, stop, shown, told: () => told };
}

/** Answers the next look at the past with these offsets. */
async function answerHistory(server: TestConnection, ...offsets: number[]) {
  const history = await server.take("history");
  const past = offsets.map((offset) => event(offset));
  server.send({ type: "history", id: history.id, position: at(99), more: false, events: past });
  await settle();
  return history;
}

test("the last events are kept, and told once a turn", async (t) => {
  const { client, server } = await connected(t);
  const { list, shown, told } = follow(client.room("r"));
  await answerJoin(server, at(3));
  await settle();
  const before = told();
  server.send(events("r", 3, 4, 5));
  server.send(events("r", 5, 6, 7, 8, 9, 10, 11));
  await settle();
  assert.deepEqual(shown(), [9, 10, 11]);
  assert.equal(told(), before + 1);
  assert.equal(list.view(), list.view());
  assert.equal(list.view().isLoading, false);
});

test("events of one name do not make room for others", async (t) => {
  const { client, server } = await connected(t);
  const { shown } = follow(client.room("r"), { event: "message" });
  await answerJoin(server, at(3));
  server.send(events("r", 3, 4));
  for (const offset of [5, 6, 7]) {
    server.send({ type: "events", room: "r", previous: offset - 1, events: [{ ...event(offset), event: "typing" }] });
  }
  server.send(events("r", 7, 8));
  assert.deepEqual(shown(), [4, 8]);
});

test("a reset empties the list", async (t) => {
  const { client, server } = await connected(t);
  const { shown } = follow(client.room("r"));
  await answerJoin(server, at(3));
  server.send(events("r", 3, 4));
  server.send({ type: "reset", room: "r", position: at(9), reason: "slow" });
  assert.deepEqual(shown(), []);
  server.send(events("r", 9, 10));
  assert.deepEqual(shown(), [10]);
});

test("the past is put above what has come meanwhile, once, and loaded again after a reset", async (t) => {
  const { client, server } = await connected(t);
  const { list, shown } = follow(client.room("r"), { limit: 4, past: true });
  assert.equal(list.view().isLoading, true);
  await answerJoin(server, at(3), { missed: [] });
  server.send(events("r", 3, 4, 5));
  assert.deepEqual((await answerHistory(server, 1, 2, 3, 4)).before, at(4));
  assert.deepEqual(shown(), [2, 3, 4, 5]);
  assert.equal(list.view().isLoading, false);
  server.send({ type: "reset", room: "r", position: at(20), reason: "slow" });
  assert.deepEqual([shown(), list.view().isLoading], [[], true]);
  server.send({ type: "reset", room: "r", position: at(30), reason: "slow" });
  await answerHistory(server, 19, 20);
  assert.deepEqual(shown(), [], "what was asked for before the second reset counts for nothing");
  assert.deepEqual((await answerHistory(server, 29, 30)).before, at(31));
  assert.deepEqual(shown(), [29, 30]);
});

test("where the past cannot be loaded the list says why, and tries again when the room is joined again", async (t) => {
  const { client, server, transport } = await connected(t);
  const { list, shown } = follow(client.room("r"), { past: true });
  await answerJoin(server, at(3));
  const { id } = await server.take("history");
  server.send({ type: "error", id, code: "forbidden", message: "no" });
  await settle();
  assert.deepEqual([list.view().isLoading, list.view().error?.code], [false, "forbidden"]);
  server.send(events("r", 3, 4));
  server.cut();
  const second = await transport.next();
  await second.welcome();
  await answerJoin(second, at(4));
  await answerHistory(second, 2, 3, 4);
  assert.deepEqual([shown(), list.view().error], [[2, 3, 4], undefined]);
});

test("a room that fails is not waited for", async (t) => {
  const { client, server } = await connected(t);
  const { list } = follow(client.room("r"), { past: true });
  const { id } = await server.take("join");
  server.send({ type: "error", id, code: "forbidden", message: "no" });
  assert.equal(list.view().isLoading, false);
});

test("who listens again goes on with the list if nothing was missed, and else with an empty one", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r");
  const { list, stop, shown } = follow(room);
  await answerJoin(server, at(3));
  server.send(events("r", 3, 4));
  stop();
  const again = list.follow(room as Room<unknown>, () => {});
  server.send(events("r", 4, 5));
  assert.deepEqual(shown(), [4, 5]);
  again();
  server.send(events("r", 5, 6));
  list.follow(room as Room<unknown>, () => {});
  server.send(events("r", 6, 7));
  assert.deepEqual(shown(), [7]);
});

test("in a room without history every listening starts with an empty list", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r");
  const { list, stop, shown } = follow(room, { past: true });
  await answerJoin(server, undefined);
  await settle();
  assert.equal(list.view().isLoading, false, "there is no past to wait for");
  server.send({ type: "events", room: "r", events: [event(undefined, "a")] });
  assert.deepEqual(shown(), ["a"]);
  stop();
  list.follow(room as Room<unknown>, () => {});
  assert.deepEqual(shown(), []);
});

test("a limit that is none is refused by name", () => {
  for (const limit of [0, -1, 1.5, Number.NaN]) {
    assert.throws(() => new EventList({ event: undefined, limit, past: false }), /^RangeError: limit: expected .* got/);
  }
});
