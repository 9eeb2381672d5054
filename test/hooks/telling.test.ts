import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test, { type TestContext } from "node:test";
import { Telling, type TellingOptions } from "../../server/hooks/telling.js";
import { createLog } from "../../server/log.js";
import { verifyHook } from "../../server/server.js";
import { type Answer, HttpApplication, hookSecret } from "../support/application.js";
import { eventually } from "../support/eventually.js";
import { endpointAt } from "./endpoint-support.js";

async function tellingTo(t: TestContext, answer: HttpApplication["answer"], options: Partial<TellingOptions> = {}) {
  const application = await HttpApplication.start(t, answer);
  const endpoint = endpointAt(t, application.url, { name: "rooms", retryMs: 100, failures: 3 });
  const telling = new Telling({ endpoint, tries: 100, pauseMs: 1, log: createLog({ level: "silent" }), ...options });
  t.after(() => telling.close());
  const ended: number[] = [];
  const tell = (subject: string, n: number) => {
    const id = randomUUID();
    telling.tell(subject, id, JSON.stringify({ type: "told", id, subject, n }), () => ended.push(n));
  };
  return { application, telling, tell, ended };
}

test("what is told is posted until it is taken, each time under the same id and signed anew", async (t) => {
  const answers: Answer[] = [500, 404, (response) => response.destroy(), 204];
  const { application, telling, tell } = await tellingTo(t, () => answers.shift() ?? {});
  tell("a", 1);
  await eventually(() => telling.waiting === 0);
  assert.equal(application.posts.length, 4);
  assert.equal(new Set(application.posts.map(({ headers }) => headers["webhook-id"])).size, 1);
  assert.equal(new Set(application.posts.map(({ raw }) => raw)).size, 1);
  for (const { headers, raw } of application.posts) assert.ok(verifyHook(headers, raw, hookSecret));
  assert.equal(telling.dropped, 0);
});

test("of one subject it is told in order, whatever fails; others do not wait for it", async (t) => {
  let fails = true;
  const { application, telling, tell } = await tellingTo(t, ({ body }) =>
    body["subject"] === "a" && fails ? 404 : {},
  );
  for (let n = 0; n < 5; n++) tell("a", n);
  for (let n = 0; n < 5; n++) tell("b", n);
  const of = (subject: string) => application.posts.filter(({ body }) => body["subject"] === subject);
  await eventually(() => of("b").length === 5 && of("a").length > 2);
  assert.ok(of("a").every(({ body }) => body["n"] === 0));
  fails = false;
  await eventually(() => telling.waiting === 0);
  const numbers = of("a").map(({ body }) => Number(body["n"]));
  assert.deepEqual([...new Set(numbers)], [0, 1, 2, 3, 4]);
  assert.deepEqual(numbers, [...numbers].sort());
});

test("after so many tries it is given up, and what comes behind it is told", async (t) => {
  const { application, telling, tell } = await tellingTo(t, ({ body }) => (body["n"] === 0 ? 404 : {}), { tries: 3 });
  tell("a", 0);
  tell("a", 1);
  await eventually(() => telling.waiting === 0);
  assert.deepEqual(
    application.posts.map(({ body }) => body["n"]),
    [0, 0, 0, 1],
  );
  assert.equal(telling.dropped, 1);
});

test("whoever tells it learns that it has ended: taken or given up, not where everything ends before", async (t) => {
  const answer: HttpApplication["answer"] = ({ body }) =>
    body["n"] === 0 ? 404 : body["n"] === 2 ? () => undefined : {};
  const { application, telling, tell, ended } = await tellingTo(t, answer, { tries: 2 });
  for (let n = 0; n < 3; n++) tell("a", n);
  await eventually(() => ended.length === 2 && application.posts.length === 4);
  assert.deepEqual(ended, [0, 1]);
  telling.close();
  assert.deepEqual(ended, [0, 1]);
});

test("no more than so many wait: the oldest are dropped", async (t) => {
  let isDown = true;
  const { application, telling, tell } = await tellingTo(t, () => (isDown ? 404 : {}), { most: 40, pauseMs: 20 });
  for (let n = 0; n < 100; n++) tell(`room ${n % 30}`, n);
  assert.equal(telling.waiting, 40);
  assert.equal(telling.dropped, 60);
  isDown = false;
  application.posts.length = 0;
  await eventually(() => telling.waiting === 0);
  assert.ok(application.posts.some(({ body }) => body["n"] === 99));
});

test("an application that is away is told once it is back", async (t) => {
  const { application, telling, tell } = await tellingTo(t, () => ({}));
  await application.stop();
  for (let n = 0; n < 20; n++) tell(`room ${n}`, n);
  await eventually(() => telling.waiting === 20);
  await application.start();
  await eventually(() => telling.waiting === 0);
  assert.equal(new Set(application.posts.map(({ body }) => body["n"])).size, 20);
  assert.equal(telling.dropped, 0);
});
