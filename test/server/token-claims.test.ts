import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Access } from "../../server/access/access.js";
import { actionsOf, wordsOf } from "../../server/access/actions.js";
import { parseGrants } from "../../server/access/grants.js";
import { sharedGrants } from "../../server/access/tokens/shared-grants.js";
import { TokenError, type TokenErrorCode } from "../../server/access/tokens/token.js";
import { type RoomToken, type TokenSources, Tokens } from "../../server/access/tokens/tokens.js";
import { encode, withSecret } from "../support/tokens.js";

const SECRET = "the secret of these tests, 32 characters and more";
const NOW = 1_800_000_000_000;
const S = NOW / 1000;
const good = { sub: "ann", exp: S + 3600 };

const tokensWith = (more: Partial<TokenSources> = {}): Tokens =>
  new Tokens({
    ...{ secrets: [SECRET], keys: [], jwks: undefined, issuers: [], audiences: [] },
    ...{ skewMs: 3000, maxLifeMs: 86_400_000, now: () => NOW, ...more },
  });
const tokens = tokensWith();
const strict = tokensWith({ issuers: ["https://ours", "https://theirs"], audiences: ["roomcast", "events"] });

const session = (claims: object, by = tokens): Access => by.session(withSecret(SECRET, claims)) as Access;
const room = (claims: object, by = tokens): RoomToken => by.room(withSecret(SECRET, claims)) as RoomToken;

/** Asserts that it throws so, and that no claim's text is in what it says. */
function refused(run: () => unknown, code: TokenErrorCode, words: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof TokenError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, words);
    assert.doesNotMatch(error.message, /private/);
    return true;
  });
}

test("a token without a user is anonymous, and without a tenant of none", () => {
  const { user, tenant, issuedAt, grants } = session({ exp: S + 60 });
  assert.deepEqual({ user, tenant, issuedAt, grants }, { user: undefined, tenant: "", issuedAt: 0, grants: undefined });
});

test("a token's end, and what clocks may be apart, is until when it holds", () => {
  assert.equal(session({ exp: S + 60.5 }).expiresAt, NOW + 63_500);
  assert.equal(session({ exp: S + 60 }, tokensWith({ skewMs: 0 })).expiresAt, NOW + 60_000);
});

test("a token holds until its end and what clocks may be apart, and not a moment longer", () => {
  assert.equal(session({ exp: S - 2.999 }).expiresAt, NOW + 1);
  refused(() => session({ exp: S - 3 }), "expired", /past its end/);
  refused(() => session({ exp: S }, tokensWith({ skewMs: 0 })), "expired", /past its end/);
});

test("a token may be good for maxTokenLifeMs and what clocks may be apart", () => {
  assert.equal(session({ exp: S + 86_403 }).expiresAt, NOW + 86_406_000);
  refused(() => session({ exp: S + 86_403.1 }), "unauthorized", /maxTokenLifeMs/);
});

test("a token that was good for longer when it was signed is refused towards its end too", () => {
  assert.equal(session({ iat: S - 86_300, exp: S + 103 }).expiresAt, NOW + 106_000);
  refused(() => session({ iat: S - 86_300, exp: S + 104 }), "unauthorized", /maxTokenLifeMs.*signed \(iat\)/);
});

test("a token may begin, and be signed, as far ahead as clocks may be apart", () => {
  assert.equal(session({ ...good, nbf: S + 3, iat: S + 3 }).issuedAt, NOW + 3000);
  refused(() => session({ ...good, nbf: S + 3.1 }), "unauthorized", /nbf/);
  refused(() => session({ ...good, iat: S + 3.1 }), "unauthorized", /iat/);
});

test("a token that was signed before 1970 was signed then", () => {
  assert.equal(session({ ...good, iat: -5 }).issuedAt, 0);
});

