import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { ServerFrame } from "../../protocol/frames.js";
import type { Position } from "../../protocol/positions.js";
import type { Server, ServerOptions } from "../../server/server.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import { connect, startServer } from "../support/start-server.js";
import { clientCodecs, type WsClient } from "../support/ws-client.js";

const LAST = { "*": { lastValue: true } };

const engines: readonly (readonly [string, (t: TestContext) => Promise<ServerOptions>])[] = [
  ["memory", async () => ({})],
  ["redis", async (t) => ({ redis: [(await startRedis(t)).url] })],
  ["nats", async (t) => ({ nats: [(await startNats(t)).url] })],
];

/** A server whose engine is there. */
async function startOn(t: TestContext, engine: ServerOptions, options: ServerOptions = {}): Promise<Server> {
  const server = await startServer(t, { kinds: LAST, ...engine, ...options });
  await eventually(() => server.problems().length === 0);
  return server;
}

const joinFrom = async (client: WsClient, room: string, since?: Position) =>
  client.ask("joined", { type: "join", room, ...(since === undefined ? {} : { since }) });

const dataOf = (frame: Pick<ServerFrame<"joined">, "events">): unknown[] => frame.events.map(({ data }) => data);

for (const [name, engineOf] of engines) {
  test(`whoever joins without a position gets the latest event at once, and goes on from it (${name})`, async (t) => {
    const engine = await engineOf(t);
    const server = await startOn(t, engine);
    for (let n = 1; n <= 5; n++) await server.publish("price:1", "is", n);
    const other = name === "memory" ? server : await startOn(t, engine);
    for (const codec of clientCodecs) {
      const client = await connect(t, other, { codec });
      const joined = await joinFrom(client, "price:1");
      assert.equal(joined.recovered, false);
      assert.deepEqual(dataOf(joined), [5]);
      assert.equal(joined.events[0]?.offset, joined.position?.offset);
      const empty = `price:none-${codec.name}`;
      assert.deepEqual((await joinFrom(client, empty)).events, []);
      await server.publish(empty, "is", "first");
      assert.deepEqual(dataOf(await client.next("events")), ["first"]);
      assert.deepEqual(dataOf(await joinFrom(await connect(t, other, { codec }), empty)), ["first"]);
    }
  });

  test(`a join with a position gets what it missed; with one that is lost, the latest event (${name})`, async (t) => {
    const server = await startOn(t, await engineOf(t), { kinds: { "*": { lastValue: true, history: { size: 3 } } } });
    const positions: Position[] = [];
    for (let n = 1; n <= 6; n++) positions.push((await server.publish("price:1", "is", n)) as Position);
    const client = await connect(t, server);
    const joins = async (since: Position | undefined) => {
      const { recovered, events } = await joinFrom(client, "price:1", since);
      return [recovered, ...events.map(({ data }) => data)];
    };
    assert.deepEqual(await joins(positions[4]), [true, 6]);
    assert.deepEqual(await joins(positions[5]), [true]);
    assert.deepEqual(await joins(positions[0]), [false, 6]);
    assert.deepEqual(await joins({ epoch: "another", offset: 3 }), [false, 6]);
    assert.deepEqual(await joins({ ...(positions[5] as Position), offset: 999 }), [false, 6]);
  });

  test(`who joins while events are published gets each once from the latest on (${name})`, async (t) => {
    const engine = await engineOf(t);
    const server = await startOn(t, engine);
    const other = name === "memory" ? server : await startOn(t, engine);
    await server.publish("price:1", "is", 0);
    let isPublishing = true;
    t.after(() => {
      isPublishing = false;
    });
    const publishing = (async () => {
      for (let n = 1; isPublishing; n++) {
        await server.publish("price:1", "is", n);
        // The memory engine answers within the turn: others have to have theirs.
        await new Promise((next) => setImmediate(next));
      }
    })();
    publishing.catch(() => undefined);
    for (let round = 0; round < 20; round++) {
      const client = await connect(t, round % 2 === 0 ? server : other);
      const seen: number[] = [];
      let joined: ServerFrame<"joined"> | undefined;
      client.watch((frame) => {
        if (frame.type === "joined") joined = frame;
        if (frame.type !== "joined" && frame.type !== "events") return false;
        assert.ok(frame.type === "joined" || joined !== undefined, "nothing comes before the answer");
        seen.push(...frame.events.map(({ data }) => data as number));
        return frame.type === "events";
      });
      await joinFrom(client, "price:1");
      assert.equal(joined?.events.length, 1);
      assert.equal(joined?.events[0]?.offset, joined?.position?.offset);
      await client.until("live events", () => seen.length >= 5);
      const first = seen[0] as number;
      assert.deepEqual(
        seen,
        seen.map((_, index) => first + index),
      );
      client.end();
    }
    isPublishing = false;
    await publishing;
  });
}

test("a room whose log has gone on without this node gives what is there, not what was", async (t) => {
  const redis = await startRedis(t, { persistent: true });
  const engine = { redis: [redis.url], checkMs: 50, probeMs: 200 };
  const server = await startOn(t, engine);
  await server.publish("price:1", "is", "old");
  const member = await connect(t, server);
  assert.deepEqual(dataOf(await joinFrom(member, "price:1")), ["old"]);
  // The log is lost, and begins anew: the members are told, and the tail is empty.
  await redis.command("FLUSHALL");
  await member.next("reset");
  const late = await connect(t, server);
  assert.deepEqual(dataOf(await joinFrom(late, "price:1")), []);
  await server.publish("price:1", "is", "new");
  await member.next("events");
  assert.deepEqual(dataOf(await joinFrom(await connect(t, server), "price:1")), ["new"]);
});

test("without the rule a join that resumes nothing brings no event", async (t) => {
  const server = await startServer(t, { kinds: { price: { lastValue: true }, chat: {} } });
  await server.publish("chat:1", "is", 1);
  await server.publish("price:1", "is", 1);
  const client = await connect(t, server);
  assert.deepEqual(dataOf(await joinFrom(client, "chat:1")), []);
  assert.deepEqual(dataOf(await joinFrom(client, "price:1")), [1]);
});

test("an event that is older than history.ageMs is no last value, also where the room stayed open", async (t) => {
  const server = await startServer(t, { kinds: { "*": { lastValue: true, history: { ageMs: 30 } } } });
  const member = await connect(t, server);
  await joinFrom(member, "price:1");
  await server.publish("price:1", "is", 1);
  await eventually(async () => {
    const client = await connect(t, server);
    const { events } = await joinFrom(client, "price:1");
    client.end();
    return events.length === 0;
  });
});

test("a latest event that is larger than what the tail holds is given all the same", async (t) => {
  const big = 2 << 20;
  const server = await startServer(t, { kinds: LAST, maxFrameBytes: 4 << 20, maxBackpressureBytes: 16 << 20 });
  const member = await connect(t, server);
  await joinFrom(member, "price:1");
  await server.publish("price:1", "is", "x".repeat(big));
  await member.next("events");
  const joined = await joinFrom(await connect(t, server), "price:1");
  assert.deepEqual(
    joined.events.map(({ data }) => (data as string).length),
    [big],
  );
});
