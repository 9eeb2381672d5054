/** What is taken back on one node of several, over real engines, whatever happens to these. */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { Server, SettingsInput } from "../../server/server.js";
import { eventually } from "../support/eventually.js";
import { TcpProxy } from "../support/proxy.js";
import { startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import { SECRET, signed } from "../support/sign.js";
import { connect, startServer } from "../support/start-server.js";
import type { WsClient } from "../support/ws-client.js";

type Service = {
  /** Where nodes find it; `proxied`: with something between that can be cut. */
  settings(at: { readonly port: number }): SettingsInput;
  readonly port: number;
  /** Everything that it holds is gone; it is there again when this resolves. */
  lose(): Promise<void>;
};

const services: readonly (readonly [name: string, start: (t: TestContext) => Promise<Service>])[] = [
  [
    "Redis",
    async (t) => {
      const redis = await startRedis(t);
      const lose = async () => {
        await redis.kill();
        await redis.start();
      };
      const settings = ({ port }: { port: number }) => ({
        redis: [`redis://127.0.0.1:${port}?name=127.0.0.1:${redis.port}`],
      });
      return { settings, port: redis.port, lose };
    },
  ],
  [
    "NATS",
    async (t) => {
      const nats = await startNats(t);
      const lose = async () => {
        await nats.kill();
        await nats.start();
      };
      const settings = ({ port }: { port: number }) => ({
        ...{ nats: [`nats://127.0.0.1:${port}`], natsStorage: "memory" as const },
      });
      return { settings, port: nats.port, lose };
    },
  ],
];

const claims = { rooms: { "chat:*": "join publish history members" } };
const minute = 60_000;

/** A node. */
const start = (t: TestContext, service: Service, at: { readonly port: number } = service): Promise<Server> =>
  startServer(t, { ...service.settings(at), secret: SECRET, probeMs: 200, engineTimeoutMs: 1000, kinds: {} });

const enter = (t: TestContext, server: Server, token: string, session?: string): Promise<WsClient> =>
  connect(t, server, { hello: { token, ...(session === undefined ? {} : { session }) } });

/** The close code of a hello with this token; 0 where it is welcomed. */
async function codeOf(t: TestContext, server: Server, token: string, session?: string): Promise<number> {
  const client = await connect(t, server, { hello: false });
  const answer = await client.request({ type: "hello", token, ...(session === undefined ? {} : { session }) });
  if (answer.type === "welcome") {
    client.end();
    return 0;
  }
  return (await client.close()).code;
}

for (const [name, startService] of services) {
  test(`${name}: a token taken back on one node ends its sessions on all, and is refused by those that start later`, async (t) => {
    const service = await startService(t);
    const [a, b] = [await start(t, service), await start(t, service)];
    const [bad, good] = [signed({ sub: "ann", jti: "bad", ...claims }), signed({ sub: "ann", jti: "good", ...claims })];
    const [onA, onB, other] = [await enter(t, a, bad), await enter(t, b, bad), await enter(t, b, good)];
    await a.revoke({ token: "bad" });
    for (const client of [onA, onB])
      assert.deepEqual(await client.close(), { code: 4200, reason: "token: it was revoked" });
    await other.ping();
    const late = await start(t, service);
    for (const server of [a, b, late]) {
      assert.equal(await codeOf(t, server, bad), 4200);
      assert.equal(await codeOf(t, server, bad, onB.welcome.session), 4200, "nor is its session resumed");
      assert.equal(await codeOf(t, server, good), 0);
    }
    const renewing = await other.refusal({ type: "renew", token: bad });
    assert.equal(renewing.code, "unauthorized");
    await other.ping();
  });

  test(`${name}: a user is blocked on all nodes, one of another tenant is not, and is let in again`, async (t) => {
    const service = await startService(t);
    const [a, b] = [await start(t, service), await start(t, service)];
    const [ann, acme] = [signed({ sub: "ann", ...claims }), signed({ sub: "ann", tenant: "acme", ...claims })];
    const [blocked, other] = [await enter(t, b, ann), await enter(t, b, acme)];
    await a.revoke({ user: "ann", blockedUntil: Date.now() + minute });
    assert.deepEqual(await blocked.close(), { code: 4200, reason: "user: blocked" });
    await other.ping();
    assert.deepEqual([await codeOf(t, a, ann), await codeOf(t, b, ann)], [4200, 4200]);
    await b.revoke({ user: "ann", blockedUntil: 0 });
    await eventually(async () => (await codeOf(t, a, ann)) === 0);
    assert.equal(await codeOf(t, await start(t, service), ann), 0);
    await a.disconnect("ann", { tenant: "acme" });
    assert.equal((await other.close()).code, 4201);
  });

  test(`${name}: all of a user's tokens signed before a time are taken back`, async (t) => {
    const service = await startService(t);
    const [a, b] = [await start(t, service), await start(t, service)];
    const now = Math.floor(Date.now() / 1000);
    const [old, young] = [
      signed({ sub: "ann", iat: now - 100, ...claims }),
      signed({ sub: "ann", iat: now, ...claims }),
    ];
    const [out, stays] = [await enter(t, b, old), await enter(t, b, young)];
    await a.revoke({ user: "ann", before: (now - 50) * 1000 });
    assert.equal((await out.close()).code, 4200);
    await stays.ping();
    assert.deepEqual([await codeOf(t, b, old), await codeOf(t, b, young)], [4200, 0]);
  });

  test(`${name}: actions are taken back in rooms on all nodes, and given back`, async (t) => {
    const service = await startService(t);
    const [a, b] = [await start(t, service), await start(t, service)];
    const tenant = { tenant: "acme" };
    const ann = await enter(t, b, signed({ sub: "ann", ...tenant, ...claims }));
    const bob = await enter(t, b, signed({ sub: "bob", ...tenant, ...claims }));
    for (const client of [ann, bob]) {
      for (const room of ["chat:1", "chat:2"]) await client.ask("joined", { type: "join", room });
    }
    await a.revoke({ user: "ann", ...tenant, room: "chat:1", actions: "join publish" });
    assert.deepEqual(await ann.next("removed"), { type: "removed", room: "chat:1", code: "forbidden" });
    const publish = { type: "publish", event: "n", data: 1 } as const;
    assert.equal((await ann.refusal({ ...publish, room: "chat:1" })).code, "forbidden");
    assert.equal((await ann.refusal({ type: "join", room: "chat:1" })).code, "forbidden");
    await bob.ask("published", { ...publish, room: "chat:1" });
    await bob.ask("published", { ...publish, room: "chat:2" });
    assert.equal((await ann.next("events")).room, "chat:2", "of the room it was taken out of it hears nothing");
    await b.revoke({ user: "ann", ...tenant, room: "chat:1", actions: [] });
    await ann.ask("joined", { type: "join", room: "chat:1" });
    await ann.ask("published", { ...publish, room: "chat:1" });
  });

  test(`${name}: what was taken back stays so when the engine loses everything, as long as one node lives`, async (t) => {
    const service = await startService(t);
    const [a, b] = [await start(t, service), await start(t, service)];
    const tokens = Array.from({ length: 50 }, (_, index) => signed({ sub: "ann", jti: `t${index}` }));
    for (let index = 0; index < tokens.length; index++) await (index % 2 ? a : b).revoke({ token: `t${index}` });
    for (const server of [a, b]) await eventually(async () => (await codeOf(t, server, tokens[49] ?? "")) === 4200);
    await service.lose();
    await eventually(() => a.problems().length === 0 && b.problems().length === 0);
    const late = await start(t, service);
    for (const token of tokens) await eventually(async () => (await codeOf(t, late, token)) === 4200);
    await b.close();
    await a.revoke({ token: "after" });
    await eventually(async () => (await codeOf(t, late, signed({ jti: "after" }))) === 4200);
  });

  test(`${name}: a node that was cut off learns what was taken back, and tells what it has`, async (t) => {
    const service = await startService(t);
    const proxy = await TcpProxy.start(t, { host: "127.0.0.1", port: service.port });
    const [a, b] = [await start(t, service), await start(t, service, proxy)];
    const [ann, bob] = [signed({ sub: "ann" }), signed({ sub: "bob" })];
    const [annOnB, bobOnA, bobOnB] = [await enter(t, b, ann), await enter(t, a, bob), await enter(t, b, bob)];
    proxy.refuse();
    proxy.cut();
    await eventually(() => b.problems().length > 0);
    await a.revoke({ user: "ann", blockedUntil: Date.now() + minute });
    await assert.rejects(b.revoke({ user: "bob", blockedUntil: Date.now() + minute }), { name: "EngineError" });
    assert.equal((await bobOnB.close()).code, 4200, "on this node it is done all the same");
    await annOnB.ping();
    await bobOnA.ping();
    proxy.heal();
    assert.equal((await annOnB.close()).code, 4200);
    assert.equal((await bobOnA.close()).code, 4200);
  });

  test(`${name}: what is not delivered is found all the same`, async (t) => {
    const service = await startService(t);
    const proxy = await TcpProxy.start(t, { host: "127.0.0.1", port: service.port });
    const [a, b] = [await start(t, service), await start(t, service, proxy)];
    const ann = await enter(t, b, signed({ sub: "ann", jti: "t" }));
    // What is said of it in a delivery, and in no answer to a look at the log's end.
    const isDelivery = (chunk: Buffer) => /(\{\||access-d\.\d+\.%7c)revoked/.test(chunk.toString("latin1"));
    const dropped = proxy.dropNextToClient(1, isDelivery);
    await a.revoke({ token: "t" });
    await dropped;
    assert.equal((await ann.close()).code, 4200);
  });

  // On NATS each of a room's publishes waits for the one before.
  const count = name === "NATS" ? 4000 : 20_000;
  test(`${name}: a node that starts knows of ${count}`, async (t) => {
    const service = await startService(t);
    const a = await start(t, service);
    for (let from = 0; from < count; from += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, index) => a.revoke({ token: `t${from + index}` })));
    }
    const b = await start(t, service);
    assert.deepEqual(b.problems(), []);
    for (const id of ["t0", `t${count / 2}`, `t${count - 1}`])
      assert.equal(await codeOf(t, b, signed({ jti: id })), 4200, id);
    assert.equal(await codeOf(t, b, signed({ sub: "ann", jti: `t${count}` })), 0);
  });
}
