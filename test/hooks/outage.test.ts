/** An application that dies, and what clients see of it. */
import assert from "node:assert/strict";
import test from "node:test";
import { HttpApplication } from "../support/application.js";
import { eventually } from "../support/eventually.js";
import { connect, startServer } from "../support/start-server.js";

for (const outage of ["never answers", "is not there", "fails"] as const) {
  test(`an application that ${outage} is asked a few times and then left alone, until it is back; other rooms go on`, async (t) => {
    let isDown = false;
    const application = await HttpApplication.start(t, () => {
      if (!isDown) return { allow: true };
      return outage === "fails" ? 503 : () => undefined;
    });
    const asked = application.asked("join");
    const server = await startServer(t, {
      ...asked,
      ...{ hookTimeoutMs: 300, hookFailures: 4, hookRetryMs: 300, metricsPort: 0 },
      kinds: { free: { allow: { anonymous: ["join", "publish"] } } },
    });
    const client = await connect(t, server);
    const other = await connect(t, server);
    await other.ask("joined", { type: "join", room: "free:1" });
    const othersGoOn = () => other.ask("published", { type: "publish", room: "free:1", event: "e", data: 1 });
    // Who asks the same at the same time shares one question.
    let asks = 0;
    const ask = () => client.request({ type: "history", room: `asked:${asks++}` });
    assert.equal((await ask()).type, "history");

    isDown = true;
    if (outage === "is not there") await application.stop();
    const before = application.posts.length;
    const first = await Promise.all([ask(), ask(), ask(), ask()]);
    await othersGoOn();
    for (const answer of first) assert.equal(answer.type === "error" && answer.code, "unavailable");
    const posted = () => application.posts.length - before;
    const isOpen = async () => {
      const text = await (await fetch(server.metricsUrl as string)).text();
      return text.includes('roomcast_hook_circuit{hook="join",state="open"} 1');
    };
    await eventually(isOpen);
    // Refused without the application: hundreds of questions, and at most a few tries of it.
    for (let count = 0; count < 300; count++) {
      const answer = await ask();
      assert.equal(answer.type === "error" && answer.code, "unavailable");
      assert.ok(answer.type === "error" && (answer.retryMs ?? 0) > 0);
      if (count % 50 === 0) await othersGoOn();
    }
    assert.ok(posted() < 40, `${posted()} posts`);

    isDown = false;
    if (outage === "is not there") await application.start();
    await eventually(async () => (await ask()).type === "history");
    await othersGoOn();
  });
}

test("an application that is slow for one hook is not slow for another", async (t) => {
  const application = await HttpApplication.start(t, ({ body }) => {
    return body["type"] === "call" ? () => undefined : { user: "ada" };
  });
  const asked = application.asked("connect", "call");
  const server = await startServer(t, { ...asked, hookConcurrency: 2, hookTimeoutMs: 60_000 });
  const client = await connect(t, server);
  for (let id = 1; id <= 6; id++) client.send({ type: "call", id: 100 + id, method: "m", data: 1 });
  // Two are under way, two wait, two are refused.
  await client.next("error", ({ code }) => code === "unavailable");
  await client.next("error", ({ code }) => code === "unavailable");
  await eventually(() => application.of("call").length === 2);
  for (let count = 0; count < 3; count++) await connect(t, server);
  assert.equal(application.of("connect").length, 4);
});

test("a call that is not answered in time is told apart: it may have had its effect, and it is not repeated", async (t) => {
  const application = await HttpApplication.start(t, ({ body }) =>
    body["type"] === "call" ? () => undefined : { user: "ada" },
  );
  const server = await startServer(t, { ...application.asked("connect", "call"), hookTimeoutMs: 100 });
  const client = await connect(t, server);
  assert.equal((await client.refusal({ type: "call", method: "m", data: 1 })).code, "timeout");
  assert.equal(application.of("call").length, 1);
});
