/** The client on a network that swallows everything while TCP stays open, against a real server; and on a quiet one. */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { type Client, type ClientState, type ConnectOptions, connect } from "../../client/index.js";
import { eventually } from "../support/eventually.js";
import { TcpProxy } from "../support/proxy.js";
import { type Server, startServer } from "../support/start-server.js";
import { clientCodecs } from "../support/ws-client.js";

type Watched = { readonly client: Client; readonly states: ClientState[] };

function open(t: TestContext, url: string, options: ConnectOptions = {}): Watched {
  const client = connect(url, { WebSocket, minDelayMs: 20, maxDelayMs: 200, connectTimeoutMs: 1000, ...options });
  t.after(() => client.close());
  const states: ClientState[] = [];
  client.on("state", (state) => states.push(state));
  return { client, states };
}

/** The least there is. */
const QUICK = { idleTimeoutMs: 8000, heartbeatMs: 1000 };

const words = (states: readonly ClientState[]): string[] => states.map(({ status }) => status);

const proxied = (t: TestContext, server: Server) => TcpProxy.start(t, { host: "127.0.0.1", port: server.port });

/** A client that a browser's events reach, as far as it looks at them. */
function openInBrowser(t: TestContext, url: string): Watched & { window: EventTarget; document: EventTarget } {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const stand = globalThis as { [name: string]: unknown };
  stand["document"] = document;
  stand["addEventListener"] = window.addEventListener.bind(window);
  const opened = open(t, url);
  for (const name of ["document", "addEventListener"]) delete stand[name];
  return { ...opened, window, document };
}

// Side by side: they mostly wait.
suite("a client whose link is dead or quiet", { concurrency: true }, () => {
  for (const codec of clientCodecs) {
    test(`notices that nothing comes any more, comes back and has missed nothing; nobody else notices (${codec.name})`, async (t) => {
      const server = await startServer(t, { heartbeatMs: 500, kinds: { "*": { history: { size: 10_000 } } } });
      const proxy = await proxied(t, server);
      const [holed, other] = [open(t, proxy.url("http"), { codec }), open(t, server.url, { codec })];
      const [missed, seen]: [unknown[], unknown[]] = [[], []];
      let resets = 0;
      for (const [{ client }, heard] of [[holed, missed] as const, [other, seen] as const]) {
        const room = client.room("chat:1");
        room.onAny(({ data }) => heard.push(data));
        room.onReset(() => resets++);
        await room.joined;
      }
      let published = 0;
      const publish = () => server.publish("chat:1", "n", ++published);
      await publish();
      await eventually(() => missed.length === 1);
      proxy.blackhole();
      await eventually(async () => {
        await publish();
        return holed.client.state.status !== "connected";
      }, "it never noticed");
      const lost = holed.states.find(({ status }) => status === "waiting");
      // Nothing came through that could have told it.
      assert.equal(lost?.status === "waiting" && lost.reason, "no sign of life");
      proxy.heal();
      await publish();
      await eventually(() => missed.length >= published && seen.length >= published, "events are missing");
      const all = Array.from({ length: published }, (_, index) => index + 1);
      assert.deepEqual([missed, seen, resets], [all, all, 0]);
      assert.deepEqual(words(other.states), ["connected"]);
    });

    test(`stays connected while it is quiet for longer than a dead one would last (${codec.name})`, async (t) => {
      const server = await startServer(t, QUICK);
      let heartbeats = 0;
      class Counted extends WebSocket {
        constructor(url: string, protocols: string[]) {
          super(url, protocols);
          this.on("message", () => heartbeats++);
        }
      }
      const { states } = open(t, server.url, { codec, WebSocket: Counted });
      await eventually(() => heartbeats >= 12, "heartbeats do not come");
      assert.deepEqual(words(states), ["connected"]);
    });
  }

  test("goes on hearing while nothing that it sends arrives; freed by the server it comes back, and its publish counts once", async (t) => {
    const server = await startServer(t, { ...QUICK, kinds: { "*": { history: { size: 10_000 } } } });
    const proxy = await proxied(t, server);
    const { client, states } = open(t, proxy.url("http"));
    const room = client.room("chat:1");
    const heard: unknown[] = [];
    let resets = 0;
    room.onAny(({ data }) => heard.push(data));
    room.onReset(() => resets++);
    await room.joined;
    proxy.blackhole("toServer");
    const mine = room.publish("n", "mine");
    let published = 0;
    await eventually(async () => {
      await server.publish("chat:1", "n", ++published);
      await eventually(() => heard.length === published || server.connections === 0);
      return server.connections === 0;
    }, "it was never freed");
    assert.ok(published > 1, "it hears on");
    await eventually(() => client.state.status !== "connected", "it never noticed");
    proxy.heal();
    await mine;
    await eventually(() => heard.length >= published + 1, "events are missing");
    const numbers = Array.from({ length: published }, (_, index) => index + 1);
    assert.deepEqual([heard, resets], [[...numbers, "mine"], 0]);
    assert.deepEqual([words(states).at(0), words(states).at(-1)], ["connected", "connected"]);
  });

  test("notices sooner when the device says that it is back online, or the page is seen again", async (t) => {
    const server = await startServer(t);
    const proxy = await proxied(t, server);
    const [told, seen, untold] = [
      openInBrowser(t, proxy.url("http")),
      openInBrowser(t, proxy.url("http")),
      openInBrowser(t, proxy.url("http")),
    ];
    const connected = (one: Watched) => one.client.state.status === "connected";
    await eventually(() => [told, seen, untold].every(connected));
    proxy.blackhole();
    told.window.dispatchEvent(new Event("online"));
    seen.document.dispatchEvent(new Event("visibilitychange"));
    await eventually(() => !connected(told) && !connected(seen), "it never noticed");
    assert.equal(connected(untold), true);
  });
});
