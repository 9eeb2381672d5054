/** Against real servers that take little: everything is done in the end, and nobody is taken for a flood. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { connect } from "../../client/index.js";
import { eventually } from "../support/eventually.js";
import { type ServerOptions, startServer } from "../support/start-server.js";

/** A client of a real server, all that it is told, and how often it was refused. */
async function open(t: TestContext, options: ServerOptions) {
  const server = await startServer(t, options);
  const seen = { told: [] as string[], refusals: 0 };
  class Counted extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      this.on("message", (data) => {
        if (String(data).includes('"rate_limited"')) seen.refusals++;
      });
    }
  }
  const client = connect(server.url, { WebSocket: Counted, minDelayMs: 20 });
  t.after(() => client.close());
  client.on("state", ({ status }) => seen.told.push(status));
  client.on("error", ({ message }) => seen.told.push(message));
  return { client, seen };
}

for (const [what, options, rooms, each] of [
  ["of requests, in one room", { requestRate: 5 }, 1, 18],
  ["of requests, in many rooms", { requestRate: 8 }, 48, 1],
  ["of requests, in many rooms at a higher rate", { requestRate: 60 }, 60, 4],
  ["of one room", { kinds: { "*": { publishRate: 50 } } }, 1, 150],
  ["of many rooms", { kinds: { "*": { publishRate: 20 } } }, 8, 60],
] as const) {
  test(`beyond the rate ${what} every publish arrives once and in order, and nobody is sent away`, async (t) => {
    const { client, seen } = await open(t, options);
    const names = Array.from({ length: rooms }, (_, index) => `chat:${index}`);
    const numbers = Array.from({ length: each }, (_, index) => index + 1);
    const all = names.map((name) => Promise.all(numbers.map((n) => client.room(name).publish("message", n))));
    const offsets = (await Promise.all(all)).map((positions) => positions.map((position) => position?.offset));
    // Each has the place of its number: so none is in the log twice, and nothing before what was published before it.
    assert.deepEqual(
      offsets,
      names.map(() => numbers),
    );
    assert.deepEqual(seen.told, ["connected"]);
    assert.ok(seen.refusals > 0, "it never came to a refusal");
  });
}

test("more rooms than the rate of requests are all joined, and all left", async (t) => {
  const { client, seen } = await open(t, { requestRate: 5 });
  const rooms = Array.from({ length: 16 }, (_, index) => client.room(`chat:${index}`));
  await Promise.all(rooms.map((room) => room.join()));
  assert.deepEqual(seen.told, ["connected"]);
  assert.ok(seen.refusals > 0, "it never came to a refusal");
});

test("who floods with send is closed, and does not come back at once", async (t) => {
  const { client, seen } = await open(t, { requestRate: 5 });
  const cursor = client.room("cursor:1");
  await cursor.join();
  for (let n = 0; n < 200; n++) cursor.send("moved", n);
  await eventually(() => seen.told.includes("waiting"), "it was never closed");
  assert.ok(client.state.status === "waiting" && client.state.code === 4029 && client.state.delayMs >= 1000);
  await eventually(() => client.state.status === "connected");
  await cursor.publish("moved", 200);
});
