import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal } from "../../server/server.js";
import { eventually } from "../support/eventually.js";
import { connect, startServer } from "../support/start-server.js";
import { clientCodecs } from "../support/ws-client.js";

/** Tokens are `user` or `user:...`; it counts how often it was asked. */
function counting(): {
  asked: number;
  authenticate: (q: { token?: string | undefined }) => { user: string } | undefined;
} {
  const hook = {
    asked: 0,
    authenticate({ token }: { token?: string | undefined }) {
      hook.asked++;
      return token === undefined ? undefined : { user: token.split(":")[0] as string };
    },
  };
  return hook;
}

for (const codec of clientCodecs) {
  test(`the welcome tells who one is, where, and what the limits are (${codec.name})`, async (t) => {
    const expiresAt = Date.now() + 3_600_000;
    const server = await startServer(t, {
      node: "n_test",
      maxRooms: 7,
      maxRequests: 9,
      heartbeatMs: 5000,
      authenticate: () => ({ user: "ann", expiresAt }),
    });
    const { welcome } = await connect(t, server, { codec });
    assert.equal(welcome.user, "ann");
    assert.equal(welcome.node, "n_test");
    assert.equal(welcome.resumed, false);
    assert.equal(welcome.heartbeatMs, 5000);
    assert.deepEqual(welcome.limits, { maxFrameBytes: 65_536, maxRooms: 7, maxRequests: 9 });
    assert.match(welcome.session, /^s_./);
    assert.ok((welcome.expiresInMs ?? 0) > 3_000_000 && (welcome.expiresInMs ?? 0) <= 3_600_000);
  });

  test(`an anonymous client has no user in its welcome (${codec.name})`, async (t) => {
    const { welcome } = await connect(t, await startServer(t), { codec });
    assert.equal("user" in welcome, false);
    assert.equal("expiresInMs" in welcome, false);
  });
}

test("a session is resumed with the same token, and the application is not asked again", async (t) => {
  const hook = counting();
  const server = await startServer(t, { authenticate: hook.authenticate });
  const first = await connect(t, server, { hello: { token: "ann:1" } });
  assert.equal(hook.asked, 1);
  first.end();
  const second = await connect(t, server, { hello: { token: "ann:1", session: first.welcome.session } });
  assert.equal(second.welcome.resumed, true);
  assert.equal(second.welcome.user, "ann");
  assert.equal(hook.asked, 1);
});

test("a resumed session that is resumed once more is the same still", async (t) => {
  const server = await startServer(t);
  const first = await connect(t, server);
  const second = await connect(t, server, { hello: { session: first.welcome.session } });
  const third = await connect(t, server, { hello: { session: second.welcome.session } });
  assert.equal(third.welcome.resumed, true);
  assert.equal((await first.close()).code, 4001);
  assert.equal((await second.close()).code, 4001);
});

test("another token does not resume a session: the application is asked, and the user is the new token's", async (t) => {
  const hook = counting();
  const server = await startServer(t, { authenticate: hook.authenticate });
  const first = await connect(t, server, { hello: { token: "ann:1" } });
  const second = await connect(t, server, { hello: { token: "bob:1", session: first.welcome.session } });
  assert.equal(second.welcome.resumed, false);
  assert.equal(second.welcome.user, "bob");
  assert.equal(hook.asked, 2);
  await first.ping();
});

test("a session without its token is not resumed", async (t) => {
  const server = await startServer(t, { authenticate: counting().authenticate });
  const first = await connect(t, server, { hello: { token: "ann" } });
  const second = await connect(t, server, { hello: false });
  const answer = await second.refusal({ type: "hello", session: first.welcome.session });
  assert.equal(answer.code, "unauthorized");
  assert.equal((await second.close()).code, 4200);
});

test("a session that was changed, cut or made up is not resumed", async (t) => {
  const server = await startServer(t);
  const { session } = (await connect(t, server)).welcome;
  const changed = `${session.slice(0, -6)}${session.at(-6) === "A" ? "B" : "A"}${session.slice(-5)}`;
  for (const forged of [changed, session.slice(0, 20), "s_", "", "s_AAAA", `s_${"A".repeat(9000)}`, "ü", "s_💥"]) {
    const { welcome } = await connect(t, server, { hello: { session: forged } });
    assert.equal(welcome.resumed, false, forged.slice(0, 30));
  }
});

