import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { SECRET } from "../support/sign.js";
import { connect, startServer } from "../support/start-server.js";
import { folder, type Given, made, main, run } from "../support/token-command.js";

type Claims = { readonly [name: string]: unknown; readonly iat: number; readonly exp: number };
const partOf = (token: string, index: number): unknown =>
  JSON.parse(Buffer.from(token.split(".")[index] ?? "", "base64url").toString());
const claimsOf = (token: string): Claims => partOf(token, 1) as Claims;

test("a token made with the server's secret lets its user do what it says, and nothing else", async (t) => {
  const server = await startServer(t, { secret: SECRET, kinds: {} });
  const token = await made(["--user", "ann", "--room", "chat:*=join,publish", "--room", "user:{sub}:*=join"]);
  const client = await connect(t, server, { hello: { token } });
  assert.equal(client.welcome.user, "ann");
  for (const room of ["chat:1", "user:ann:inbox"]) await client.ask("joined", { type: "join", room });
  await client.ask("published", { type: "publish", room: "chat:1", event: "said", data: 1 });
  assert.equal((await client.refusal({ type: "join", room: "user:bob:inbox" })).code, "forbidden");
  assert.equal((await client.refusal({ type: "history", room: "chat:1" })).code, "forbidden");
});

test("a room token lets into its room, and is not good for a hello", async (t) => {
  const server = await startServer(t, { secret: SECRET, kinds: {} });
  const [session, room] = await Promise.all([made(["--user", "ann"]), made(["--only-room", "chat:42"])]);
  const client = await connect(t, server, { hello: { token: session } });
  assert.equal((await client.refusal({ type: "join", room: "chat:42" })).code, "forbidden");
  await client.ask("joined", { type: "join", room: "chat:42", token: room });
  const other = await connect(t, server, { hello: false });
  assert.equal((await other.refusal({ type: "hello", token: room })).code, "unauthorized");
});

test("every option is the claim that its name says", async () => {
  const before = Math.floor(Date.now() / 1000);
  const args = ["--user", "ann", "--tenant", "acme", "--info", '{"name":"Ann"}', "--id", "t1", "--expires", "15m"];
  const more = [
    "--issuer",
    "us",
    "--audience",
    "a",
    "--audience",
    "b",
    "--room",
    "a:*=join",
    "--room=a:*=publish history",
  ];
  const { iat, exp, ...claims } = claimsOf(await made([...args, ...more]));
  assert.deepEqual(claims, {
    ...{ sub: "ann", tenant: "acme", info: { name: "Ann" }, jti: "t1", iss: "us", aud: ["a", "b"] },
    rooms: { "a:*": "join publish history" },
  });
  assert.ok(iat >= before && iat <= before + 60);
  assert.equal(exp - iat, 15 * 60);
  const room = claimsOf(
    await made(["--only-room", "chat:42", "--may", "join,publish", "--user", "ann", "--expires", "90s"]),
  );
  assert.deepEqual(
    [room["room"], room["may"], room["sub"], room.exp - room.iat],
    ["chat:42", "join publish", "ann", 90],
  );
});

test("what is left out is an hour, an id of its own, and the first issuer and audience that the settings trust", async () => {
  const settings = ["--token-issuer", "us,them", "--token-audience", "here,there"];
  const [one, other, plain] = await Promise.all([made(settings), made(settings), made([])]);
  const { iat, exp, jti, ...claims } = claimsOf(one);
  assert.deepEqual(claims, { iss: "us", aud: "here" });
  assert.equal(exp - iat, 3600);
  assert.match(String(jti), /^[\w-]{16}$/);
  assert.notEqual(claimsOf(other)["jti"], jti);
  assert.deepEqual(Object.keys(claimsOf(plain)).sort(), ["exp", "iat", "jti"]);
});

test("the secret comes from a variable, from the settings' file or from a file of its own", async (t) => {
  const path = folder(t);
  const [own, config] = [join(path, "secret"), join(path, "roomcast.json")];
  writeFileSync(own, `${SECRET}\n`);
  writeFileSync(config, JSON.stringify({ secret: SECRET, port: 9000 }));
  const tokens = await Promise.all([
    made([]),
    made(["--secret-file", own], { env: {} }),
    made(["--secret-file", own], { env: { ROOMCAST_SECRET: "another one, as long as it has to be" } }),
    made(["--config", config], { env: {} }),
    made([], { env: { ROOMCAST_CONFIG: config } }),
  ]);
  for (const token of tokens) assert.equal((await run(["--check"], { input: token })).code, 0);
});

for (const [type, algorithm] of [
  ["ed25519", "EdDSA"],
  ["ec", "ES256"],
  ["rsa", "RS256"],
] as const) {
  test(`a new ${type} key signs ${algorithm} for a server that has the public one`, async (t) => {
    const path = folder(t);
    const [key, publicKey] = [join(path, "key.pem"), join(path, "key.pub.pem")];
    const { code, stdout, stderr } = await run(["--new-key", type, "--key", key], { env: {} });
    assert.deepEqual([code, stderr], [0, ""]);
    assert.doesNotMatch(stdout, /PRIVATE/);
    assert.equal(statSync(key).mode & 0o777, 0o600, "others cannot read it");
    writeFileSync(publicKey, stdout);
    const token = await made(["--key", key, "--key-id", "k1", "--user", "ann"], { env: {} });
    assert.deepEqual(partOf(token, 0), { alg: algorithm, typ: "JWT", kid: "k1" });
    const server = await startServer(t, { tokenKeys: [publicKey] });
    assert.equal((await connect(t, server, { hello: { token } })).welcome.user, "ann");
    const before = readFileSync(key, "utf8");
    const again = await run(["--new-key", type, "--key", key]);
    assert.equal(again.code, 2);
    assert.equal(again.stderr, "--key: expected a new file that can be written, got one that is there already\n");
    assert.equal(readFileSync(key, "utf8"), before);
  });
}

