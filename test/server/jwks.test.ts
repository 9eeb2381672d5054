import assert from "node:assert/strict";
import { test } from "node:test";
import { Tokens } from "../../server/access/tokens/tokens.js";
import { eventually } from "../support/eventually.js";
import { isGood, listed, refused } from "../support/listed-keys.js";
import { inSeconds, SigningKey, withSecret } from "../support/tokens.js";

const first = new SigningKey("ES256", "first");
const second = new SigningKey("ES256", "second");
const rsa = new SigningKey("RS256", "rsa");
const ed = new SigningKey("EdDSA", "ed");
const good = { sub: "ann", exp: inSeconds(3600), iat: inSeconds(0) };
/** Signed just now: its key may be listed since a moment. */
const fresh = () => ({ ...good, iat: inSeconds(0) });
/** Signed so long ago that its key has been listed for long. */
const old = { ...good, iat: inSeconds(-600) };

test("tokens of listed keys are honoured, whatever their kind", async (t) => {
  const { tokens, jwks, server } = await listed(t, [first, rsa, ed]);
  await jwks.start();
  for (const key of [first, rsa, ed]) await isGood(tokens, key.token(good));
  await isGood(tokens, ed.token(good, { alg: "Ed25519" }));
  assert.equal(server.reads, 1);
});

test("the first token has the keys read, where nothing else had", async (t) => {
  const { tokens, server } = await listed(t, [first]);
  await Promise.all(Array.from({ length: 20 }, () => isGood(tokens, first.token(good))));
  assert.equal(server.reads, 1);
});

test("a token that names no key is tried with every key of its algorithm", async (t) => {
  const { tokens, jwks, server } = await listed(t, [rsa, second, first]);
  await jwks.start();
  await isGood(tokens, first.token(good, { kid: undefined }));
  await refused(tokens, new SigningKey("ES256").token(good), "unauthorized");
  assert.equal(server.reads, 1);
});

for (const [what, token] of [
  ["that names a key which another has signed", second.token(good, { kid: "first" })],
  ["of another key by a name that is listed", new SigningKey("ES256", "first").token(good)],
  ["that says RS256 and names an EC key", first.token(good, { alg: "RS256" })],
  ["of RSA that names an EC key", rsa.token(good, { kid: "first" })],
  ["HMACed with a listed key's PEM", withSecret(first.pem, good, { alg: "HS256", kid: "first" })],
  [
    "HMACed with a listed key as it is listed",
    withSecret(JSON.stringify(first.jwk()), good, { alg: "HS256", kid: "first" }),
  ],
  ["of the algorithm none that names a listed key", withSecret("", good, { alg: "none", kid: "first" })],
  ["whose key's name is __proto__", first.token(old, { kid: "__proto__" })],
  ["whose key's name is empty", first.token(old, { kid: "" })],
] as const) {
  test(`a token ${what} is refused`, async (t) => {
    const { tokens, jwks } = await listed(t, [first, second, rsa]);
    await jwks.start();
    await refused(tokens, token, "unauthorized");
  });
}

test("a token's claims are looked at also where its key is listed", async (t) => {
  const { tokens, jwks } = await listed(t, [first]);
  await jwks.start();
  await refused(tokens, first.token({ ...good, exp: inSeconds(-60) }), "expired");
  await refused(tokens, first.token({ sub: "ann" }), "unauthorized");
});

test("a key that is not known is looked for at once, by one read for all who name it", async (t) => {
  const { tokens, jwks, server } = await listed(t, [first], { cooldownMs: 0 });
  await jwks.start();
  server.list(first, second);
  let goOn: (() => void) | undefined;
  const asked = new Promise<void>((resolve) => {
    server.answer = (_request, response) => {
      goOn = () => response.end(JSON.stringify({ keys: server.keys }));
      resolve();
    };
  });
  const answers = Array.from({ length: 50 }, () => isGood(tokens, second.token(good)));
  await asked;
  await isGood(tokens, first.token(good));
  goOn?.();
  await Promise.all(answers);
  assert.equal(server.reads, 2);
});

test("1,000 names of keys that nobody has cause one read, and good tokens do not wait", async (t) => {
  const { tokens, jwks, server } = await listed(t, [first], { cooldownMs: 0 });
  await jwks.start();
  const { tokens: cooled, jwks: other, server: quiet } = await listed(t, [first]);
  await other.start();
  for (let kid = 0; kid < 1000; kid++) await refused(cooled, first.token(old, { kid: `k${kid}` }), "unauthorized");
  assert.equal(quiet.reads, 1, "within the cooldown of the first read there is none");
  await Promise.all(
    Array.from({ length: 1000 }, (_, kid) => refused(tokens, first.token(old, { kid: `k${kid}` }), "unauthorized")),
  );
  assert.equal(server.reads, 2);
  await isGood(cooled, first.token(good));
});

test("a name that is not known is not looked for again until the cooldown is over", async (t) => {
  let now = Date.now();
  const { tokens, jwks, server } = await listed(t, [first], { now: () => now });
  await jwks.start();
  now += 29_999;
  await refused(tokens, second.token(old), "unauthorized");
  assert.equal(server.reads, 1);
  now += 1;
  await refused(tokens, second.token(old), "unauthorized");
  await refused(tokens, second.token(old), "unauthorized");
  assert.equal(server.reads, 2);
});

