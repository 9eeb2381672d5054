// A chat whose backend is Fastify: it says who people are and looks at what they say, by hooks over HTTP, and speaks itself,
// by the API. From the repository's root: npm run build && node dist/examples/backend/server.js
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import Fastify from "fastify";
import { createServer, ServerClient, verifyHook } from "roomcast";

// In earnest these stand in both programs' settings: `roomcast token --new-secret` and `roomcast key` make them.
const secret = randomBytes(32).toString("hex");
const key = `rck_${randomBytes(32).toString("base64url")}`;
const apiKey = `backend:publish:sha256:${createHash("sha256").update(key).digest("hex")}`;

const app = Fastify();
/** What is signed are the bytes: they are looked at before they are parsed. */
app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => done(null, body));

app.post("/hooks", async (request, reply) => {
  if (!verifyHook(request.headers, request.body as string, secret)) return reply.code(401).send({});
  const hook = JSON.parse(request.body as string);
  switch (hook.type) {
    case "connect": // the token is whatever your login gave out: here a name
      return hook.token ? { user: hook.token, cacheMs: 60_000 } : { allow: false, reason: "say who you are" };
    case "join":
      return { allow: hook.room.startsWith("chat:"), cacheMs: 60_000 };
    case "publish":
      if (/spam/i.test(hook.data.text)) return { allow: false, reason: "no spam here" };
      return { allow: true, data: { text: hook.data.text.trim() } };
    case "occupied":
      await api.publish(hook.room, "said", { text: "welcome!" }, { from: "backend" });
      return {};
    default:
      return {};
  }
});
app.get("/", (_request, reply) => reply.type("text/html").send(page));
const address = await app.listen({ host: "127.0.0.1", port: Number(process.env["PORT"] ?? 8080) });

const hook = { url: `${address}/hooks` };
const rooms = await createServer({
  port: Number(process.env["ROOMCAST_PORT"] ?? 8000),
  hooks: { connect: hook, join: hook, publish: hook, rooms: hook },
  hookSecrets: [secret],
  hookNetworks: ["127.0.0.0/8"], // hooks go to public addresses alone, unless they are named
  apiKeys: [apiKey],
});
const api = new ServerClient({ url: rooms.url, key });
const page = readFileSync("examples/backend/page.html", "utf8").replaceAll("http://127.0.0.1:8000", rooms.url);
console.log(`chat at ${address}/`);
process.once("SIGTERM", async () => {
  await rooms.drain();
  await app.close();
});
