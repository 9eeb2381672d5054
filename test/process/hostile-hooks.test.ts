import assert from "node:assert/strict";
import { test } from "node:test";
import { ChildServer } from "../support/child-server.js";
import { eventually } from "../support/eventually.js";
import { clientCodecs } from "../support/ws-client.js";

const failures = ["throw", "throw-nothing", "reject", "reject-later"];

for (const codec of clientCodecs) {
  test(`whatever an application's hook throws, the request is answered and the process goes on (${codec.name})`, async (t) => {
    const server = await ChildServer.start(t, {}, true);
    for (const token of failures) {
      const client = await server.connect(t, { codec, hello: false });
      const answer = await client.refusal({ type: "hello", token });
      assert.deepEqual([answer.code, /hook/.test(answer.message)], ["internal", false], token);
      assert.equal((await client.close()).code, 4101);
    }
    const client = await server.connect(t, { codec, hello: { token: "ann" } });
    for (const failure of failures) {
      const answers = [
        await client.refusal({ type: "join", room: failure }),
        await client.refusal({ type: "publish", room: failure, event: "n", data: 1 }),
        await client.refusal({ type: "publish", room: "a", event: failure, data: 1 }),
        await client.refusal({ type: "history", room: failure }),
        await client.refusal({ type: "call", method: failure, data: 1 }),
        await client.refusal({ type: "renew", token: failure }),
      ];
      for (const { code, message } of answers)
        assert.deepEqual([code, /hook/.test(message)], ["internal", false], failure);
      client.send({ type: "publish", room: "a", event: failure, data: 1 });
    }
    // After all of that the same rooms, events and methods work.
    await client.ask("joined", { type: "join", room: "a" });
    await client.ask("published", { type: "publish", room: "a", event: "n", data: 1 });
    assert.equal((await client.ask("result", { type: "call", method: "m", data: 1 })).data, "done");
    const { events } = await client.ask("history", { type: "history", room: "a" });
    assert.equal(events.length, 1, "what the application failed at is not in the log");
    await server.unharmed();
  });
}

test("a hook that never answers holds up its own requests only, and not for ever", async (t) => {
  const server = await ChildServer.start(t, { maxRequests: 3 }, true);
  const client = await server.connect(t, { hello: { token: "ann" } });
  const waiting = [
    client.refusal({ type: "join", room: "never" }),
    client.refusal({ type: "call", method: "never", data: 1 }),
    client.refusal({ type: "publish", room: "a", event: "never", data: 1 }),
  ];
  assert.equal((await client.refusal({ type: "ping" })).code, "too_many");
  assert.equal((await client.refusal({ type: "join", room: "b" })).code, "too_many");
  await server.unharmed();
  for (const answer of await Promise.all(waiting)) {
    assert.deepEqual([answer.code, (answer.retryMs ?? 0) > 0], ["timeout", true]);
  }
  await client.ask("joined", { type: "join", room: "b" });
  await client.ask("published", { type: "publish", room: "a", event: "n", data: 1 });
  await server.unharmed();
});

test("clients that go while the application is asked about them leave nothing behind", async (t) => {
  const server = await ChildServer.start(t, { helloTimeoutMs: 60_000 }, true);
  const { connections } = await server.report();
  for (let count = 0; count < 50; count++) {
    const client = await server.connect(t, { hello: count % 2 === 0 ? { token: "ann" } : false });
    if (count % 2 === 0) client.send({ type: "join", id: 1, room: "never" });
    else client.send({ type: "hello", id: 1, token: count % 4 === 1 ? "never" : "reject-later" });
    client.send({ type: "publish", id: 2, room: "a", event: "never", data: 1 });
    client.end();
  }
  await eventually(async () => (await server.report()).connections === connections, "sessions are left");
  await server.unharmed();
});
