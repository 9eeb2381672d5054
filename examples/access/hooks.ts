// Rules and tokens first, your code for the rest: `authorize` is asked only what neither of them allows.
// From the repository's root: npm run build && node dist/examples/access/hooks.js
import { createServer } from "roomcast";
import { connect, type WebSocketConstructor } from "roomcast/client";
import WebSocket from "ws";

/** Your database. */
const owners = new Map([["doc:7", "ann"]]);

const node = await createServer({
  port: 0,
  logLevel: "error",
  kinds: { news: { allow: { user: ["join"] } } },
  // In the place of tokens: your own sessions. What it grants in `rooms` need not be asked.
  authenticate: ({ token }) =>
    token === "ann's session" ? { user: "ann", rooms: { "chat:*": "join publish" } } : undefined,
  authorize: async ({ user, action, room = "" }) => {
    console.log(`  asked: may ${user} ${action} in ${room}?`);
    return owners.get(room) === user;
  },
});

const ann = connect(node.url, { WebSocket: WebSocket as WebSocketConstructor, token: "ann's session" });
const tell = (what: string, done: Promise<unknown>) =>
  done.then(
    () => console.log(`${what}: yes`),
    ({ code }) => console.log(`${what}: ${code}`),
  );
await tell("ann joins news:1", ann.room("news:1").joined);
await tell("ann publishes in chat:1", ann.room("chat:1").publish("said", "hello"));
await tell("ann joins doc:7", ann.room("doc:7").joined);
await tell("ann joins doc:8", ann.room("doc:8").joined);
const stranger = connect(node.url, { WebSocket: WebSocket as WebSocketConstructor, token: "somebody else's" });
await tell("a stranger joins news:1", stranger.room("news:1").joined);

for (const client of [ann, stranger]) client.close();
await node.close();
