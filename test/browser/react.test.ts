/** The hooks of `roomcast/client/react` in pages of a real browser, in StrictMode, on a real server. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { eventually } from "../support/eventually.js";
import { TcpProxy } from "../support/proxy.js";
import { type Server, type ServerOptions, startServer, usersMayAll } from "../support/start-server.js";
import { openBrowser, type Watched } from "./browser.js";
import type { Api } from "./react-page.js";

type Shown = Parameters<Api["show"]>[2];

let bundled: Promise<string> | undefined;

/** The script of the page, with React's own checks in it. */
function script(): Promise<string> {
  bundled ??= build({
    entryPoints: [fileURLToPath(new URL("react-page.js", import.meta.url))],
    bundle: true,
    format: "esm",
    write: false,
    logLevel: "error",
    define: { "process.env.NODE_ENV": '"development"' },
  }).then(({ outputFiles }) => outputFiles[0]?.text ?? "");
  return bundled;
}

async function startPages(t: TestContext): Promise<string> {
  const text = await script();
  const pages = createServer(({ url }, response) => {
    if (url === "/page.js") return void response.setHeader("content-type", "text/javascript").end(text);
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end('<link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/page.js"></script>');
  }).listen(0, "127.0.0.1");
  await once(pages, "listening");
  t.after(() => {
    pages.closeAllConnections();
    pages.close();
  });
  return `http://127.0.0.1:${(pages.address() as AddressInfo).port}/`;
}

/** A window of a user, and what it says. */
class Window {
  readonly page: Page;
  readonly faults: readonly string[];
  readonly #user: string;
  readonly #url: string;

  constructor({ page, faults }: Watched, user: string, url: string) {
    this.page = page;
    this.faults = faults;
    this.#user = user;
    this.#url = url;
  }

  show(shown: Shown, user = this.#user): Promise<void> {
    return this.page.evaluate(([url, who, what]) => (globalThis as unknown as { api: Api }).api.show(url, who, what), [
      this.#url,
      user,
      shown,
    ] as const);
  }

