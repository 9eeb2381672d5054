import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  ALL_ACTIONS,
  actionsOf,
  has,
  NO_ACTIONS,
  parseActions,
  roomActions,
  wordsOf,
} from "../../server/access/actions.js";

const words = fc.array(fc.constantFrom(...roomActions), { maxLength: 8 });

test("a set of actions has what it was made of, in the order of the list, and nothing else", () => {
  fc.assert(
    fc.property(words, (given) => {
      const actions = actionsOf(given);
      assert.deepEqual(
        wordsOf(actions),
        roomActions.filter((word) => given.includes(word)),
      );
      for (const word of roomActions) assert.equal(has(actions, word), given.includes(word));
    }),
  );
  assert.equal(actionsOf([...roomActions]), ALL_ACTIONS);
  assert.equal(actionsOf([]), NO_ACTIONS);
});

test("a list of words and the same words in one string, with any number of spaces, are the same actions", () => {
  fc.assert(
    fc.property(words, fc.integer({ min: 1, max: 3 }), (given, spaces) => {
      const joined = given.join(" ".repeat(spaces));
      assert.equal(parseActions(given), actionsOf(given));
      assert.equal(parseActions(joined), actionsOf(given));
      assert.equal(parseActions(` ${joined} `), actionsOf(given));
    }),
  );
  assert.equal(parseActions(""), NO_ACTIONS, "an empty string grants nothing");
});

const bad: readonly unknown[] = [
  ...["write", "Join", "join,publish", "join\tpublish", "join\u00a0publish", "*", "call", "__proto__", "constructor"],
  ...[["join", "write"], ["join publish"], ["join", 1], ["join", null], [["join"]], undefined, null, 15, true, {}],
  { 0: "join", length: 1 },
];

for (const given of bad) {
  test(`${JSON.stringify(given)} is not actions: it is not taken for a part of what it may have meant`, () => {
    assert.equal(parseActions(given), undefined);
  });
}
