import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { SignJWT } from "jose";
import { TokenError, verifyToken } from "../../server/access/token.js";

const SECRET = "the secret of these tests, 32 characters and more";
const key = new TextEncoder().encode(SECRET);
const verify = verifyToken(SECRET);
const now = Math.floor(Date.now() / 1000);

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token signed by hand, so that it can be one that no library makes. */
function byHand(header: unknown, payload: unknown, secret = SECRET, digest = "sha256"): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${createHmac(digest, secret).update(input).digest("base64url")}`;
}

const hs256 = { alg: "HS256", typ: "JWT" };
const good = { sub: "ann", exp: now + 3600 };

test("a valid token says who it is, what is told of them, and until when", async () => {
  const token = await new SignJWT({ info: { name: "Ann" } })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject("ann")
    .setExpirationTime(now + 60)
    .sign(key);
  const claims = await verify(token);
  assert.deepEqual(claims, { user: "ann", info: { name: "Ann" }, expiresAt: (now + 90) * 1000 });
});

test("a token without a user is anonymous", async () => {
  assert.deepEqual(await verify(byHand(hs256, { exp: now + 60 })), { expiresAt: (now + 90) * 1000 });
});

test("clocks may be half a minute apart, and the end told is never past already", async () => {
  const { expiresAt } = await verify(byHand(hs256, { ...good, exp: Math.floor(Date.now() / 1000) - 5 }));
  assert.ok(expiresAt > Date.now());
});

test("an end in all eternity is a number that can be sent", async () => {
  const endless = byHand(hs256, good).split(".");
  const input = `${endless[0]}.${Buffer.from('{"exp":1e400}').toString("base64url")}`;
  const { expiresAt } = await verify(`${input}.${createHmac("sha256", SECRET).update(input).digest("base64url")}`);
  assert.ok(Number.isSafeInteger(expiresAt));
});

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const publicPem = publicKey.export({ type: "spki", format: "pem" }).toString();

const bad: readonly (readonly [string, string | Promise<string>, "unauthorized" | "expired"])[] = [
  ["that is empty", "", "unauthorized"],
  ["that is garbage", "this-is-no-token", "unauthorized"],
  ["that is garbage in three parts", "aaaa.bbbb.cccc", "unauthorized"],
  ["with a lone surrogate and other odd characters", "\ud800.\u0000.\u{1f600}", "unauthorized"],
  ["without a signature and of the algorithm none", `${encode({ alg: "none" })}.${encode(good)}.`, "unauthorized"],
  ["of the algorithm nOnE", byHand({ alg: "nOnE" }, good), "unauthorized"],
  ["with its signature cut off", byHand(hs256, good).replace(/\.[^.]*$/, "."), "unauthorized"],
  ["with another payload than was signed", swapped(), "unauthorized"],
  ["signed with another secret", byHand(hs256, good, `${SECRET}!`), "unauthorized"],
  ["signed with an empty secret", byHand(hs256, good, ""), "unauthorized"],
  ["of HS512 with the right secret", byHand({ alg: "HS512" }, good, SECRET, "sha512"), "unauthorized"],
  ["of RS256", new SignJWT(good).setProtectedHeader({ alg: "RS256" }).sign(privateKey), "unauthorized"],
  ["that says RS256 and is HMACed with the public key", byHand({ alg: "RS256" }, good, publicPem), "unauthorized"],
  ["without an end", byHand(hs256, { sub: "ann" }), "unauthorized"],
  ["whose end is text", byHand(hs256, { ...good, exp: `${now + 3600}` }), "unauthorized"],
  ["whose end is nothing", byHand(hs256, { ...good, exp: null }), "unauthorized"],
  ["that is past its end", byHand(hs256, { ...good, exp: now - 120 }), "expired"],
  ["that ended in 1970", byHand(hs256, { ...good, exp: 0 }), "expired"],
  ["that is not valid yet", byHand(hs256, { ...good, nbf: now + 600 }), "unauthorized"],
  ["whose user is a number", byHand(hs256, { ...good, sub: 5 }), "unauthorized"],
  ["whose user is empty", byHand(hs256, { ...good, sub: "" }), "unauthorized"],
  ["whose user is very long", byHand(hs256, { ...good, sub: "a".repeat(257) }), "unauthorized"],
  ["whose user is a lone surrogate", byHand(hs256, { ...good, sub: "\ud800" }), "unauthorized"],
  ["whose payload is a list", byHand(hs256, [1]), "unauthorized"],
  ["whose payload is nothing", byHand(hs256, null), "unauthorized"],
  ["with an extension that is critical", byHand({ ...hs256, crit: ["x"], x: 1 }, good), "unauthorized"],
  ["that is huge", byHand(hs256, { ...good, info: "x".repeat(1_000_000) }), "unauthorized"],
  [
    "nested thousands deep",
    `${encode(hs256)}.${Buffer.from("[".repeat(9000)).toString("base64url")}.x`,
    "unauthorized",
  ],
];

function swapped(): string {
  const [head, , signature] = byHand(hs256, good).split(".");
  return `${head}.${encode({ ...good, sub: "root" })}.${signature}`;
}

for (const [what, made, code] of bad) {
  test(`a token ${what} is refused, and not repeated`, async () => {
    const token = await made;
    await assert.rejects(verify(token), (error) => {
      assert.ok(error instanceof TokenError, String(error));
      assert.equal(error.code, code);
      for (const part of token.split(".").filter((one) => one.length > 8)) assert.ok(!error.stack?.includes(part));
      assert.match(error.message, /^token: \S/);
      assert.equal(error.cause, undefined);
      return true;
    });
  });
}
