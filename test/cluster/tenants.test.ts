/** Tenants on the engines of clusters: whatever holds the rooms, each tenant has its own. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { SettingsInput } from "../../server/server.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import { startRedisCluster } from "../support/services/redis-cluster.js";
import { startServer, usersMayAll } from "../support/start-server.js";
import { everyTenant, member, ofTenant, Recording, SECRET, type Tenant } from "../support/tenants.js";
import { TenantsRun } from "../support/tenants-run.js";

const UNLIMITED = { requestRate: 1_000_000, userPublishRate: 1_000_000 };

type Kinds = NonNullable<SettingsInput["kinds"]>;
type Services = { readonly settings: SettingsInput; readonly kinds?: Kinds };

const engines: readonly (readonly [name: string, start: (t: TestContext) => Promise<Services>])[] = [
  ["Redis", async (t) => ({ settings: { redis: [(await startRedis(t)).url] } })],
  [
    "Redis of two shards",
    async (t) => ({ settings: { redis: [(await startRedis(t)).url, (await startRedis(t)).url] } }),
  ],
  [
    "Redis Cluster",
    async (t) => {
      const { nodes } = await startRedisCluster(t);
      const hosts = nodes.map(({ host, port }) => `${host}:${port}`);
      return { settings: { redis: [`redis+cluster://${hosts.join("+")}`] } };
    },
  ],
  ["NATS", async (t) => ({ settings: { nats: [(await startNats(t)).url] } })],
  [
    "Redis and, for some kinds, NATS and memory",
    async (t) => ({
      settings: { redis: [(await startRedis(t)).url], nats: [(await startNats(t)).url] },
      kinds: { order: { engine: "nats" }, live: { engine: "nats", history: { size: 0 } } },
    }),
  ],
];

async function twoNodes(t: TestContext, { settings, kinds = {} }: Services) {
  const live = { live: { history: { size: 0 } } };
  const options = { secret: SECRET, ...UNLIMITED, ...settings, kinds: { ...usersMayAll, ...live, ...kinds } };
  const servers = await Promise.all([startServer(t, options), startServer(t, options)]);
  await eventually(() => servers.every((server) => server.problems().length === 0 && server.nodes().length === 2));
  return servers as [(typeof servers)[number], (typeof servers)[number]];
}

for (const [name, startEngine] of engines) {
  test(`${name}: whatever tenants do on two nodes, each sees its own alone`, async (t) => {
    const servers = await twoNodes(t, await startEngine(t));
    const recording = new Recording();
    const run = new TenantsRun(7, servers, ["chat:1", "order:1", "live:1"]);
    await run.start(t, recording);
    for (let step = 0; step < 200; step++) await run.step();
    await run.end();
    recording.saysNothing();
  });

  test(`${name}: rooms with the longest names are each tenant's own, with the longest tenant's name too`, async (t) => {
    const [a, b] = await twoNodes(t, await startEngine(t));
    const tenants = ["t".repeat(32), `${"t".repeat(31)}u`, undefined];
    for (const kind of ["chat", "order", "live"]) {
      // Every character that a name may have.
      const room = `${kind}:A-Z_a.z@/${"x".repeat(128 - kind.length - 10)}`.slice(0, 128);
      const clients = await Promise.all(
        tenants.map((tenant) => member(t, b, new Recording(), { tenant: tenant as Tenant })),
      );
      for (const client of clients) await client.ask("joined", { type: "join", room });
      for (const tenant of tenants) {
        const options = { ...ofTenant(tenant as Tenant), key: "k" };
        const first = await a.publish(room, "n", `of ${tenant}`, options);
        assert.deepEqual(await b.publish(room, "n", "again", options), first);
      }
      for (const [index, client] of clients.entries()) {
        const { events } = await client.next("events");
        assert.deepEqual(
          events.map(({ data }) => data),
          [`of ${tenants[index]}`],
        );
        const history = await client.ask("history", { type: "history", room });
        assert.equal(history.events.length, kind === "live" ? 0 : 1);
        await client.ping();
        assert.deepEqual(client.frames, []);
      }
    }
  });

  test(`${name}: a session of a tenant goes on at another node, in the same tenant's rooms`, async (t) => {
    const [a, b] = await twoNodes(t, await startEngine(t));
    const recording = new Recording();
    const claims = { exp: Math.floor(Date.now() / 1000) + 3000 };
    for (const tenant of everyTenant) {
      const first = await member(t, a, recording, { tenant, claims });
      const { position } = await first.ask("joined", { type: "join", room: "chat:1" });
      first.end();
      for (const other of everyTenant) await a.publish("chat:1", "n", `${tenant === other}`, ofTenant(other));
      const again = await member(t, b, recording, { tenant, claims, session: first.welcome.session });
      assert.equal(again.welcome.resumed, true);
      assert.ok(position);
      const joined = await again.ask("joined", { type: "join", room: "chat:1", since: position });
      assert.deepEqual([joined.recovered, joined.events.map(({ data }) => data)], [true, ["true"]]);
    }
    recording.saysNothing();
  });

  test(`${name}: users are taken out and disconnected on all nodes, of one tenant alone`, async (t) => {
    const servers = await twoNodes(t, await startEngine(t));
    const recording = new Recording();
    for (const [index, tenant] of everyTenant.entries()) {
      const clients = await Promise.all(
        servers.map((server) => Promise.all(everyTenant.map((one) => member(t, server, recording, { tenant: one })))),
      );
      for (const client of clients.flat()) await client.ask("joined", { type: "join", room: "chat:1" });
      const mine = clients.map((ofServer) => ofServer[index]);
      assert.equal((await servers[0].count("chat:1", ofTenant(tenant))).count, 2);
      assert.equal((await servers[0].remove("ann", "chat:1", ofTenant(tenant))).count, 2);
      for (const client of mine) assert.equal((await client?.next("removed"))?.room, "chat:1");
      assert.equal((await servers[1].count("chat:1", ofTenant(tenant))).count, 0);
      assert.equal((await servers[1].disconnect("ann", ofTenant(tenant))).count, 2);
      for (const client of mine) assert.equal((await client?.close())?.code, 4201);
      for (const client of clients.flat().filter((one) => !mine.includes(one))) {
        await client.ping();
        const told = client.frames.filter(({ type }) => type !== "heartbeat");
        assert.deepEqual([told, client.closed], [[], undefined]);
        client.end();
        await client.close();
      }
      await eventually(async () => (await servers[0].counts()).connections === 0);
    }
    recording.saysNothing();
  });
}

test("a log that is lost, and a node that drains, are told in the names that clients know", async (t) => {
  const redis = await startRedis(t);
  const [a] = await twoNodes(t, { settings: { redis: [redis.url], probeMs: 200, engineTimeoutMs: 500, drainMs: 100 } });
  const recording = new Recording();
  const clients = await Promise.all(everyTenant.map((tenant) => member(t, a, recording, { tenant })));
  for (const client of clients) await client.ask("joined", { type: "join", room: "chat:1" });
  for (const tenant of everyTenant) await a.publish("chat:1", "n", 1, ofTenant(tenant));
  for (const client of clients) await client.next("events");
  await redis.kill();
  await eventually(() => a.problems().length > 0);
  for (const client of clients) {
    await client.refusal({ type: "publish", room: "chat:1", event: "n", data: 1 });
    await client.refusal({ type: "history", room: "chat:1" });
    await client.refusal({ type: "join", room: "chat:2" });
  }
  await redis.start();
  await eventually(() => a.problems().length === 0);
  for (const client of clients) assert.equal((await client.next("reset")).room, "chat:1");
  await eventually(() => a.nodes().length === 2);
  const drained = a.drain();
  for (const client of clients) {
    await client.next("move");
    client.end();
  }
  await drained;
  recording.saysNothing();
});
