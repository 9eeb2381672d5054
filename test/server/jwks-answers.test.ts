import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { MAX_JWKS_BYTES } from "../../server/access/tokens/jwks.js";
import type { JwksServer } from "../support/jwks-server.js";
import { isGood, listed, refused } from "../support/listed-keys.js";
import { inSeconds, SigningKey, withSecret } from "../support/tokens.js";

const first = new SigningKey("ES256", "first");
const rsa = new SigningKey("RS256", "rsa");
const ed = new SigningKey("EdDSA", "ed");
const good = { sub: "ann", exp: inSeconds(3600), iat: inSeconds(0) };
/** Signed so long ago that its key has been listed for long. */
const old = { ...good, iat: inSeconds(-600) };

const refusals: readonly (readonly [string, (server: JwksServer) => JwksServer["answer"], RegExp])[] = [
  ["redirects", () => (_, response) => response.writeHead(302, { location: "/other" }).end(), /redirect/],
  [
    "redirects elsewhere",
    () => (_, response) => response.writeHead(307, { location: "http://localhost:1/" }).end(),
    /redirect/,
  ],
  [
    "answers with an error",
    () => (_, response) => response.writeHead(500).end(JSON.stringify({ keys: [] })),
    /status 500/,
  ],
  ["answers without a body", () => (_, response) => response.writeHead(204).end(), /status 204/],
  ["answers with too much", () => (_, response) => response.end(" ".repeat(MAX_JWKS_BYTES + 1)), /longer than/],
  ["never stops answering", () => (_, response) => pour(response), /longer than/],
  ["answers with what is no JSON", () => (_, response) => response.end("<html>"), /not JSON/],
  ["answers with nothing", () => (_, response) => response.end("null"), /no list/],
  ["answers with another list", () => (_, response) => response.end('["keys"]'), /no list/],
  [
    "ends in the middle",
    () => (request, response) =>
      response.writeHead(200, { "content-length": 99 }).write("{", () => request.socket.destroy()),
    /./,
  ],
];

function pour(response: ServerResponse): void {
  const more = (): void => {
    while (!response.destroyed && response.write(" ".repeat(16_384)));
  };
  response.on("drain", more);
  more();
}

for (const [what, answerOf, words] of refusals) {
  test(`an address that ${what} changes nothing of what is known, and is told of once`, async (t) => {
    const { tokens, jwks, server, log } = await listed(t, [first]);
    await jwks.start();
    server.answer = answerOf(server);
    await jwks.refresh();
    await jwks.refresh();
    await isGood(tokens, first.token(good));
    assert.equal(log.lines.length, 1, log.lines.join("\n"));
    assert.match(log.lines[0] as string, /^the keys of tokens cannot be read /);
    assert.match(log.lines[0] as string, words);
  });
}

test("an address that never answers is given up, and what is known goes on", async (t) => {
  const { jwks, tokens, server, log } = await listed(t, [first]);
  await jwks.start();
  server.answer = () => undefined;
  const reading = jwks.refresh();
  await isGood(tokens, first.token(good));
  await reading;
  assert.match(log.lines.join("\n"), /cannot be read .*timeout/);
});

test("an address that answers a byte at a time is given up", async (t) => {
  const { jwks, server, log } = await listed(t, [first]);
  server.answer = (_request, response) => {
    const timer = setInterval(() => response.write(" "), 50);
    response.on("close", () => clearInterval(timer));
  };
  await jwks.start();
  assert.match(log.lines.join("\n"), /cannot be read .*timeout/);
});

const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ format: "jwk" });
const useless: readonly (readonly [string, unknown, RegExp])[] = [
  ["a secret", { kty: "oct", k: "c2VjcmV0", kid: "x", alg: "HS256" }, /a secret has no place/],
  ["a private key", { ...first.privateKey.export({ format: "jwk" }), kid: "x" }, /a private key has no place/],
  ["a short RSA key", new SigningKey("RS256", "x", 1024).jwk(), /2048/],
  ["a key on another curve", { ...p384, kid: "x" }, /P-256/],
  ["a key for encryption", first.jwk({ kid: "x", use: "enc" }), /use/],
  ["a key for signing alone", first.jwk({ kid: "x", key_ops: ["sign"] }), /key_ops/],
  ["a key for an algorithm that is not its own", first.jwk({ kid: "x", alg: "RS256" }), /alg/],
  ["an RSA key for another padding", rsa.jwk({ kid: "x", alg: "PS256" }), /alg/],
  ["a key whose name is a number", first.jwk({ kid: 1 }), /kid/],
  ["a key whose name is endless", first.jwk({ kid: "x".repeat(513) }), /kid/],
  ["a key of another world", { kty: "AKP", alg: "ML-DSA-44", pub: "AAAA", kid: "x" }, /cannot be read/],
  ["half a key", { kty: "EC", crv: "P-256", x: first.jwk()["x"], kid: "x" }, /cannot be read/],
  ["a point that is not on the curve", first.jwk({ kid: "x", y: first.jwk()["x"] }), /cannot be read/],
  ["nothing", null, /object/],
  ["text", "key", /object/],
  ["a list", [], /object/],
];

for (const [what, key, words] of useless) {
  test(`${what} in the list is passed over with one line, and the others are honoured`, async (t) => {
    const { tokens, jwks, server, log } = await listed(t, []);
    server.keys = [key as object, first.jwk()];
    await jwks.start();
    await jwks.refresh();
    await isGood(tokens, first.token(good));
    for (const algorithm of ["RS256", "ES256", "EdDSA"] as const) assert.equal(jwks.find(algorithm, "x"), undefined);
    assert.equal(log.lines.length, 1);
    assert.match(log.lines[0] as string, /^keys of tokens were passed over .*keys\[0\]: /);
    assert.match(log.lines[0] as string, words);
    const parts = typeof key === "object" && key !== null ? Object.values(key).map(String) : [];
    for (const part of parts.filter((one) => one.length > 16)) assert.ok(!log.lines[0]?.includes(part.slice(0, 40)));
  });
}

test("a secret in the list is no secret for tokens", async (t) => {
  const { tokens, jwks, server } = await listed(t, []);
  server.keys = [{ kty: "oct", k: Buffer.from("s".repeat(32)).toString("base64url"), kid: "x", alg: "HS256" }];
  await jwks.start();
  await refused(tokens, withSecret("s".repeat(32), good, { alg: "HS256", kid: "x" }), "unauthorized");
});

test("of a very long list the first hundred keys are looked at", async (t) => {
  const { tokens, jwks, server, log } = await listed(t, []);
  server.keys = [...Array.from({ length: 100 }, () => ed.jwk()), first.jwk()];
  await jwks.start();
  await isGood(tokens, ed.token(good));
  await refused(tokens, first.token(old), "unauthorized");
  assert.match(log.lines.join("\n"), /keys\[100\] and after: too many/);
});
