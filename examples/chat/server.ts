// A chat. From the repository's root: npm run build && node dist/examples/chat/server.js
import { readFile } from "node:fs/promises";
import { createServer as createWebServer } from "node:http";
import type { AddressInfo } from "node:net";
import { build } from "esbuild";
import { createServer } from "roomcast";

// The rooms: those whose names start with `chat:` remember a day.
const port = Number(process.env["ROOMCAST_PORT"] ?? 8000);
const rooms = await createServer({ port, kinds: { chat: { history: { size: 500, ageMs: 86_400_000 } } } });

// The page, its script within it. Any bundler and any web server will do.
const define = { ROOMCAST_URL: JSON.stringify(rooms.url) };
const script = await build({
  entryPoints: ["examples/chat/page.ts"],
  bundle: true,
  format: "esm",
  write: false,
  define,
});
const head = await readFile("examples/chat/page.html", "utf8");
const html = `${head}<script type="module">${script.outputFiles[0]?.text}</script>`;
const web = createWebServer((_, response) => response.setHeader("content-type", "text/html; charset=utf-8").end(html));
web.listen(Number(process.env["PORT"] ?? 8080), "127.0.0.1", () => {
  console.log(`chat at http://127.0.0.1:${(web.address() as AddressInfo).port}/`);
});
process.once("SIGTERM", () => {
  web.close();
  void rooms.drain();
});
