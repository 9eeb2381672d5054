import assert from "node:assert/strict";
import { test } from "node:test";
import { SignJWT } from "jose";
import type { Access } from "../../server/access/access.js";
import { TokenError, type TokenErrorCode } from "../../server/access/tokens/token.js";
import { type TokenSources, Tokens } from "../../server/access/tokens/tokens.js";
import { encode, inSeconds, SigningKey, withSecret } from "../support/tokens.js";

const SECRET = "the secret of these tests, 32 characters and more";
const OTHER = "the secret that takes the place of the first one";
const hs256 = { alg: "HS256", typ: "JWT" };
const good = { sub: "ann", exp: inSeconds(3600) };
const rsa = new SigningKey("RS256");
const ec = new SigningKey("ES256");
const ed = new SigningKey("EdDSA");

const sources: TokenSources = {
  ...{ secrets: [SECRET], keys: [], jwks: undefined, issuers: [], audiences: [] },
  ...{ skewMs: 3000, maxLifeMs: 86_400_000 },
};
const all = new Tokens({ ...sources, secrets: [SECRET, OTHER], keys: [rsa, ec, ed] });
const bySecret = new Tokens(sources);
const byKeys = new Tokens({ ...sources, secrets: [], keys: [rsa, ec, ed] });
const kinds = { all, bySecret, byKeys };

/** Asserts that the token is refused with this code, and that nothing of it is repeated. */
export async function refusal(tokens: Tokens, token: string, code: TokenErrorCode): Promise<string> {
  let message = "";
  await assert.rejects(
    async () => tokens.session(token),
    (error) => {
      assert.ok(error instanceof TokenError, String(error));
      assert.equal(error.code, code);
      for (const part of token.split(".").filter((one) => one.length > 8)) assert.ok(!error.stack?.includes(part));
      assert.match(error.message, /^token: expected \S|^token: it is past/);
      assert.equal(error.cause, undefined);
      message = error.message;
      return true;
    },
  );
  return message;
}

test("a valid token says who it is, what is told of them, and until when", async () => {
  const exp = inSeconds(60);
  const token = await new SignJWT({ info: { name: "Ann" } })
    .setProtectedHeader(hs256)
    .setSubject("ann")
    .setJti("t1")
    .setIssuedAt(exp - 60)
    .setExpirationTime(exp)
    .sign(new TextEncoder().encode(SECRET));
  const { grants, ...access } = bySecret.session(token) as Access;
  const times = { issuedAt: (exp - 60) * 1000, expiresAt: exp * 1000 + 3000 };
  assert.deepEqual(access, { user: "ann", info: { name: "Ann" }, tenant: "", tokenId: "t1", ...times });
  assert.equal(grants, undefined);
});

test("a token of a secret is answered in the same turn", () => {
  assert.ok(!(bySecret.session(withSecret(SECRET, good)) instanceof Promise));
});

test("each of several secrets is honoured", () => {
  for (const secret of [SECRET, OTHER]) assert.equal((all.session(withSecret(secret, good)) as Access).user, "ann");
});

for (const [name, alg] of [
  ["RSA", "RS256"],
  ["EC", "ES256"],
  ["Ed25519", "EdDSA"],
  ["Ed25519", "Ed25519"],
] as const) {
  test(`a token of an ${name} key that says ${alg} is honoured`, async () => {
    const key = { RS256: rsa, ES256: ec, EdDSA: ed, Ed25519: ed }[alg];
    for (const tokens of [all, byKeys]) assert.equal((await tokens.session(key.token(good, { alg }))).user, "ann");
  });
}

test("a token may name a key by any name, where the keys are files", async () => {
  assert.equal((await byKeys.session(ec.token(good, { kid: "any" }))).user, "ann");
});

test("whether there are any keys is known", () => {
  assert.ok(bySecret.configured && byKeys.configured);
  assert.ok(!new Tokens({ ...sources, secrets: [] }).configured);
});

test("without keys no token is honoured", async () => {
  const none = new Tokens({ ...sources, secrets: [] });
  for (const token of [withSecret(SECRET, good), withSecret("", good), rsa.token(good)]) {
    await refusal(none, token, "unauthorized");
  }
});

function swapped(token: string): string {
  const [head, , signature] = token.split(".");
  return `${head}.${encode({ ...good, sub: "root" })}.${signature}`;
}

/** Signed by one algorithm, and with the name of another. */
const says = (alg: string, key: SigningKey): string => key.token(good, { alg });
const attacker = new SigningKey("RS256");
const attackerEc = new SigningKey("ES256");
const valid = withSecret(SECRET, good);

