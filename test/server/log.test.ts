import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { createLog, type LogLevel } from "../../server/log.js";
import { Command } from "../support/command.js";
import { eventually } from "../support/eventually.js";

function logTo(level: LogLevel, readable = false) {
  const lines: string[] = [];
  return { lines, log: createLog({ level, readable, destination: { write: (line) => lines.push(line) } }) };
}

test("a line is one JSON object with its level, time, text and fields", () => {
  const { log, lines } = logTo("info");
  log.info("joined\n", { room: "chat:42", error: new Error("no") });
  const line = JSON.parse(lines[0] ?? "") as { [name: string]: unknown };
  assert.deepEqual([line["level"], line["message"], line["room"]], ["info", "joined\n", "chat:42"]);
  assert.ok(!Number.isNaN(Date.parse(String(line["time"]))));
  assert.equal((line["error"] as Error).message, "no");
  assert.equal(lines[0]?.indexOf("\n"), (lines[0]?.length ?? 0) - 1);
});

test("what is less important than the level is left out", () => {
  const { log, lines } = logTo("warn");
  log.debug("a");
  log.info("b");
  log.warn("c");
  log.error("d");
  assert.equal(lines.length, 2);
  const silent = logTo("silent");
  silent.log.error("d");
  assert.equal(silent.lines.length, 0);
});

test("secrets are not written, at the top and one level down", () => {
  for (const readable of [false, true]) {
    const { log, lines } = logTo("info", readable);
    log.info("hello", {
      token: "hunter2",
      frame: { token: "hunter2", secret: "hunter2" },
      headers: { cookie: "hunter2" },
    });
    assert.doesNotMatch(lines.join(), /hunter2/);
    assert.match(lines.join(), /not shown/);
  }
});

test("for people a line is the time, the level, the text and the fields, and stays one line", () => {
  const { log, lines } = logTo("info", true);
  log.warn("too slow", { room: "chat:42", waiting: 5, note: "two\nlines" });
  assert.match(lines[0] ?? "", /^\d\d:\d\d:\d\d warn {2}too slow {2}room=chat:42 waiting=5 note="two\\nlines"\n$/);
});

const logModule = new URL("../../server/log.js", import.meta.url);
const dies = `import { createLog } from ${JSON.stringify(logModule)};
process.on("SIGUSR2", () => {
  const log = createLog({ level: "info", destination: "stdout" });
  // The first is on its way when the process ends, the second still waits.
  log.error("the last but one");
  log.error("the last words");
  throw new Error("unexpected");
});`;
const floods = `import { createLog } from ${JSON.stringify(logModule)};
process.on("SIGUSR2", () => {
  const log = createLog({ level: "info", destination: "stdout" });
  for (let line = 1; line <= 20_000; line++) log.info(String(line), { filling: "x".repeat(1000) });
});`;
const preloaded = (code: string): string[] => ["--import", `data:text/javascript,${encodeURIComponent(code)}`];

test("what is logged before an exception that ends the process is read", async (t) => {
  const command = new Command(t, ["serve", "--port", "0"], {}, preloaded(dies));
  await command.line(/^start page at /);
  command.child.kill("SIGUSR2");
  await command.line(/^the last words$/);
  assert.equal((await command.exited).code, 1);
  assert.match(command.stderr, /Error: unexpected/);
});

// Where a process tries for ever to write its last lines, the timeout is what tells.
test("a node whose log's reader has gone ends by itself after an exception", { timeout: 15_000 }, async (t) => {
  const command = new Command(t, ["serve", "--port", "0"], {}, preloaded(dies));
  await command.line(/^start page at /);
  command.child.stdout?.destroy();
  command.child.kill("SIGUSR2");
  assert.deepEqual(await command.exited, { code: 1, signal: null });
});

test("a node whose log's reader has gone serves on, and ends by itself at SIGTERM", { timeout: 15_000 }, async (t) => {
  const command = new Command(t, ["serve", "--port", "0"], {}, preloaded(dies));
  const { url } = await command.line(/^listening on /);
  await command.line(/^start page at /);
  command.child.stdout?.destroy();
  assert.equal((await fetch(`${url}/live`)).status, 200);
  command.child.kill("SIGTERM");
  assert.deepEqual(await command.exited, { code: 0, signal: null });
});

test("a node whose log's reader stands still serves on, and ends by itself", { timeout: 30_000 }, async (t) => {
  const command = new Command(t, ["serve", "--port", "0"], {}, preloaded(floods));
  const { url } = await command.line(/^listening on /);
  await command.line(/^start page at /);
  command.child.stdout?.pause();
  command.child.kill("SIGUSR2");
  assert.equal((await fetch(`${url}/live`)).status, 200);
  const exited = once(command.child, "exit");
  command.child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  command.child.stdout?.destroy();
});

test("lines beyond what may wait are dropped, and their number is told once the reader goes on", async (t) => {
  const command = new Command(t, ["serve", "--port", "0"], {}, preloaded(floods));
  await command.line(/^start page at /);
  command.child.stdout?.pause();
  command.child.kill("SIGUSR2");
  // The flood comes in one turn of the loop: what answers then, comes after it.
  const { url } = await command.line(/^listening on /);
  await eventually(async () => (await fetch(`${url}/live`)).status === 200);
  command.child.stdout?.resume();
  const told = await command.line(/^lines of this log were dropped/);
  const lines = [...command.stdout.matchAll(/"message":"(\d+)"/g)].map(([, number]) => Number(number));
  assert.deepEqual(
    lines,
    Array.from(lines, (_, index) => index + 1),
    "a hole, or out of order",
  );
  assert.equal(lines.length + Number(told["dropped"]), 20_000);
});