const wrongTimes: readonly (readonly [string, string, TokenErrorCode])[] = [
  ["without an end", "{}", "unauthorized"],
  ["whose end is text", '{"exp":"1800003600"}', "unauthorized"],
  ["whose end is nothing", '{"exp":null}', "unauthorized"],
  ["whose end is a list", '{"exp":[1800003600]}', "unauthorized"],
  ["whose end is in all eternity", '{"exp":1e400}', "unauthorized"],
  ["whose end is in milliseconds", '{"exp":1800003600000}', "unauthorized"],
  ["whose end is __proto__'s", '{"__proto__":{"exp":1800003600}}', "unauthorized"],
  ["that ended in 1970", '{"exp":0}', "expired"],
  ["that ended before everything", '{"exp":-1e400}', "expired"],
  ["that begins as text", '{"exp":1800003600,"nbf":"0"}', "unauthorized"],
  ["that begins never", '{"exp":1800003600,"nbf":1e400}', "unauthorized"],
  ["that was signed at a text", '{"exp":1800003600,"iat":"0"}', "unauthorized"],
  ["that was signed at nothing", '{"exp":1800003600,"iat":null}', "unauthorized"],
];

for (const [what, payload, code] of wrongTimes) {
  test(`a token ${what} is refused`, () => {
    refused(() => tokens.session(withSecret(SECRET, payload)), code, /^token: /);
    refused(() => tokens.room(withSecret(SECRET, payload)), code, /^token: /);
  });
}

test("of two claims of one name the last is the one that counts, as for whoever signs", () => {
  refused(() => tokens.session(withSecret(SECRET, '{"exp":1800003600,"exp":1}')), "expired", /past/);
});

for (const [what, claims] of [
  ["a user that is a number", { sub: 5 }],
  ["an empty user", { sub: "" }],
  ["a user of nothing", { sub: null }],
  ["a very long user", { sub: "private".repeat(40) }],
  ["a user that is a lone surrogate", { sub: "\ud800" }],
  ["an id that is a number", { jti: 7 }],
  ["an empty id", { jti: "" }],
  ["an id that is too long", { jti: "p".repeat(129) }],
  ["an id that is a lone surrogate", { jti: "\udfff" }],
  ["a tenant that is a number", { tenant: 1 }],
  ["a tenant with a character of the server's own", { tenant: "private|x" }],
  ["a tenant with a colon", { tenant: "a:b" }],
  ["an empty tenant", { tenant: "" }],
  ["a tenant that is too long", { tenant: "p".repeat(33) }],
] as const) {
  test(`a token with ${what} is refused, for sessions and for rooms`, () => {
    refused(() => session({ ...good, ...claims }), "unauthorized", /\b(sub|jti|tenant)\b/);
    refused(() => room({ ...good, room: "chat:1", ...claims }), "unauthorized", /\b(sub|jti|tenant)\b/);
  });
}

test("issuers and audiences are looked at where there are any to be", () => {
  const right = { ...good, iss: "https://theirs", aud: "events" };
  assert.equal(session(right, strict).user, "ann");
  assert.equal(session({ ...right, aud: ["others", "roomcast"] }, strict).user, "ann");
  assert.equal(session({ ...good, iss: "https://anyone", aud: "anything" }).user, "ann");
});

for (const [what, claims, words] of [
  ["no issuer", { aud: "roomcast" }, /iss/],
  ["another issuer", { iss: "https://private", aud: "roomcast" }, /iss/],
  ["an issuer that begins as ours", { iss: "https://ours.private", aud: "roomcast" }, /iss/],
  ["a list of issuers", { iss: ["https://ours"], aud: "roomcast" }, /iss/],
  ["no audience", { iss: "https://ours" }, /aud/],
  ["another audience", { iss: "https://ours", aud: "private" }, /aud/],
  ["a list of other audiences", { iss: "https://ours", aud: ["private", 1, null] }, /aud/],
  ["an empty list of audiences", { iss: "https://ours", aud: [] }, /aud/],
  ["an audience in a list in a list", { iss: "https://ours", aud: [["roomcast"]] }, /aud/],
] as const) {
  test(`a token with ${what} is refused, for sessions and for rooms`, () => {
    refused(() => session({ ...good, ...claims }, strict), "unauthorized", words);
    refused(() => room({ ...good, room: "chat:1", ...claims }, strict), "unauthorized", words);
  });
}