const bad: readonly (readonly [string, string])[] = [
  ["that is empty", ""],
  ["that is garbage", "this-is-no-token"],
  ["that is garbage in three parts", "aaaa.bbbb.cccc"],
  ["with a lone surrogate and other odd characters", "\ud800.\u0000.\u{1f600}"],
  ["of two parts", valid.split(".").slice(0, 2).join(".")],
  ["of four parts", `${valid}.${encode("x")}`],
  ["of five parts, as encrypted ones have", `${valid}.${encode("x")}.${encode("y")}`],
  ["with a space before it", ` ${valid}`],
  ["with a line's end after it", `${valid}\n`],
  ["with padding", `${valid}=`],
  ["in base64 instead of base64url", withSecret(SECRET, { ...good, info: "???>>>" }).replaceAll("_", "/")],
  ["as JSON", JSON.stringify({ protected: valid.split(".")[0], payload: valid.split(".")[1] })],
  ["without a signature and of the algorithm none", `${encode({ alg: "none" })}.${encode(good)}.`],
  ["of the algorithm none with a signature", withSecret(SECRET, good, { alg: "none" })],
  ["of the algorithm nOnE", withSecret(SECRET, good, { alg: "nOnE" })],
  ["of the algorithm nothing", withSecret(SECRET, good, { typ: "JWT" })],
  ["whose algorithm is a list", withSecret(SECRET, good, { alg: ["HS256"] })],
  ["whose algorithm is written small", withSecret(SECRET, good, { alg: "hs256" })],
  ["whose header is a list", withSecret(SECRET, good, ["HS256"])],
  ["whose header is no JSON", withSecret(SECRET, good, "{alg:HS256}")],
  ["whose header is no UTF-8", withSecret(SECRET, good, Buffer.from([0x7b, 0xff, 0x7d]))],
  ["with its signature cut off", valid.replace(/\.[^.]*$/, ".")],
  ["with half of its signature", valid.slice(0, -20)],
  ["with another payload than was signed", swapped(valid)],
  ["of RS256 with another payload than was signed", swapped(rsa.token(good))],
  ["of ES256 with another payload than was signed", swapped(ec.token(good))],
  ["of EdDSA with another payload than was signed", swapped(ed.token(good))],
  [
    "of ES256 whose signature is nothing but zeros",
    `${encode({ alg: "ES256" })}.${encode(good)}.${encode(Buffer.alloc(64))}`,
  ],
  ["signed with another secret", withSecret(`${SECRET}!`, good)],
  ["signed with an empty secret", withSecret("", good)],
  ["of HS384 with the right secret", withSecret(SECRET, good, { alg: "HS384" }, "sha384")],
  ["of HS512 with the right secret", withSecret(SECRET, good, { alg: "HS512" }, "sha512")],
  ["that says HS512 and is of HS256", withSecret(SECRET, good, { alg: "HS512" })],
  ["that says HS256 and is HMACed with the public key's PEM", withSecret(rsa.pem, good)],
  [
    "that says HS256 and is HMACed with the public key's DER",
    withSecret(rsa.key.export({ type: "spki", format: "der" }), good),
  ],
  ["that says RS256 and is HMACed with the public key", withSecret(rsa.pem, good, { alg: "RS256" })],
  ["that says HS256 and is signed with the RSA key", says("HS256", rsa)],
  ["that says PS256 and is signed with the RSA key", says("PS256", rsa)],
  ["that says RS384 and is signed with the RSA key", says("RS384", rsa)],
  ["that says ES256 and is signed with the RSA key", says("ES256", rsa)],
  ["that says RS256 and is signed with the EC key", says("RS256", ec)],
  ["that says EdDSA and is signed with the EC key", says("EdDSA", ec)],
  ["that says ES256 and is signed with the Ed25519 key", says("ES256", ed)],
  ["that says ES256K", says("ES256K", ec)],
  ["that says Ed448", says("Ed448", ed)],
  ["of another RSA key", attacker.token(good)],
  ["of another RSA key, which it brings along (jwk)", attacker.token(good, { jwk: attacker.jwk() })],
  ["of another RSA key, which it says where to find (jku)", attacker.token(good, { jku: "http://127.0.0.1:1/keys" })],
  ["of another RSA key, which it says where to find (x5u)", attacker.token(good, { x5u: "http://127.0.0.1:1/key" })],
  ["of another RSA key, in a certificate it brings along (x5c)", attacker.token(good, { x5c: [attacker.pem] })],
  ["of another EC key, which it brings along (jwk)", attackerEc.token(good, { jwk: attackerEc.jwk() })],
  ["whose key's name is a number", rsa.token(good, { kid: 1 })],
  ["with an extension that is critical", withSecret(SECRET, good, { ...hs256, crit: ["x"], x: 1 })],
  [
    "with an extension that is critical and known to others (b64)",
    withSecret(SECRET, good, { ...hs256, crit: ["b64"], b64: true }),
  ],
  ["with an empty list of critical extensions", withSecret(SECRET, good, { ...hs256, crit: [] })],
  ["of RS256 with an extension that is critical", rsa.token(good, { crit: ["exp"], exp: 1 })],
  ["whose payload is a list", withSecret(SECRET, [1])],
  ["whose payload is nothing", withSecret(SECRET, null)],
  ["whose payload is text", withSecret(SECRET, "exp")],
  ["whose payload is no UTF-8", withSecret(SECRET, Buffer.from(`{"exp":${good.exp},"sub":"\u00ff"}`, "latin1"))],
  ["that is huge", withSecret(SECRET, { ...good, info: "x".repeat(1_000_000) })],
  ["nested thousands deep", withSecret(SECRET, "[".repeat(9000))],
];

for (const [what, token] of bad) {
  test(`a token ${what} is refused, and not repeated`, async () => {
    for (const tokens of Object.values(kinds)) await refusal(tokens, token, "unauthorized");
  });
}

test("a token of an algorithm that no key is for is told which there are", async () => {
  assert.equal(await refusal(bySecret, rsa.token(good), "unauthorized"), "token: expected one signed with HS256");
  const text = "token: expected one signed with RS256 or ES256 or EdDSA";
  assert.equal(await refusal(byKeys, valid, "unauthorized"), text);
});

test("a token is read without its signature only where that is asked for, and its claims are looked at", () => {
  const [head, payload] = valid.split(".");
  assert.equal(bySecret.read(`${head}.${payload}.${encode("anything")}`).user, "ann");
  assert.throws(() => bySecret.read(withSecret(SECRET, { ...good, exp: inSeconds(-60) })), TokenError);
  assert.throws(() => bySecret.read(withSecret(SECRET, { ...good, room: "chat:1" })), TokenError);
});
