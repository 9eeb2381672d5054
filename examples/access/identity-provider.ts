// Tokens of an identity provider: the server reads its public keys (JWKS), and checks who issued a token and for whom.
// From the repository's root: npm run build && node dist/examples/access/identity-provider.js
import { createServer as createWebServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { createServer } from "roomcast";
import { connect, type WebSocketConstructor } from "roomcast/client";
import WebSocket from "ws";

// What the provider does: it keeps the private key, and lists the public one.
const { privateKey, publicKey } = await generateKeyPair("ES256");
const keys = [{ ...(await exportJWK(publicKey)), kid: "2026-11", alg: "ES256", use: "sig" }];
const provider = createWebServer((_, response) => response.end(JSON.stringify({ keys })));
await new Promise<void>((done) => provider.listen(0, "127.0.0.1", done));
const jwksUrl = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/.well-known/jwks.json`;
const sign = (audience: string) =>
  new SignJWT()
    .setProtectedHeader({ alg: "ES256", kid: "2026-11" })
    .setSubject("ann")
    .setIssuer("https://login.example")
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime("10m")
    .sign(privateKey);

// Its tokens know nothing of rooms: what users may is in the rules, or for `authorize` to say.
const node = await createServer({
  port: 0,
  logLevel: "error",
  jwksUrl,
  tokenIssuer: ["https://login.example"],
  tokenAudience: ["https://live.example"],
  kinds: { chat: { allow: { user: ["join", "publish"] } } },
});
const clientFor = (audience: string) =>
  connect(node.url, { WebSocket: WebSocket as WebSocketConstructor, token: () => sign(audience) });
const [ann, wrong] = [clientFor("https://live.example"), clientFor("https://shop.example")];
await ann.room("chat:1").joined;
console.log("ann joins chat:1: yes");
await wrong.room("chat:1").joined.catch(({ code }) => console.log(`with a token for another service: ${code}`));

for (const client of [ann, wrong]) client.close();
await node.close();
provider.close();
