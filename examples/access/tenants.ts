// Two customers on one server. Each has a room chat:1, and neither can tell that the other is there.
// From the repository's root: npm run build && node dist/examples/access/tenants.js
import { SignJWT } from "jose";
import { createServer } from "roomcast";
import { connect, type WebSocketConstructor } from "roomcast/client";
import WebSocket from "ws";

const secret = "a secret of an example: in a repository it is none";
const node = await createServer({ port: 0, logLevel: "error", secret });

const key = new TextEncoder().encode(secret);
const tokenFor = (tenant: string, user: string) =>
  new SignJWT({ tenant, rooms: { "chat:*": "join publish history" } })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime("10m")
    .sign(key);
const clientOf = (tenant: string, user: string) =>
  connect(node.url, { WebSocket: WebSocket as WebSocketConstructor, token: () => tokenFor(tenant, user) });

const clients = { acme: clientOf("acme", "ann"), zeta: clientOf("zeta", "ann") };
for (const client of Object.values(clients)) await client.room("chat:1").joined;
await clients.acme.room("chat:1").publish("said", "hello, acme");
await clients.zeta.room("chat:1").publish("said", "hello, zeta");
await node.publish("chat:1", "said", "from the application, to acme", { tenant: "acme" });
await node.publish("chat:1", "said", "in the room of no tenant");

for (const [tenant, client] of Object.entries(clients)) {
  const { events } = await client.room("chat:1").history();
  for (const { offset, data } of events) console.log(`ann of ${tenant} reads event ${offset}: ${data}`);
}
await clients.acme.room("zeta|chat:1").joined.catch(({ code }) => console.log(`a name with a tenant in it: ${code}`));
for (const client of Object.values(clients)) client.close();
await node.close();