test("within the cooldown a token that may be of a newer key is asked to come again once it is over", async (t) => {
  let now = Date.now();
  const { tokens, jwks, server } = await listed(t, [first], { now: () => now });
  await jwks.start();
  server.list(first, second);
  now += 10_000;
  const { retryMs } = await refused(tokens, second.token(fresh()), "unavailable");
  assert.equal(retryMs, 20_000);
  const { iat: _, ...undated } = good;
  await refused(tokens, second.token(undated), "unavailable");
  assert.equal(server.reads, 1);
  now += 20_000;
  await isGood(tokens, second.token(good));
  assert.equal(server.reads, 2);
});

test("a key that is no longer listed is honoured for as long as a token may be good, and no longer", async (t) => {
  let now = Date.now();
  const keepMs = 60_000;
  const { tokens, jwks, server } = await listed(t, [first, second], { now: () => now, keepMs });
  await jwks.start();
  server.list(second);
  now += 20_000;
  await jwks.refresh();
  for (let reads = 0; reads < 3; reads++) {
    now += 10_000;
    await isGood(tokens, first.token(good));
    await jwks.refresh();
  }
  now += keepMs - 30_000 - 1;
  await isGood(tokens, first.token(good));
  now += 1;
  await refused(tokens, first.token(old), "unauthorized");
  await isGood(tokens, second.token(good));
});

test("a key that is listed again is honoured as before", async (t) => {
  let now = Date.now();
  const { tokens, jwks, server } = await listed(t, [first, second], { now: () => now, keepMs: 60_000 });
  await jwks.start();
  server.list(second);
  await jwks.refresh();
  server.list(first);
  now += 50_000;
  await jwks.refresh();
  now += 50_000;
  await isGood(tokens, first.token(good));
  await isGood(tokens, second.token(good));
});

test("another key under a name that is taken is honoured beside the one before", async (t) => {
  const { tokens, jwks, server } = await listed(t, [first]);
  await jwks.start();
  const renamed = new SigningKey("ES256", "first");
  server.list(renamed);
  await jwks.refresh();
  await isGood(tokens, renamed.token(good));
  await isGood(tokens, first.token(good));
});

test("so many keys are kept and no more, those that are listed first of all", async (t) => {
  const { jwks, server } = await listed(t, []);
  const keys = Array.from({ length: 100 }, (_, index) => new SigningKey("EdDSA", `k${index}`));
  for (let round = 0; round < 4; round++) {
    server.keys = keys.map((key) => key.jwk({ kid: `${round} ${key.keyId}` }));
    await jwks.refresh();
  }
  const isKept = (round: number) => jwks.find("EdDSA", `${round} k5`) !== undefined;
  assert.deepEqual([0, 1, 2, 3].map(isKept).filter(Boolean).length, 3);
  assert.ok(isKept(3));
});

test("while the address cannot be reached what is known goes on, and nothing waits", async (t) => {
  const { tokens, jwks, server, log } = await listed(t, [first], { refreshMs: 20 });
  await jwks.start();
  await server.stop();
  await eventually(() => log.lines.some((line) => line.includes("cannot be read")));
  await isGood(tokens, first.token(good));
  const { retryMs = 0 } = await refused(tokens, second.token(fresh()), "unavailable");
  assert.ok(retryMs > 0);
  server.list(first, second);
  await server.startAgain();
  await eventually(() => log.lines.some((line) => line.includes("could be read again")));
  await isGood(tokens, second.token(good));
});

test("while nothing was ever read a token is asked to come again: it may be good", async (t) => {
  const { tokens, jwks, server, log } = await listed(t, [first], { refreshMs: 100 });
  await server.stop();
  await jwks.start();
  await refused(tokens, first.token(good), "unavailable");
  await refused(tokens, first.token(good, { kid: undefined }), "unavailable");
  await refused(tokens, withSecret("", good), "unauthorized");
  await server.startAgain();
  await eventually(() => log.lines.some((line) => line.includes("could be read again")));
  await isGood(tokens, first.token(good));
});

test("keys are read again by themselves, and a key that was changed for another is known before it is used", async (t) => {
  const { tokens, jwks, server } = await listed(t, [first], { refreshMs: 20 });
  await jwks.start();
  server.list(second);
  const reads = server.reads;
  await eventually(() => server.reads >= reads + 2);
  const before = server.reads;
  server.answer = (_request, response) => response.destroy();
  await isGood(tokens, second.token(good));
  assert.ok(before >= 3);
});

test("nothing is read after the end", async (t) => {
  const { jwks, server } = await listed(t, [first], { refreshMs: 10 });
  await jwks.start();
  jwks.close();
  await jwks.refresh();
  assert.equal(server.reads, 1);
});

test("a read that goes on is ended with it", async (t) => {
  const { jwks, server, log } = await listed(t, [first]);
  const asked = new Promise<void>((resolve) => {
    server.answer = () => resolve();
  });
  const started = jwks.start();
  await asked;
  jwks.close();
  await started;
  assert.deepEqual(log.lines, []);
});

test("keys of files and of a list are honoured together", async (t) => {
  const { jwks } = await listed(t, [first]);
  const tokens = new Tokens({
    ...{ secrets: ["s".repeat(32)], keys: [rsa, second], jwks, issuers: [], audiences: [] },
    ...{ skewMs: 3000, maxLifeMs: 86_400_000 },
  });
  for (const token of [second.token(good), first.token(good), rsa.token(good), withSecret("s".repeat(32), good)]) {
    await isGood(tokens, token);
  }
});
