import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { settingInfos } from "../../server/cli/settings.js";
import { type Loaded, loadSettings, readFlags } from "../../server/cli/sources.js";
import { ConfigError, parseSettings, type SettingsInput } from "../../server/config.js";
import { resolveKinds } from "../../server/room/rules.js";
import { isLoopback } from "../../server/transport/upgrade.js";
import { asText, wrongRules, wrongValues } from "../torture/bounds/wrong-values.js";

const SECRET = "a secret that is long enough; 32 or more";

function linesOf(read: () => unknown): readonly string[] {
  try {
    read();
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
  return [];
}

/** The one line that names `name`; anything else fails the test. */
function assertOneLine(lines: readonly string[], name: string, source?: string): void {
  const about = (line: string) => line.startsWith(`${name}:`) || /^[.[]/.test(line.slice(name.length));
  assert.equal(lines.length, 1, JSON.stringify(lines));
  const line = lines[0] ?? "";
  assert.ok(line.startsWith(name) && about(line), line);
  assert.match(line, /: expected .+, got .|: no such setting; /);
  assert.doesNotMatch(line, /\n/);
  if (source !== undefined) assert.ok(line.endsWith(` (from ${source})`), line);
}

const load = (args: readonly string[], env: { readonly [name: string]: string } = {}): Loaded =>
  loadSettings(readFlags(args, ["check", "json", "help"]), env);

function fileWith(t: { after(close: () => void): void }, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "roomcast-config-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "settings.json");
  writeFileSync(path, text);
  return path;
}

for (const info of settingInfos) {
  const { name, flag, variable } = info;
  test(`${name}: a wrong value is one line that names it, whatever it came from`, (t) => {
    for (const value of wrongValues[name]) {
      const input = { [name]: value } as SettingsInput;
      assertOneLine(
        linesOf(() => parseSettings(input)),
        name,
      );
      const path = fileWith(t, JSON.stringify(input));
      assertOneLine(
        linesOf(() => load(["--config", path])),
        name,
        path,
      );
      const text = asText(info, value);
      if (text === undefined) continue;
      assertOneLine(
        linesOf(() => load([`${flag}=${text}`])),
        name,
        flag,
      );
      assertOneLine(
        linesOf(() => load([flag, text])),
        name,
        flag,
      );
      assertOneLine(
        linesOf(() => load([], { [variable]: text })),
        name,
        variable,
      );
    }
  });
}

test("a wrong rule of a kind is one line that names it with its path", () => {
  for (const [rules, path] of wrongRules()) {
    assertOneLine(
      linesOf(() => parseSettings({ kinds: { chat: rules } } as SettingsInput)),
      path,
    );
    assertOneLine(
      linesOf(() => load([], { ROOMCAST_KINDS: JSON.stringify({ chat: rules }) })),
      path,
      "ROOMCAST_KINDS",
    );
  }
});

test("all that is wrong is told at once, a line each", (t) => {
  const path = fileWith(t, '{"maxRooms": 0, "histroy": 1}');
  const lines = linesOf(() =>
    load(["--port", "abc", "--hots", "x", "--config", path], { ROOMCAST_PAGE: "maybe", ROOMCAST_MAX_ROOM: "5" }),
  );
  assert.deepEqual([...lines].sort(), [
    "--hots: no such option; did you mean --host?",
    "ROOMCAST_MAX_ROOM: no such setting; did you mean ROOMCAST_MAX_ROOMS?",
    `histroy: no such setting; roomcast serve --help lists them (from ${path})`,
    `maxRooms: expected a whole number from 1 to 10000, got 0 (from ${path})`,
    'page: expected true or false, got "maybe" (from ROOMCAST_PAGE)',
    'port: expected a whole number from 0 to 65535, got "abc" (from --port)',
  ]);
});

test("a flag goes before a variable, a variable before the file, the file before the default", (t) => {
  const path = fileWith(
    t,
    '{"$schema": "x", "port": 1, "maxRooms": 1, "maxRequests": 1, "origins": ["https://a.example"]}',
  );
  const env = { ROOMCAST_CONFIG: path, ROOMCAST_PORT: "2", ROOMCAST_MAX_ROOMS: "2", ROOMCAST_PAGE: "false" };
  const { settings, from } = load(["--port", "3", "--origins", "https://b.example, http://c.example:81"], env);
  assert.deepEqual(
    [settings.port, settings.maxRooms, settings.maxRequests, settings.maxConnections, settings.page, settings.origins],
    [3, 2, 1, 100_000, false, ["https://b.example", "http://c.example:81"]],
  );
  assert.deepEqual(["port", "maxRooms", "maxRequests", "maxConnections"].map(from), [
    "--port",
    "ROOMCAST_MAX_ROOMS",
    path,
    "default",
  ]);
});

test("every setting can be set right from every source", (t) => {
  const pem = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();
  const right: Required<SettingsInput> = {
    ...{ moreSecrets: [`${SECRET}!`], tokenKeys: [fileWith(t, pem)], jwksUrl: "http://localhost:81/keys" },
    ...{ jwksRefreshMs: 1000, jwksCooldownMs: 100, tokenIssuer: ["https://a", "b"], tokenAudience: ["c"] },
    ...{ tokenSkewMs: 0, maxTokenLifeMs: 60_000, addressConnections: 1, addressRate: 1, userConnections: 1 },
    ...{ userPublishRate: 1, requestRate: 5, byteRate: 1024 },
    ...{ apiKeys: [`backend:publish+history:sha256:${"0a".repeat(32)}:acme`], apiMaxBytes: 1024, hookTries: 1 },
    ...{ hooks: { connect: { url: "https://app.example/hook?a=b" }, join: { url: "http://a", kinds: ["*", "chat"] } } },
    ...{ hookSecrets: [SECRET], hookNetworks: ["127.0.0.0/8"], hookTimeoutMs: 10, hookMaxBytes: 256, hookFailures: 1 },
    ...{ hookConcurrency: 1, hookRetryMs: 100, hookCacheSize: 0, hookCacheMs: 0, hookRefusalMs: 0, queue: "nats" },
    ...{ queuePrefetch: 1, queueAckMs: 1000, queueTries: 1, records: ["connected", "left"], recordsMax: 1000 },
    ...{ recordsAgeMs: 60_000 },
    ...{ host: "0.0.0.0", port: 0, secret: SECRET, origins: ["*", "capacitor://localhost"], heartbeatMs: 200 },
    ...{ kinds: { "*": { batchMs: 0 }, cursor: { history: { size: 0 }, slow: "skip" } }, helloTimeoutMs: 500 },
    ...{ idleTimeoutMs: 8000, lingerMs: 0, checkMs: 0, resumeWindowMs: 0, maxFrameBytes: 256, maxRooms: 1 },
    ...{
      maxRequests: 1,
      maxFramesPerTurn: 1,
      maxFrameBytes: 2048,
      maxBackpressureBytes: 4096,
      maxConnections: 1,
    },
    ...{ noticeMs: 0, drainMs: 0, deadlineMs: 100, metricsPort: 0 },
    ...{ connectRate: 1, maxHandshakes: 1, trustProxy: ["10.0.0.0/8", "::1"] },
    ...{
      redis: ["redis://a", "redis+sentinel://b:1+c:2/main?name=b&weight=2&was=0.5"],
      nats: ["nats://a", "tls://b:1"],
    },
    ...{ redisUsername: "ann", redisPassword: "pass", natsStreams: ["a", "b?weight=2"], natsReplicas: 3 },
    ...{ natsStorage: "memory", natsRetentionMs: 60_000, natsCredentials: fileWith(t, "creds"), namespace: "n" },
    ...{ engineTimeoutMs: 50, probeMs: 100, leaseMs: 1000 },
    ...{ memoryMaxBytes: 1_048_576, node: "n-1", logLevel: "silent", page: false },
  };
  const texts = settingInfos.map((info) => {
    const text = asText(info, right[info.name]);
    assert.ok(text !== undefined);
    return { flag: info.flag, variable: info.variable, text };
  });
  const path = fileWith(t, JSON.stringify(right));
  const flags = texts.map(({ flag, text }) => `${flag}=${text}`);
  const env = Object.fromEntries(texts.map(({ variable, text }) => [variable, text]));
  for (const { settings } of [load(flags), load([], env), load(["--config", path])]) assert.deepEqual(settings, right);
  assert.deepEqual(parseSettings(right), right);
});

test("more files of keys than are looked at are one line", (t) => {
  const pem = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();
  const paths = Array.from({ length: 17 }, () => fileWith(t, pem));
  assertOneLine(
    linesOf(() => parseSettings({ tokenKeys: paths })),
    "tokenKeys",
  );
  assert.equal(parseSettings({ tokenKeys: paths.slice(1) }).tokenKeys.length, 16);
});

test("a key given in the place of its file's path stands in no line", () => {
  const { privateKey } = generateKeyPairSync("ed25519", {
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  } as never);
  const pem = String(privateKey);
  const lines = linesOf(() => parseSettings({ tokenKeys: [pem] }));
  assertOneLine(lines, "tokenKeys");
  assert.doesNotMatch(lines.join(), /BEGIN|MC4C/);
});

test("names from outside stay on their line", (t) => {
  const path = fileWith(
    t,
    '{"a\\nb": 1, "kinds": {"chat": {"x\\ny": 2, "allow": {"p\\nq": []}}}, "__proto__": {"port": 1}}',
  );
  const lines = linesOf(() => load(["--config", path, "--x\ny=1"], { "ROOMCAST_A\nB": "1" }));
  assert.equal(lines.length, 6);
  for (const line of lines) assert.match(line, /^[^\n]+: no such (option|setting); [^\n]+$/);
});

test("the flags themselves are checked, and an argument is not repeated", () => {
  const lines = (args: readonly string[]) => linesOf(() => load(args));
  assert.deepEqual(lines(["--port", "1", "--port", "2"]), ["--port: expected once, got it again"]);
  assert.deepEqual(lines(["--port"]), ["--port: expected a value, got nothing"]);
  assert.deepEqual(lines(["--config"]), ["--config: expected a value, got nothing"]);
  assert.deepEqual(lines(["--check=yes"]), ["--check: expected no value, got one"]);
  assert.deepEqual(lines(["-p", "1"]), ["-p: no such option; roomcast serve --help lists them"]);
  assert.deepEqual(lines(["-p=hot"]), ["-p: no such option; roomcast serve --help lists them"]);
  assert.doesNotMatch(lines([SECRET, `--secert=${SECRET}`]).join(), /long enough/);
});

test("a file that cannot be read or is not a JSON object is one line, without what stands in it", (t) => {
  const of = (path: string) => linesOf(() => load(["--config", path])).map((line) => line.replace(path, "FILE"));
  assert.deepEqual(of(join(tmpdir(), "roomcast-no-such-file.json")), [
    "config: expected a file that can be read, got ENOENT (FILE)",
  ]);
  assert.deepEqual(of(tmpdir()), ["config: expected a file that can be read, got EISDIR (FILE)"]);
  assert.deepEqual(of(fileWith(t, "[]")), ["config: expected an object of settings, got something else (FILE)"]);
  for (const text of ["", "{", `{"secret": ${SECRET}}`, `{\n  "secret": "${SECRET}",\n}`, "\u0000", '{"a": tru}']) {
    const lines = of(fileWith(t, text));
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /^config: expected JSON, got something else( at line \d+, column \d+)? \(FILE\)$/);
  }
});

test("what Kubernetes and the test runner put in the environment is passed over", () => {
  const env = {
    ROOMCAST_PORT: "tcp://10.0.0.1:8000",
    ROOMCAST_SERVICE_HOST: "10.0.0.1",
    ROOMCAST_SERVICE_PORT: "8000",
    ROOMCAST_SERVICE_PORT_HTTP: "8000",
    ROOMCAST_PORT_8000_TCP: "tcp://10.0.0.1:8000",
    ROOMCAST_PORT_8000_TCP_ADDR: "10.0.0.1",
    ROOMCAST_TEST_FILES: "[]",
  };
  assert.equal(load([], env).settings.port, 8000);
});

test("a host that others can reach needs a secret or an authenticate hook", () => {
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "example.org", "127.0.0.1.example.org", "127.example"]) {
    const lines = linesOf(() => parseSettings({ host }));
    assertOneLine(lines, "host");
    assert.match(lines[0] ?? "", /ROOMCAST_SECRET/);
    assert.equal(parseSettings({ host, secret: SECRET }).host, host);
    assert.equal(parseSettings({ host }, { authenticates: true }).host, host);
  }
  for (const host of ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
    assert.ok(isLoopback(parseSettings({ host }).host));
});

