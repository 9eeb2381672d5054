import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Actions, actionsOf, NO_ACTIONS, roomActions } from "../../server/access/actions.js";
import { GrantError, Grants, matches, parseGrants, parsePattern } from "../../server/access/grants.js";

/** What a pattern stands for, in words of another kind: the second opinion. */
function oracle(pattern: string, room: string): boolean {
  const source = pattern
    .replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&")
    .replace(/\\\*$/, "[^]+")
    .replace(/(?<=^|:)\\\*(?=:)/g, "[^:]+");
  return new RegExp(`^${source}$`).test(room);
}

// Few letters, so that names and patterns meet often; with an empty segment now and then, and one that begins another.
const segment = fc.constantFrom("a", "b", "ab", "a.b", "A", "", "__proto__", "constructor");
const roomName = fc
  .array(segment, { minLength: 1, maxLength: 6 })
  .map((parts) => parts.join(":"))
  .filter((name) => name !== "");
const patternText = fc
  .tuple(fc.array(fc.oneof(segment, fc.constant("*")), { maxLength: 5 }), segment, fc.constantFrom("", "*"))
  .map(([parts, last, star]) => [...parts, last + star].join(":"))
  .filter((text) => text !== "");
const actions = fc.integer({ min: 0, max: 15 });

test("a pattern stands for the rooms that its words say, and for no other", () => {
  fc.assert(
    fc.property(patternText, roomName, (text, room) => {
      assert.equal(matches(parsePattern(text, undefined), room), oracle(text, room), `${text} and ${room}`);
    }),
    { numRuns: 20_000 },
  );
});

test("what is granted in a room is what all patterns that stand for it grant together", () => {
  const entries = fc.array(fc.tuple(patternText, actions), { maxLength: 100 });
  fc.assert(
    fc.property(entries, fc.array(roomName, { minLength: 1, maxLength: 5 }), (given, rooms) => {
      const grants = new Grants(given.map(([text, one]) => [parsePattern(text, undefined), one] as const));
      for (const room of rooms) {
        const expected = given.reduce<Actions>((sum, [text, one]) => (oracle(text, room) ? sum | one : sum), 0);
        assert.equal(grants.in(room), expected, `${JSON.stringify(given)} in ${room}`);
      }
    }),
    { numRuns: 2000 },
  );
});

const table: readonly (readonly [pattern: string, yes: readonly string[], no: readonly string[]])[] = [
  ["chat:42", ["chat:42"], ["chat:4", "chat:421", "chat:42:", "Chat:42", ":chat:42", "chat"]],
  ["*", ["a", "a:b:c", ":", ":::", "__proto__"], []],
  ["chat:*", ["chat:1", "chat:1:2", "chat::", "chat:*"], ["chat", "chat:", "chats:1", "a:chat:1"]],
  ["chat*", ["chats", "chat:", "chat:1"], ["chat", "cha", "Chat1"]],
  ["chat:4*", ["chat:42", "chat:4:2"], ["chat:4", "chat:5"]],
  ["a:*:b", ["a:x:b", "a:*:b"], ["a:b", "a::b", "a:x:y:b", "a:x:b:", "a:x:bb", "a:x", "aa:x:b"]],
  ["a:*:b*", ["a:x:bb", "a:x:b:c"], ["a:x:b", "a::bb", "a:x:c"]],
  ["a:*:*", ["a:x:y", "a:x:y:z", "a:x::"], ["a:x:", "a:x", "a::y"]],
  ["*:b", ["a:b"], ["b", ":b", "a:a:b", "a:b:"]],
  ["*:*:c", ["a:b:c"], ["a:c", "a:b:c:c", "a::c"]],
  ["a:", ["a:"], ["a", "a::", "a:b"]],
  ["a::*:b", ["a::x:b"], ["a:x:b", "a:::b", "a:y:x:b"]],
  [":*:", [":x:"], ["::", ":x:y", "x:"]],
  ["__proto__", ["__proto__"], ["toString", "constructor"]],
  ["*:__proto__", ["a:__proto__"], ["a:toString", "a:"]],
  ["constructor:*:toString", ["constructor:x:toString"], ["constructor:x:valueOf"]],
  ["a.b", ["a.b"], ["axb"]],
];

