// A public room: everyone may read, and only who holds a token for it may publish.
// From the repository's root: npm run build && node dist/examples/access/public.js
import { SignJWT } from "jose";
import { createServer } from "roomcast";
import { connect, type WebSocketConstructor } from "roomcast/client";
import WebSocket from "ws";

const secret = "a secret of an example: in a repository it is none";
const kinds = { news: { allow: { anonymous: ["join" as const, "history" as const] } } };
const node = await createServer({ port: 0, logLevel: "error", secret, kinds });

const key = new TextEncoder().encode(secret);
const sign = (claims: { [name: string]: unknown }) =>
  new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).setIssuedAt().setExpirationTime("10m").sign(key);
const options = { WebSocket: WebSocket as WebSocketConstructor };
const tell = (what: string, done: Promise<unknown>) =>
  done.then(
    () => console.log(`${what}: yes`),
    ({ code }) => console.log(`${what}: ${code}`),
  );

const reader = connect(node.url, options);
const editor = connect(node.url, { ...options, token: () => sign({ sub: "ed", rooms: { "news:*": "publish" } }) });
await tell("anyone joins news:1", reader.room("news:1").joined);
await tell("anyone publishes in news:1", reader.room("news:1").publish("headline", "Roomcast is down"));
await tell("the editor publishes in news:1", editor.room("news:1").publish("headline", "Roomcast is up"));
await tell("anyone joins chat:1", reader.room("chat:1").joined);

for (const client of [reader, editor]) client.close();
await node.close();