test("a host that others can reach needs a key that there is: an empty list is none", (t) => {
  const host = "0.0.0.0";
  const pem = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();
  const right: SettingsInput[] = [
    { moreSecrets: [SECRET] },
    { tokenKeys: [fileWith(t, pem)] },
    { jwksUrl: "https://keys.example/" },
  ];
  for (const keys of right) assert.equal(parseSettings({ host, ...keys }).host, host);
  for (const name of ["ROOMCAST_MORE_SECRETS", "ROOMCAST_TOKEN_KEYS"]) {
    assertOneLine(
      linesOf(() => load([], { ROOMCAST_HOST: host, [name]: "" })),
      "host",
      "ROOMCAST_HOST",
    );
  }
  assertOneLine(
    linesOf(() => parseSettings({ host, moreSecrets: [], tokenKeys: [] })),
    "host",
  );
});

test("a secret never stands in a line", () => {
  for (const secret of ["hunter2", ["hunter2"], { hunter2: "hunter2" }]) {
    const lines = linesOf(() => parseSettings({ secret, scret: "hunter2" } as unknown as SettingsInput));
    assert.equal(lines.length, 2);
    assert.doesNotMatch(lines.join(), /hunter2/);
  }
});

test("a pair of settings that do not fit is put down to the one that was set", () => {
  assertOneLine(
    linesOf(() => parseSettings({ heartbeatMs: 60_001 })),
    "heartbeatMs",
  );
  assertOneLine(
    linesOf(() => parseSettings({ idleTimeoutMs: 19_000 })),
    "idleTimeoutMs",
  );
  assertOneLine(
    linesOf(() => parseSettings({ maxFrameBytes: 2_000_000 })),
    "maxFrameBytes",
  );
  assertOneLine(
    linesOf(() => parseSettings({ maxBackpressureBytes: 131_071 })),
    "maxBackpressureBytes",
  );
  assert.equal(parseSettings({ maxBackpressureBytes: 4096, maxFrameBytes: 2048 }).maxFrameBytes, 2048);
});

