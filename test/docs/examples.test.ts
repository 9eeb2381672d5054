import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { openBrowser, type Watched } from "../browser/browser.js";
import { eventually } from "../support/eventually.js";
import { Example, root, screenshots, TEST_MS } from "./example.js";

async function say({ page }: Watched, name: string, text: string): Promise<void> {
  await page.fill("#name", name);
  await page.fill("#text", text);
  await page.click("button");
}

/** Waits until a page shows these lines, without their times. */
async function showsLines({ page }: Watched, expected: readonly string[]): Promise<void> {
  let shown: string[] = [];
  const look = async (): Promise<boolean> => {
    shown = (await page.locator("li").allTextContents()).map((line) => line.replace(/^[\d:]+( [AP]M)? /, ""));
    return shown.length >= expected.length;
  };
  await eventually(look).catch(() => undefined);
  assert.deepEqual(shown, expected);
}

test("the first chat: two pages that load the SDK from the node talk", { timeout: TEST_MS }, async (t) => {
  const chat = new Example(t, "first-chat/server.js");
  const [url, open] = await Promise.all([chat.url(), openBrowser(t)]);
  const [ann, bob] = [await open(), await open()];
  for (const { page } of [ann, bob]) await page.goto(url);
  await ann.page.fill("input", "is anybody here?");
  await ann.page.click("button");
  for (const page of [ann, bob]) await showsLines(page, ["is anybody here?"]);
  await bob.page.fill("input", "<b>I</b> am");
  await bob.page.click("button");
  for (const page of [ann, bob]) await showsLines(page, ["is anybody here?", "<b>I</b> am"]);
  assert.deepEqual([...ann.faults, ...bob.faults], []);
  assert.equal(await chat.stop(), 0);
});

test("the chat: two pages talk, who comes later finds the past above the present", { timeout: TEST_MS }, async (t) => {
  const chat = new Example(t, "chat/server.js");
  const [url, open] = await Promise.all([chat.url(), openBrowser(t)]);
  const ann = await open();
  await ann.page.goto(url);
  await say(ann, "Ann", "is anybody here?");
  await showsLines(ann, ["Ann: is anybody here?"]);
  await say(ann, "Ann", "<b>bold</b> & <img src=x onerror=alert(1)>");
  await showsLines(ann, ["Ann: is anybody here?", "Ann: <b>bold</b> & <img src=x onerror=alert(1)>"]);
  assert.equal(await ann.page.locator("li > *").count(), 0, "what people say is shown as text");

  const bob = await open({ colorScheme: "dark" });
  await bob.page.goto(url);
  await showsLines(bob, ["Ann: is anybody here?", "Ann: <b>bold</b> & <img src=x onerror=alert(1)>"]);
  await say(bob, "Bob", "I am");
  for (const page of [ann, bob]) {
    await showsLines(page, ["Ann: is anybody here?", "Ann: <b>bold</b> & <img src=x onerror=alert(1)>", "Bob: I am"]);
  }
  await ann.page.screenshot({ path: join(screenshots, "example-chat.png") });
  await bob.page.screenshot({ path: join(screenshots, "example-chat-dark.png") });
  assert.deepEqual([...ann.faults, ...bob.faults], []);
  assert.equal(await chat.stop(), 0);
});

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("the chat: a page whose server is started anew shows what the new one knows", { timeout: TEST_MS }, async (t) => {
  const port = await freePort();
  const chat = new Example(t, "chat/server.js", port);
  const [url, open] = await Promise.all([chat.url(), openBrowser(t)]);
  const ann = await open();
  await ann.page.goto(url);
  await say(ann, "Ann", "before");
  await showsLines(ann, ["Ann: before"]);
  await chat.stop();
  // It waits in the page until there is a server again.
  await say(ann, "Ann", "after");
  await new Example(t, "chat/server.js", port).url();
  await eventually(async () => (await ann.page.locator("li").allTextContents()).join().endsWith("Ann: after"));
  await showsLines(ann, ["Ann: after"]);
});