test("another server's session is not resumed, unless the two share a secret", async (t) => {
  const hooks = { authenticate: counting().authenticate };
  const secret = "x".repeat(32);
  const alone = await startServer(t, hooks);
  const [one, two] = [await startServer(t, { ...hooks, secret }), await startServer(t, { ...hooks, secret })];
  const token = "ann";
  const from = async (server: typeof one, to: typeof one): Promise<boolean> => {
    const { session } = (await connect(t, server, { hello: { token } })).welcome;
    return (await connect(t, to, { hello: { token, session } })).welcome.resumed;
  };
  assert.equal(await from(alone, one), false);
  assert.equal(await from(one, alone), false);
  assert.equal(await from(one, two), true);
});

test("a session is not resumed once the window has passed", async (t) => {
  const server = await startServer(t, { resumeWindowMs: 100 });
  const { session } = (await connect(t, server)).welcome;
  await eventually(async () => {
    return !(await connect(t, server, { hello: { session } })).welcome.resumed;
  }, "the session can still be resumed");
});

test("a session is not resumed once its identity has ended", async (t) => {
  let expiresAt = Date.now() + 400;
  const server = await startServer(t, { authenticate: () => ({ user: "ann", expiresAt }) });
  const first = await connect(t, server);
  assert.equal((await first.close()).code, 4203);
  expiresAt = Date.now() + 60_000;
  const second = await connect(t, server, { hello: { session: first.welcome.session } });
  assert.equal(second.welcome.resumed, false);
});

test("a client that the application does not know is refused for good", async (t) => {
  const server = await startServer(t, { authenticate: counting().authenticate });
  const client = await connect(t, server, { hello: false });
  assert.equal((await client.refusal({ type: "hello" })).code, "unauthorized");
  assert.equal((await client.close()).code, 4200);
});

test("what is not an identity lets nobody in", async (t) => {
  for (const answer of [null, false, true, 0, "ann", []] as unknown[]) {
    for (const later of [false, true]) {
      const authenticate = (): never => (later ? Promise.resolve(answer) : answer) as never;
      const server = await startServer(t, { authenticate });
      const client = await connect(t, server, { hello: false });
      const reply = await client.request({ type: "hello", token: "x" });
      assert.equal(reply.type, "error", `${JSON.stringify(answer)}, ${later ? "later" : "at once"}`);
      await client.close();
    }
  }
});

test("an identity whose user is not a string lets nobody in, and is the server's fault", async (t) => {
  for (const user of [42, {}, "", "\ud800"] as unknown[]) {
    const server = await startServer(t, { authenticate: () => ({ user }) as never });
    const client = await connect(t, server, { hello: false });
    const reply = await client.request({ type: "hello" });
    assert.deepEqual([reply.type, "code" in reply && reply.code], ["error", "internal"], JSON.stringify(user));
    assert.equal((await client.close()).code, 4101);
  }
});

test("an answer that is a promise in all but its class is waited for", async (t) => {
  const thenable = (value: unknown): never =>
    // biome-ignore lint/suspicious/noThenProperty: it is what the test is about
    ({ then: (done: (v: unknown) => void) => setImmediate(done, value) }) as never;
  const server = await startServer(t, {
    authenticate: ({ token }) => thenable(token === "ann" ? { user: "ann" } : undefined),
  });
  const ann = await connect(t, server, { hello: { token: "ann" } });
  assert.equal(ann.welcome.user, "ann");
  const nobody = await connect(t, server, { hello: false });
  assert.equal((await nobody.request({ type: "hello" })).type, "error");
});

