/** What every engine's ledger holds to: see `server/engine/ledger.ts`. */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { Ledger, Noted, Swap } from "../../server/engine/ledger.js";
import { MemoryLedger } from "../../server/engine/memory-ledger.js";
import { NatsLedger } from "../../server/engine/nats/ledger.js";
import { RedisLedger } from "../../server/engine/redis/ledger.js";
import { createLog } from "../../server/log.js";
import { eventually } from "../support/eventually.js";
import { type Nats, startNats } from "../support/services/nats.js";
import { startNatsCluster } from "../support/services/nats-cluster.js";
import { startRedis } from "../support/services/redis.js";
import { startRedisCluster } from "../support/services/redis-cluster.js";
import { uniqueName } from "./nats-support.js";
import { urlOf } from "./redis-cluster-ground.js";

type Ground = {
  /** Opens it as another node does. */
  readonly open: () => Ledger;
  /** The engine is killed, and there again once this has resolved; `undefined` where it cannot be. */
  readonly outage?: (during: () => Promise<void>) => Promise<void>;
  /** Why two may both change the same entry in the same moment. */
  readonly loose?: string;
};

const common = { timeoutMs: 1500, probeMs: 500, log: createLog({ level: "silent" }) };

const grounds: { readonly [name: string]: (t: TestContext) => Promise<Ground> } = {
  async memory() {
    const entries = new Map<string, string>();
    return { open: () => new MemoryLedger(entries) };
  },
  async Redis(t) {
    const redis = await startRedis(t, { persistent: true });
    const options = { shards: [redis.url], namespace: uniqueName(), ...common };
    return {
      open: () => new RedisLedger(options),
      async outage(during) {
        await redis.kill();
        await during();
        await redis.start();
      },
    };
  },
  async "Redis Cluster"(t) {
    const cluster = await startRedisCluster(t);
    const options = { shards: [urlOf(cluster.nodes)], namespace: uniqueName(), ...common };
    return { open: () => new RedisLedger(options) };
  },
  async NATS(t) {
    const nats = await startNats(t);
    const options = { servers: [nats.url], namespace: uniqueName(), replicas: 1, storage: "file", ...common } as const;
    return {
      open: () => new NatsLedger(options),
      async outage(during) {
        await nats.kill();
        await during();
        await nats.start();
      },
    };
  },
  async "NATS on three servers"(t) {
    const { urls, nodes } = await startNatsCluster(t);
    const options = { servers: urls, namespace: uniqueName(), replicas: 3, storage: "file", ...common } as const;
    const { version } = await (nodes[0] as Nats).monitor("/varz");
    const [major = 0, minor = 0, patch = 0] = String(version).split(".").map(Number);
    const isFixed = major > 2 || (major === 2 && (minor > 9 || (minor === 9 && patch > 20)));
    // nats-server issue 4320.
    const loose = "before 2.9.21 several servers let two publish after the same number";
    return { open: () => new NatsLedger(options), ...(isFixed ? {} : { loose }) };
  },
};

async function opened(t: TestContext, { open }: Ground, count = 1): Promise<[Ledger, ...Ledger[]]> {
  const ledgers = Array.from({ length: count }, open);
  for (const ledger of ledgers) t.after(() => ledger.close());
  await eventually(() => ledgers.every((ledger) => ledger.problems().length === 0), "it was never reached");
  return ledgers as [Ledger, ...Ledger[]];
}

const swap = async (ledger: Ledger, room: string, from: string | undefined, to: string | undefined) =>
  (await ledger.swap([{ room, from, to }]))[0];

async function all(ledger: Ledger): Promise<Map<string, string>> {
  const noted: Noted[] = [];
  for await (const page of ledger.scan()) {
    assert.ok(page.length > 0 && page.length <= 2000, `a page of ${page.length}`);
    noted.push(...page);
  }
  return new Map(noted);
}

