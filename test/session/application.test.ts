/** What the application itself may put in: its values reach everyone, so that they are held to the protocol's rules too. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError, type PublishOptions } from "../../server/server.js";
import { connect, startServer } from "../support/start-server.js";
import { clientCodecs } from "../support/ws-client.js";

test("the application publishes under the same rules as a client: names, keys, users, and data that can travel", async (t) => {
  const server = await startServer(t, { maxFrameBytes: 4096 });
  const circle: unknown[] = [];
  circle.push(circle);
  const wrong: readonly (readonly [string, string, string, unknown, PublishOptions?])[] = [
    ["room", "", "n", 1],
    ["room", "ä", "n", 1],
    ["room", "$server", "n", 1],
    ["event", "a", "two words", 1],
    ["event", "a", "e".repeat(65), 1],
    ["key", "a", "n", 1, { key: "" }],
    ["key", "a", "n", 1, { key: "k".repeat(129) }],
    ["key", "a", "n", 1, { key: "\ud800" }],
    ["key", "a", "n", 1, { key: 5 as never }],
    ["from", "a", "n", 1, { from: 5 as never }],
    ["from", "a", "n", 1, { from: "" }],
    ["from", "a", "n", 1, { from: "\udc00" }],
    ["from", "a", "n", 1, { from: "u".repeat(257) }],
    ["data", "a", "n", undefined],
    ["data", "a", "n", () => 1],
    ["data", "a", "n", 10n],
    ["data", "a", "n", new Map()],
    ["data", "a", "n", circle],
    ["data", "a", "n", { text: "\ud800" }],
    ["data", "a", "n", JSON.parse('{"__proto__":1}')],
    ["data", "a", "n", "x".repeat(4096)],
  ];
  for (const [field, room, event, data, options] of wrong) {
    await assert.rejects(server.publish(room, event, data, options), (error) => {
      assert.ok(error instanceof ProtocolError, String(error));
      assert.ok(error.field.startsWith(field), error.message);
      return true;
    });
  }
  for (const codec of clientCodecs) {
    const client = await connect(t, server, { codec });
    assert.equal((await client.ask("history", { type: "history", room: "a" })).events.length, 0);
  }
});

test("what the application changes afterwards does not change what it has published", async (t) => {
  const server = await startServer(t);
  const data = { list: [1], bytes: Uint8Array.of(1) };
  await server.publish("a", "n", data);
  data.list.push(2);
  data.bytes[0] = 9;
  const client = await connect(t, server);
  const { events } = await client.ask("history", { type: "history", room: "a" });
  assert.deepEqual(events[0]?.data, { list: [1], bytes: "AQ==" });
});

for (const codec of clientCodecs) {
  test(`an answer of the application that cannot travel is its own fault, and one too large is said to be (${codec.name})`, async (t) => {
    const answers: { readonly [name: string]: unknown } = {
      function: () => 1,
      surrogate: { text: "\ud800" },
      bigint: 1n,
      large: "x".repeat(70_000),
      true: true,
      null: null,
    };
    const server = await startServer(t, {
      maxFrameBytes: 32_768,
      maxBackpressureBytes: 65_536,
      onCall: ({ method }) => answers[method],
      onPublish: ({ event }) => {
        const [kind, name = ""] = event.split(":");
        return (kind === "data" ? { data: answers[name] } : answers[name]) as never;
      },
    });
    const client = await connect(t, server, { codec });
    const call = async (method: string): Promise<string> => {
      const answer = await client.request({ type: "call", method, data: 1 });
      return answer.type === "error" ? answer.code : answer.type;
    };
    const publish = async (event: string): Promise<string> => {
      const answer = await client.request({ type: "publish", room: "a", event, data: 1 });
      return answer.type === "error" ? answer.code : answer.type;
    };
    for (const name of ["function", "surrogate", "bigint"]) {
      assert.equal(await call(name), "internal", name);
      assert.equal(await publish(`data:${name}`), "internal", name);
    }
    assert.equal(await call("large"), "too_large");
    assert.equal(await publish("data:large"), "too_large");
    assert.equal(await publish("is:true"), "internal");
    assert.equal(await publish("is:null"), "published");
    assert.equal(await publish("data:null"), "published");
    assert.equal(await call("null"), "result");
    const { events } = await client.ask("history", { type: "history", room: "a" });
    assert.deepEqual(
      events.map(({ data }) => data),
      [1, null],
    );
  });
}
