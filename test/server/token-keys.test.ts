import assert from "node:assert/strict";
import { type createPublicKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseJwksUrl, readPublicKey } from "../../server/access/tokens/key-sources.js";
import { TokenError } from "../../server/access/tokens/token.js";
import { Tokens } from "../../server/access/tokens/tokens.js";
import { inSeconds, SigningKey } from "../support/tokens.js";

const good = { sub: "ann", exp: inSeconds(3600) };
const folder = mkdtempSync(join(tmpdir(), "roomcast-keys-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

function fileWith(text: string): string {
  const path = join(folder, `${Math.random()}.pem`);
  writeFileSync(path, text);
  return path;
}

for (const algorithm of ["RS256", "ES256", "EdDSA"] as const) {
  const key = new SigningKey(algorithm);
  const tokens = new Tokens({
    ...{ secrets: [], keys: [readPublicKey(fileWith(key.pem))], jwks: undefined, issuers: [], audiences: [] },
    ...{ skewMs: 3000, maxLifeMs: 86_400_000 },
  });

  test(`a file with a key is for ${algorithm}, and its tokens are honoured`, async () => {
    assert.equal(readPublicKey(fileWith(key.pem)).algorithm, algorithm);
    assert.equal((await tokens.session(key.token(good))).user, "ann");
  });

  test(`a character that is changed in a token of ${algorithm} makes it another, which is refused`, async () => {
    const token = key.token({ ...good, jti: "t" });
    for (let at = 0; at < token.length; at++) {
      // Not by the bits of the last character that no byte is made of.
      const other = token[at] === "A" ? "h" : "A";
      const changed = token.slice(0, at) + other + token.slice(at + 1);
      if (Buffer.from(changed.slice(-20), "base64url").equals(Buffer.from(token.slice(-20), "base64url"))) continue;
      await assert.rejects(async () => tokens.session(changed), TokenError, `${at}`);
    }
  });
}

const { privateKey } = generateKeyPairSync("ed25519");
const wrong: readonly (readonly [string, string])[] = [
  ["a private key", privateKey.export({ type: "pkcs8", format: "pem" }).toString()],
  ["an RSA key of 1024 bits", new SigningKey("RS256", undefined, 1024).pem],
  ["a key on another curve", pemOf(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey)],
  ["a key that no signature is made with", pemOf(generateKeyPairSync("x25519").publicKey)],
  ["an RSA key that is for PSS alone", pemOf(generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).publicKey)],
  ["a secret", "a secret of 32 characters and more, in plain text"],
  ["nothing", ""],
];

function pemOf(key: ReturnType<typeof createPublicKey>): string {
  return key.export({ type: "spki", format: "pem" }).toString();
}

for (const [what, text] of wrong) {
  test(`a file with ${what} is refused, and not repeated`, () => {
    assert.throws(
      () => readPublicKey(fileWith(text)),
      (error) => {
        assert.match((error as Error).message, /^expected a file with a public key/);
        if (text !== "") assert.ok(!(error as Error).message.includes(text.slice(30, 60)));
        return true;
      },
    );
  });
}

test("a file that is not there is refused by what is wrong with it", () => {
  assert.throws(() => readPublicKey(join(folder, "none")), /^Error: expected a file that can be read \(ENOENT\)$/);
});

test("keys are listed at an https address, or at one of this machine", () => {
  for (const text of [
    "https://keys.example/jwks.json",
    "http://localhost:1/k",
    "http://127.0.0.1/k",
    "http://[::1]:1/k",
  ]) {
    assert.equal(parseJwksUrl(text).href, new URL(text).href);
  }
  const others = [
    "http://keys.example/k",
    "http://127.0.0.1.example/k",
    "http://localhost.example",
    "ftp://localhost/k",
  ];
  for (const text of [...others, "file:///etc/passwd", "https://ann:word@keys.example/k", "keys.example", ""]) {
    assert.throws(() => parseJwksUrl(text), /expected an address/, text);
  }
});