const cases: { readonly [says: string]: (t: TestContext, ground: Ground) => Promise<void> } = {
  async "an entry is changed where it is what it is to be changed from, and else told"(t, ground) {
    const [one, other] = (await opened(t, ground, 2)) as [Ledger, Ledger];
    assert.equal(await swap(one, "chat:1", undefined, undefined), undefined);
    assert.equal(await swap(one, "chat:1", "a", "b"), undefined);
    assert.equal(await swap(one, "chat:1", undefined, "a"), "a");
    assert.equal(await swap(other, "chat:1", undefined, "b"), "a");
    assert.equal(await swap(other, "chat:1", undefined, undefined), "a");
    assert.equal(await swap(other, "chat:1", "a", "b"), "b");
    assert.equal(await swap(one, "chat:1", "a", "c"), "b");
    assert.equal(await swap(one, "chat:1", "a", undefined), "b");
    assert.equal(await swap(one, "chat:1", "b", "b"), "b");
    assert.equal(await swap(one, "chat:1", "b", undefined), undefined);
    assert.equal(await swap(other, "chat:1", "b", undefined), undefined);
    assert.equal(await swap(other, "chat:1", undefined, "a"), "a");
    assert.equal(await swap(one, "chat:1", "a", "b"), "b");
    assert.deepEqual([...(await all(one))], [["chat:1", "b"]]);
  },

  async "of many who change the same entry at once one does, whichever"(t, ground) {
    if (ground.loose !== undefined) return t.skip(ground.loose);
    const ledgers = await opened(t, ground, 3);
    let current: string | undefined;
    for (let round = 0; round < 20; round++) {
      const tries = Array.from({ length: 9 }, (_, index) => (round % 4 === 3 ? undefined : `${round} ${index}`));
      const from = current;
      const said = await Promise.all(tries.map((to, index) => swap(ledgers[index % 3] as Ledger, "chat:1", from, to)));
      assert.equal(new Set(said).size, 1, `${said}`);
      current = said[0];
      assert.notEqual(current, from);
    }
  },

  async "many are changed at once, each by itself"(t, ground) {
    const [ledger] = await opened(t, ground);
    const rooms = Array.from({ length: 200 }, (_, index) => `acme|chat:${index}.ü%`);
    const swaps: Swap[] = rooms.map((room, index) => ({ room, from: undefined, to: `entry ${index}` }));
    assert.deepEqual(
      await ledger.swap(swaps),
      swaps.map(({ to }) => to),
    );
    const half = swaps.map(({ room, to }, index) => ({ room, from: index % 2 === 0 ? to : "other", to: undefined }));
    assert.deepEqual(
      await ledger.swap(half),
      swaps.map(({ to }, index) => (index % 2 === 0 ? undefined : to)),
    );
    const left = swaps.filter((_, index) => index % 2 === 1);
    assert.deepEqual(await all(ledger), new Map(left.map(({ room, to }) => [room, to as string])));
  },

  async "all are read page by page, whatever is changed meanwhile"(t, ground) {
    const [ledger, other] = (await opened(t, ground, 2)) as [Ledger, Ledger];
    assert.equal((await all(ledger)).size, 0);
    for (let from = 0; from < 2600; from += 200) {
      const swaps = Array.from({ length: 200 }, (_, index) => ({
        room: `r:${from + index}`,
        from: undefined,
        to: "x",
      }));
      await ledger.swap(swaps);
    }
    assert.equal((await all(other)).size, 2600);
    const seen = new Set<string>();
    let pages = 0;
    for await (const page of other.scan()) {
      for (const [room] of page) seen.add(room);
      const at = pages++ * 10;
      await ledger.swap([
        { room: `r:${at}`, from: "x", to: "y" },
        { room: `r:${at + 1}`, from: "x", to: undefined },
        { room: `new:${at}`, from: undefined, to: "z" },
      ]);
    }
    for (let index = 0; index < 2600; index++) assert.ok(index % 10 === 1 || seen.has(`r:${index}`), `r:${index}`);
  },

  async "entries outlast an engine that is away, which refuses at once, and whoever wrote them"(t, ground) {
    const { outage } = ground;
    if (outage === undefined) return t.skip("it has no outages here");
    const [ledger] = await opened(t, ground);
    await swap(ledger, "chat:1", undefined, "a");
    await outage(async () => {
      await eventually(() => ledger.problems().length > 0);
      await assert.rejects(swap(ledger, "chat:1", "a", "b"), { name: "EngineError" });
      await assert.rejects(all(ledger), { name: "EngineError" });
    });
    await eventually(() => ledger.problems().length === 0);
    assert.equal(await swap(ledger, "chat:1", "a", "b"), "b");
    await ledger.close();
    await assert.rejects(swap(ledger, "chat:1", "a", "b"), { name: "EngineError" });
    const [next] = await opened(t, ground);
    assert.deepEqual([...(await all(next))], [["chat:1", "b"]]);
  },
};

for (const [name, start] of Object.entries(grounds)) {
  for (const [says, run] of Object.entries(cases)) test(`${name}: ${says}`, async (t) => run(t, await start(t)));
}
