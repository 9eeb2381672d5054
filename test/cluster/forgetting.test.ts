/** What the application's answers were is forgotten on all nodes, whichever was told, whatever they share. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { SettingsInput } from "../../server/server.js";
import { allows, HttpApplication } from "../support/application.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import { connect, startServer } from "../support/start-server.js";

const engines: readonly (readonly [name: string, start: (t: TestContext) => Promise<SettingsInput>])[] = [
  ["Redis", async (t) => ({ redis: [(await startRedis(t)).url] })],
  ["NATS", async (t) => ({ nats: [(await startNats(t)).url] })],
];

for (const [name, startEngine] of engines) {
  test(`${name}: a user whose rights have changed is asked about anew on every node, and others are not`, async (t) => {
    const refused = new Set<string>();
    const application = await HttpApplication.start(t, (posted) => {
      const { type, token, user } = posted.body as { type: string; token?: string; user?: string };
      if (type === "connect") return { user: token, cacheMs: 300_000 };
      if (type === "join") return { allow: !refused.has(user ?? ""), cacheMs: 300_000 };
      return allows(posted);
    });
    const settings = { ...(await startEngine(t)), ...application.asked("connect", "join"), kinds: {} };
    const servers = await Promise.all([startServer(t, settings), startServer(t, settings)]);
    await eventually(() => servers.every((server) => server.nodes().length === 2));
    const joins = (user: string) =>
      application.posts.filter(({ body }) => body["type"] === "join" && body["user"] === user).length;
    const clients = new Map<string, Awaited<ReturnType<typeof connect>>[]>();
    for (const user of ["ann", "bob"]) {
      clients.set(user, await Promise.all(servers.map((server) => connect(t, server, { hello: { token: user } }))));
      for (const client of clients.get(user) ?? []) {
        for (let time = 0; time < 3; time++) await client.ask("joined", { type: "join", room: "chat:1" });
      }
    }
    const before = { ann: joins("ann"), bob: joins("bob") };
    assert.ok(before.ann <= 2 && before.bob <= 2, "once a node at the most");

    refused.add("ann");
    for (const client of clients.get("ann") ?? []) await client.ask("joined", { type: "join", room: "chat:1" });
    assert.deepEqual(await servers[0]?.forget({ user: "ann" }), { nodes: 2, missing: [] });
    for (const client of clients.get("ann") ?? []) {
      assert.equal((await client.refusal({ type: "join", room: "chat:1" })).code, "forbidden");
    }
    for (const client of clients.get("bob") ?? []) await client.ask("joined", { type: "join", room: "chat:1" });
    assert.ok(joins("ann") > before.ann);
    assert.equal(joins("bob"), before.bob);

    assert.deepEqual(await servers[1]?.forget({ room: "chat:1" }), { nodes: 2, missing: [] });
    for (const client of clients.get("bob") ?? []) await client.ask("joined", { type: "join", room: "chat:1" });
    assert.ok(joins("bob") > before.bob);
  });
}