test("what is told of a user is any JSON, and none of it that may not travel", () => {
  for (const info of [null, 0, "", [], { a: { b: [1, "x"] } }]) assert.deepEqual(session({ ...good, info }).info, info);
  const deep = "[".repeat(100) + "]".repeat(100);
  for (const text of ['{"__proto__":1}', deep, '"\\ud800"']) {
    const token = withSecret(SECRET, `{"exp":${good.exp},"info":${text}}`);
    refused(() => tokens.session(token), "unauthorized", /info/);
  }
});

test("a token grants actions by patterns, its user in the place of {sub}", () => {
  const rooms = {
    "chat:*": "join publish",
    news: ["join", "history"],
    "user:{sub}:*": "join",
    "user:{sub}": "members",
  };
  const { grants } = session({ ...good, rooms });
  const words = (name: string) => wordsOf(grants?.in(name) ?? 0);
  assert.deepEqual(words("chat:1"), ["join", "publish"]);
  assert.deepEqual(words("news"), ["join", "history"]);
  assert.deepEqual(words("user:ann:1"), ["join"]);
  assert.deepEqual(words("user:ann"), ["members"]);
  assert.deepEqual(words("user:bob:1"), []);
});

test("users with the same grants in their tokens keep their own rooms", () => {
  const rooms = { "chat:*": "join", "user:{sub}:*": "publish" };
  for (const user of ["ann", "bob", "ann", "eve"]) {
    const { grants } = session({ ...good, sub: user, rooms });
    for (const other of ["ann", "bob", "eve"]) {
      assert.deepEqual(wordsOf(grants?.in(`user:${other}:1`) ?? 0), user === other ? ["publish"] : []);
    }
    assert.deepEqual(wordsOf(grants?.in("chat:1") ?? 0), ["join"]);
  }
});

test("shared grants grant what they would by themselves, and refuse alike", () => {
  const segment = fc.constantFrom("a", "b", "*", "{sub}", "a*", "");
  const pattern = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(":"));
  const words = fc.subarray(["join", "publish", "history", "members"]);
  const users = fc.constantFrom("a", "b", "x:y", undefined);
  const given = fc.dictionary(pattern, words, { maxKeys: 4 });
  const resultOf = (read: typeof parseGrants, rooms: object, user: string | undefined, name: string) => {
    try {
      return read(rooms, user).in(name);
    } catch (error) {
      return String(error);
    }
  };
  fc.assert(
    fc.property(given, fc.array(users, { minLength: 1, maxLength: 4 }), pattern, (rooms, askers, name) => {
      for (const user of askers) {
        assert.equal(resultOf(sharedGrants, rooms, user, name), resultOf(parseGrants, rooms, user, name));
      }
    }),
    { numRuns: 2000 },
  );
});

for (const [what, claims, words] of [
  ["grants in a list", { rooms: ["private:*"] }, /rooms/],
  ["grants of nothing", { rooms: null }, /rooms/],
  ["grants as text", { rooms: "private:*" }, /rooms/],
  ["an unknown action", { rooms: { "private:*": "join private" } }, /rooms/],
  ["actions that are a number", { rooms: { "private:*": 1 } }, /rooms/],
  ["a pattern that is none", { rooms: { "private room": "join" } }, /rooms/],
  ["a pattern that reaches for tenants", { rooms: { "private|*": "join" } }, /rooms/],
  [
    "too many patterns",
    { rooms: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`private:${i}`, "join"])) },
    /100/,
  ],
  ["a pattern for a user, and none", { sub: undefined, rooms: { "private:{sub}": "join" } }, /sub/],
  ["a pattern for a user that would reach others' rooms", { sub: "private:x", rooms: { "user:{sub}": "join" } }, /sub/],
  ["a pattern for a user whose name is a star", { sub: "*", rooms: { "user:{sub}": "join" } }, /sub/],
  ["a room, which is for joining it", { room: "private:1" }, /room/],
  ["a room of nothing", { room: null }, /room/],
] as const) {
  test(`a session's token with ${what} is refused, and not repeated`, () => {
    refused(() => session({ ...good, ...claims }), "unauthorized", words);
  });
}