for (const [how, hook, code, close] of [
  [
    "throws",
    () => {
      throw new Error("secret words");
    },
    "internal",
    4101,
  ],
  ["rejects", () => Promise.reject(new Error("secret words")), "internal", 4101],
  [
    "refuses as unavailable",
    () => {
      throw new Refusal("unavailable", "later", 7000);
    },
    "unavailable",
    4101,
  ],
  ["refuses as expired", () => Promise.reject(new Refusal("expired", "too old")), "expired", 4203],
  [
    "refuses as forbidden",
    () => {
      throw new Refusal("forbidden", "not you");
    },
    "forbidden",
    4200,
  ],
] as const) {
  test(`when the application ${how}, the hello is answered with ${code} and closed with ${close}`, async (t) => {
    const server = await startServer(t, { authenticate: hook as () => never });
    const client = await connect(t, server, { hello: false });
    const answer = await client.refusal({ type: "hello" });
    assert.equal(answer.code, code);
    assert.equal(answer.message.includes("secret"), false);
    const closed = await client.close();
    assert.equal(closed.code, close);
    if (close === 4101) assert.ok(JSON.parse(closed.reason).retryMs > 0);
  });
}

test("what is sent behind the hello is answered once the application has said who it is", async (t) => {
  let answer = (): void => undefined;
  const asked = new Promise<{ user: string }>((resolve) => {
    answer = () => resolve({ user: "ann" });
  });
  const server = await startServer(t, { authenticate: () => asked, maxRequests: 3 });
  const client = await connect(t, server, { hello: false });
  client.send({ type: "hello", id: 1 });
  for (let id = 2; id <= 5; id++) client.send({ type: "ping", id });
  // One more than may wait is refused at once: with its answer here, the others are known to wait.
  assert.deepEqual([(await client.next("error")).code, client.frames.length], ["too_many", 0]);
  answer();
  assert.equal((await client.next("welcome")).user, "ann");
  for (let id = 2; id <= 4; id++) assert.equal((await client.next("pong")).id, id);
});

test("before hello nothing else is answered, and a second hello is refused; the connection stays", async (t) => {
  const client = await connect(t, await startServer(t), { hello: false });
  for (const type of ["ping", "leave", "join"] as const) {
    const answer = await client.refusal(type === "ping" ? { type } : { type, room: "a" });
    assert.equal(answer.code, "bad_request");
    assert.match(answer.message, /hello/);
  }
  await client.hello();
  const again = await client.refusal({ type: "hello" });
  assert.deepEqual([again.code, /hello/.test(again.message)], ["bad_request", true]);
  await client.ping();
});

test("who does not say hello in time is closed, also while the application does not answer", async (t) => {
  const server = await startServer(t, { helloTimeoutMs: 100, authenticate: () => new Promise(() => undefined) });
  const silent = await connect(t, server, { hello: false });
  const asking = await connect(t, server, { hello: false });
  asking.send({ type: "hello", id: 1 });
  assert.equal((await silent.close()).code, 4010);
  assert.equal((await asking.close()).code, 4010);
});

test("while the hello waits for the application no more is kept than one frame may have", async (t) => {
  let letIn = (): void => undefined;
  const asked = new Promise<void>((resolve) => {
    letIn = resolve;
  });
  const authenticate = () => asked.then(() => ({ user: "ann" }));
  const server = await startServer(t, { maxFrameBytes: 4096, authenticate });
  const client = await connect(t, server, { hello: false });
  client.send({ type: "hello", id: 1 });
  const data = "x".repeat(1800);
  for (const id of [2, 3, 4]) client.send({ type: "publish", id, room: "r:1", event: "e", data });
  const { code, id } = await client.next("error");
  assert.deepEqual([code, id], ["too_many", 4]);
  letIn();
  assert.equal((await client.next("published")).id, 2);
  assert.equal((await client.next("published")).id, 3);
});

test("a refusal's words reach the client however long they are, as far as a close frame holds them", async (t) => {
  for (const message of ["x".repeat(300), "ü".repeat(100), "x🦊".repeat(50), "🦊".repeat(100)]) {
    const server = await startServer(t, {
      authenticate: () => {
        throw new Refusal("unauthorized", message);
      },
    });
    const client = await connect(t, server, { hello: false });
    assert.equal((await client.refusal({ type: "hello" })).message, message);
    const { code, reason } = await client.close();
    assert.equal(code, 4200);
    assert.ok(reason.length > 50 && message.startsWith(reason), reason);
  }
});
