// Who is here, with React. From the repository's root: npm run build && node dist/examples/presence/server.js
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer as createWebServer } from "node:http";
import type { AddressInfo } from "node:net";
import { build } from "esbuild";
import { SignJWT } from "jose";
import { createServer } from "roomcast";

// Without a name one may look; who has one is a member that the others see, and may wave.
const secret = randomBytes(32).toString("hex");
const allow = { anonymous: ["join" as const, "members" as const], user: ["publish" as const] };
const port = Number(process.env["ROOMCAST_PORT"] ?? 8000);
const rooms = await createServer({ port, secret, kinds: { page: { allow, presence: { graceMs: 3000 } } } });

// The page, its script within it. Any bundler and any web server will do.
const define = { ROOMCAST_URL: JSON.stringify(rooms.url), "process.env.NODE_ENV": '"production"' };
const entryPoints = ["examples/presence/page.tsx"];
const script = await build({
  entryPoints,
  bundle: true,
  minify: true,
  format: "esm",
  jsx: "automatic",
  write: false,
  define,
});
const head = await readFile("examples/presence/page.html", "utf8");
const html = `${head}<script type="module">${script.outputFiles[0]?.text}</script>`;

/** Here everyone is who they say. Your application knows its users, and signs for those alone. */
const tokenFor = (name: string): Promise<string> =>
  new SignJWT({ sub: name, info: { since: Date.now() } })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuedAt()
    .setExpirationTime("10m")
    .sign(new TextEncoder().encode(secret));

const web = createWebServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
  if (pathname !== "/token") return response.setHeader("content-type", "text/html; charset=utf-8").end(html);
  const name = (searchParams.get("name") ?? "").slice(0, 24);
  return tokenFor(name || "nobody").then((token) => response.end(token));
});
web.listen(Number(process.env["PORT"] ?? 8080), "127.0.0.1", () => {
  console.log(`presence at http://127.0.0.1:${(web.address() as AddressInfo).port}/`);
});
process.once("SIGTERM", () => {
  web.close();
  void rooms.drain();
});