test("a room's token is for one room, and allows what it says", () => {
  const expiresAt = NOW + 63_000;
  const all = { room: "chat:1", tenant: "acme", sub: "ann", jti: "r1", iat: S, exp: S + 60, may: "join publish" };
  assert.deepEqual(room(all), {
    ...{ room: "chat:1", actions: actionsOf(["join", "publish"]), user: "ann", tenant: "acme", tokenId: "r1" },
    ...{ issuedAt: NOW, expiresAt },
  });
  const { actions, user, tenant } = room({ room: "chat:1", exp: S + 60 });
  assert.deepEqual(wordsOf(actions), ["join", "history", "members"]);
  assert.deepEqual({ user, tenant }, { user: undefined, tenant: "" });
  assert.deepEqual(wordsOf(room({ room: "chat:1", exp: S + 60, may: ["join"] }).actions), ["join"]);
});

for (const [what, claims] of [
  ["no room, which is for a session", {}],
  ["a pattern for a room", { room: "chat:*" }],
  ["a room of a tenant by the server's own name", { room: "acme|chat:1" }],
  ["a room of the server's own", { room: "$nodes" }],
  ["an empty room", { room: "" }],
  ["a list of rooms", { room: ["chat:1"] }],
  ["an unknown action", { room: "chat:1", may: "join private" }],
  ["actions that are nothing", { room: "chat:1", may: null }],
  ["a session's grants beside the room", { room: "chat:1", rooms: { "*": "join" } }],
] as const) {
  test(`a room's token with ${what} is refused`, () => {
    refused(() => room({ ...good, ...claims }), "unauthorized", /room|may/);
  });
}

test("a character that is changed anywhere in a token makes another token of it, which is refused", () => {
  const token = withSecret(SECRET, { ...good, jti: "t", rooms: { "chat:*": "join" }, info: [1, 2] });
  const alphabet = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\u0000\ud800"];
  for (let at = 0; at < token.length; at++) {
    for (const other of alphabet) {
      if (other === token[at]) continue;
      const changed = token.slice(0, at) + other + token.slice(at + 1);
      assert.throws(() => tokens.session(changed), TokenError, `${at}: ${JSON.stringify(other)}`);
    }
  }
});

test("whatever is signed, it is honoured or refused with a TokenError", () => {
  const claim = fc.oneof(fc.jsonValue(), fc.constantFrom(S, S + 60, "ann", "chat:1", {}));
  const names = ["exp", "nbf", "iat", "sub", "jti", "iss", "aud", "info", "tenant", "rooms", "room", "may"];
  const claims = fc.dictionary(fc.constantFrom(...names), claim);
  fc.assert(
    fc.property(claims, fc.boolean(), (given, hasEnd) => {
      const token = withSecret(SECRET, hasEnd ? { ...given, exp: S + 60 } : given);
      for (const read of [() => tokens.session(token), () => tokens.room(token), () => tokens.read(token)]) {
        try {
          const answer: unknown = read();
          assert.ok(!(answer instanceof Promise));
        } catch (error) {
          assert.ok(error instanceof TokenError, String(error));
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test("whatever comes instead of a token is refused with a TokenError", () => {
  const part = fc.oneof(
    fc.string(),
    fc.jsonValue().map(encode),
    fc.constantFrom(encode({ alg: "HS256" }), encode(good)),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
      assert.throws(() => tokens.session(parts.join(".")), TokenError);
    }),
    { numRuns: 2000 },
  );
});
