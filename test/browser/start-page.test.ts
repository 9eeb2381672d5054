import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { SignJWT } from "jose";
import type { Page } from "playwright-core";
import { WebSocket } from "ws";
import { type Client, connect } from "../../client/index.js";
import { createServer, type Server, type ServerOptions } from "../../server/server.js";
import { openBrowser } from "./browser.js";

/** Pictures for people to look at: ROOMCAST_SCREENSHOTS names the folder, else it is one beside the compiled test. */
const pictures = process.env["ROOMCAST_SCREENSHOTS"] ?? join(import.meta.dirname, "screenshots");
mkdirSync(pictures, { recursive: true });

async function startServer(t: TestContext, options: ServerOptions = {}): Promise<Server> {
  const server = await createServer({ port: 0, logLevel: "error", ...options });
  t.after(() => server.close());
  return server;
}

async function freePort(): Promise<number> {
  const probe = createTcpServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

function connectFromNode(t: TestContext, server: Server): Client {
  const client = connect(server.url, { WebSocket });
  t.after(() => client.close());
  return client;
}

async function isLive(page: Page): Promise<void> {
  await page.locator("#state[data-state=live]").waitFor();
  await page.locator("#cut:enabled").waitFor();
}

function say(page: Page, text: string): Promise<void> {
  return page
    .locator("#text")
    .fill(text)
    .then(() => page.locator("#text").press("Enter"));
}

/** What the page shows of the room: offsets and texts, from the top. */
async function shown(page: Page): Promise<{ offset: number; text: string }[]> {
  return page.locator("#log li").evaluateAll((rows) =>
    rows.map((row) => ({
      offset: Number(row.querySelector(".at")?.textContent),
      text: row.querySelector(".words")?.lastChild?.textContent ?? "",
    })),
  );
}

const has = (page: Page, text: string): Promise<void> =>
  page.locator("#log li").filter({ hasText: text }).first().waitFor();

test("two windows and a Node program share the demo room", async (t) => {
  const server = await startServer(t);
  const open = await openBrowser(t);
  const [one, two] = [await open(), await open()];
  for (const { page } of [one, two]) await page.goto(server.url).then(() => isLive(page));

  const room = connectFromNode(t, server).room("demo:lobby");
  const heard: unknown[] = [];
  room.on("said", (event) => heard.push(event.data));
  await room.join();

  await say(one.page, "from the first window");
  await has(two.page, "from the first window");
  await say(two.page, "<b>from the second</b>");
  await has(one.page, "<b>from the second</b>");
  await room.publish("said", { text: "from Node", name: "Node" });
  await Promise.all([has(one.page, "from Node"), has(two.page, "from Node")]);

  assert.deepEqual(await shown(one.page), [
    { offset: 1, text: "from the first window" },
    { offset: 2, text: "<b>from the second</b>" },
    { offset: 3, text: "from Node" },
  ]);
  assert.deepEqual(await shown(two.page), await shown(one.page));
  assert.equal(heard.length, 3);
  assert.equal(await one.page.locator("#offset").textContent(), "3");
  await two.page.reload();
  await isLive(two.page);
  await has(two.page, "from Node");
  assert.deepEqual(await shown(two.page), await shown(one.page));
  assert.deepEqual([one.faults, two.faults], [[], []]);
});

test("what is published while the connection is cut is all there afterwards, in order and once", async (t) => {
  const server = await startServer(t);
  const open = await openBrowser(t);
  const { page, faults } = await open({ viewport: { width: 1280, height: 900 } });
  await page.goto(server.url);
  await isLive(page);
  await say(page, "before");
  await has(page, "before");

  await page.locator("#cut").click();
  await page.locator("#state:not([data-state=live])").waitFor();
  for (let count = 0; count < 20; count++) {
    await server.publish("demo:lobby", "said", { text: `while away ${count}`, name: "Node" });
  }
  await say(page, "said while cut off");
  await page.screenshot({ path: join(pictures, "cut.png"), fullPage: true });
  await page.locator("#steps .good, #steps .bad").waitFor();
  await has(page, "said while cut off");

  const rows = await shown(page);
  assert.match(
    (await page.locator("#steps .good").textContent()) ?? "",
    /all \d+ missed events are here, offsets 2 to \d+, in order, each once/,
  );
  assert.deepEqual(
    rows.map((row) => row.offset),
    rows.map((_, index) => index + 1),
  );
  assert.equal(rows.length, 1 + 20 + 3 + 1);
  assert.equal(rows.filter((row) => row.text === "said while cut off").length, 1);
  await page.screenshot({ path: join(pictures, "caught-up.png"), fullPage: true });
  assert.deepEqual(faults, []);
});

test("where the log no longer reaches back the page says so instead of pretending", async (t) => {
  const server = await startServer(t, { kinds: { demo: { history: { size: 2 } } } });
  const open = await openBrowser(t);
  const { page, faults } = await open();
  await page.goto(server.url);
  await isLive(page);
  await say(page, "before");
  await has(page, "before");
  await page.locator("#cut").click();
  await page.locator("#state:not([data-state=live])").waitFor();
  await page.locator("#steps .warn").waitFor();
  await has(page, "Third while you were away");
  assert.equal(await page.locator("#steps .good").count(), 0);
  assert.deepEqual(
    (await shown(page)).map((row) => row.text),
    ["Second while you were away", "Third while you were away"],
  );
  assert.deepEqual(faults, []);
});

test("a pointer moved in one window moves in the other", async (t) => {
  const server = await startServer(t);
  const open = await openBrowser(t);
  const [one, two] = [await open(), await open()];
  for (const { page } of [one, two]) await page.goto(server.url).then(() => isLive(page));
  const name = (await one.page.locator("#me").textContent()) ?? "";
  await one.page.locator("#pad").hover({ position: { x: 40, y: 40 } });
  const cursor = two.page.locator("#pad .cursor").filter({ hasText: name });
  await cursor.waitFor({ state: "attached" });
  const before = await cursor.getAttribute("style");
  await one.page.locator("#pad").hover({ position: { x: 200, y: 120 } });
  await two.page.waitForFunction(
    ([was]) => document.querySelector("#pad .cursor")?.getAttribute("style") !== was,
    [before],
  );
  await one.page.locator("#pad").focus();
  await one.page.keyboard.press("ArrowLeft");
  assert.deepEqual([one.faults, two.faults], [[], []]);
});

test("a page that a restarted node has forgotten comes back by itself and starts anew", async (t) => {
  // Linux hands a port that was bound as "any free one" out again only when its last connection has timed out.
  const port = await freePort();
  const server = await startServer(t, { port });
  const open = await openBrowser(t);
  const { page } = await open();
  await page.goto(server.url);
  await isLive(page);
  await say(page, "of the first log");
  await has(page, "of the first log");
  const epoch = await page.locator("#epoch").textContent();

  await server.close();
  await page.locator("#state:not([data-state=live])").waitFor();
  const again = await createServer({ port, logLevel: "error" });
  t.after(() => again.close());
  await again.publish("demo:lobby", "said", { text: "of the second log", name: "Node" });

  await has(page, "of the second log");
  assert.deepEqual(await shown(page), [{ offset: 1, text: "of the second log" }]);
  assert.notEqual(await page.locator("#epoch").textContent(), epoch);
});

test("where the node asks for a token the page says so, and takes one from its address", async (t) => {
  const secret = "a secret of thirty-two characters";
  const server = await startServer(t, { secret });
  const open = await openBrowser(t);
  const { page } = await open();
  await page.goto(server.url);
  await page.locator("#state[data-state=closed]").waitFor();
  assert.match((await page.locator("#notice").textContent()) ?? "", /#token=/);

  const show = async (rooms?: object): Promise<void> => {
    const token = await new SignJWT({ sub: "ann", ...(rooms && { rooms }) })
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("1h")
      .sign(new TextEncoder().encode(secret));
    await page.goto(`${server.url}/#token=${token}`);
    await page.reload();
    await page.locator("#state[data-state=live]").waitFor();
  };
  await show();
  await page.locator("#notice:visible").waitFor();
  assert.match(
    (await page.locator("#notice").textContent()) ?? "",
    /may not join in "demo:lobby".*roomcast token --room/,
  );
  await show({ "demo:*": "join publish history", "cursor:*": "join publish" });
  await say(page, "let in");
  await has(page, "let in");
  assert.equal(await page.locator("#notice").isVisible(), false);
});

for (const colorScheme of ["light", "dark"] as const) {
  for (const [device, width, height] of [
    ["phone", 360, 740],
    ["desktop", 1280, 900],
  ] as const) {
    test(`the start page fits a ${device} in ${colorScheme} colours and works by keyboard alone`, async (t) => {
      const server = await startServer(t);
      const open = await openBrowser(t);
      const { page, faults } = await open({ colorScheme, viewport: { width, height }, deviceScaleFactor: 1 });
      await page.goto(server.url);
      await isLive(page);
      await page.locator("body").press("Tab");
      for (let presses = 0; presses < 10 && !(await page.locator("#text:focus").count()); presses++) {
        await page.keyboard.press("Tab");
      }
      await page.keyboard.type(`a word that is far too long for a narrow window: ${"x".repeat(120)}`);
      await page.keyboard.press("Enter");
      await has(page, "far too long");
      for (const text of ["Good morning", "Anyone in a second window?", "Yes: it came through at once."])
        await say(page, text);
      await has(page, "at once");
      await page.locator("#pad").hover({ position: { x: 60, y: 60 } });

      const { scroll, client, ground } = await page.evaluate(() => ({
        scroll: document.documentElement.scrollWidth,
        client: document.documentElement.clientWidth,
        ground: getComputedStyle(document.body).backgroundColor,
      }));
      assert.equal(scroll, client, "the page scrolls sideways");
      assert.equal(ground, colorScheme === "dark" ? "rgb(14, 17, 23)" : "rgb(245, 246, 248)");
      await page.screenshot({ path: join(pictures, `${device}-${colorScheme}.png`), fullPage: true });
      assert.deepEqual(faults, []);
    });
  }
}
