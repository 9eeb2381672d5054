import assert from "node:assert/strict";
import { test } from "node:test";
import type { Position } from "../../protocol/positions.js";
import { connect, startServer } from "../support/start-server.js";
import { clientCodecs } from "../support/ws-client.js";

const filled = async (t: Parameters<typeof startServer>[0], count: number, size: number, text = "") => {
  const server = await startServer(t, { kinds: { "*": { history: { size } } }, maxBackpressureBytes: 131_072 });
  let end: Position | undefined;
  for (let n = 1; n <= count; n++) end = await server.publish("a", "n", { n, text });
  return { server, end: end as Position };
};
const numbersOf = (events: readonly { readonly data: unknown }[]) =>
  events.map(({ data }) => (data as { n: number }).n);
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

for (const codec of clientCodecs) {
  test(`history gives the latest, pages back from the first, and on from a position (${codec.name})`, async (t) => {
    const { server, end } = await filled(t, 30, 100);
    const client = await connect(t, server, { codec });
    const latest = await client.ask("history", { type: "history", room: "a", limit: 10 });
    assert.deepEqual([numbersOf(latest.events), latest.more, latest.position], [range(21, 30), true, end]);
    const before = { epoch: end.epoch, offset: 21 };
    const back = await client.ask("history", { type: "history", room: "a", before, limit: 15 });
    assert.deepEqual([numbersOf(back.events), back.more], [range(6, 20), true]);
    const first = await client.ask("history", {
      ...{ type: "history", room: "a", before: { epoch: end.epoch, offset: 6 }, limit: 15 },
    });
    assert.deepEqual([numbersOf(first.events), first.more], [range(1, 5), false]);
    const on = await client.ask("history", { type: "history", room: "a", since: before, limit: 4 });
    assert.deepEqual([numbersOf(on.events), on.more], [range(22, 25), true]);
    const none = await client.ask("history", { type: "history", room: "a", since: end });
    assert.deepEqual([none.events, none.more], [[], false]);
    const nothing = await client.ask("history", { type: "history", room: "a", limit: 0 });
    assert.deepEqual([nothing.events, nothing.position], [[], end]);
  });

  test(`a history that is longer than a frame may be is cut there and says so (${codec.name})`, async (t) => {
    const { server, end } = await filled(t, 200, 1000, "x".repeat(5000));
    const client = await connect(t, server, { codec });
    const seen: number[] = [];
    let since: Position = { epoch: end.epoch, offset: 0 };
    for (let more = true; more; ) {
      const page = await client.ask("history", { type: "history", room: "a", since, limit: 1000 });
      assert.ok(page.events.length > 0 && page.events.length < 14);
      seen.push(...numbersOf(page.events));
      since = { epoch: end.epoch, offset: page.events.at(-1)?.offset as number };
      more = page.more;
    }
    assert.deepEqual(seen, range(1, 200));
    const back = await client.ask("history", { type: "history", room: "a", limit: 1000 });
    assert.deepEqual([numbersOf(back.events).at(-1), back.more], [200, true]);
  });
}

test("a history is asked for either from a position or back from one", async (t) => {
  const { server, end } = await filled(t, 3, 100);
  const client = await connect(t, server);
  const answer = await client.refusal({ type: "history", room: "a", since: end, before: end });
  assert.deepEqual([answer.code, /before/.test(answer.message)], ["bad_request", true]);
});

test("a history from a position that the log no longer reaches, or that is not its own, is refused", async (t) => {
  const { server, end } = await filled(t, 30, 5);
  const client = await connect(t, server);
  for (const since of [
    { epoch: end.epoch, offset: 3 },
    { epoch: "other", offset: 29 },
  ]) {
    const answer = await client.refusal({ type: "history", room: "a", since });
    assert.deepEqual([answer.code, /since/.test(answer.message)], ["bad_request", true]);
  }
});

test("a room that nothing was published in has an empty history", async (t) => {
  const client = await connect(t, await startServer(t));
  const { events, position, more } = await client.ask("history", { type: "history", room: "a" });
  assert.deepEqual([events, position?.offset, more], [[], 0, false]);
});

test("many long histories at once are answered as they are read, and the client is not cut off for it", async (t) => {
  const { server } = await filled(t, 100, 1000, "x".repeat(5000));
  const client = await connect(t, server);
  client.socket.pause();
  const ids = range(101, 130);
  for (const id of ids) client.send({ type: "history", id, room: "a", limit: 1000 });
  await (await connect(t, server)).ping();
  await (await connect(t, server)).ping();
  client.socket.resume();
  for (const id of ids) assert.ok((await client.next("history", (frame) => frame.id === id)).events.length > 9);
});
