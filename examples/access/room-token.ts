// A token for one room: whoever is given it may join this room, until the token ends. Sharing a document works so.
// From the repository's root: npm run build && node dist/examples/access/room-token.js
import { SignJWT } from "jose";
import { createServer } from "roomcast";
import { connect, type WebSocketConstructor } from "roomcast/client";
import WebSocket from "ws";

const secret = "a secret of an example: in a repository it is none";
const node = await createServer({ port: 0, logLevel: "error", secret });

const key = new TextEncoder().encode(secret);
const sign = (claims: { [name: string]: unknown }) =>
  new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).setIssuedAt().setExpirationTime("10m").sign(key);
const options = { WebSocket: WebSocket as WebSocketConstructor };
const tell = (what: string, done: Promise<unknown>) =>
  done.then(
    () => console.log(`${what}: yes`),
    ({ code }) => console.log(`${what}: ${code}`),
  );

// The session says who ann is, and grants nothing. What she may is in the tokens of rooms.
const ann = connect(node.url, { ...options, token: () => sign({ sub: "ann" }) });
await tell("ann joins doc:7 with nothing", ann.room("doc:7").joined);
ann.room("doc:7").leave();
const reading = ann.room("doc:7", { token: () => sign({ room: "doc:7" }) });
await tell("ann joins doc:7 with its token", reading.joined);
await tell("ann publishes with it", reading.publish("edit", "a"));
reading.leave();
const writing = ann.room("doc:7", { token: () => sign({ room: "doc:7", sub: "ann", may: "join publish" }) });
await tell("ann joins with one that is for writing", writing.joined);
await tell("ann publishes with that", writing.publish("edit", "a"));
await tell("ann joins doc:8 with it", ann.room("doc:8", { token: () => sign({ room: "doc:7" }) }).joined);

ann.close();
await node.close();
