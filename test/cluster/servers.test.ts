/** Control between nodes over real engines: servers in this process, and others in processes of their own. */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { Server, ServerOptions, SettingsInput } from "../../server/server.js";
import { Command } from "../support/command.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import { connect, startServer } from "../support/start-server.js";

/** What an engine needs to be used and hurt by these tests. */
type Service = {
  readonly settings: SettingsInput;
  kill(): Promise<void>;
  start(): Promise<void>;
};

const services: readonly (readonly [name: string, start: (t: TestContext) => Promise<Service>])[] = [
  [
    "Redis",
    async (t) => {
      const redis = await startRedis(t);
      return { settings: { redis: [redis.url] }, kill: () => redis.kill(), start: () => redis.start() };
    },
  ],
  [
    "Redis of two shards",
    async (t) => {
      const shards = [await startRedis(t), await startRedis(t)];
      const all = async (act: (shard: (typeof shards)[number]) => Promise<void>) => {
        await Promise.all(shards.map(act));
      };
      return {
        settings: { redis: shards.map(({ url }) => url) },
        kill: () => all((shard) => shard.kill()),
        start: () => all((shard) => shard.start()),
      };
    },
  ],
  [
    "NATS",
    async (t) => {
      const nats = await startNats(t);
      return { settings: { nats: [nats.url] }, kill: () => nats.kill(), start: () => nats.start() };
    },
  ],
];

const LEASE_MS = 1500;
/** Longer than any test waits. */
const LONG_LEASE_MS = 60_000;
const authenticate: ServerOptions["authenticate"] = ({ token }) => (token === undefined ? {} : { user: token });
const hello = (token: string) => ({ hello: { token } });
const namesIn = (server: Server) => server.nodes().map(({ name }) => name);

/** A node in this process. */
const start = (t: TestContext, service: Service, node: string, leaseMs = LEASE_MS): Promise<Server> =>
  startServer(t, { ...service.settings, node, leaseMs, probeMs: 200, authenticate });

/** The addresses as a command takes them. */
const variablesOf = ({ redis = [], nats = [] }: SettingsInput): { readonly [name: string]: string } => ({
  ...(redis.length > 0 && { ROOMCAST_REDIS: redis.join(",") }),
  ...(nats.length > 0 && { ROOMCAST_NATS: nats.join(",") }),
});

/** A node in a process of its own. It is in the list of `seenBy` once this resolves. */
async function spawn(t: TestContext, service: Service, node: string, seenBy: Server): Promise<Command> {
  const args = ["serve", "--port", "0", "--node", node, "--lease-ms", String(seenBy.settings.leaseMs)];
  const command = new Command(t, args, variablesOf(service.settings));
  await command.line(/listening/);
  await eventually(() => namesIn(seenBy).includes(node), `${node} never came`);
  return command;
}

