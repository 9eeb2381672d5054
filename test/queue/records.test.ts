import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { connect, type Server, type ServerOptions, startServer } from "../support/start-server.js";
import { type Engine, type Entry, engines } from "./engines.js";

const RECORDED = { "*": { record: true, history: { size: 5000 } }, quiet: { record: false } };

const node = (t: TestContext, engine: Engine, more: ServerOptions = {}): Promise<Server> =>
  startServer(t, { ...engine.settings, kinds: RECORDED, ...more });

/** Waits until the stream of what happened is so, and gives it. */
async function untilTold(
  engine: Engine,
  isSo: (entries: readonly Entry[]) => boolean,
  what: string,
  mostMs?: number,
): Promise<readonly Entry[]> {
  let entries: readonly Entry[] = [];
  await eventually(
    async () => {
      entries = await engine.entries();
      return isSo(entries);
    },
    what,
    mostMs,
  );
  return entries;
}

const published = (entries: readonly Entry[], room: string) =>
  entries.filter((entry) => entry.type === "published" && entry.room === room);

const datas = (entries: readonly Entry[]) => entries.map(({ data }) => data);

for (const [name, open] of Object.entries(engines)) {
  test(`${name}: what two nodes publish in one room is told in the order of its log, each event once`, async (t) => {
    const engine = await open(t);
    const nodes = [await node(t, engine), await node(t, engine)];
    const count = 300;
    const positions: number[] = [];
    await Promise.all(
      nodes.map(async (server, index) => {
        for (let step = 0; step < count; step++) {
          const position = await server.publish("chat:1", "said", `${index}-${step}`, {
            from: "ada",
            key: `${index}-${step}`,
          });
          positions.push(position?.offset ?? -1);
        }
      }),
    );
    await nodes[0]?.publish("quiet:1", "said", "nobody is told");
    const entries = await untilTold(engine, (all) => published(all, "chat:1").length >= 2 * count, "not all were told");
    const told = published(entries, "chat:1");
    assert.deepEqual(
      told.map(({ position }) => position?.offset),
      positions.sort((one, other) => one - other),
    );
    assert.equal(new Set(datas(told)).size, 2 * count);
    assert.equal(entries.length, told.length);
    const [first] = told;
    assert.deepEqual(
      [first?.event, first?.from, typeof first?.key, typeof first?.at],
      ["said", "ada", "string", "number"],
    );
  });

  test(`${name}: a publish that is repeated by its key is told once; a tenant's event with its tenant`, async (t) => {
    const engine = await open(t);
    const server = await node(t, engine);
    for (let again = 0; again < 3; again++) await server.publish("chat:1", "said", 1, { key: "once" });
    await server.publish("chat:1", "said", 2, { tenant: "acme" });
    const entries = await untilTold(engine, (all) => all.length >= 2, "not all were told");
    await server.publish("chat:1", "said", 3);
    const all = await untilTold(engine, (now) => now.length > entries.length, "the last was not told");
    assert.deepEqual(all.map(({ data, tenant }) => [data, tenant]).sort(), [
      [1, undefined],
      [2, "acme"],
      [3, undefined],
    ]);
  });

  test(`${name}: events of rooms without history are told as they are published`, async (t) => {
    const engine = await open(t);
    const server = await node(t, engine, { kinds: { "*": { record: true, history: { size: 0 } } } });
    for (let index = 0; index < 20; index++) await server.publish("live:1", "tick", index);
    const entries = await untilTold(engine, (all) => all.length >= 20, "not all were told");
    assert.deepEqual(
      datas(entries),
      Array.from({ length: 20 }, (_, index) => index),
    );
    assert.equal(entries[0]?.position, undefined);
  });

  test(`${name}: a node that ends has told of everything that was published on it`, async (t) => {
    const engine = await open(t);
    const server = await node(t, engine);
    await Promise.all(Array.from({ length: 50 }, (_, index) => server.publish(`chat:${index % 5}`, "said", index)));
    await server.close();
    assert.equal((await engine.entries()).length, 50);
  });

  test(`${name}: who connects and leaves is told, with why, and by which connection`, async (t) => {
    const engine = await open(t);
    const server = await node(t, engine, {
      ...{ records: ["connected", "left"], kinds: {} },
      authenticate: ({ token }) => ({ user: token ?? "nobody", tenant: "acme" }),
    });
    const one = await connect(t, server, { hello: { token: "one" } });
    const two = await connect(t, server, { hello: { token: "two" } });
    await connect(t, server, { hello: { token: "three" } });
    const four = await connect(t, server, { hello: { token: "four" } });
    const leftOnes = (all: readonly Entry[]) => all.filter(({ type }) => type === "left").length;
    one.end();
    await untilTold(engine, (all) => leftOnes(all) === 1, "that one left was not told");
    four.socket.close(1000);
    await untilTold(engine, (all) => leftOnes(all) === 2, "that four left was not told");
    await server.disconnect("two", { tenant: "acme" });
    await two.close();
    await server.close();
    const entries = await engine.entries();
    const left = entries.filter(({ type }) => type === "left");
    assert.deepEqual(
      left.map(({ user, code, reason }) => [user, code, reason]),
      [
        ["one", 1006, "lost"],
        ["four", 1000, "closed"],
        ["two", 4201, "closed"],
        ["three", 4100, "moved"],
      ],
    );
    for (const entry of left) {
      const beginning = entries.find(({ id }) => id === entry.connected);
      assert.deepEqual([beginning?.type, beginning?.user, beginning?.tenant], ["connected", entry.user, "acme"]);
      assert.equal(beginning?.session, entry.session);
      assert.equal(beginning?.resumed, false);
    }
    assert.equal(entries.length, 8);
    assert.equal(new Set(entries.map(({ id }) => id)).size, 8);
  });

  test(`${name}: the engine is killed and comes back while events are published: all that count are told, in order`, async (t) => {
    const engine = await open(t);
    const nodes = [await node(t, engine), await node(t, engine)];
    const done = new Set<string>();
    let isKilled = false;
    await Promise.all(
      nodes.map(async (server, index) => {
        for (let step = 0; step < 150; step++) {
          const data = `${index}-${step}`;
          await eventually(async () => {
            const position = await server.publish("chat:1", "said", data, { key: data }).catch(() => undefined);
            return position !== undefined;
          });
          done.add(data);
          if (done.size < 100 || isKilled) continue;
          isKilled = true;
          await engine.kill();
          await engine.start();
        }
      }),
    );
    const entries = await untilTold(
      engine,
      (all) => new Set(datas(published(all, "chat:1"))).size === 300,
      "not all were told",
      60_000,
    );
    const told = published(entries, "chat:1");
    assert.equal(told.length, 300);
    for (const index of [0, 1]) {
      const own = told.filter(({ data }) => String(data).startsWith(`${index}-`));
      assert.deepEqual(
        datas(own),
        Array.from({ length: 150 }, (_, step) => `${index}-${step}`),
      );
    }
    const offsets = told.map(({ position }) => position?.offset ?? 0);
    assert.deepEqual(
      offsets,
      [...offsets].sort((one, other) => one - other),
    );
  });
}
