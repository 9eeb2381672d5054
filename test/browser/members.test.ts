/** Who is in a room, in a page without a bundler: what that takes is loaded for the rooms that ask for it. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { eventually } from "../support/eventually.js";
import { startWith } from "../support/presence.js";
import { openBrowser } from "./browser.js";

const start = (user: string) => `import("/v1/client.js").then(({ connect }) => {
  globalThis.client = connect(location.origin, { minDelayMs: 20, token: "${user}" });
  globalThis.told = [];
  client.on("error", ({ message }) => told.push("error " + message));
})`;

const CHUNKS = "**/v1/client-*.js";

/** Asked from outside: the page's own rules for scripts let nothing of the kind run in it. */
const until = (page: Page, condition: string) => eventually(async () => (await page.evaluate(condition)) === true);

/** Two pages of users `ann` and `bob`, and what each has loaded beside the page and the SDK. */
async function pages(t: TestContext) {
  const [server, open] = await Promise.all([startWith(t, {}, { page: true }), openBrowser(t)]);
  const visit = async (user: string) => {
    const { page } = await open();
    const chunks: string[] = [];
    page.on("request", (request) => request.url().includes("/v1/client-") && chunks.push(request.url()));
    // The start page, which has a client of its own; this one's is beside it, from the same origin.
    await page.goto(server.url);
    await page.evaluate(start(user));
    await until(page, "globalThis.client?.state.status === 'connected'");
    return { page, chunks };
  };
  return { ann: await visit("ann"), bob: await visit("bob") };
}

/** Takes the room with presence; what happens in it is noted. */
const enter = (page: Page) =>
  page.evaluate(`(async () => {
    globalThis.room = client.room("chat:1", { presence: true });
    room.onEnter(({ user }) => told.push("+" + user));
    room.onLeave(({ user }) => told.push("-" + user));
    await room.joined;
  })()`);

const here = "[...room.members].map(({ user }) => user).sort().join(' ')";

test("a page sees who is in a room; without presence nothing more is loaded for it", async (t) => {
  const { ann, bob } = await pages(t);
  await ann.page.evaluate("client.room('chat:2').joined");
  assert.deepEqual(ann.chunks, []);
  await enter(ann.page);
  assert.equal(ann.chunks.length, 1);
  await enter(bob.page);
  await until(ann.page, `${here} === 'ann bob'`);
  assert.equal(await bob.page.evaluate(here), "ann bob");
  await bob.page.evaluate("room.leave()");
  await until(ann.page, `${here} === 'ann'`);
  assert.deepEqual(await ann.page.evaluate("told"), ["+bob", "-bob"]);
  assert.equal(ann.chunks.length, 1);
});

test("where that cannot be loaded the room is joined all the same, and it is told", async (t) => {
  const { ann, bob } = await pages(t);
  await enter(bob.page);
  await ann.page.route(CHUNKS, (route) => route.abort());
  await enter(ann.page);
  await until(bob.page, `${here} === 'ann bob'`);
  const [told, ...more] = (await ann.page.evaluate("told")) as string[];
  assert.match(told ?? "", /^error .*client-/);
  assert.deepEqual(more, []);
  assert.deepEqual(await ann.page.evaluate("[room.state.status, room.members.size, room.members.isListed]"), [
    "joined",
    0,
    false,
  ]);
  const { members } = (await ann.page.evaluate("room.members.page()")) as { members: readonly { user: string }[] };
  assert.deepEqual(
    members.map(({ user }) => user),
    ["ann", "bob"],
  );
  assert.equal(await bob.page.evaluate("room.publish('said', 1).then(({ offset }) => offset)"), 1);
  await until(ann.page, "room.position.offset === 1");
});
