import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { once } from "node:events";
import { createServer as createWebServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { SECRET } from "../support/sign.js";
import { folder, made, run, withSecret } from "../support/token-command.js";
import { withSecret as byHandOf } from "../support/tokens.js";

/** A token that the command would not make. */
const byHand = (claims: object, secret = SECRET, header: object = { alg: "HS256" }): string =>
  byHandOf(secret, claims, header);

const inAnHour = (): number => Math.floor(Date.now() / 1000) + 3600;

test("a token that is accepted is shown with what it allows, and with what the rules of kinds make of that", async () => {
  const kinds = { chat: { allow: { token: ["join"], user: ["history"] } }, "*": { allow: { anonymous: ["members"] } } };
  const env = { ...withSecret, ROOMCAST_KINDS: JSON.stringify(kinds) };
  const args = ["--user", "ann", "--room", "chat:*=join,publish", "--room", "other=publish", "--tenant", "acme"];
  const { code, stdout } = await run(["--check"], { env, input: ` ${await made(args)}\n\n` });
  assert.equal(code, 0);
  const lines = stdout.split("\n").map((line) => line.trim().replace(/ {2,}/g, " | "));
  assert.equal(lines[0], "accepted");
  for (const line of [
    "for | a session: hello and renew",
    "user | ann",
    "tenant | acme",
    "signed with | HS256",
    "allows | chat:* | join | (the rules of its kind keep back publish)",
    "allows | other | publish",
    "by rules | chat, chat:* | history members",
    "by rules | all other rooms | members",
  ]) {
    if (line.includes("history members"))
      assert.ok(lines.includes("by rules | chat, chat:* | history members"), stdout);
    else assert.ok(lines.includes(line), `${line} is not in ${stdout}`);
  }
  assert.match(stdout, /ends +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, in (60|59) min/);
});

test("what is found can be had as JSON", async () => {
  const { stdout } = await run(["--check", "--json"], { input: await made(["--user", "ann"]) });
  const { accepted, algorithm, claims } = JSON.parse(stdout) as { [name: string]: unknown };
  assert.deepEqual([accepted, algorithm, (claims as { sub?: unknown }).sub], [true, "HS256", "ann"]);
  const refused = await run(["--check", "--json"], { input: byHand({ exp: 1 }) });
  assert.equal(refused.code, 1);
  assert.deepEqual(JSON.parse(refused.stdout), {
    ...{ accepted: false, why: "token: it is past its end (exp)", algorithm: "HS256", claims: { exp: 1 } },
  });
});

const refusals: readonly (readonly [what: string, input: () => string, why: RegExp, args?: readonly string[]])[] = [
  ["nothing at all", () => "", /expected a token on standard input, got nothing/],
  ["something else", () => "hello there", /expected a signed JWT/],
  ["past its end", () => byHand({ exp: 1 }), /past its end \(exp\)/],
  ["without an end", () => byHand({ sub: "ann" }), /an end, the claim exp/],
  ["of another secret", () => byHand({ exp: inAnHour() }, "x".repeat(32)), /signed with this server's secret/],
  ["of no algorithm", () => byHand({ exp: inAnHour() }, SECRET, { alg: "none" }), /signed with HS256/],
  ["of another issuer", () => byHand({ exp: inAnHour(), iss: "them" }), /issuer \(iss\)/, ["--token-issuer", "us"]],
  ["for another server", () => byHand({ exp: inAnHour(), aud: "there" }), /\(aud\)/, ["--token-audience", "here"]],
  ["that lives too long", () => byHand({ exp: inAnHour() }), /maxTokenLifeMs/, ["--max-token-life-ms", "60000"]],
  ["with a wrong action", () => byHand({ exp: inAnHour(), rooms: { "a:*": "jion" } }), /"a:\*": .* got "jion"/],
  ["with a wrong pattern", () => byHand({ exp: inAnHour(), rooms: { "a*b": "join" } }), /got "a\*b"/],
  [
    "with {sub} and no user",
    () => byHand({ exp: inAnHour(), rooms: { "{sub}:*": "join" } }),
    /\{sub\}: expected a user/,
  ],
];

describe("a token that is no good", { concurrency: 4 }, () => {
  for (const [what, input, why, args = []] of refusals)
    test(`a token ${what} is refused, with the reason, without itself, and with exit code 1`, async () => {
      const token = input();
      const { code, stdout, stderr } = await run(["--check", ...args], { input: token });
      assert.deepEqual([code, stderr], [1, ""]);
      assert.match(stdout.split("\n")[0] ?? "", new RegExp(`^refused: .*${why.source}`));
      for (const part of token.split(".").filter((one) => one.length > 8)) assert.ok(!stdout.includes(part));
    });
});

test("without a secret or a key a token is not accepted: a server would not look at it", async () => {
  const { code, stdout } = await run(["--check"], { env: {}, input: await made([]) });
  assert.equal(code, 1);
  assert.match(stdout, /^refused: these settings have no secret and no keys/);
});

test("what a token says does nothing to the terminal that shows it", async () => {
  const evil = "\u001b[2J\u0007\u009b31m\r\n\u202e";
  const claims = {
    exp: inAnHour(),
    sub: `a${evil}`,
    jti: evil,
    info: evil,
    iss: [evil],
    rooms: { [evil]: evil },
    nbf: evil,
  };
  for (const secret of [SECRET, "x".repeat(32)]) {
    const { stdout } = await run(["--check"], { input: byHand(claims, secret) });
    assert.doesNotMatch(stdout.replaceAll("\n", ""), /\p{C}/u);
  }
});

test("a token is checked with the keys of an identity provider, and it is said where those cannot be had", async (t) => {
  const path = folder(t);
  const key = join(path, "key.pem");
  const { stdout: publicPem } = await run(["--new-key", "ec", "--key", key]);
  const jwk = { ...createPublicKey(publicPem).export({ format: "jwk" }), kid: "k1" };
  const provider = createWebServer((_, response) => response.end(JSON.stringify({ keys: [jwk] })));
  provider.listen(0, "127.0.0.1");
  await once(provider, "listening");
  t.after(() => provider.close());
  const url = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/keys`;
  const token = await made(["--key", key, "--key-id", "k1", "--user", "ann"], { env: {} });
  const env = { ROOMCAST_JWKS_URL: url };
  assert.equal((await run(["--check"], { env, input: token })).code, 0);
  assert.equal((await run(["--check"], { env, input: byHand({ exp: inAnHour() }) })).code, 1);
  provider.close();
  const { code, stdout } = await run(["--check"], { env, input: token });
  assert.equal(code, 1);
  assert.match(stdout, /^refused: token: the key it names is not known yet/);
});

test("a token among the arguments is not repeated, and not taken", async () => {
  const token = await made([]);
  const { code, stdout, stderr } = await run(["--check", token]);
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(stderr, /^expected the token on standard input, not among the arguments, which others can read\n$/);
});