test("no event can be larger than a frame", () => {
  const chat = { maxEventBytes: 100_000 };
  assertOneLine(
    linesOf(() => parseSettings({ kinds: { chat } })),
    "kinds.chat.maxEventBytes",
  );
  assert.equal(parseSettings({ kinds: { chat }, maxFrameBytes: 100_000 }).kinds["chat"]?.maxEventBytes, 100_000);
});

test("what a kind on NATS is to remember may not be longer than NATS keeps it", () => {
  const nats = ["nats://a"];
  const kinds = {
    order: { history: { ageMs: 100_000_000 } },
    once: { engine: "memory", keyWindowMs: 604_800_000 },
  } as const;
  const lines = linesOf(() => parseSettings({ nats, kinds, natsRetentionMs: 90_000_000 }));
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /^natsRetentionMs: expected at least 100000000, .*"order".*, got 90000000/);
  // Where the retention is not set, the kind is what was set wrong; and "*" once for all that take it from there.
  assert.match(
    linesOf(() => parseSettings({ nats, kinds })).join("\n"),
    /^kinds\.order: .* of at most 86400000, .*, got 100000000$/,
  );
  const star = { "*": { keyWindowMs: 100_000_000 }, chat: {} };
  assert.match(linesOf(() => parseSettings({ nats, kinds: star })).join("\n"), /^kinds\.\*: .*, got 100000000$/);
  assert.deepEqual(
    linesOf(() => parseSettings({ nats, kinds, natsRetentionMs: 100_000_000 })),
    [],
  );
  assert.deepEqual(
    linesOf(() => parseSettings({ nats, redis: ["redis://a"], kinds })),
    [],
  );
});

