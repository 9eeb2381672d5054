import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { type Server, startServer } from "../support/start-server.js";
import { openBrowser } from "./browser.js";

const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><ul></ul><script type="module">
  import { connect } from "/v1/client.js";
  const client = connect(location.origin, { minDelayMs: 20, maxDelayMs: 100 });
  globalThis.client = client;
  for (const name of ["chat:1", "chat:2"]) {
    client.room(name).on("said", ({ data }) => {
      const line = document.createElement("li");
      line.textContent = name + " " + data;
      document.querySelector("ul").append(line);
    });
  }
</script>`;

/** What stands in front of the server: it passes requests on as they come, and knows nothing of WebSockets. */
async function oldProxy(
  t: TestContext,
  server: Server,
): Promise<{ readonly url: string; readonly upgrades: () => number }> {
  let upgrades = 0;
  const proxy = createServer((from, to) => {
    if (from.url === "/page") return void to.setHeader("content-type", "text/html").end(PAGE);
    const { method = "GET", url = "/", headers } = from;
    const asked = request(server.url + url, { method, headers }, (answer) => {
      to.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(to);
    });
    asked.on("error", () => to.destroy());
    to.on("close", () => asked.destroy());
    from.pipe(asked);
  });
  proxy.on("upgrade", (_request, socket) => {
    upgrades++;
    socket.end("HTTP/1.1 501 Not Implemented\r\nconnection: close\r\n\r\n");
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  t.after(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, upgrades: () => upgrades };
}

test("a page behind a proxy that refuses WebSockets goes on with streams: it hears everything once, and publishes", async (t) => {
  const server = await startServer(t, { page: true });
  const [proxy, open] = await Promise.all([oldProxy(t, server), openBrowser(t)]);
  const { page } = await open();
  await page.goto(`${proxy.url}/page`);
  const lines = () => page.locator("li").allTextContents();
  await page.waitForFunction("client.state.status === 'connected' && client.room('chat:2').state.status === 'joined'");
  assert.ok(proxy.upgrades() >= 2, "WebSockets are tried first");
  const said = Array.from({ length: 20 }, (_, index) => String(index));
  for (const data of said) await server.publish("chat:1", "said", data);
  await eventually(async () => (await lines()).length >= said.length);
  const position = await page.evaluate("client.room('chat:2').publish('said', 'from the page')");
  assert.equal((position as { offset: number }).offset, 1);
  await eventually(async () => (await lines()).length > said.length);
  assert.deepEqual(await lines(), [...said.map((data) => `chat:1 ${data}`), "chat:2 from the page"]);
  const { events } = (await page.evaluate("client.room('chat:1').history({ limit: 3 })")) as {
    events: { data: unknown }[];
  };
  assert.deepEqual(
    events.map(({ data }) => data),
    said.slice(-3),
  );
});
