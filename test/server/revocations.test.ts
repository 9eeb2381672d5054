/** Which revocations hold: the same whatever the order they come in, in bounded memory, and no longer than they have to. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../protocol/codes.js";
import type { Access } from "../../server/access/access.js";
import { ALL_ACTIONS, actionsOf, NO_ACTIONS } from "../../server/access/actions.js";
import { matches, parsePattern } from "../../server/access/grants.js";
import {
  keptMs,
  type Revocation,
  type Revoke,
  readRevocation,
  revocationOf,
  writeRevocation,
} from "../../server/access/revocations/revocation.js";
import { Revocations } from "../../server/access/revocations/revocations.js";

const NOW = 1_790_000_000_000;
const DAY = 86_400_000;
const who = (user: string, more: Partial<Access> = {}): Access => ({ user, tenant: "", issuedAt: NOW - 1000, ...more });
const made = (what: Revoke, now = NOW): Revocation => revocationOf(what, now, DAY);

function knowing(...all: Revocation[]): Revocations {
  const revocations = new Revocations();
  for (const one of all) revocations.add(one, NOW);
  return revocations;
}

test("a token is revoked by its id, whoever shows it, until it has expired", () => {
  const revocations = knowing(made({ token: "t1", expiresAt: NOW + 60_000 }));
  assert.match(revocations.isRevoked(who("ann", { tokenId: "t1" }), NOW) ?? "", /revoked/);
  assert.match(revocations.isRevoked({ tenant: "acme", issuedAt: 0, tokenId: "t1" }, NOW + 60_000) ?? "", /revoked/);
  assert.equal(revocations.isRevoked(who("ann", { tokenId: "t2" }), NOW), undefined);
  assert.equal(revocations.isRevoked(who("ann"), NOW), undefined);
  revocations.sweep(NOW + 60_000);
  assert.equal(revocations.size, 1, "tokens are honoured a little past their end, and so is this");
  revocations.sweep(NOW + DAY);
  assert.equal(revocations.size, 0);
});

test("all tokens of a user are revoked that were signed before a time", () => {
  const revocations = knowing(made({ user: "ann", before: NOW - 500 }));
  assert.match(revocations.isRevoked(who("ann"), NOW) ?? "", /revoked/);
  assert.match(
    revocations.isRevoked(who("ann", { issuedAt: 0 }), NOW) ?? "",
    /revoked/,
    "or of which that is not known",
  );
  assert.equal(revocations.isRevoked(who("ann", { issuedAt: NOW - 500 }), NOW), undefined);
  assert.equal(revocations.isRevoked(who("bob"), NOW), undefined);
  assert.equal(
    revocations.isRevoked(who("ann", { tenant: "acme" }), NOW),
    undefined,
    "another tenant's is somebody else",
  );
  assert.equal(revocations.isRevoked({ tenant: "", issuedAt: 0 }, NOW), undefined);
});

test("a user is out for a time, whatever it shows, and let in again when the block is lifted", () => {
  const block = made({ user: "ann", tenant: "acme", blockedUntil: NOW + 60_000 });
  const revocations = knowing(block);
  const ann = who("ann", { tenant: "acme", issuedAt: NOW + 5000 });
  assert.match(revocations.isRevoked(ann, NOW + 59_999) ?? "", /blocked/);
  assert.equal(revocations.isRevoked(ann, NOW + 60_000), undefined);
  assert.equal(revocations.isRevoked(who("ann"), NOW), undefined);
  assert.ok(revocations.add(made({ user: "ann", tenant: "acme", blockedUntil: 0 }, NOW + 1), NOW + 1));
  assert.equal(revocations.isRevoked(ann, NOW + 2), undefined);
  assert.ok(!revocations.add(block, NOW + 2), "what was said before stays what it is when it comes again");
  assert.equal(revocations.isRevoked(ann, NOW + 2), undefined);
});

test("a block that was cut short does not come back when the shorter one has lapsed", () => {
  const revocations = knowing(made({ user: "ann", blockedUntil: NOW + DAY }));
  const shorter = revocationOf({ user: "ann", blockedUntil: NOW + 60_000 }, NOW + 1, DAY);
  revocations.add(shorter, NOW + 1);
  revocations.sweep(NOW + DAY);
  revocations.add(made({ user: "ann", blockedUntil: NOW + DAY }), NOW + DAY - 1);
  assert.equal(revocations.isRevoked(who("ann"), NOW + DAY - 1), undefined);
});

test("actions are taken back in rooms, and given back", () => {
  const revocations = knowing(
    made({ user: "ann", room: "chat:*", actions: "publish" }),
    made({ user: "ann", room: "chat:1", actions: ["join"], until: NOW + 60_000 }),
    made({ user: "ann", room: "user:{sub}:*", actions: "history" }),
  );
  const ann = who("ann");
  assert.equal(revocations.denied(ann, "chat:2", NOW), actionsOf(["publish"]));
  assert.equal(revocations.denied(ann, "chat:1", NOW), actionsOf(["publish", "join"]));
  assert.equal(revocations.denied(ann, "chat:1", NOW + 60_000), actionsOf(["publish"]));
  assert.equal(revocations.denied(ann, "user:ann:x", NOW), actionsOf(["history"]));
  assert.equal(revocations.denied(ann, "user:bob:x", NOW), NO_ACTIONS);
  assert.equal(revocations.denied(who("bob"), "chat:1", NOW), NO_ACTIONS);
  assert.equal(revocations.denied({ tenant: "", issuedAt: 0 }, "chat:1", NOW), NO_ACTIONS);
  assert.equal(revocations.isRevoked(ann, NOW), undefined);
  assert.deepEqual([revocations.concerns(ann), revocations.concerns(who("bob"))], [true, false]);
  revocations.add(made({ user: "ann", room: "chat:*", actions: [] }, NOW + 1), NOW + 1);
  assert.equal(revocations.denied(ann, "chat:2", NOW + 1), NO_ACTIONS);
  assert.equal(revocations.patternsOf("", "ann"), 3);
});

test("what is wrong is refused with the field's name, and what could mean another thing too", () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /^revoke: expected an object/],
    [[], /^revoke: /],
    [{}, /^user: expected 1 to 256/],
    [{ user: "" }, /^user: /],
    [{ user: "ann", blockUntil: NOW }, /^blockUntil: expected one of user, tenant/],
    [{ user: "ann", expiresAt: NOW }, /^user: expected one of token, expiresAt/],
    [{ token: "t", user: "ann" }, /^user: expected one of token, expiresAt/],
    [{ user: "ann", blockedUntil: NOW, before: NOW }, /^before: /],
    [{ user: "ann", tenant: "a|b" }, /^tenant: /],
    [{ token: "" }, /^token: /],
    [{ token: "x".repeat(257) }, /^token: /],
    [{ token: "t", expiresAt: NOW / 1000 }, /^expiresAt: expected a time in Unix milliseconds/],
    [{ token: "t", expiresAt: Number.NaN }, /^expiresAt: /],
    [{ user: "ann", before: NOW + 3_600_000 }, /^before: expected a time no later than now/],
    [{ user: "ann", before: new Date(NOW) }, /^before: /],
    [
      { user: "ann", blockedUntil: NOW + DAY + 1 },
      /^blockedUntil: expected a time no later than maxTokenLifeMs from now/,
    ],
    [{ user: "ann", blockedUntil: Math.floor(NOW / 1000) }, /^blockedUntil: expected a time in Unix milliseconds/],
    [{ user: "ann", room: "chat:*" }, /^actions: expected some of join/],
    [{ user: "ann", actions: "join" }, /^room: expected a pattern/],
    [{ user: "ann", room: "chat:* x", actions: "join" }, /^room: /],
    [{ user: "a b", room: "user:{sub}", actions: "join" }, /^room: /],
    [{ user: "ann", room: "chat:1", actions: "read" }, /^actions: /],
    [{ user: "ann", room: "chat:1", actions: "join", until: NOW + 2 * DAY }, /^until: /],
  ];
  for (const [given, message] of cases) {
    assert.throws(
      () => revocationOf(given, NOW, DAY),
      (error) => error instanceof ProtocolError && message.test(error.message),
      JSON.stringify(given),
    );
  }
});

test("beyond the most, what lapses first is forgotten first", () => {
  const revocations = new Revocations(3);
  const lasting = [5, 1, 4, 2, 3].map((minutes) => made({ token: `t${minutes}`, expiresAt: NOW + minutes * 60_000 }));
  for (const one of lasting) revocations.add(one, NOW);
  assert.deepEqual([...revocations.all()].map((one) => one.kind === "token" && one.token).sort(), ["t3", "t4", "t5"]);
  assert.deepEqual([revocations.size, revocations.evicted], [3, 2]);
});

test("saying the same of one user again and again takes no memory", () => {
  const revocations = new Revocations(10);
  for (let step = 0; step < 10_000; step++) {
    revocations.add(made({ user: "ann", blockedUntil: NOW + step }, NOW + step), NOW + step);
  }
  assert.deepEqual([revocations.size, revocations.evicted], [1, 0]);
  revocations.sweep(NOW + 2 * DAY);
  assert.deepEqual([revocations.size, revocations.concerns(who("ann"))], [0, false]);
});

const users = ["ann", "bob"];
const tenants = ["", "acme"];
const patterns = ["chat:*", "chat:1", "user:{sub}:*", "*"];
const rooms = ["chat:1", "chat:2", "user:ann:x", "other"];
const time = fc.integer({ min: 1, max: 50 }).map((step) => NOW + step * 1000);
const whose = { tenant: fc.constantFrom(...tenants), user: fc.constantFrom(...users) };
const arbitrary: fc.Arbitrary<Revocation> = fc.oneof(
  fc.record({ kind: fc.constant("token" as const), token: fc.constantFrom("t1", "t2"), until: time }),
  fc.record({ kind: fc.constant("tokens" as const), ...whose, before: time, until: fc.constant(NOW + DAY) }),
  fc.record({ kind: fc.constant("block" as const), ...whose, at: time, ends: time, until: fc.constant(NOW + DAY) }),
  fc.record({
    ...{ kind: fc.constant("room" as const), ...whose, room: fc.constantFrom(...patterns) },
    ...{ actions: fc.integer({ min: 0, max: ALL_ACTIONS }), at: time, ends: time, until: fc.constant(NOW + DAY) },
  }),
);

/** What is to be answered, worked out from everything that was said, without any index. */
class Model {
  readonly #said: readonly Revocation[];

