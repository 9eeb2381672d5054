// Tokens end: the client fetches the next one in time and stays in its rooms. And what was given can be taken back.
// From the repository's root: npm run build && node dist/examples/access/expiry.js
import { once } from "node:events";
import { SignJWT } from "jose";
import { createServer } from "roomcast";
import { connect, type WebSocketConstructor } from "roomcast/client";
import WebSocket from "ws";

const secret = "a secret of an example: in a repository it is none";
const node = await createServer({ port: 0, logLevel: "error", secret });
const key = new TextEncoder().encode(secret);
const fetched = new EventTarget();
let tokens = 0;
/** Two seconds, so that you need not wait: in earnest it is minutes. */
const fetchToken = () => {
  console.log(`token ${++tokens}`);
  fetched.dispatchEvent(new Event(String(tokens)));
  return new SignJWT({ rooms: { "chat:1": "join publish", "chat:2": "join" } })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject("ann")
    .setIssuedAt()
    .setExpirationTime("2s")
    .sign(key);
};

const ann = connect(node.url, { WebSocket: WebSocket as WebSocketConstructor, token: fetchToken });
ann.on("state", (state) => console.log(`ann is ${state.status}`));
const [one, two] = [ann.room("chat:1"), ann.room("chat:2")];
one.on("said", ({ data }) => console.log(`ann reads: ${data}`));
await Promise.all([one.joined, two.joined]);
const third = once(fetched, "3");
await node.publish("chat:1", "said", "with the first token");
await third;
await node.publish("chat:1", "said", "with a later one, on the same connection");

const out = new Promise<void>((done) => two.onState(({ status }) => status === "failed" && done()));
await node.revoke({ user: "ann", room: "chat:2", actions: "join" });
await out;
console.log("ann may not be in chat:2 any more");
const closed = new Promise<void>((done) => ann.on("state", ({ status }) => status === "closed" && done()));
await node.revoke({ user: "ann", blockedUntil: Date.now() + 60_000 });
await closed;
await node.close();