test("a new secret is another one each time, alone on its line, and long enough", async (t) => {
  const [one, other] = await Promise.all([run(["--new-secret"], { env: {} }), run(["--new-secret"], { env: {} })]);
  assert.match(one.stdout, /^[\w-]{43}\n$/);
  assert.notEqual(one.stdout, other.stdout);
  await startServer(t, { secret: one.stdout.trimEnd() });
});

const wrong: readonly (readonly [args: readonly string[], line: RegExp, env?: Given["env"]])[] = [
  [["--usr", "ann"], /^--usr: no such option; did you mean --user\?$/],
  [["--rooms", "a=join"], /^--rooms: no such option; did you mean --room\?$/],
  [["--zzzzzzzzzz"], /^--zzzzzzzzzz: no such option; roomcast token --help lists them$/],
  [["ann"], /^expected options that start with --, got an argument without$/],
  [["--user"], /^--user: expected a value, got nothing$/],
  [["--user", "ann", "--user", "bob"], /^--user: expected once, got it again$/],
  [["--user", ""], /^--user: expected 1 to 256 characters, got ""$/],
  [["--room", "chat:*"], /^--room: expected PATTERN=ACTIONS, some of join, .*, got "chat:\*"$/],
  [["--room", "chat:*="], /^--room: expected PATTERN=ACTIONS/],
  [["--room", "chat:*=jion"], /^--room: expected PATTERN=ACTIONS, .* got "chat:\*=jion"$/],
  [["--room", "ch*t=join"], /^--room: expected a pattern, .* got "ch\*t"$/],
  [["--room", "user:{sub}:*=join"], /^--room: \{sub\}: expected a user/],
  [["--room", "user:{sub}:*=join", "--user", "a:b"], /^--room: \{sub\}: expected a user/],
  [["--only-room", "chat:*"], /^--only-room: expected one room's name/],
  [["--only-room", "a", "--may", "fly"], /^--may: expected some of join, publish, history, members, got "fly"$/],
  [["--only-room", "a", "--room", "b=join"], /^--room: expected no --only-room with it/],
  [["--may", "join"], /^--may: expected --only-room with it/],
  [["--expires", "1"], /^--expires: expected a time such as 90s, 15m, 2h or 7d, got "1"$/],
  [["--expires", "0s"], /^--expires: expected a time/],
  [["--expires", "7d"], /^these settings would refuse it: .* maxTokenLifeMs/],
  [["--issuer", "them", "--token-issuer", "us"], /^these settings would refuse it: .* issuer/],
  [["--tenant", "a|b"], /^--tenant: expected 1 to 32 characters of .*, got "a\|b"$/],
  [["--info", "{"], /^--info: expected JSON, got "\{"$/],
  [["--info", '{"__proto__":1}'], /^these settings would refuse it: .* info/],
  [
    ["--info", JSON.stringify("x".repeat(16_384))],
    /^--info, --room: expected a token of at most 16384 characters, got \d+$/,
  ],
  [["--id", "x".repeat(129)], /^--id: expected 1 to 128 characters/],
  [["--check", "--user", "ann"], /^--user: expected no --check with it$/],
  [["--check", "--new-secret"], /^--new-secret: expected no --check with it$/],
  [["--json"], /^--json: expected --check with it$/],
  [["--new-key", "dsa", "--key", "x"], /^--new-key: expected one of ed25519, ec, rsa, got "dsa"$/],
  [["--new-key", "ec"], /^--key: expected the file to write the private key to, got nothing$/],
  [["--new-key", "ec", "--key", "/nowhere/at/all"], /^--key: expected a new file that can be written, got ENOENT$/],
  [["--key", "/nowhere/at/all"], /^--key: expected a file that can be read, got ENOENT$/],
  [["--key", main], /^--key: expected a file with a private key in PEM/],
  [["--key", main, "--secret-file", main], /^--secret-file: expected no --key with it$/],
  [["--secret-file", "/dev/null"], /^--secret-file: expected a secret of at least 32 characters, got 0$/],
  [["--secret", SECRET], /^--secret: expected it in ROOMCAST_SECRET, /],
  [["--more-secrets", SECRET], /^--more-secrets: expected it in ROOMCAST_SECRET, /],
  [[], /^secret: expected one in ROOMCAST_SECRET, .* roomcast token --new-secret makes one$/, {}],
  [["--max-rooms", "none"], /^maxRooms: expected a whole number/],
];

describe("wrong arguments", { concurrency: 4 }, () => {
  for (const [args, line, env] of wrong)
    test(`${args.join(" ").slice(0, 60) || "no secret"}: one line, exit code 2, and no token`, async () => {
      const { code, stdout, stderr } = await run(args, env === undefined ? {} : { env });
      assert.deepEqual([code, stdout], [2, ""]);
      assert.equal(stderr.split("\n").length, 2, stderr);
      assert.match(stderr.trimEnd(), line);
      assert.ok(!stderr.includes(SECRET));
    });
});

test("its help names every option that it has", async () => {
  const { code, stdout } = await run(["--help"]);
  assert.equal(code, 0);
  const names = [
    "user",
    "room",
    "only-room",
    "may",
    "expires",
    "tenant",
    "info",
    "id",
    "issuer",
    "audience",
    "check",
    "json",
  ];
  for (const name of [...names, "new-secret", "new-key", "key", "key-id", "secret-file"]) {
    assert.match(stdout, new RegExp(`--${name}\\b`));
  }
  for (const line of stdout.split("\n")) assert.ok(line.length <= 120, line);
});
