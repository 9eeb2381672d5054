// A page that needs no SDK: EventSource to listen, fetch to publish. From the repository's root:
// npm run build && node dist/examples/event-source/server.js
import { readFileSync } from "node:fs";
import { createServer as createWebServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer } from "roomcast";

const rooms = await createServer({ port: Number(process.env["ROOMCAST_PORT"] ?? 8000) });
const page = readFileSync("examples/event-source/page.html", "utf8").replaceAll("http://127.0.0.1:8000", rooms.url);
const web = createWebServer((_, response) => response.setHeader("content-type", "text/html; charset=utf-8").end(page));
web.listen(Number(process.env["PORT"] ?? 8080), "127.0.0.1", () => {
  console.log(`chat at http://127.0.0.1:${(web.address() as AddressInfo).port}/`);
});
process.once("SIGTERM", () => {
  web.close();
  web.closeAllConnections();
  void rooms.drain();
});
