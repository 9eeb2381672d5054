/** When a client takes a silent connection for dead; `half-open.test.ts` has the same over a real network. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { rig, settle } from "./support.js";

/** In steps, since all that is due within a step happens at its end. */
function passSeconds(t: TestContext, seconds: number): void {
  for (let count = 0; count < seconds; count++) t.mock.timers.tick(1000);
}

test("silence is answered by a probe, and silence after that by another connection, within 30 s", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const pass = (seconds: number) => passSeconds(t, seconds);
  const { transport, client } = rig(t);
  const first = await transport.next();
  await first.welcome({ heartbeatMs: 20_000 });
  const pings = () => first.sent.filter(({ type }) => type === "ping").length;
  for (let beat = 0; beat < 10; beat++) {
    // A little late, as on a slow network.
    pass(21);
    first.send({ type: "heartbeat" });
  }
  assert.equal(pings(), 0);
  pass(25);
  assert.equal(pings(), 1);
  first.send({ type: "heartbeat" });
  pass(5);
  assert.equal(client.state.status, "connected");
  pass(16);
  assert.equal(first.state, "open");
  pass(9);
  assert.equal(first.state, "closed");
  assert.equal(first.closedWith?.code, 4000, "not as a client that has finished, which would leave its rooms");
  assert.notEqual(client.state.status, "connected");
});

test("who waits for an answer on a silent connection asks for a sign of life sooner", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const pass = (seconds: number) => passSeconds(t, seconds);
  const { transport, client } = rig(t);
  const first = await transport.next();
  await first.welcome({ heartbeatMs: 20_000 });
  const published = client.room("r").publish("message", 1);
  const { key } = await first.take("publish");
  pass(8);
  const { id } = await first.take("ping");
  // Alive, and slow.
  first.send({ type: "pong", id });
  pass(5);
  assert.equal(first.state, "open");
  pass(8);
  assert.equal(first.state, "closed");
  t.mock.timers.tick(0);
  await settle();
  const second = await transport.next();
  await second.welcome();
  const again = await second.take("publish");
  assert.equal(again.key, key);
  second.send({ type: "published", id: again.id ?? -1 });
  await published;
});
