/** The network that the contestants share: it breaks as it says, and for each of them alike. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { momentsOf, Way } from "./way.js";

const kills = { everyMs: 15_000, awayMs: 2000, forMs: 600_000, seed: 15 };

test("the moments of the cuts are the same for a client in every run, and others for every client", () => {
  assert.deepEqual(momentsOf(kills, 7), momentsOf(kills, 7));
  assert.notDeepEqual(momentsOf(kills, 7), momentsOf(kills, 8));
  assert.notDeepEqual(momentsOf(kills, 7), momentsOf({ ...kills, seed: 16 }, 7));
});

test("the cuts of a client are a third less to a third more apart than they are on average", () => {
  const gaps: number[] = [];
  for (let client = 0; client < 100; client++) {
    const moments = momentsOf(kills, client);
    assert.ok(moments.every((moment) => moment >= 0 && moment < kills.forMs));
    gaps.push(...moments.slice(1).map((moment, index) => moment - (moments[index] as number)));
  }
  assert.ok(Math.min(...gaps) >= 10_000 && Math.max(...gaps) <= 20_000);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  assert.ok(Math.abs(mean - kills.everyMs) < 500, `${mean}`);
});

/** A server, and the connections that it has taken. */
async function listen(t: TestContext): Promise<{ readonly port: number; readonly taken: Socket[] }> {
  const taken: Socket[] = [];
  const server = createServer((socket) => taken.push(socket)).listen(0, "127.0.0.1");
  t.after(() => {
    for (const socket of taken) socket.destroy();
    server.close();
  });
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, taken };
}

test("a cut is a reset for the other side, and the next attempts are refused", async (t) => {
  const { port, taken } = await listen(t);
  const way = new Way([port], 0);
  await once(way.dial(), "connect");
  const [socket] = taken as [Socket];
  const failure = once(socket, "error");
  way.cut(60_000);
  assert.equal((await failure)[0].code, "ECONNRESET");
  const [refusal] = await once(way.dial(), "error");
  assert.equal(refusal.code, "ECONNREFUSED");
  assert.equal(way.cuts, 1);
});

test("connections go to the servers in turn", async (t) => {
  const servers = [await listen(t), await listen(t)];
  const way = new Way(
    servers.map(({ port }) => port),
    1,
  );
  for (let times = 0; times < 3; times++) {
    const socket = way.dial();
    t.after(() => socket.destroy());
    await once(socket, "connect");
  }
  const counts = () => servers.map(({ taken }) => taken.length);
  while (counts().reduce((sum, count) => sum + count) < 3) await new Promise(setImmediate);
  assert.deepEqual(counts(), [1, 2]);
});
