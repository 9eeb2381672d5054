/** A deploy, as a person with the page open sees it: not at all. */
import assert from "node:assert/strict";
import test from "node:test";
import type { Page } from "playwright-core";
import { createServer, type Server } from "../../server/server.js";
import { startBalancer } from "../support/balancer.js";
import { eventually } from "../support/eventually.js";
import { startRedis } from "../support/services/redis.js";
import { openBrowser } from "./browser.js";

const isLive = (page: Page): Promise<void> => page.locator("#state[data-state=live]").waitFor();

/** Notes each change of the state that the page shows, from now on. */
function watchState(page: Page): Promise<void> {
  return page.locator("#state").evaluate((pill) => {
    const seen: string[] = [];
    Object.assign(globalThis, { seenStates: seen });
    const note = () => seen.push((pill as unknown as { dataset: { state: string } }).dataset.state);
    new MutationObserver(note).observe(pill, { attributes: true });
  });
}

const seenStates = (page: Page): Promise<string[]> =>
  page.evaluate(() => (globalThis as unknown as { seenStates: string[] }).seenStates);

const say = async (page: Page, text: string): Promise<void> => {
  await page.locator("#text").fill(text);
  await page.locator("#text").press("Enter");
};

const said = (page: Page): Promise<string[]> =>
  page
    .locator("#log li")
    .evaluateAll((rows) => rows.map((row) => row.querySelector(".words")?.lastChild?.textContent ?? ""));

test("pages behind a balancer move from node to node: their state never changes, and nothing is missing or there twice", async (t) => {
  const redis = await startRedis(t);
  const nodes: Server[] = [];
  for (const node of ["node-1", "node-2", "node-3"]) {
    // The balancer has found out by then, as in a real deploy: a page that it sends to a closed port would note that.
    const quick = { noticeMs: 3000, drainMs: 500, deadlineMs: 20_000 };
    const server = await createServer({ port: 0, node, logLevel: "error", redis: [redis.url], ...quick });
    t.after(() => server.close());
    nodes.push(server);
  }
  const everyone = () => nodes.every((server) => server.nodes().length === nodes.length);
  await eventually(everyone, "the nodes never saw each other");
  const balancer = await startBalancer(t, "haproxy/haproxy.cfg", nodes);
  const open = await openBrowser(t);
  const windows = [await open(), await open()];
  let sockets = 0;
  for (const { page } of windows) {
    page.on("websocket", () => sockets++);
    await page.goto(balancer.url);
    await isLive(page);
    await watchState(page);
  }
  assert.equal(sockets, 2);
  const texts: string[] = [];
  for (const [index, server] of nodes.slice(0, 2).entries()) {
    const drained = server.drain();
    for (let n = 1; n <= 10; n++) {
      const text = `${index + 1}-${n}`;
      texts.push(text);
      await say(windows[n % 2]?.page as Page, text);
    }
    await drained;
  }
  for (const { page, faults } of windows) {
    await eventually(async () => (await said(page)).length >= texts.length, "something is missing");
    assert.deepEqual((await said(page)).sort(), [...texts].sort());
    assert.deepEqual(await seenStates(page), []);
    assert.deepEqual(faults, []);
  }
  // Both are on the third node now, and came by as many connections as they had to leave.
  assert.equal(nodes[2]?.connections, 2);
  assert.ok(sockets > 2, `${sockets} connections`);
});
