import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog, type LogLevel } from "../../server/log.js";

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
