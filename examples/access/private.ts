// Private rooms: each user's own, and those of teams. Who is in which team is in your database, and goes into the token.
// From the repository's root: npm run build && node dist/examples/access/private.js
import { SignJWT } from "jose";
import { createServer } from "roomcast";
import { connect, type WebSocketConstructor } from "roomcast/client";
import WebSocket from "ws";

const secret = "a secret of an example: in a repository it is none";
const node = await createServer({ port: 0, logLevel: "error", secret });

const teamsOf: { readonly [user: string]: readonly string[] } = { ann: ["red"], bob: ["red", "blue"] };
const key = new TextEncoder().encode(secret);
/** What your own server answers with once it knows, from its own session or cookie, who asks. */
function tokenFor(user: string): Promise<string> {
  const teams = (teamsOf[user] ?? []).map((team) => [`team:${team}:*`, "join publish history"]);
  const rooms = { "user:{sub}:*": "join history", ...Object.fromEntries(teams) };
  return new SignJWT({ rooms })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime("10m")
    .sign(key);
}

const options = { WebSocket: WebSocket as WebSocketConstructor };
const ann = connect(node.url, { ...options, token: () => tokenFor("ann") });
const bob = connect(node.url, { ...options, token: () => tokenFor("bob") });
const tell = (what: string, done: Promise<unknown>) =>
  done.then(
    () => console.log(`${what}: yes`),
    ({ code }) => console.log(`${what}: ${code}`),
  );
await tell("ann joins user:ann:inbox", ann.room("user:ann:inbox").joined);
await tell("bob joins user:ann:inbox", bob.room("user:ann:inbox").joined);
await tell("ann publishes in her own inbox", ann.room("user:ann:inbox").publish("mail", "to me"));
await tell("the application does", node.publish("user:ann:inbox", "mail", "to ann"));
await tell("ann publishes in team:red:plans", ann.room("team:red:plans").publish("said", "hello"));
await tell("ann joins team:blue:plans", ann.room("team:blue:plans").joined);
await tell("bob joins team:blue:plans", bob.room("team:blue:plans").joined);

for (const client of [ann, bob]) client.close();
await node.close();
