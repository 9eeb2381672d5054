import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.js";
import { connect, startServer } from "../support/start-server.js";

/** Tokens are `user:milliseconds that it is good for`. */
const authenticate = ({ token }: { token?: string | undefined }) => {
  const [user, ms] = (token ?? "").split(":");
  if (!user) return undefined;
  return { user, ...(ms === undefined ? {} : { expiresAt: Date.now() + Number(ms) }) };
};

test("a session whose token ends is told before, and closed with 4203", async (t) => {
  const server = await startServer(t, { authenticate });
  const client = await connect(t, server, { hello: { token: "ann:700" } });
  const { expiresInMs } = await client.next("renew");
  assert.ok(expiresInMs > 0 && expiresInMs <= 700);
  assert.equal((await client.close()).code, 4203);
  assert.equal(client.frames.filter(({ type }) => type === "renew").length, 0, "it is told once");
});

test("a session that is renewed stays, and is told again before the new end", async (t) => {
  const server = await startServer(t, { authenticate });
  const client = await connect(t, server, { hello: { token: "ann:600" } });
  await client.next("renew");
  const { expiresInMs = 0 } = await client.ask("renewed", { type: "renew", token: "ann:1500" });
  assert.ok(expiresInMs > 600);
  // At a third of what is left, where that is less than a minute: there is time to fetch one, and not twice a second.
  assert.ok((await client.next("renew")).expiresInMs < 600);
  const forever = await client.ask("renewed", { type: "renew", token: "ann" });
  assert.equal("expiresInMs" in forever, false);
  await client.ping();
});

test("a session cannot be renewed as somebody else, nor with a token that is refused", async (t) => {
  const server = await startServer(t, { authenticate });
  const client = await connect(t, server, { hello: { token: "ann:60000" } });
  assert.equal((await client.refusal({ type: "renew", token: "bob:60000" })).code, "forbidden");
  assert.equal((await client.refusal({ type: "renew", token: "" })).code, "unauthorized");
  await client.ping();
});

test("a renewal that is answered after the session's end changes nothing for who resumed it", async (t) => {
  const answers: (() => void)[] = [];
  let hold = false;
  const server = await startServer(t, {
    authenticate: async () => {
      if (hold) await new Promise<void>((resolve) => answers.push(resolve));
      return { user: "ann", expiresAt: Date.now() + 3_600_000 };
    },
  });
  const first = await connect(t, server, { hello: { token: "ann" } });
  hold = true;
  first.send({ type: "renew", id: 99, token: "ann" });
  await eventually(() => answers.length === 1, "the application is not asked");
  const second = await connect(t, server, { hello: { token: "ann", session: first.welcome.session } });
  assert.equal(second.welcome.resumed, true);
  assert.equal((await first.close()).code, 4001);
  answers[0]?.();
  await second.ping();
  await second.ping();
  assert.equal(second.closed, undefined);
  assert.equal(server.connections, 1);
});

test("a resume after a renewal asks the application nothing: the ticket is of the new token", async (t) => {
  const asked: string[] = [];
  const server = await startServer(t, {
    authenticate: ({ token = "" }) => {
      asked.push(token);
      return authenticate({ token });
    },
  });
  const first = await connect(t, server, { hello: { token: "ann:60000" } });
  const { session = "" } = await first.ask("renewed", { type: "renew", token: "ann:90000" });
  const second = await connect(t, server, { hello: { token: "ann:90000", session } });
  assert.equal(second.welcome.resumed, true);
  assert.equal(second.welcome.user, "ann");
  assert.ok((second.welcome.expiresInMs ?? 0) > 60_000, "it is good for as long as the new token");
  assert.deepEqual(asked, ["ann:60000", "ann:90000"]);
});
