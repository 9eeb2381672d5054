import assert from "node:assert/strict";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { settingInfos } from "../../server/cli/settings.js";
import { Command } from "../support/command.js";

const SECRET = "a secret that is long enough, 32 or more";
const done = { code: 0, signal: null };

async function started(t: TestContext, ...args: string[]): Promise<{ command: Command; url: string; port: number }> {
  const command = new Command(t, ["serve", "--port", "0", ...args]);
  const { url, port } = await command.line(/^listening on /);
  return { command, url: String(url), port: Number(port) };
}

/** A client that has said hello and been welcomed. */
async function client(t: TestContext, port: number): Promise<WebSocket> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/v1/socket`);
  t.after(() => ws.terminate());
  await once(ws, "open");
  ws.send('{"type":"hello","id":1}');
  const [frame] = await once(ws, "message");
  assert.match(String(frame), /"welcome"/);
  return ws;
}

/** A client that has been upgraded and then says nothing more, not even that it closes. */
async function deafClient(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  const request = ["GET /v1/socket HTTP/1.1", `Host: 127.0.0.1:${port}`, "Upgrade: websocket", "Connection: Upgrade"];
  const keys = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
  socket.write([...request, ...keys, "", ""].join("\r\n"));
  const [answer] = await once(socket, "data");
  assert.match(String(answer), /^HTTP\/1\.1 101/);
  // It does not even read that the server has closed.
  socket.pause();
  return socket;
}

test("on port 0 its first line carries the address for programs, and it says loudly that there is no secret", async (t) => {
  const { command, url, port } = await started(t);
  assert.equal(url, `http://127.0.0.1:${port}`);
  const warning = await command.line(
    /^NO SECRET CONFIGURED: loopback only, anyone on this machine may connect and use the HTTP API$/,
  );
  assert.equal(warning.level, "warn");
  await command.line(/^memory engine: /);
  assert.ok((await command.line(/^start page at /)).message.includes(url));
  assert.equal((await fetch(`${url}/live`)).status, 200);
  assert.match(command.stdout, /^\{.*"listening on/);
});

