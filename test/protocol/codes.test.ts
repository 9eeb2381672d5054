import assert from "node:assert/strict";
import { test } from "node:test";
import { afterClose, closeCodes, errorCodes, ProtocolError } from "../../protocol/codes.js";
import { describe } from "../../protocol/fields.js";

test("a close code's range says when to come back, also for codes of later versions", () => {
  for (const code of [1000, 1001, 1006, 1009, 1012, 3000, 4000, 4042, 4099, 4300, 4999]) {
    assert.equal(afterClose(code), "now", String(code));
  }
  for (const code of [4100, 4150, 4199]) assert.equal(afterClose(code), "later", String(code));
  for (const code of [4200, 4250, 4299]) assert.equal(afterClose(code), "never", String(code));
});

test("every close code stands in the range that does right by it", () => {
  const after = Object.fromEntries(Object.entries(closeCodes).map(([name, code]) => [name, afterClose(code)]));
  assert.deepEqual(after, {
    replaced: "now",
    tooSlow: "now",
    helloTimeout: "now",
    tooManyRequests: "now",
    moving: "later",
    overloaded: "later",
    unauthorized: "never",
    disconnected: "never",
    protocolError: "never",
    expired: "never",
  });
  assert.equal(new Set(Object.values(closeCodes)).size, Object.keys(closeCodes).length);
});

test("every error code is a lower-case word with a sentence that explains it", () => {
  for (const [code, meaning] of Object.entries(errorCodes)) {
    assert.match(code, /^[a-z_]+$/);
    assert.match(meaning, /^[A-Z].*\.$/);
  }
});

test("a protocol error says the field, what was expected and what came", () => {
  const error = new ProtocolError("room", "a name", "nothing");
  assert.equal(error.message, "room: expected a name, got nothing");
  assert.equal(error.name, "ProtocolError");
  assert.equal(error.fatal, false);
  assert.equal(error.id, undefined);
});

test("a wrong value is described in few words", () => {
  const described = [undefined, null, [], {}, new Uint8Array(1), 1.5, true, 'a"b', 1n].map(describe);
  assert.deepEqual(described, ["nothing", "nothing", "an array", "an object", "binary", "1.5", "true", '"a\\"b"', "1"]);
  assert.ok(describe("😀".repeat(100)).length < 70);
});
