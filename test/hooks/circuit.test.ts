import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import test from "node:test";
import { Unreachable } from "../../server/hooks/unreachable.js";
import type { Log } from "../../server/log.js";
import { HttpApplication } from "../support/application.js";
import { eventually } from "../support/eventually.js";
import { endpointAt, failureOf } from "./endpoint-support.js";

test("after so many failures in a row nothing is posted any more, and one success counts them anew", async (t) => {
  let status = 500;
  const application = await HttpApplication.start(t, () => (status === 200 ? {} : status));
  const endpoint = endpointAt(t, application.url, { failures: 3 });
  await failureOf(endpoint);
  await failureOf(endpoint);
  status = 200;
  await endpoint.ask("id", "{}", false);
  status = 500;
  for (let count = 0; count < 3; count++) await failureOf(endpoint);
  assert.equal(endpoint.state, "open");
  assert.equal(application.posts.length, 6);
  for (let count = 0; count < 100; count++) assert.ok((await failureOf(endpoint)) instanceof Unreachable);
  assert.equal(application.posts.length, 6);
  assert.equal(endpoint.calls.get("refused"), 100);
  assert.equal(endpoint.calls.get("failed"), 5);
});

test("refusals of the application, and its wish for less, open no circuit", async (t) => {
  const application = await HttpApplication.start(t, () => (response) => {
    response.writeHead(application.posts.length % 2 === 0 ? 404 : 429, { "retry-after": "7" }).end();
  });
  const endpoint = endpointAt(t, application.url, { failures: 2 });
  const failure = await failureOf(endpoint);
  assert.equal(failure.retryMs, 7000);
  for (let count = 0; count < 6; count++) await endpoint.ask("id", "{}", false).catch(() => undefined);
  assert.equal(endpoint.state, "closed");
  assert.equal(application.posts.length, 7);
});

test("once it is due, one question is asked while all others are refused at once; its success lets all through", async (t) => {
  const held: ServerResponse[] = [];
  let isHeld = false;
  const application = await HttpApplication.start(t, () => (isHeld ? (response) => held.push(response) : 500));
  const told: string[] = [];
  const log = { debug: (text: string) => told.push(text), info: (text: string) => told.push(text) };
  const options = { failures: 1, retryMs: 20, log: { ...log, warn: () => undefined, error: () => undefined } as Log };
  const endpoint = endpointAt(t, application.url, options);
  await failureOf(endpoint);
  assert.equal(endpoint.state, "open");
  isHeld = true;
  const tries: Promise<unknown>[] = [];
  await eventually(() => {
    if (held.length === 0) tries.push(endpoint.ask("id", "{}", false).catch((error: Error) => error));
    return held.length > 0;
  });
  assert.equal(endpoint.state, "half_open");
  for (let count = 0; count < 10; count++) assert.match((await failureOf(endpoint)).message, /is not asked now/);
  assert.equal(held.length, 1);
  held[0]?.end("{}");
  await eventually(() => endpoint.state === "closed");
  const answers = await Promise.all(tries);
  assert.equal(answers.filter((answer) => !(answer instanceof Error)).length, 1);
  assert.deepEqual(told, ["a hook is not asked for a while", "a hook answers again"]);
});

test("a try that fails opens it again, and another follows", async (t) => {
  let status = 500;
  const application = await HttpApplication.start(t, () => (status === 200 ? {} : status));
  const endpoint = endpointAt(t, application.url, { failures: 1, retryMs: 20 });
  await failureOf(endpoint);
  const tryOnce = async (): Promise<boolean> => {
    await endpoint.ask("id", "{}", false).catch(() => undefined);
    return application.posts.length >= 4;
  };
  await eventually(tryOnce);
  assert.equal(endpoint.state, "open");
  status = 200;
  await eventually(async () => {
    await tryOnce();
    return endpoint.state === "closed";
  });
});

test("a clock that is set back does not keep a circuit open", async (t) => {
  const application = await HttpApplication.start(t, () => (application.posts.length === 1 ? 500 : {}));
  const endpoint = endpointAt(t, application.url, { failures: 1, retryMs: 20 });
  await failureOf(endpoint);
  const { now } = Date;
  t.after(() => {
    Date.now = now;
  });
  Date.now = () => now() - 3_600_000;
  await eventually(async () => {
    await endpoint.ask("id", "{}", false).catch(() => undefined);
    return endpoint.state === "closed";
  });
});

test("so many are under way at once, as many again wait, and more are refused at once", async (t) => {
  const held: ServerResponse[] = [];
  const application = await HttpApplication.start(t, () => (response) => held.push(response));
  const endpoint = endpointAt(t, application.url, { concurrency: 2 });
  const asked = Array.from({ length: 4 }, () => endpoint.ask("id", "{}", false));
  const refused = await Promise.all([failureOf(endpoint), failureOf(endpoint)]);
  for (const { message } of refused) assert.match(message, /too many questions waiting/);
  assert.equal(endpoint.calls.get("busy"), 2);
  await eventually(() => held.length === 2);
  for (const response of held.splice(0)) response.end("{}");
  await eventually(() => held.length === 2);
  for (const response of held.splice(0)) response.end("{}");
  await Promise.all(asked);
  assert.equal(application.posts.length, 4);
});

test("who waits for a turn is given up in time as well, and what it would have asked is not posted", async (t) => {
  const application = await HttpApplication.start(t, () => () => undefined);
  const endpoint = endpointAt(t, application.url, { concurrency: 1, timeoutMs: 50 });
  const [, second] = await Promise.all([failureOf(endpoint), failureOf(endpoint)]);
  assert.match(second.message, /did not answer within 50 ms/);
  assert.equal(application.posts.length, 1);
});

test("an endpoint that is closed ends what is under way and takes nothing more", async (t) => {
  const application = await HttpApplication.start(t, () => () => undefined);
  const endpoint = endpointAt(t, application.url);
  const asked = failureOf(endpoint);
  await eventually(() => application.posts.length === 1);
  endpoint.close();
  assert.match((await asked).message, /the server is closing/);
  assert.ok((await failureOf(endpoint)) instanceof Unreachable);
  assert.equal(application.posts.length, 1);
});