test("with a secret it says nothing of the kind, and nowhere the secret", async (t) => {
  const command = new Command(t, ["--port", "0", "--log-level", "debug"], { ROOMCAST_SECRET: SECRET });
  await command.line(/^start page at /);
  command.child.kill("SIGTERM");
  assert.deepEqual(await command.exited, done);
  assert.doesNotMatch(command.stdout + command.stderr, /NO SECRET|long enough/);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} closes it: clients are told to come back, and the process ends by itself with code 0`, async (t) => {
    const { command, port } = await started(t);
    const clients = await Promise.all([1, 2, 3].map(() => client(t, port)));
    const codes = clients.map(async (ws) => (await once(ws, "close"))[0] as number);
    command.child.kill(signal);
    assert.deepEqual(await Promise.all(codes), [4100, 4100, 4100]);
    assert.deepEqual(await command.exited, done);
    assert.equal(command.stderr, "");
    await assert.rejects(once(connect(port, "127.0.0.1"), "connect"), { code: "ECONNREFUSED" });
  });
}

// Left alone, such a client holds a process open for 16 s: the timeout is what tells.
test("a client that does not read that it is closed does not hold the process open", { timeout: 10_000 }, async (t) => {
  const { command, port } = await started(t, "--notice-ms", "0", "--drain-ms", "0", "--deadline-ms", "100");
  await deafClient(t, port);
  command.child.kill("SIGTERM");
  assert.deepEqual(await command.exited, done);
});

test("one Ctrl-C that arrives twice, as npm and a terminal pass it on, is one signal", async (t) => {
  const { command, port } = await started(t);
  const closed = once(await client(t, port), "close");
  command.child.kill("SIGINT");
  command.child.kill("SIGTERM");
  assert.equal((await closed)[0], 4100);
  assert.deepEqual(await command.exited, done);
});

test("a second signal ends it at once", async (t) => {
  const { command, port } = await started(t, "--deadline-ms", "3600000");
  await deafClient(t, port);
  command.child.kill("SIGTERM");
  await command.line(/draining; a second signal ends at once$/);
  const again = setInterval(() => command.child.kill("SIGTERM"), 50);
  t.after(() => clearInterval(again));
  assert.deepEqual(await command.exited, { code: 1, signal: null });
  await command.line(/again: ending at once$/);
});

test("a port in use is one line, and exit code 1", async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  t.after(() => other.close());
  await once(other, "listening");
  const { port } = other.address() as { port: number };
  const first = new Command(t, ["--port", String(port)]);
  assert.deepEqual(await first.exited, { code: 1, signal: null });
  assert.deepEqual(first.errors, [`cannot start: port: expected a free one on 127.0.0.1, got ${port}`]);
  assert.equal(first.stdout, "");
  // Nor is it shared with another node, as the native library would do by default.
  const { port: taken } = await started(t);
  const second = new Command(t, ["--port", String(taken)]);
  assert.deepEqual(await second.exited, { code: 1, signal: null });
  assert.equal(second.errors.length, 1);
});

test("an address that is not this machine's is one line, and exit code 1", async (t) => {
  const command = new Command(t, ["--port", "0", "--host", "192.0.2.1"], { ROOMCAST_SECRET: SECRET });
  assert.deepEqual(await command.exited, { code: 1, signal: null });
  assert.match(command.errors.join("\n"), /^cannot start: .*192\.0\.2\.1.*$/);
});

test("what would abort in native code is one line and exit code 2", async (t) => {
  for (const value of ["1000", "7000", "961000", "8500"]) {
    const command = new Command(t, ["--port", "0", "--idle-timeout-ms", value]);
    assert.deepEqual(await command.exited, { code: 2, signal: null });
    const expected = "expected whole seconds from 8000 to 960000, in milliseconds";
    assert.deepEqual(command.errors, [`idleTimeoutMs: ${expected}, got ${value} (from --idle-timeout-ms)`]);
    assert.equal(command.stdout, "");
  }
});

test("every setting set wrong at once is a line each and exit code 2", async (t) => {
  const env = Object.fromEntries(settingInfos.map(({ variable }) => [variable, "!"]));
  const command = new Command(t, ["serve"], env);
  assert.deepEqual(await command.exited, { code: 2, signal: null });
  const named = command.errors.map(
    (line) => /^(\w+)(\[0\])?: expected .*, got .* \(from ROOMCAST_\w+\)$/.exec(line)?.[1],
  );
  // Any text may be these.
  const free = ["tokenIssuer", "tokenAudience", "redisUsername", "redisPassword"];
  assert.deepEqual(
    named,
    settingInfos.map(({ name }) => name).filter((name) => !free.includes(name)),
  );
});

test("--check prints what holds and where it is from, without the secret and without loading anything native", async (t) => {
  const env = { ROOMCAST_SECRET: SECRET, ROOMCAST_MAX_ROOMS: "7" };
  const table = new Command(t, ["serve", "--check", "--port", "81"], env, ["--no-addons"]);
  assert.deepEqual(await table.exited, done);
  const rows = table.stdout.split("\n").map((line) => line.split(/ {2,}/));
  const row = (name: string) => rows.find((cells) => cells[0] === name)?.slice(1);
  assert.deepEqual(row("port"), ["81", "--port"]);
  assert.deepEqual(row("maxRooms"), ["7", "ROOMCAST_MAX_ROOMS"]);
  assert.deepEqual(row("secret"), ["(set)", "ROOMCAST_SECRET"]);
  assert.deepEqual(row("host"), ["127.0.0.1", "default"]);
  for (const { name } of settingInfos) assert.ok(rows.some(([cell]) => cell === name || cell?.startsWith(`${name}.`)));

  const json = new Command(t, ["serve", "--check", "--json", "--port", "81"], env);
  assert.deepEqual(await json.exited, done);
  const { settings } = JSON.parse(json.stdout) as { settings: { [name: string]: { value: unknown; from: string } } };
  assert.deepEqual(
    Object.keys(settings),
    settingInfos.map(({ name }) => name),
  );
  assert.deepEqual(settings["port"], { value: 81, from: "--port" });
  assert.deepEqual(settings["secret"], { value: "(set)", from: "ROOMCAST_SECRET" });
  assert.doesNotMatch(table.stdout + json.stdout, /long enough/);
});

test("--check prints of each kind who may do what in its rooms and how much, and no key of any sort", async (t) => {
  const shown = async (settings: { readonly [variable: string]: string }) => {
    const command = new Command(t, ["--check", "--json"], settings);
    assert.deepEqual(await command.exited, done);
    assert.doesNotMatch(command.stdout, /hunter2/);
    return JSON.parse(command.stdout).settings;
  };
  const kinds = { chat: { allow: { user: ["join"], token: ["join", "publish"] }, publishRate: 7, maxEventBytes: 9 } };
  const all = ["join", "publish", "history", "members"];
  const open = (await shown({ ROOMCAST_KINDS: JSON.stringify(kinds) })).kinds.value;
  assert.deepEqual(open["*"].allow, { anonymous: all, user: [], token: all }, "nobody is asked who they are");
  assert.deepEqual(open.chat.allow, { anonymous: all, user: ["join"], token: ["join", "publish"] });
  const { publishRate, maxMembers, maxEventBytes } = open.chat;
  assert.deepEqual([publishRate, maxMembers, maxEventBytes], [7, 100_000, 9]);

  const ROOMCAST_MORE_SECRETS = `hunter2 ${"x".repeat(30)},hunter2 ${"y".repeat(30)}`;
  const ROOMCAST_JWKS_URL = "https://keys.example/all?key=hunter2";
  const ROOMCAST_REDIS = "redis://ann:hunter2@a?name=a,redis+sentinel://:hunter2@b:1+c:2/main";
  const closed = await shown({ ROOMCAST_MORE_SECRETS, ROOMCAST_JWKS_URL, ROOMCAST_REDIS });
  assert.deepEqual(closed.kinds.value["*"].allow, { anonymous: [], user: [], token: all });
  assert.deepEqual(closed.moreSecrets.value, ["(set)", "(set)"]);
  assert.equal(closed.jwksUrl.value, "https://keys.example/all?***");
  assert.deepEqual(closed.redis.value, ["redis://***@a?name=a", "redis+sentinel://***@b:1+c:2/main"]);
});

test("--check of wrong settings is a line each and exit code 2", async (t) => {
  const command = new Command(t, ["--check", "--port", "x", "--max-rooms", "0"]);
  assert.deepEqual(await command.exited, { code: 2, signal: null });
  assert.equal(command.errors.length, 2);
  assert.equal(command.stdout, "");
});

test("--help and --version say what there is", async (t) => {
  const help = new Command(t, ["serve", "--help"]);
  assert.deepEqual(await help.exited, done);
  for (const { flag, variable } of settingInfos) {
    assert.ok(help.stdout.includes(`  ${flag} `), flag);
    assert.ok(help.stdout.includes(variable), variable);
  }
  assert.ok(help.stdout.split("\n").every((line) => line.length <= 100));
  const general = new Command(t, ["--help"]);
  assert.deepEqual(await general.exited, done);
  assert.match(general.stdout, /^ {2}serve /m);
  const version = new Command(t, ["--version"]);
  assert.deepEqual(await version.exited, done);
  assert.match(version.stdout, /^roomcast \d+\.\d+\.\d+, Node \d+\./);
});

test("an unknown command is one line and exit code 2", async (t) => {
  const command = new Command(t, ["sevre", "--port", "0"]);
  assert.deepEqual(await command.exited, { code: 2, signal: null });
  assert.deepEqual(command.errors, ['no such command: "sevre"; did you mean serve?']);
});

const versions = '{...process.versions, node: "24.1.0", modules: "137"}';
/** Makes Node say that it is another. */
const node24 = ["--import", `data:text/javascript,Object.defineProperty(process, "versions", {value: ${versions}})`];

test("a Node that the native part is not built for is one line with the cure, and exit code 1", async (t) => {
  const command = new Command(t, ["--port", "0"], {}, ["--no-addons", ...node24]);
  assert.deepEqual(await command.exited, { code: 1, signal: null });
  assert.equal(command.errors.length, 1);
  assert.match(command.errors[0] ?? "", /^roomcast cannot run on Node 24\.1\.0: .*; use Node 22 /);
});

test("the official package in the place of the repack is tried, whatever it runs on", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "roomcast-official-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  for (const part of ["dist/server", "dist/protocol"])
    cpSync(join(root, part), join(folder, part), { recursive: true });
  cpSync(join(root, "package.json"), join(folder, "package.json"));
  mkdirSync(join(folder, "node_modules/uWebSockets.js/dist"), { recursive: true });
  for (const name of readdirSync(join(root, "node_modules"))) {
    const to = join(folder, "node_modules", name);
    if (name !== "uWebSockets.js") symlinkSync(join(root, "node_modules", name), to);
  }
  const official = join(folder, "node_modules/uWebSockets.js");
  writeFileSync(join(official, "package.json"), '{"name": "uWebSockets.js", "type": "module", "main": "dist/uws.js"}');
  writeFileSync(join(official, "dist/uws.js"), 'throw new Error("the official package was loaded\\nwith more lines")');
  const command = new Command(t, ["--port", "0"], {}, node24, join(folder, "dist/server/main.js"));
  assert.deepEqual(await command.exited, { code: 1, signal: null });
  assert.deepEqual(command.errors, ["cannot start: the official package was loaded"]);
});

test("a native part that cannot be loaded is one line, and exit code 1", async (t) => {
  const command = new Command(t, ["--port", "0"], {}, ["--no-addons"]);
  assert.deepEqual(await command.exited, { code: 1, signal: null });
  assert.equal(command.errors.length, 1);
  assert.match(command.errors[0] ?? "", /^cannot start: /);
});