test("a kind takes what it leaves out from *, and that from the defaults", () => {
  const { kinds } = parseSettings({
    kinds: {
      "*": { history: { size: 7 }, slow: "skip" },
      chat: { history: { ageMs: 9 }, batchMs: 0 },
      cursor: { history: { size: 0 } },
    },
  });
  const rulesFor = resolveKinds(kinds);
  const other = {
    engine: "memory",
    history: { size: 7, ageMs: 300_000 },
    keyWindowMs: 300_000,
    batchMs: 20,
    slow: "skip",
    lastValue: false,
    record: false,
    presence: { of: "asking", maxListed: 200, graceMs: 10_000, intervalMs: 500 },
  };
  assert.deepEqual(rulesFor("anything"), other);
  assert.deepEqual(rulesFor("constructor"), other);
  assert.deepEqual(rulesFor("__proto__"), other);
  assert.deepEqual(rulesFor("chat"), { ...other, history: { size: 7, ageMs: 9 }, batchMs: 0 });
  assert.deepEqual(rulesFor("cursor"), { ...other, history: { size: 0, ageMs: 300_000 } });
});

test("what a kind says of its members is filled up as the rest", () => {
  const presence = {
    "*": { presence: { of: "everyone", graceMs: 0 } },
    game: { presence: { graceMs: 5, maxListed: 0 } },
  };
  const { kinds } = parseSettings({ kinds: presence as never });
  const rulesFor = resolveKinds(kinds);
  const others = { of: "everyone", maxListed: 200, graceMs: 0, intervalMs: 500 };
  assert.deepEqual(rulesFor("chat").presence, others);
  assert.deepEqual(rulesFor("game").presence, { ...others, graceMs: 5, maxListed: 0 });
});

test("a kind without history skips, and one that keeps it again resumes", () => {
  const rulesFor = resolveKinds({ "*": { history: { size: 0 } }, chat: { history: { size: 5 } } });
  assert.equal(rulesFor("cursor").slow, "skip");
  assert.equal(rulesFor("chat").slow, "resume");
  assertOneLine(
    linesOf(() => parseSettings({ kinds: { "*": { history: { size: 0 } }, chat: { slow: "resume" } } })),
    "kinds.chat.slow",
  );
});

test("a node has a name of its own where it is given none", () => {
  assert.match(parseSettings({}).node, /^n_[0-9a-f]{8}$/);
  assert.notEqual(parseSettings({}).node, parseSettings({}).node);
});
