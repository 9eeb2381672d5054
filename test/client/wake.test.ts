import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { connected, settle } from "./support.js";

/** A browser's window and document, as far as the client looks at them. */
function browser(t: TestContext) {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const listeners = { count: 0 };
  const stand = globalThis as { [name: string]: unknown };
  stand["document"] = document;
  stand["addEventListener"] = (type: string, listener: () => void, options: { signal: AbortSignal }) => {
    listeners.count++;
    options.signal.addEventListener("abort", () => listeners.count--);
    window.addEventListener(type, listener, options);
  };
  t.after(() => {
    for (const name of ["document", "addEventListener"]) delete stand[name];
  });
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  return { window, document, listeners };
}

test("coming online ends the wait at once", async (t) => {
  const { window } = browser(t);
  const { client, server, transport } = await connected(t, { random: () => 1 });
  server.cut();
  assert.equal(client.state.status, "waiting");
  window.dispatchEvent(new Event("online"));
  assert.equal(client.state.status, "connecting");
  await settle();
  assert.equal(transport.connections.length, 2);
});

test("the delay that the server asked for is kept even then", async (t) => {
  const { window } = browser(t);
  const { client, server } = await connected(t);
  server.cut(4101, '{"retryMs":8000}');
  t.mock.timers.tick(3000);
  window.dispatchEvent(new Event("online"));
  assert.equal(client.state.status === "waiting" && client.state.delayMs, 5000);
});

for (const type of ["visibilitychange", "pageshow"] as const) {
  test(`a page that is seen again (${type}) tries at once; one that is hidden does not`, async (t) => {
    const { window, document } = browser(t);
    const { client, server } = await connected(t, { random: () => 1 });
    server.cut();
    const source = type === "pageshow" ? window : document;
    document.visibilityState = "hidden";
    source.dispatchEvent(new Event(type));
    assert.equal(client.state.status, "waiting");
    document.visibilityState = "visible";
    source.dispatchEvent(new Event(type));
    assert.equal(client.state.status, "connecting");
  });
}

test("a page that is seen again asks its connection for a sign of life, and gives a dead one up", async (t) => {
  const { document } = browser(t);
  const { client, server } = await connected(t);
  document.dispatchEvent(new Event("visibilitychange"));
  const { id } = await server.take("ping");
  server.send({ type: "pong", id });
  t.mock.timers.tick(6000);
  assert.equal(client.state.status, "connected");
  document.dispatchEvent(new Event("visibilitychange"));
  t.mock.timers.tick(6000);
  assert.equal(server.state, "closed");
});

test("offline slows the attempts down without ending them", async (t) => {
  const { window } = browser(t);
  const { client, server, transport } = await connected(t, { maxDelayMs: 30_000 });
  server.cut();
  window.dispatchEvent(new Event("offline"));
  const { state } = client;
  assert.deepEqual(state.status === "waiting" && [state.delayMs, state.reason], [30_000, "offline"]);
  t.mock.timers.tick(29_999);
  await settle();
  assert.equal(transport.connections.length, 1);
  t.mock.timers.tick(1);
  await settle();
  assert.equal(transport.connections.length, 2);
});

test("offline with a connection that still lives changes nothing", async (t) => {
  const { window } = browser(t);
  const { client, server } = await connected(t);
  window.dispatchEvent(new Event("offline"));
  server.send({ type: "pong", id: (await server.take("ping")).id });
  t.mock.timers.tick(6000);
  assert.equal(client.state.status, "connected");
});

test("close takes every listener away", async (t) => {
  const { listeners } = browser(t);
  const { client } = await connected(t);
  assert.equal(listeners.count, 3);
  client.close();
  assert.equal(listeners.count, 0);
});
