/** Limits and revocations of a tenant's users and rooms, which others of the same names do not feel. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type ServerOptions, startServer, usersMayAll } from "../support/start-server.js";
import { everyTenant, member, ofTenant, Recording, SECRET, TENANTS, type Tenant, tokenOf } from "../support/tenants.js";
import { WsClient } from "../support/ws-client.js";

const [ZEBRA] = TENANTS;
const others = everyTenant.filter((tenant) => tenant !== ZEBRA);

async function start(t: TestContext, options: ServerOptions = {}) {
  const server = await startServer(t, { secret: SECRET, ...options });
  const recording = new Recording();
  const connect = (tenant: Tenant, user = "ann", room?: string) =>
    member(t, server, recording, { tenant, user }).then(async (client) => {
      if (room !== undefined) await client.ask("joined", { type: "join", room });
      return client;
    });
  /** How a hello is refused. */
  const refused = async (tenant: Tenant, user = "ann") => {
    const client = await WsClient.connect(server.url, { hello: false });
    t.after(() => client.end());
    recording.of(client);
    return client.refusal({ type: "hello", token: tokenOf({ sub: user, ...ofTenant(tenant) }) });
  };
  return { server, recording, connect, refused };
}

/** Publishes until it is refused; resolves with the refusal's code. */
async function publishUntilRefused(client: WsClient, room: string): Promise<string> {
  for (let count = 0; count < 100; count++) {
    const answer = await client.request({ type: "publish", room, event: "n", data: count });
    if (answer.type === "error") return answer.code;
  }
  return "never";
}

test("a user's connections are counted for its own tenant", async (t) => {
  const { recording, connect, refused } = await start(t, { userConnections: 2 });
  await connect(ZEBRA);
  await connect(ZEBRA);
  assert.equal((await refused(ZEBRA)).code, "too_many");
  for (const tenant of others) await connect(tenant);
  recording.saysNothing();
  // A user without a tenant whose name looks like one's with.
  await connect(undefined, `${ZEBRA}|ann`);
  assert.equal((await refused(ZEBRA)).code, "too_many");
});

test("what a user publishes is counted for its own tenant", async (t) => {
  const { recording, connect } = await start(t, { userPublishRate: 1 });
  const zebra = await connect(ZEBRA);
  assert.equal(await publishUntilRefused(zebra, "chat:1"), "rate_limited");
  for (const tenant of others) {
    const client = await connect(tenant);
    await client.ask("published", { type: "publish", room: "chat:1", event: "n", data: 1 });
  }
  recording.saysNothing();
});

test("what is published in a room, and who is in it, is counted for the tenant's own", async (t) => {
  const kinds = { ...usersMayAll, chat: { publishRate: 1 }, small: { maxMembers: 1 } };
  const { recording, connect } = await start(t, { kinds });
  assert.equal(await publishUntilRefused(await connect(ZEBRA), "chat:1"), "rate_limited");
  await connect(ZEBRA, "ann", "small:1");
  const second = await connect(ZEBRA, "bob");
  assert.equal((await second.refusal({ type: "join", room: "small:1" })).code, "too_many");
  for (const tenant of others) {
    const client = await connect(tenant, "ann", "small:1");
    await client.ask("published", { type: "publish", room: "chat:1", event: "n", data: 1 });
  }
  recording.saysNothing();
});

test("what is taken back from a user is taken from its own tenant's", async (t) => {
  const { server, recording, connect, refused } = await start(t);
  const inAll = () => Promise.all(everyTenant.map((tenant) => connect(tenant, "ann", "chat:1")));
  const stay = async (clients: readonly WsClient[]) => {
    for (const client of clients) {
      await client.ask("published", { type: "publish", room: "chat:1", event: "n", data: 1 });
      assert.equal(client.closed, undefined);
      client.end();
    }
  };
  for (const tenant of everyTenant) {
    const whose = { user: "ann", ...ofTenant(tenant) };
    const at = everyTenant.indexOf(tenant);
    const [first, second] = [await inAll(), await inAll()];
    const taken = first[at] as WsClient;

    await server.revoke({ ...whose, room: "chat:*", actions: ["join"], until: Date.now() + 60_000 });
    assert.deepEqual(await taken.next("removed"), { type: "removed", room: "chat:1", code: "forbidden" });
    assert.equal((await taken.refusal({ type: "join", room: "chat:1" })).code, "forbidden");
    await stay(first.filter((client) => client !== taken));

    await server.revoke({ ...whose, blockedUntil: Date.now() + 60_000 });
    assert.equal((await (second[at] as WsClient).close()).code, 4200);
    assert.equal((await refused(tenant)).code, "unauthorized");
    await stay(second.filter((_, index) => index !== at));

    await server.revoke({ ...whose, blockedUntil: 0 });
    await server.revoke({ ...whose, room: "chat:*", actions: ["join"], until: 0 });
    await connect(tenant, "ann", "chat:1");
  }
  recording.saysNothing();
});