for (const [name, startService] of services) {
  test(`${name}: users are disconnected and taken out of rooms on all nodes, and counted`, async (t) => {
    const service = await startService(t);
    const servers = [await start(t, service, "a"), await start(t, service, "b"), await start(t, service, "c")];
    const [a, b, c] = servers as [Server, Server, Server];
    for (const server of servers) await eventually(() => server.nodes().length === 3);
    const alices = [await connect(t, a, hello("alice")), await connect(t, b, hello("alice"))];
    const bob = await connect(t, c, hello("bob"));
    for (const client of [...alices, bob]) await client.ask("joined", { type: "join", room: "chat:1" });
    assert.deepEqual(await a.count("chat:1"), { count: 3, nodes: 3, missing: [] });
    assert.deepEqual(await b.counts(), { connections: 3, sessions: 3, rooms: 3, nodes: 3, missing: [] });

    assert.deepEqual(await c.remove("alice", "chat:1"), { count: 2, nodes: 3, missing: [] });
    for (const client of alices) assert.equal((await client.next("removed")).code, "forbidden");
    await b.publish("chat:1", "n", 1);
    await bob.next("events");
    for (const client of alices) {
      await client.ping();
      assert.ok(!client.frames.some((frame) => frame.type === "events"));
    }
    assert.deepEqual(await a.count("chat:1"), { count: 1, nodes: 3, missing: [] });

    assert.deepEqual(await c.disconnect("alice"), { count: 2, nodes: 3, missing: [] });
    for (const client of alices) assert.equal((await client.close()).code, 4201);
    await bob.ping();
    assert.deepEqual(await b.counts(), { connections: 1, sessions: 1, rooms: 3, nodes: 3, missing: [] });
  });

  test(`${name}: a node that is killed is gone within its lease, one that is stopped is back when it goes on`, async (t) => {
    const service = await startService(t);
    const a = await start(t, service, "a");
    const [killed, stopped] = [await spawn(t, service, "killed", a), await spawn(t, service, "stopped", a)];
    assert.deepEqual(namesIn(a), ["a", "killed", "stopped"]);
    killed.child.kill("SIGKILL");
    stopped.child.kill("SIGSTOP");
    await eventually(() => namesIn(a).length === 1);
    stopped.child.kill("SIGCONT");
    await eventually(() => namesIn(a).length === 2);
    assert.deepEqual(namesIn(a), ["a", "stopped"]);
    assert.equal((await a.counts()).nodes, 2, "it answers, too");
  });

  test(`${name}: a node that ends by a signal is gone without waiting for its lease`, async (t) => {
    const service = await startService(t);
    const a = await start(t, service, "a", LONG_LEASE_MS);
    const ending = await spawn(t, service, "ending", a);
    ending.child.kill("SIGTERM");
    assert.deepEqual(await ending.exited, { code: 0, signal: null });
    await eventually(() => namesIn(a).length === 1);
  });

  test(`${name}: the command lists the nodes, and ends what a user has`, async (t) => {
    const service = await startService(t);
    const [a, b] = [await start(t, service, "a"), await start(t, service, "b")];
    const alices = [await connect(t, a, hello("alice")), await connect(t, b, hello("alice"))];
    for (const client of alices) await client.ask("joined", { type: "join", room: "chat:1" });
    const run = async (...args: string[]) => {
      const command = new Command(t, args, variablesOf(service.settings));
      const { code } = await command.exited;
      return { code, stdout: command.stdout, errors: command.errors };
    };

    const table = await run("nodes");
    assert.equal(table.code, 0);
    const lines = table.stdout.split("\n").map((line) => line.split(/ {2,}/));
    assert.deepEqual(
      lines.slice(0, 4).map(([first, ...rest]) => [first, ...rest.slice(-4)]),
      [
        ["node", "connections", "sessions", "rooms", "state"],
        ["a", "1", "1", "1", "ok"],
        ["b", "1", "1", "1", "ok"],
        ["2 in all", "2", "2", "2"],
      ],
    );

    const json = JSON.parse((await run("nodes", "--json")).stdout) as { nodes: { name: string }[]; totals: object };
    assert.deepEqual(
      json.nodes.map((node) => node.name),
      ["a", "b"],
    );
    assert.deepEqual(json.totals, { nodes: 2, connections: 2, sessions: 2, rooms: 2 });

    assert.deepEqual(await run("remove", "alice", "chat:1"), {
      ...{ code: 0, stdout: "2 sessions on 2 nodes\n", errors: [] },
    });
    for (const client of alices) await client.next("removed");
    assert.deepEqual(await run("disconnect", "alice"), {
      ...{ code: 0, stdout: "2 sessions on 2 nodes\n", errors: [] },
    });
    for (const client of alices) assert.equal((await client.close()).code, 4201);
    assert.deepEqual(namesIn(a), ["a", "b"], "who asked was never in the list");
  });

  test(`${name}: during an outage calls are refused, and after it the nodes find each other`, async (t) => {
    const service = await startService(t);
    const [a, b] = [await start(t, service, "a"), await start(t, service, "b")];
    await eventually(() => a.nodes().length === 2 && b.nodes().length === 2);
    const alice = await connect(t, a, hello("alice"));
    await service.kill();
    await eventually(() => a.problems().length > 0);
    await assert.rejects(a.counts(), { name: "EngineError", code: "unavailable" });
    await assert.rejects(a.disconnect("alice"), { name: "EngineError", code: "unavailable" });
    assert.equal((await alice.close()).code, 4201, "on this node it is done all the same");
    await eventually(() => namesIn(a).length === 1 && namesIn(b).length === 1);
    assert.ok((a.nodes()[0]?.problems.length ?? 0) > 0, "the entry says what cannot be reached");
    await service.start();
    await eventually(() => namesIn(a).length === 2 && namesIn(b).length === 2);
    await eventually(async () => (await a.counts().catch(() => undefined))?.nodes === 2);
  });
}
