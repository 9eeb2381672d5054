import assert from "node:assert/strict";
import test from "node:test";
import type { Decided, Forget } from "../../server/hooks/decisions.js";
import { Unreachable } from "../../server/hooks/unreachable.js";
import { eventually } from "../support/eventually.js";
import { Application, connectOf, joinOf, later, nodeOf, type Told } from "./decisions-support.js";

test("a thousand who ask the same at once are one question to the application", async (t) => {
  const node = nodeOf(t);
  const answered = later<Decided<string>>();
  let asked = 0;
  const ask = () => {
    asked++;
    return answered.promise;
  };
  const all = Array.from({ length: 1000 }, () => node.get(joinOf("ann", "chat:1"), ask, false));
  const other = node.get(joinOf("bob", "chat:1"), ask, false);
  answered.resolve({ value: "yes", maxAgeMs: 60_000, isRefusal: false });
  assert.deepEqual(new Set(await Promise.all(all)), new Set(["yes"]));
  await other;
  assert.equal(asked, 2);
  await node.get(joinOf("ann", "chat:1"), ask, false);
  assert.equal(asked, 2);
  assert.deepEqual(node.counts.join, { l1: 1, l2: 0, shared: 999, stale: 0, asked: 2 });
  assert.equal(node.size, 2);
});

test("a question is another one where the hook, a part, the tenant, the user or the room is another", async (t) => {
  const node = nodeOf(t);
  const app = new Application();
  const first = { hook: "join", parts: ["a", "b"], tenant: "", user: "ann", room: "chat:1" } as const;
  const others = [
    { ...first, hook: "connect" } as const,
    { ...first, parts: ["ab"] },
    { ...first, parts: ["a", "b", ""] },
    { ...first, parts: ["b", "a"] },
    { ...first, tenant: "acme" },
    { ...first, user: undefined },
    { ...first, room: "chat:2" },
  ];
  for (const question of [first, ...others, first, ...others]) await node.get(question, app.ask, false);
  assert.equal(app.asked, 1 + others.length);
});

test("an answer is remembered for as long as it says, a refusal for shorter, and one that says so not at all", async (t) => {
  const node = nodeOf(t, { hookCacheMs: 600_000, hookRefusalMs: 20 });
  const long = new Application();
  const short = new Application();
  short.answer = { value: "yes", maxAgeMs: 20 };
  const no = new Application();
  no.answer = { value: "no", maxAgeMs: Number.POSITIVE_INFINITY, isRefusal: true };
  const never = new Application();
  never.answer = { value: "no", maxAgeMs: 0, isRefusal: true };
  const askAll = async () => {
    for (const [index, app] of [long, short, no, never].entries()) {
      assert.equal(await node.get(joinOf("ann", `chat:${index}`), app.ask, false), app.answer.value);
    }
  };
  await askAll();
  await eventually(async () => {
    await askAll();
    return short.asked >= 2 && no.asked >= 2 && never.asked >= 2;
  });
  assert.equal(long.asked, 1);
});

test("no answer is remembered for longer than hookCacheMs, whatever it says", async (t) => {
  const node = nodeOf(t, { hookCacheMs: 20 });
  const app = new Application();
  await node.get(joinOf("ann", "chat:1"), app.ask, false);
  await eventually(async () => {
    await node.get(joinOf("ann", "chat:1"), app.ask, false);
    return app.asked >= 2;
  });
});

test("with hookCacheSize 0 nothing is remembered; those who ask at once are one question all the same", async (t) => {
  const node = nodeOf(t, { hookCacheSize: 0 });
  const app = new Application();
  await Promise.all([1, 2, 3].map(() => node.get(joinOf("ann", "chat:1"), app.ask, false)));
  assert.equal(app.asked, 1);
  await node.get(joinOf("ann", "chat:1"), app.ask, false);
  assert.equal(app.asked, 2);
  assert.equal(node.size, 0);
});

const forgets: readonly (readonly [string, Forget, readonly string[]])[] = [
  ["a user", { user: "ann" }, ["ann chat:1", "ann chat:2", "token of ann"]],
  ["a user of a tenant", { tenant: "acme", user: "ann" }, ["acme ann chat:1", "token of acme's ann"]],
  ["a room", { room: "chat:1" }, ["ann chat:1", "bob chat:1"]],
  ["a tenant", { tenant: "acme" }, ["acme ann chat:1", "token of acme's ann"]],
  ["somebody unknown", { user: "eve" }, []],
];

test("what is forgotten is asked again, and nothing else is", async (t) => {
  const questions = {
    "ann chat:1": joinOf("ann", "chat:1"),
    "ann chat:2": joinOf("ann", "chat:2"),
    "bob chat:1": joinOf("bob", "chat:1"),
    "acme ann chat:1": joinOf("ann", "chat:1", "acme"),
    "token of ann": connectOf("token of ann"),
    "token of acme's ann": connectOf("token of acme's ann"),
  };
  const told: { [name: string]: Told } = {
    "token of ann": { value: 1, maxAgeMs: 60_000, user: "ann" },
    "token of acme's ann": { value: 1, maxAgeMs: 60_000, user: "ann", tenant: "acme" },
  };
  const all: readonly (readonly [string, Forget, readonly string[]])[] = [
    ...forgets,
    ["all", {}, Object.keys(questions)],
  ];
  for (const [name, what, expected] of all) {
    await t.test(name, async (t) => {
      const node = nodeOf(t);
      const asked: string[] = [];
      const askAll = async () => {
        for (const [name, question] of Object.entries(questions)) {
          const ask = async () => {
            asked.push(name);
            return { isRefusal: false, ...(told[name] ?? { value: 1, maxAgeMs: 60_000 }) };
          };
          await node.get(question, ask, false);
        }
      };
      await askAll();
      asked.length = 0;
      await node.forget(what);
      await askAll();
      assert.deepEqual(asked, expected);
    });
  }
});