  constructor(said: readonly Revocation[]) {
    this.#said = said;
  }

  #of<K extends Revocation["kind"]>(kind: K): Extract<Revocation, { kind: K }>[] {
    return this.#said.filter((one) => one.kind === kind) as Extract<Revocation, { kind: K }>[];
  }

  isRevoked({ user, tenant, tokenId, issuedAt }: Access, now: number): boolean {
    const mine = (one: { readonly user: string; readonly tenant: string }) =>
      one.user === user && one.tenant === tenant;
    if (this.#of("token").some(({ token, until }) => token === tokenId && until > now)) return true;
    if (this.#of("tokens").some((one) => mine(one) && issuedAt < one.before)) return true;
    const blocks = this.#of("block").filter(mine);
    const last = Math.max(...blocks.map(({ at }) => at));
    return blocks.some(({ at, ends }) => at === last && ends > now);
  }

  denied({ user, tenant }: Access, room: string, now: number): number {
    let actions = 0;
    for (const pattern of patterns) {
      if (user === undefined || !matches(parsePattern(pattern, user), room)) continue;
      const all = this.#of("room").filter((one) => one.user === user && one.tenant === tenant && one.room === pattern);
      const last = all.filter(({ at }) => at === Math.max(...all.map((one) => one.at)));
      const longest = last.filter(({ ends }) => ends === Math.max(...last.map((one) => one.ends)));
      if ((longest[0]?.ends ?? 0) > now) actions |= Math.max(...longest.map((one) => one.actions));
    }
    return actions;
  }
}

test("whatever is said, in whatever order and however often, the answers are those of a model", () => {
  fc.assert(
    fc.property(
      fc.array(arbitrary, { maxLength: 20 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      fc.integer({ min: 0, max: 60 }),
      (said, shuffle, step) => {
        const revocations = new Revocations();
        const order = said.map((one, index) => [shuffle[index] ?? index, one] as const).sort((a, b) => a[0] - b[0]);
        for (const [, one] of order) revocations.add(one, NOW);
        for (const one of said) assert.ok(!revocations.add(one, NOW), "what is known changes nothing");
        const now = NOW + step * 1000;
        if (step % 2 === 0) revocations.sweep(now);
        const model = new Model(said);
        for (const tenant of tenants) {
          for (const user of [...users, undefined]) {
            for (const tokenId of ["t1", undefined]) {
              const access: Access = { user, tenant, tokenId, issuedAt: now - 5000 };
              const is = revocations.isRevoked(access, now) !== undefined;
              assert.equal(is, user === undefined && tokenId === undefined ? false : model.isRevoked(access, now));
              for (const room of rooms)
                assert.equal(revocations.denied(access, room, now), model.denied(access, room, now));
            }
          }
        }
      },
    ),
  );
});

test("it comes out of the log as it went in, and nothing that is read throws", () => {
  fc.assert(
    fc.property(arbitrary, (one) => {
      assert.deepEqual(readRevocation(JSON.parse(JSON.stringify(writeRevocation(one)))), { ...one });
    }),
  );
  fc.assert(
    fc.property(fc.anything(), (value) => {
      readRevocation(value);
    }),
  );
  const block = { kind: "block", tenant: "", user: "ann", at: 1, ends: 2, until: 3 };
  const odd: readonly object[] = [
    { ...block, kind: "later" },
    { ...block, user: "" },
    { ...block, tenant: "a|b" },
    { ...block, ends: "2" },
    { ...block, until: -1 },
    { ...block, kind: "room", room: "a b", actions: [] },
    { ...block, kind: "room", room: "a" },
    { kind: "token", token: 1, until: 3 },
  ];
  for (const written of odd) assert.equal(readRevocation(written), undefined, JSON.stringify(written));
  assert.deepEqual(readRevocation({ ...block, more: 1 }), block, "what a later version adds is passed over");
  const room = { ...block, kind: "room", room: "chat:*", actions: ["join", "dance"] };
  assert.deepEqual(readRevocation(room), { ...room, actions: actionsOf(["join"]) });
});

test("it is remembered as long as a token may be good for, and a margin", () => {
  assert.ok(keptMs(DAY) > DAY + 2 * 60_000, "clocks, and how long past their end tokens are honoured");
  assert.equal(made({ user: "ann" }).until, NOW + keptMs(DAY));
  assert.equal(made({ token: "t", expiresAt: NOW + 365 * DAY }).until, NOW + keptMs(DAY));
});
