// Everyone's cursor, 30 times a second. From the repository's root: npm run build && node dist/examples/cursors/server.js
import { readFile } from "node:fs/promises";
import { createServer as createWebServer } from "node:http";
import type { AddressInfo } from "node:net";
import { build } from "esbuild";
import { createServer } from "roomcast";

// A room without history: nothing is kept, and a reader that cannot keep up skips what is old by now.
const port = Number(process.env["ROOMCAST_PORT"] ?? 8000);
const rooms = await createServer({ port, kinds: { cursors: { history: { size: 0 }, slow: "skip" } } });

// The page, its script within it. Any bundler and any web server will do.
const define = { ROOMCAST_URL: JSON.stringify(rooms.url) };
const entryPoints = ["examples/cursors/page.ts"];
const script = await build({ entryPoints, bundle: true, format: "esm", write: false, define });
const head = await readFile("examples/cursors/page.html", "utf8");
const html = `${head}<script type="module">${script.outputFiles[0]?.text}</script>`;
const web = createWebServer((_, response) => response.setHeader("content-type", "text/html; charset=utf-8").end(html));
web.listen(Number(process.env["PORT"] ?? 8080), "127.0.0.1", () => {
  console.log(`cursors at http://127.0.0.1:${(web.address() as AddressInfo).port}/`);
});
process.once("SIGTERM", () => {
  web.close();
  void rooms.drain();
});