test("an answer that was under way when it was forgotten is not used: the application is asked again", async (t) => {
  const node = nodeOf(t);
  const first = later<Decided<string>>();
  let asked = 0;
  const ask = () => {
    asked++;
    return asked === 1
      ? first.promise
      : Promise.resolve({ value: "new", maxAgeMs: 60_000, isRefusal: false, user: "ann" });
  };
  const early = node.get(connectOf("t"), ask, false);
  const joined = node.get(connectOf("t"), ask, false);
  await node.forget({ user: "ann" });
  const late = node.get(connectOf("t"), ask, false);
  first.resolve({ value: "old", maxAgeMs: 60_000, isRefusal: false, user: "ann" });
  assert.deepEqual(await Promise.all([early, joined, late]), ["new", "new", "new"]);
  assert.equal(await node.get(connectOf("t"), ask, false), "new");
  assert.equal(asked, 2);
});

test("an answer that is forgotten over and over is refused with unavailable, not used", async (t) => {
  const node = nodeOf(t);
  let asked = 0;
  const ask = async () => {
    asked++;
    await node.forget({ user: "ann" });
    return { value: "old", maxAgeMs: 60_000, isRefusal: false };
  };
  await assert.rejects(node.get(joinOf("ann", "chat:1"), ask, true), { name: "Refusal", code: "unavailable" });
  assert.ok(asked >= 2 && asked <= 100, String(asked));
});

/** Answers once, for a moment, and cannot be reached from then on; resolves once the answer is stale. */
async function stale(node: ReturnType<typeof nodeOf>, failure: Error): Promise<() => Promise<Decided<string>>> {
  const brief = async () => ({ value: "old", maxAgeMs: 5, isRefusal: false });
  const away = async (): Promise<Decided<string>> => {
    throw failure;
  };
  await node.get(joinOf("ann", "chat:1"), brief, false);
  await eventually(async () => {
    const answer = await node.get(joinOf("ann", "chat:1"), away, false).catch((error: unknown) => error);
    return answer === failure;
  });
  return away;
}

test("while the application cannot be reached, the last answer serves where it may", async (t) => {
  const node = nodeOf(t);
  const away = await stale(node, new Unreachable("away", 1000));
  assert.equal(await node.get(joinOf("ann", "chat:1"), away, true), "old");
  await assert.rejects(node.get(joinOf("ann", "chat:1"), away, false), { name: "Unreachable" });
  await assert.rejects(node.get(joinOf("bob", "chat:1"), away, true), { name: "Unreachable" });
  const both = [true, false].map((staleOk) => node.get(joinOf("ann", "chat:1"), away, staleOk));
  assert.deepEqual(
    (await Promise.allSettled(both)).map(({ status }) => status),
    ["fulfilled", "rejected"],
  );
  assert.equal(node.counts.join.stale, 2);
});

test("an answer that was forgotten does not serve while the application cannot be reached", async (t) => {
  const node = nodeOf(t);
  const away = await stale(node, new Unreachable("away", 1000));
  await node.forget({ room: "chat:1" });
  await assert.rejects(node.get(joinOf("ann", "chat:1"), away, true), { name: "Unreachable" });
});

test("an application that fails otherwise than by being away is no reason for an older answer", async (t) => {
  const node = nodeOf(t);
  const failing = await stale(node, new Error("no"));
  await assert.rejects(node.get(joinOf("ann", "chat:1"), failing, true), { message: "no" });
});

test("an answer that is not to be remembered takes the one before with it", async (t) => {
  const node = nodeOf(t);
  const away = await stale(node, new Unreachable("away", 1000));
  const refuse = async () => ({ value: "no", maxAgeMs: 0, isRefusal: true });
  assert.equal(await node.get(joinOf("ann", "chat:1"), refuse, true), "no");
  await assert.rejects(node.get(joinOf("ann", "chat:1"), away, true), { name: "Unreachable" });
});

test("a failure is not remembered", async (t) => {
  const node = nodeOf(t);
  const app = new Application();
  const failing = () => Promise.reject(new Error("once"));
  await assert.rejects(node.get(joinOf("ann", "chat:1"), failing, false), { message: "once" });
  assert.equal(await node.get(joinOf("ann", "chat:1"), app.ask, false), "yes");
});

test("no more answers are kept than hookCacheSize, and no more than 64 MB of them", async (t) => {
  const app = new Application();
  const few = nodeOf(t, { hookCacheSize: 10 });
  for (let user = 0; user < 1000; user++) await few.get(joinOf(`u${user}`, "chat:1"), app.ask, false);
  assert.equal(few.size, 10);
  const many = nodeOf(t, { hookCacheSize: 1_000_000 });
  app.answer = { value: "x".repeat(1 << 20), maxAgeMs: 60_000 };
  for (let user = 0; user < 100; user++) await many.get(joinOf(`u${user}`, "chat:1"), app.ask, false);
  assert.ok(many.size >= 20 && many.size < 64, String(many.size));
  assert.ok(many.bytes <= 64 << 20, String(many.bytes));
});

test("a node that may have missed what was forgotten keeps nothing of before", async (t) => {
  const node = nodeOf(t);
  const app = new Application();
  await node.get(joinOf("ann", "chat:1"), app.ask, false);
  node.clear();
  await node.get(joinOf("ann", "chat:1"), app.ask, false);
  assert.equal(app.asked, 2);
});
