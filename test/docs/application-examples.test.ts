import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { makeApiKey } from "../../server/access/api-keys.js";
import { openBrowser, type Watched } from "../browser/browser.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { SECRET } from "../support/sign.js";
import { connect, startServer } from "../support/start-server.js";
import { Example, root, screenshots, TEST_MS } from "./example.js";

const linesOf = ({ page }: Watched): Promise<string[]> => page.locator("li").allTextContents();

/** Waits until the page shows just these lines. */
async function shows(watched: Watched, expected: readonly string[]): Promise<void> {
  await eventually(async () => (await linesOf(watched)).length >= expected.length).catch(() => undefined);
  assert.deepEqual(await linesOf(watched), expected);
}

async function say({ page }: Watched, text: string): Promise<void> {
  await page.fill("input", text);
  await page.click("button");
}

test("a page with EventSource alone shows what it and others say", { timeout: TEST_MS }, async (t) => {
  const chat = new Example(t, "event-source/server.js");
  const [url, open] = await Promise.all([chat.url(), openBrowser(t)]);
  const [ann, bob] = [await open(), await open()];
  for (const { page } of [ann, bob]) await page.goto(url);
  await say(ann, "is anybody here?");
  for (const page of [ann, bob]) await shows(page, ["is anybody here?"]);
  await say(bob, "<b>I</b> am");
  for (const page of [ann, bob]) await shows(page, ["is anybody here?", "<b>I</b> am"]);
  await bob.page.screenshot({ path: join(screenshots, "example-event-source.png") });
  assert.deepEqual([...ann.faults, ...bob.faults], []);
  assert.equal(await chat.stop(), 0, chat.errors);
});

test("the backend says who people are, looks at what they say, and speaks itself", { timeout: TEST_MS }, async (t) => {
  const chat = new Example(t, "backend/server.js");
  const [url, open] = await Promise.all([chat.url(), openBrowser(t)]);
  const ann = await open();
  await ann.page.goto(`${url}?name=ann`);
  await shows(ann, ["backend: welcome!"]);
  await say(ann, "  hello  ");
  await shows(ann, ["backend: welcome!", "ann: hello"]);
  await say(ann, "buy spam");
  await shows(ann, ["backend: welcome!", "ann: hello", "(no spam here)"]);
  await ann.page.screenshot({ path: join(screenshots, "example-backend.png") });
  assert.deepEqual(ann.faults, []);
  assert.equal(await chat.stop(), 0, chat.errors);
});

const run = promisify(execFile);
const python = (name: string, args: readonly string[], env: { readonly [name: string]: string }) =>
  run("python3", [join("examples/python", name), ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    timeout: 60_000,
  });

test("a backend in Python publishes by HTTP", { timeout: TEST_MS }, async (t) => {
  const { key, entry } = makeApiKey({ name: "python", scopes: new Set(["publish"]), tenant: "" });
  const server = await startServer(t, { apiKeys: [entry] });
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "chat:a/b" });
  const { stdout } = await python("publish.py", ["chat:a/b", "hello"], {
    ROOMCAST_URL: server.url,
    ROOMCAST_API_KEY: key,
  });
  assert.match(stdout, /^published at \{'epoch': '[\w-]+', 'offset': 1\}\n$/);
  const { events } = await client.next("events");
  assert.deepEqual(
    events.map(({ event, data, from }) => [event, data, from]),
    [["said", { text: "hello" }, "python"]],
  );
  const refused = python("publish.py", ["no such room", "x"], { ROOMCAST_URL: server.url, ROOMCAST_API_KEY: key });
  await assert.rejects(refused, ({ stderr }: { stderr: string }) => /^refused: room: expected/.test(stderr));
});

test("a backend in Python publishes by the queue on NATS", { timeout: TEST_MS }, async (t) => {
  const nats = await startNats(t);
  const server = await startServer(t, { secret: SECRET, nats: [nats.url], queue: "nats" });
  await eventually(() => server.problems().length === 0);
  const { stdout } = await python("queue.py", ["chat:1", "hello"], { ROOMCAST_NATS: nats.url });
  assert.match(stdout, /^in the queue as \d+ of roomcast-commands\n$/);
  await eventually(async () => (await server.history("chat:1")).events?.length === 1);
  const { events = [] } = await server.history("chat:1");
  assert.deepEqual(
    events?.map(({ event, data, from }) => [event, data, from]),
    [["said", { text: "hello" }, "python"]],
  );
});
