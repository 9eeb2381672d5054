/** The hook `rooms` while nodes are killed and told to end, each a process of its own: every change is told once. */
import assert from "node:assert/strict";
import { once } from "node:events";
import test, { type TestContext } from "node:test";
import { NatsLedger } from "../../server/engine/nats/ledger.js";
import { RedisLedger } from "../../server/engine/redis/ledger.js";
import { createLog } from "../../server/log.js";
import { HttpApplication, type Posted } from "../support/application.js";
import { ChildServer } from "../support/child-server.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import type { WsClient } from "../support/ws-client.js";

const common = { namespace: "told", timeoutMs: 1000, probeMs: 500, log: createLog({ level: "silent" }) };

/** Settings, and a way to see what nodes have noted. */
const engines = {
  async Redis(t: TestContext) {
    const { url } = await startRedis(t);
    return { settings: { redis: [url] }, ledger: new RedisLedger({ shards: [url], ...common }) };
  },
  async NATS(t: TestContext) {
    const { url } = await startNats(t);
    const ledger = new NatsLedger({ servers: [url], replicas: 1, storage: "file", ...common });
    return { settings: { nats: [url] }, ledger };
  },
} as const;

const named = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `chat:${name}${index}`);

async function joins(client: WsClient, rooms: readonly string[]): Promise<void> {
  for (const room of rooms) await client.ask("joined", { type: "join", room });
}

/** What was told of a room, in turn. */
function told(posts: readonly Posted[], room: string): string[] {
  return posts.filter(({ body }) => body["room"] === room).map(({ body }) => String(body["type"]));
}

async function cluster(t: TestContext, engine: keyof typeof engines, answer: HttpApplication["answer"]) {
  const application = await HttpApplication.start(t, answer);
  const { settings, ledger } = await engines[engine](t);
  t.after(() => ledger.close());
  const options = {
    ...application.asked("rooms"),
    ...{ ...settings, namespace: common.namespace },
    hooks: { rooms: { url: application.url, kinds: ["chat"] } },
    ...({
      noticeMs: 100,
      drainMs: 200,
      deadlineMs: 2500,
      leaseMs: 1500,
      engineTimeoutMs: 1000,
      probeMs: 500,
      logLevel: "silent",
      port: 0,
    } as const),
  };
  const start = (node: string) => ChildServer.start(t, { ...options, node });
  const count = (type: string) => application.of(type).length;
  /** Resolves once so many rooms are occupied, and whoever told it has noted that the application took it. */
  const areNoted = async (rooms: number): Promise<void> => {
    const isNoted = async () => {
      const entries: string[] = [];
      for await (const page of ledger.scan()) entries.push(...page.map(([, entry]) => entry));
      return (
        entries
          .filter((entry) => /^[oOv] /.test(entry))
          .map(([state]) => state)
          .join("") === "O".repeat(rooms)
      );
    };
    await eventually(() => ledger.problems().length === 0 && isNoted(), `never ${rooms} rooms were noted`);
  };
  return { application, start, count, areNoted };
}

async function end({ child }: ChildServer, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

for (const engine of Object.keys(engines) as (keyof typeof engines)[]) {
  test(`${engine}: nodes that are killed and told to end change nothing of what is told, each change once`, async (t) => {
    const { application, start, count, areNoted } = await cluster(t, engine, () => ({}));
    const [a, b, c] = (await Promise.all(["a", "b", "c"].map(start))) as [ChildServer, ChildServer, ChildServer];
    const rooms = named("r", 20);
    const onA = await a.connect(t);
    const onB = await b.connect(t);
    await joins(onA, rooms);
    await joins(onB, rooms.slice(0, 5));
    await eventually(() => count("occupied") === 20);
    await areNoted(20);

    // The home of some rooms, and the only node with clients of most of them.
    await end(a, "SIGKILL");
    await eventually(() => count("vacated") === 15);
    await end(c, "SIGTERM");
    await onB.ask("left", { type: "leave", room: rooms[0] as string });
    await eventually(() => count("vacated") === 16);

    const d = await start("d");
    const others = named("s", 10);
    await joins(await d.connect(t), [rooms[1] as string, ...others]);
    await eventually(() => count("occupied") === 30);
    await areNoted(14);
    // Nobody is left who knows of any room.
    await Promise.all([end(b, "SIGKILL"), end(d, "SIGKILL")]);
    const e = await start("e");
    const onE = await e.connect(t);
    await joins(onE, rooms.slice(1, 2));
    await eventually(() => count("vacated") === 29);
    // As it ends itself it tells of what was left.
    await end(e, "SIGTERM");
    await eventually(() => count("vacated") === 30);
    assert.equal(count("occupied"), 30);
    for (const room of [...rooms, ...others]) assert.deepEqual(told(application.posts, room), ["occupied", "vacated"]);
    assert.equal(new Set(application.posts.map(({ body }) => body["id"])).size, 60);
  });

  test(`${engine}: nodes that end one after the other tell nothing of rooms with clients elsewhere`, async (t) => {
    const { application, start, count } = await cluster(t, engine, () => ({}));
    const nodes = await Promise.all(["a", "b", "c"].map(start));
    const rooms = named("r", 20);
    const clients = await Promise.all(nodes.map((node) => node.connect(t)));
    for (const client of clients) await joins(client, rooms);
    await eventually(() => count("occupied") === 20);
    for (const node of nodes) await end(node, "SIGTERM");
    await eventually(() => count("vacated") === 20);
    for (const room of rooms) assert.deepEqual(told(application.posts, room), ["occupied", "vacated"]);
    assert.equal(application.posts.length, 40);
  });

  test(`${engine}: what a node was telling when it was killed another one tells, in the same words`, async (t) => {
    let isMute = true;
    const taken = new Set<unknown>();
    const { application, start } = await cluster(t, engine, ({ body }) => {
      if (isMute) return () => undefined;
      taken.add(body["room"]);
      return {};
    });
    const [a, b] = (await Promise.all(["a", "b"].map(start))) as [ChildServer, ChildServer];
    const rooms = named("r", 12);
    await joins(await b.connect(t), rooms);
    await eventually(() => new Set(application.posts.map(({ body }) => body["room"])).size === rooms.length);
    await end(a, "SIGKILL");
    isMute = false;
    await eventually(() => taken.size === rooms.length);
    assert.equal(new Set(application.posts.map(({ raw }) => raw)).size, rooms.length);
  });
}