  /** The HTML of a server's rendering, that the page takes over. */
  hydrate(room: string): Promise<string> {
    return this.page.evaluate(
      ([url, user, name]) => (globalThis as unknown as { api: Api }).api.hydrate(url, user, name),
      [this.#url, this.#user, room] as const,
    );
  }

  noted(list: "heard" | "states" | "memberViews"): Promise<readonly string[]> {
    return this.page.evaluate((name) => (globalThis as unknown as { api: Api }).api[name], list);
  }

  /** How many clients it has made, and how each stands. */
  clients(): Promise<readonly string[]> {
    return this.page.evaluate(() =>
      (globalThis as unknown as { api: Api }).api.clients.map(({ state }) => state.status as string),
    );
  }

  lines(selector = "section li"): Promise<string[]> {
    return this.page.locator(selector).allTextContents();
  }

  async showsLines(expected: readonly string[], selector?: string): Promise<void> {
    let shown: readonly string[] = [];
    await eventually(async () => {
      shown = await this.lines(selector);
      return shown.join() === expected.join();
    }).catch(() => assert.deepEqual(shown, expected));
  }

  async joined(count = 1): Promise<void> {
    const sections = this.page.locator("section[data-state=joined]");
    await eventually(async () => (await sections.count()) === count, `${count} chats are not joined`);
  }
}

/** A server whose users are called as their tokens, and what opens windows on it; `url` where they connect to. */
async function start(t: TestContext) {
  const authenticate: ServerOptions["authenticate"] = ({ token }) => (token ? { user: token } : undefined);
  const presence = { intervalMs: 50 };
  const kinds = { chat: { ...usersMayAll["*"], history: { size: 10 }, presence } };
  const server = await startServer(t, { authenticate, kinds });
  const proxy = await TcpProxy.start(t, { host: "127.0.0.1", port: server.port });
  const [pages, open] = await Promise.all([startPages(t), openBrowser(t)]);
  const openWindow = async (user: string): Promise<Window> => {
    const watched = await open();
    await watched.page.goto(pages);
    return new Window(watched, user, proxy.url("http"));
  };
  return { server, proxy, openWindow };
}

const inRoom = async (server: Server, room: string, count: number): Promise<void> => {
  let found: unknown;
  const look = async () => {
    found = await server.count(room);
    return (found as { count: number }).count === count;
  };
  await eventually(look).catch(() => assert.fail(`expected ${count} in ${room}, got ${JSON.stringify(found)}`));
};

test("each event is rendered once and heard once, by the listener of the last rendering, also with two lists of a room", async (t) => {
  const { server, openWindow } = await start(t);
  const ann = await openWindow("ann");
  await ann.show({ chats: [{ room: "chat:1" }, { room: "chat:1" }] });
  await ann.joined(2);
  await inRoom(server, "chat:1", 1);
  assert.deepEqual(await ann.clients(), ["connected"], "StrictMode's second mounting makes no second client");
  for (const data of ["a", "b", "c"]) await server.publish("chat:1", "said", data);
  await ann.showsLines(["a", "b", "c", "a", "b", "c"]);
  assert.deepEqual(await ann.noted("heard"), ["a", "a", "b", "b", "c", "c"], "once by each of the two");
  for (const data of ["d", "e", "f"]) await server.publish("chat:1", "said", data);
  await ann.showsLines(["b", "c", "d", "e", "f", "b", "c", "d", "e", "f"]);
  assert.deepEqual(await ann.noted("states"), ["connecting", "connected"]);
  assert.deepEqual(ann.faults, []);
});

test("a room is left with the last that shows it; another name is another room; the client goes with its provider", async (t) => {
  const { server, openWindow } = await start(t);
  const ann = await openWindow("ann");
  await ann.show({ chats: [{ room: "chat:1" }, { room: "chat:1" }] });
  await inRoom(server, "chat:1", 1);
  await ann.show({ chats: [{ room: "chat:1" }] });
  await server.publish("chat:1", "said", "still here");
  await ann.showsLines(["still here"]);
  await ann.show({ chats: [{ room: "chat:2" }] });
  await inRoom(server, "chat:1", 0);
  await ann.joined();
  await inRoom(server, "chat:2", 1);
  assert.deepEqual(await ann.lines(), [], "of the other room nothing is shown");
  await ann.show({ chats: [] });
  await inRoom(server, "chat:2", 0);
  assert.deepEqual(await ann.clients(), ["connected"]);
  await ann.show({ chats: [{ room: "chat:2" }] });
  await inRoom(server, "chat:2", 1);
  await ann.show(null);
  await eventually(() => server.connections === 0, "the client was not closed");
  assert.deepEqual(await ann.clients(), ["closed"]);
  assert.deepEqual(ann.faults, []);
});

test("with `past` the list begins with what was before; a reset empties it, and it begins anew", async (t) => {
  const { server, proxy, openWindow } = await start(t);
  for (let number = 1; number <= 8; number++) await server.publish("chat:1", "said", String(number));
  const ann = await openWindow("ann");
  await ann.show({ chats: [{ room: "chat:1", past: true }] });
  await ann.showsLines(["4", "5", "6", "7", "8"]);
  await server.publish("chat:1", "said", "9");
  await ann.showsLines(["5", "6", "7", "8", "9"]);
  assert.deepEqual(await ann.noted("heard"), ["9"]);
  // More than the room remembers.
  proxy.refuse();
  proxy.cut();
  for (let number = 10; number <= 29; number++) await server.publish("chat:1", "said", String(number));
  proxy.heal();
  await ann.showsLines(["25", "26", "27", "28", "29"]);
  await server.publish("chat:1", "said", "30");
  await ann.showsLines(["26", "27", "28", "29", "30"]);
  assert.deepEqual(await ann.noted("heard"), ["9", "30 after 1 resets"]);
});

test("a cut connection is seen in the state alone: what was missed comes once", async (t) => {
  const { server, proxy, openWindow } = await start(t);
  const ann = await openWindow("ann");
  await ann.show({ chats: [{ room: "chat:1" }] });
  await ann.joined();
  await server.publish("chat:1", "said", "before");
  await ann.showsLines(["before"]);
  assert.equal(proxy.cut(), 1);
  await server.publish("chat:1", "said", "meanwhile");
  await ann.showsLines(["before", "meanwhile"]);
  assert.deepEqual(await ann.noted("heard"), ["before", "meanwhile"]);
  assert.deepEqual(await ann.noted("states"), ["connecting", "connected", "waiting", "connecting", "connected"]);
});

test("members come and go; a cut connection that comes back in time is seen by nobody", async (t) => {
  const { server, proxy, openWindow } = await start(t);
  const [ann, bob] = [await openWindow("ann"), await openWindow("bob")];
  await ann.show({ who: "chat:1" });
  await ann.showsLines(["ann"], "ul li");
  await bob.show({ who: "chat:1" });
  for (const window of [ann, bob]) await window.showsLines(["ann", "bob"], "ul li");

  assert.equal(proxy.cut(), 2);
  const back = ["connecting", "connected", "waiting", "connecting", "connected"];
  for (const window of [ann, bob]) await eventually(async () => (await window.noted("states")).join() === back.join());
  await inRoom(server, "chat:1", 2);
  // What is told after it shows that nothing was told before.
  const cat = await openWindow("cat");
  await cat.show({ who: "chat:1" });
  for (const window of [ann, bob]) await window.showsLines(["ann", "bob", "cat"], "ul li");
  await cat.show({});
  await ann.showsLines(["ann", "bob"], "ul li");
  await bob.show(null);
  await ann.showsLines(["ann"], "ul li");
  assert.deepEqual(await ann.noted("memberViews"), ["not listed", "ann", "ann bob", "ann bob cat", "ann bob", "ann"]);
  assert.deepEqual(cat.faults, []);
});

test("who asks for members later makes the room another one: its events go on, none missing and none twice", async (t) => {
  const { server, openWindow } = await start(t);
  const [ann, bob] = [await openWindow("ann"), await openWindow("bob")];
  await bob.show({ who: "chat:1" });
  await bob.showsLines(["bob"], "ul li");
  await ann.show({ chats: [{ room: "chat:1" }] });
  await ann.joined();
  const published: string[] = [];
  const publish = async () => {
    published.push(String(published.length));
    await server.publish("chat:1", "said", published.at(-1));
  };
  for (let round = 0; round < 3; round++) {
    await publish();
    await Promise.all([ann.show({ chats: [{ room: "chat:1" }], who: "chat:1" }), publish(), publish()]);
    for (const window of [ann, bob]) await window.showsLines(["ann", "bob"], "ul li");
    await Promise.all([ann.show({ chats: [{ room: "chat:1" }] }), publish()]);
    await bob.showsLines(["bob"], "ul li");
  }
  await ann.showsLines(published.slice(-5));
  assert.deepEqual(await ann.noted("heard"), published);
  assert.deepEqual([...ann.faults, ...bob.faults], []);
});

test("what React hides leaves the room, and joins it again when it is shown, with a list that has no gap", async (t) => {
  const { server, openWindow } = await start(t);
  const ann = await openWindow("ann");
  const chats = [{ room: "chat:1" }];
  await ann.show({ chats });
  await ann.joined();
  await server.publish("chat:1", "said", "seen");
  await ann.showsLines(["seen"]);
  await ann.show({ chats, hidden: true });
  await inRoom(server, "chat:1", 0);
  await server.publish("chat:1", "said", "unseen");
  await ann.show({ chats });
  await inRoom(server, "chat:1", 1);
  await ann.joined();
  await server.publish("chat:1", "said", "seen again");
  await ann.showsLines(["seen again"]);
  assert.deepEqual(await ann.noted("heard"), ["seen", "seen again"]);
  assert.deepEqual(ann.faults, []);
});

test("what is rendered and never finished joins nothing; once it is finished it does", async (t) => {
  const { server, openWindow } = await start(t);
  const ann = await openWindow("ann");
  await ann.show({ chats: [{ room: "chat:1" }, { room: "chat:2", isWaiting: true }] });
  await ann.joined();
  await inRoom(server, "chat:1", 1);
  assert.equal((await server.rooms()).rooms.length, 1);
  await ann.show({ chats: [{ room: "chat:1" }, { room: "chat:2" }] });
  await ann.joined(2);
  await inRoom(server, "chat:2", 1);
  assert.deepEqual(ann.faults, []);
});

test("a server's HTML is taken over as it is, also where the room is joined already, and then shows what is there", async (t) => {
  const { openWindow } = await start(t);
  const ann = await openWindow("ann");
  const main = ann.page.locator("main");
  for (const nth of [0, 1]) {
    assert.equal(await ann.hydrate("chat:1"), "<main>connecting idle</main>");
    await main.nth(nth).getByText("connected joined ann", { exact: true }).waitFor();
  }
  assert.deepEqual(ann.faults, [], "React says nothing of HTML that does not match");
});