test("the cursors: what one page does with its pointer another shows", { timeout: TEST_MS }, async (t) => {
  const cursors = new Example(t, "cursors/server.js");
  const [url, open] = await Promise.all([cursors.url(), openBrowser(t)]);
  const viewport = { width: 800, height: 600 };
  const ann = await open({ viewport });
  const bob = await open({ viewport: { width: 400, height: 300 } });
  await Promise.all([ann.page.goto(url), bob.page.goto(url)]);
  const cursor = bob.page.locator(".cursor");
  let step = 0;
  await eventually(async () => {
    await ann.page.mouse.move(100 + (step++ % 50), 100);
    return (await cursor.count()) === 1;
  }, "one page's cursor is not seen on the other");
  await ann.page.mouse.move(600, 450);
  await eventually(async () => {
    const translate = await cursor.evaluate((element) => (element as HTMLElement).style.translate);
    return translate === "300px 225px";
  }, "the cursor does not stand at the same share of a smaller window");
  assert.equal(await ann.page.locator(".cursor").count(), 0, "nobody is shown their own");
  await bob.page.screenshot({ path: join(screenshots, "example-cursors.png") });
  assert.deepEqual([...ann.faults, ...bob.faults], []);
  assert.equal(await cursors.stop(), 0);
});

test("who is here: a page is told who comes and goes, and who has no name is counted", {
  timeout: TEST_MS,
}, async (t) => {
  const presence = new Example(t, "presence/server.js");
  const [url, open] = await Promise.all([presence.url(), openBrowser(t)]);
  const [ann, bob, cat] = [await open(), await open({ colorScheme: "dark" }), await open()];
  const enter = async ({ page }: Watched, name: string): Promise<void> => {
    await page.goto(url);
    await page.fill("[name=name]", name);
    await page.click("[type=submit]");
    await page.locator("ul .me").waitFor();
  };
  const shows = async ({ page }: Watched, selector: string, expected: readonly string[]): Promise<void> => {
    let shown: string[] = [];
    const look = async () => {
      shown = (await page.locator(selector).allTextContents()).map((text) => text.trim());
      return shown.join() === expected.join();
    };
    await eventually(look).catch(() => assert.deepEqual(shown, expected));
  };
  await enter(ann, "Ann");
  await enter(bob, "Bob");
  await cat.page.goto(url);
  for (const window of [ann, bob, cat]) {
    await shows(window, "ul li", ["A Ann", "B Bob"]);
    await shows(window, "small", ["and 1 without a name"]);
    await shows(window, "p", ["3 here"]);
  }
  await bob.page.click("text=Wave");
  await shows(ann, "ol li", ["Bob waved", "Bob came"]);
  await ann.page.screenshot({ path: join(screenshots, "example-presence.png") });
  await bob.page.screenshot({ path: join(screenshots, "example-presence-dark.png") });
  await bob.page.fill("[name=name]", "Bill");
  await bob.page.click("[type=submit]");
  await shows(ann, "ol li", ["Bill came", "Bob left", "Bob waved", "Bob came"]);
  await cat.page.close();
  await shows(ann, "p", ["2 here"]);
  assert.deepEqual([...ann.faults, ...bob.faults], []);
  assert.equal(await presence.stop(), 0);
});

test("Node to Node: a listener that is cut off gets every event once, in order", { timeout: TEST_MS }, async (t) => {
  const example = new Example(t, "node-to-node.js");
  assert.equal(await example.exited, 0, example.errors);
  const counted = example.lines.filter((line) => line.startsWith("event")).map((line) => Number(line.split(": ")[1]));
  assert.deepEqual(
    counted,
    Array.from({ length: 30 }, (_, index) => index + 1),
  );
  assert.equal(example.lines.filter((line) => line === "-- waiting").length, 2, "it was cut off twice");
});

test("every example says in its first lines how it is run, and has fewer than 60 lines", () => {
  const files = readdirSync(join(root, "examples"), { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.tsx?$/.test(name),
  );
  assert.ok(files.length > 4);
  for (const file of files) {
    const text = readFileSync(join(root, "examples", file), "utf8");
    assert.ok(text.split("\n").length <= 60, `${file} is too long`);
    if (/page\.tsx?$/.test(file)) continue;
    const run = `node dist/examples/${file.replace(/ts$/, "js")}`;
    assert.ok(text.split("\n").slice(0, 2).join("\n").includes(run), `${file}: expected "${run}" in its first lines`);
  }
});
