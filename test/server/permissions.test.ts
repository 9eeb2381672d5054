import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { kindOf } from "../../protocol/names.js";
import { ALL_ACTIONS, has, NO_ACTIONS, type RoomAction, roomActions, wordsOf } from "../../server/access/actions.js";
import { parseGrants } from "../../server/access/grants.js";
import { Permissions } from "../../server/access/permissions.js";
import { AccessRules, type KindAccessInput } from "../../server/access/rules.js";

const nothingTaken = { isRevoked: () => undefined, concerns: () => false, denied: () => NO_ACTIONS };
const defaults = { isOpen: false, maxFrameBytes: 65_536 };
const rules = (kinds: { readonly [kind: string]: KindAccessInput }, isOpen = false) =>
  new AccessRules(kinds, { ...defaults, isOpen });

const words = fc.uniqueArray(fc.constantFrom(...roomActions), { maxLength: 4 });
const allow = fc.record({ anonymous: words, user: words, token: words }, { requiredKeys: [] });
const kindName = fc.constantFrom("chat", "note", "*", "__proto__", "constructor");
const kinds = fc
  .array(fc.tuple(kindName, fc.record({ allow }, { requiredKeys: [] })), { maxLength: 4 })
  .map((entries) => Object.fromEntries(entries.filter(([kind]) => kind !== "__proto__")));
const room = fc.constantFrom("chat:1", "note:1", "other:1", "chat", "constructor:1", "__proto__:1", "toString");
const action = fc.constantFrom(...roomActions);
const rooms = fc.constantFrom(
  {},
  { "chat:*": "join publish" },
  { "*": "history" },
  { "other:1": "join", chat: "members" },
);

/** What a kind says to somebody, in as few words as possible. */
function said(given: { readonly [kind: string]: KindAccessInput }, kind: string, who: "anonymous" | "user" | "token") {
  const own = Object.hasOwn(given, kind) ? given[kind] : undefined;
  const otherwise = who === "token" ? roomActions : [];
  return own?.allow?.[who] ?? given["*"]?.allow?.[who] ?? otherwise;
}

test("a client may what the rules let it, or its token within what tokens may grant; the rest is open", () => {
  fc.assert(
    fc.property(kinds, room, action, fc.boolean(), rooms, words, (given, name, wanted, hasUser, granted, byRoom) => {
      const permissions = new Permissions(rules(given), nothingTaken);
      const user = hasUser ? "ann" : undefined;
      const access = { user, tenant: "", issuedAt: 0, grants: parseGrants(granted, user) };
      const actions = roomActions.reduce((sum, word, index) => (byRoom.includes(word) ? sum | (1 << index) : sum), 0);
      const grant = { actions, expiresAt: Date.now() + 60_000, issuedAt: 0 };
      const kind = kindOf(name);
      const byRule =
        said(given, kind, "anonymous").includes(wanted) || (hasUser && said(given, kind, "user").includes(wanted));
      const byToken = has(access.grants.in(name) | actions, wanted) && said(given, kind, "token").includes(wanted);
      assert.equal(permissions.may(wanted, name, access, grant), byRule || byToken ? "yes" : "open");
    }),
    { numRuns: 5000 },
  );
});

const everybody = { tenant: "", issuedAt: 0 };

test("where nobody is asked who they are, and no rule says otherwise, everyone may everything", () => {
  const open = new Permissions(rules({}, true), nothingTaken);
  for (const wanted of roomActions) assert.equal(open.may(wanted, "chat:1", everybody), "yes");
  const some = new Permissions(rules({ chat: { allow: { anonymous: ["join"] } } }, true), nothingTaken);
  assert.equal(some.may("publish", "chat:1", everybody), "open");
  assert.equal(some.may("publish", "note:1", everybody), "yes");
});

test("what was taken back is no, whatever else would allow it", () => {
  const all = rules({ "*": { allow: { anonymous: [...roomActions] } } }, true);
  const access = { ...everybody, user: "ann", grants: parseGrants({ "*": [...roomActions] }, "ann") };
  const takes = (taken: RoomAction) => ({ ...nothingTaken, denied: () => 1 << roomActions.indexOf(taken) });
  for (const taken of roomActions) {
    const permissions = new Permissions(all, takes(taken));
    for (const wanted of roomActions) {
      assert.equal(permissions.may(wanted, "chat:1", access), wanted === taken ? "no" : "yes");
    }
  }
});

test("a room token grants nothing once it is past its end, or was revoked", () => {
  const permissions = (isRevoked: () => string | undefined) =>
    new Permissions(rules({}), { ...nothingTaken, isRevoked });
  const grant = { actions: ALL_ACTIONS, expiresAt: Date.now() + 60_000, issuedAt: 0, tokenId: "t1" };
  const verdict = (one: typeof grant, isRevoked = () => undefined as string | undefined) =>
    permissions(isRevoked).may("join", "chat:1", everybody, one);
  assert.equal(verdict(grant), "yes");
  assert.equal(verdict({ ...grant, expiresAt: Date.now() - 1 }), "open");
  assert.equal(
    verdict(grant, () => "revoked"),
    "open",
  );
});

test("clients of whom nothing is known are let in only where some kind allows them something", () => {
  const cases: readonly (readonly [{ readonly [kind: string]: KindAccessInput }, boolean])[] = [
    [{}, false],
    [{ chat: { allow: { user: ["join"], token: ["join"] } } }, false],
    [{ chat: { allow: { anonymous: [] } } }, false],
    [{ chat: { allow: { anonymous: ["history"] } } }, true],
    [{ "*": { allow: { anonymous: ["join"] } } }, true],
    [{ "*": { allow: { anonymous: ["join"] } }, chat: { allow: { anonymous: [] } } }, true],
  ];
  for (const [given, admits] of cases) assert.equal(rules(given).admitsAnonymous, admits, JSON.stringify(given));
  assert.equal(rules({}, true).admitsAnonymous, true);
});

test("a kind takes from * what it leaves out, each of the three by itself", () => {
  const { allow: of } = rules({
    "*": { allow: { anonymous: ["join"], token: ["history"] } },
    chat: { allow: { anonymous: [], user: ["publish"] } },
  }).of("chat");
  assert.deepEqual([of.anonymous, of.user, of.token].map(wordsOf), [[], ["publish"], ["history"]]);
});