for (const [text, yes, no] of table) {
  test(`the pattern ${text} stands for ${yes.join(" ")}${no.length === 0 ? "" : `, not for ${no.join(" ")}`}`, () => {
    const pattern = parsePattern(text, undefined);
    const grants = parseGrants({ [text]: "join" }, undefined);
    for (const room of [...yes, ...no]) {
      assert.equal(matches(pattern, room), yes.includes(room), room);
      assert.equal(grants.in(room), yes.includes(room) ? actionsOf(["join"]) : NO_ACTIONS, room);
    }
  });
}

const refused: readonly unknown[] = [
  ...["", "a b", "a|b", "$nodes", "ä", "a?b", "a\n", "\ud800", "{user}", "{sub", "sub}", "a".repeat(129)],
  ...["*a", "a*b", "a:*b", "a:b*:c", "a*:b", "**", "a:**", "**:a", "a:**:b", "*:a*:b*", "*a*"],
  ...[undefined, null, 1, ["a"], { a: 1 }],
  ...["*:*:*:*:*:*:b", `${"*:".repeat(6)}b*`, "a:*:*:*:*:*:*:*"],
];

for (const text of refused) {
  test(`${JSON.stringify(text)?.slice(0, 40)} is no pattern`, () => {
    assert.throws(() => parsePattern(text, "ann"), GrantError);
  });
}

test("a pattern of 128 characters, or with five stars between colons, stands for what it says", () => {
  const room = `${"a".repeat(63)}:${"b".repeat(64)}`;
  assert.equal(room.length, 128);
  for (const text of [room, `${room.slice(0, 127)}*`, `*:${"b".repeat(64)}`]) {
    assert.equal(matches(parsePattern(text, undefined), room), true, text);
  }
  const stars = "*:*:*:*:*:b";
  assert.equal(matches(parsePattern(stars, undefined), "a:a:a:a:a:b"), true);
  assert.equal(matches(parsePattern(stars, undefined), "a:a:a:a:a:a:b"), false);
  assert.equal(matches(parsePattern(`${stars}*`, undefined), `a:a:a:a:a:${"b".repeat(118)}`), true);
});

test("{sub} is the user, as a whole segment", () => {
  const cases = [
    ["user:{sub}", "user:ann", "user:bob"],
    ["user:{sub}:*", "user:ann:inbox", "user:anna:inbox"],
    ["{sub}", "ann", "anna"],
    ["a:*:{sub}", "a:b:ann", "a:ann:b"],
    ["dm:{sub}:{sub}", "dm:ann:ann", "dm:ann:bob"],
  ] as const;
  for (const [text, yes, no] of cases) {
    const pattern = parsePattern(text, "ann");
    assert.deepEqual([matches(pattern, yes), matches(pattern, no)], [true, false], text);
  }
  for (const user of ["ann@example.org", "a/b", "4711", "__proto__", "A-1_.@/"]) {
    assert.equal(matches(parsePattern("user:{sub}:*", user), `user:${user}:x`), true, user);
  }
});

test("{sub} beside other characters is refused: ann's rooms would hold some of anna's", () => {
  for (const text of ["user:{sub}*", "user-{sub}", "dm:{sub}-*", "{sub}{sub}", "a:{sub}.b:c", "{sub}/x"]) {
    assert.throws(() => parsePattern(text, "ann"), /expected \{sub\} between colons, with nothing beside it/, text);
  }
});

