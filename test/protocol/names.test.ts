import assert from "node:assert/strict";
import { test } from "node:test";
import { isEventName, isRoomName, kindOf } from "../../protocol/names.js";
import { samePosition } from "../../protocol/positions.js";

test("room and event names are of the characters that need no escape anywhere", () => {
  for (const name of ["a", "chat:42", "A-Z_0.9:@/x", "-", "/", "x".repeat(64)]) {
    assert.ok(isRoomName(name) && isEventName(name), name);
  }
  for (const name of [
    "",
    " ",
    "a b",
    "$control",
    "a$",
    "é",
    "a\n",
    "\na",
    "a\u0000",
    "a\ud800",
    '"',
    "\\",
    "a?b",
    "a#b",
    "a%b",
    "*",
    "{}",
  ]) {
    assert.ok(!isRoomName(name) && !isEventName(name), JSON.stringify(name));
  }
});

test("a room's name has 128 characters at the most, an event's 64", () => {
  assert.ok(isRoomName("x".repeat(128)) && !isRoomName("x".repeat(129)));
  assert.ok(isEventName("x".repeat(64)) && !isEventName("x".repeat(65)));
});

test("a room's kind is what stands before its first colon, or all of it", () => {
  assert.equal(kindOf("chat:42:x"), "chat");
  assert.equal(kindOf("lobby"), "lobby");
  assert.equal(kindOf(":x"), "");
});

test("positions are the same when both epoch and offset are", () => {
  const here = { epoch: "a", offset: 1 };
  assert.ok(samePosition(here, { ...here }) && samePosition(undefined, undefined));
  assert.ok(!samePosition(here, { ...here, offset: 2 }) && !samePosition(here, { ...here, epoch: "b" }));
  assert.ok(!samePosition(here, undefined) && !samePosition(undefined, here));
});