for (const user of [
  undefined,
  "",
  "ann:admin",
  ":",
  "*",
  "a*",
  "a|b",
  "a b",
  "$",
  "{sub}",
  "ä",
  "\ud800",
  "a\n",
  "x".repeat(129),
]) {
  test(`a user ${JSON.stringify(user)?.slice(0, 20)} cannot stand in the place of {sub}`, () => {
    assert.throws(() => parsePattern("user:{sub}:*", user), GrantError);
    assert.doesNotThrow(() => parsePattern("user:*", user), "which is no matter where {sub} is not used");
  });
}

test("no user makes a pattern stand for rooms of another user", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), roomName, (user, other, rest) => {
      fc.pre(user !== other && other !== "" && !other.includes(":"));
      let pattern: ReturnType<typeof parsePattern>;
      try {
        pattern = parsePattern("user:{sub}:*", user);
      } catch {
        return;
      }
      assert.equal(matches(pattern, `user:${other}:${rest}`), false);
    }),
    { numRuns: 5000 },
  );
});

test("grants are read from an object of patterns with lists or strings of actions", () => {
  const grants = parseGrants(
    { "chat:*": ["join", "publish"], "user:{sub}:*": "join history", "chat:1": "members" },
    "ann",
  );
  assert.equal(grants.in("chat:2"), actionsOf(["join", "publish"]));
  assert.equal(grants.in("chat:1"), actionsOf(["join", "publish", "members"]));
  assert.equal(grants.in("user:ann:x"), actionsOf(["join", "history"]));
  assert.equal(grants.in("user:bob:x"), NO_ACTIONS);
  assert.equal(parseGrants({}, undefined).in("chat:1"), NO_ACTIONS);
});

test("a pattern called __proto__ is a pattern like any other, and changes nothing else", () => {
  const grants = parseGrants(JSON.parse('{"__proto__": "join", "constructor": "publish"}'), undefined);
  assert.equal(grants.in("__proto__"), actionsOf(["join"]));
  assert.equal(grants.in("constructor"), actionsOf(["publish"]));
  assert.equal(grants.in("toString"), NO_ACTIONS);
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
});

test("grants that are none are refused, naming the pattern and what is wrong with it", () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /expected an object of patterns and actions, got nothing/],
    [["chat:*"], /expected an object of patterns and actions, got an array/],
    ["chat:*", /expected an object/],
    [{ "chat:*": ["join", "write"] }, /^"chat:\*": expected some of join, publish, history, members, got "write"$/],
    [{ "chat:*": "join write" }, /^"chat:\*": .* got "join write"$/],
    [{ "chat:*": true }, /^"chat:\*": .* got true$/],
    [{ "chat:*": null }, /^"chat:\*": .* got nothing$/],
    [{ "a|b": "join" }, /expected a pattern, .* got "a\|b"$/],
    [{ ["\ud83d".repeat(50)]: 1 }, /"\\ud83d/],
  ];
  for (const [given, message] of cases) assert.throws(() => parseGrants(given, "ann"), { name: "GrantError", message });
});

test("a hundred patterns are taken, and one more is refused", () => {
  const patterns = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`room:${index}`, "join"]));
  assert.equal(parseGrants(patterns(100), undefined).in("room:99"), actionsOf(["join"]));
  assert.throws(() => parseGrants(patterns(101), undefined), /expected at most 100 patterns, got 101/);
});

test("whatever is given as grants is read or refused with words that can be sent", () => {
  fc.assert(
    fc.property(fc.anything(), fc.option(fc.string({ unit: "binary" }), { nil: undefined }), (given, user) => {
      try {
        assert.ok(parseGrants(given, user) instanceof Grants);
      } catch (error) {
        assert.ok(error instanceof GrantError, String(error));
        assert.doesNotMatch(error.message, /\p{Surrogate}/u);
        assert.ok(error.message.length < 400);
      }
    }),
    { numRuns: 3000 },
  );
});

test("the second opinion is one: it agrees with what is written down", () => {
  for (const [text, yes, no] of table) {
    for (const room of [...yes, ...no]) assert.equal(oracle(text, room), yes.includes(room), `${text} and ${room}`);
  }
  assert.equal(roomActions.length, 4);
});
