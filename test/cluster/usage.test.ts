/** Limits that hold for all nodes together: nodes in this process on one Redis. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ServerFrame } from "../../protocol/frames.js";
import { readNote, writeNote } from "../../server/cluster/note.js";
import { eventually } from "../support/eventually.js";
import { startRedis } from "../support/services/redis.js";
import { connect, type Server, type ServerOptions, startServer } from "../support/start-server.js";
import { WsClient } from "../support/ws-client.js";

const authenticate: ServerOptions["authenticate"] = ({ token }) => (token === undefined ? {} : { user: token });
const as = (user: string) => ({ hello: { token: user } });

/** Nodes that know of each other. */
async function nodesOn(t: TestContext, count: number, options: ServerOptions): Promise<Server[]> {
  const redis = await startRedis(t);
  // One secret, so that each node knows the tickets of the others.
  const all = { redis: [redis.url], authenticate, secret: "s".repeat(32), ...options };
  const servers = await Promise.all(Array.from({ length: count }, () => startServer(t, all)));
  await eventually(() => servers.every((server) => server.nodes().length === count));
  return servers;
}

const publish = (client: WsClient): Promise<ServerFrame> =>
  client.request({ type: "publish", room: "chat:1", event: "n", data: 1 });

/** Publishes all the time, 16 at once, until told to stop; when each was let through. */
function flood(client: WsClient, accepted: number[]): () => Promise<void> {
  let stopped = false;
  const one = async (): Promise<void> => {
    while (!stopped) {
      const answer = await publish(client);
      if (answer.type === "published") accepted.push(performance.now());
      // As one who does not wait for long, whatever it is told: the limit of a session is not what this is about.
      else await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const running = Promise.all(Array.from({ length: 16 }, one));
  return async () => {
    stopped = true;
    await running;
  };
}

test("a user who floods three nodes gets from all of them together what one may, and a little for what they had not heard", async (t) => {
  const RATE = 40;
  const generous = { requestRate: 1_000_000, byteRate: 1_073_741_824 };
  const servers = await nodesOn(t, 3, { userPublishRate: RATE, ...generous });
  const clients = await Promise.all(servers.map((server) => connect(t, server, as("ann"))));
  const accepted: number[] = [];
  const stops = clients.map((client) => flood(client, accepted));
  // Other users are let through all the while.
  const bob = await connect(t, servers[0] as Server, as("bob"));
  const from = performance.now();
  await eventually(async () => {
    assert.equal((await publish(bob)).type, "published");
    await new Promise((resolve) => setTimeout(resolve, 200));
    return performance.now() - from > 6000;
  });
  for (const stop of stops) await stop();
  let lowest = 0;
  for (const [index, at] of accepted.entries()) {
    const before = index - ((at - from) * RATE * 1.25) / 1000;
    lowest = Math.min(lowest, before);
    // Times are taken where answers arrive: some more may seem to have come together.
    const rise = before + 1 - lowest;
    assert.ok(rise <= RATE * 2.5 * servers.length, `${rise} too many within some time`);
  }
  const seconds = (performance.now() - from) / 1000;
  assert.ok(accepted.length >= RATE * seconds * 0.5, `${accepted.length} in ${seconds} s`);
  const alone = RATE * (seconds + 1);
  assert.ok(accepted.length < alone * 2, `${accepted.length} in ${seconds} s: each node by itself would take ${alone}`);
});

test("a user has so many sessions on all nodes", async (t) => {
  const servers = await nodesOn(t, 3, { userConnections: 6 });
  const [first, second, third] = servers as [Server, Server, Server];
  const open: WsClient[] = [];
  for (const server of [first, first, first, second, second, second]) open.push(await connect(t, server, as("ann")));
  await eventually(async () => {
    const client = await WsClient.connect(third.url, { hello: false });
    t.after(() => client.end());
    const answer = await client.request({ type: "hello", token: "ann" });
    if (answer.type === "error") assert.deepEqual([answer.code, (await client.close()).code], ["too_many", 4101]);
    else client.end();
    return answer.type === "error";
  });
  await connect(t, third, as("bob"));
  const session = open[0]?.welcome.session ?? "";
  const resumed = await connect(t, third, { hello: { token: "ann", session } });
  assert.equal(resumed.welcome.resumed, true, "who comes back is no newcomer");

  for (const client of [...open, resumed]) client.end();
  await eventually(async () => {
    const client = await WsClient.connect(third.url, { hello: false });
    t.after(() => client.end());
    return (await client.request({ type: "hello", token: "ann" })).type === "welcome";
  });
});

test("a room has so many members on all nodes", async (t) => {
  const servers = await nodesOn(t, 2, { kinds: { "*": { allow: { anonymous: ["join"] } }, small: { maxMembers: 6 } } });
  const [first, second] = servers as [Server, Server];
  const members: WsClient[] = [];
  for (let each = 0; each < 6; each++) {
    const client = await connect(t, first);
    await client.ask("joined", { type: "join", room: "small:1" });
    members.push(client);
  }
  const newcomer = await connect(t, second);
  const comesIn = async (): Promise<boolean> => {
    const answer = await newcomer.request({ type: "join", room: "small:1" });
    if (answer.type === "error") assert.equal(answer.code, "too_many");
    else await newcomer.ask("left", { type: "leave", room: "small:1" });
    return answer.type === "joined";
  };
  await eventually(async () => !(await comesIn()));
  await members[0]?.ask("left", { type: "leave", room: "small:1" });
  await eventually(comesIn);
});

test("what nodes tell of users and rooms can be read as it was written; what is none is passed over", () => {
  const use = { users: [["a|ann", 3, 40]] as const, rooms: [["chat:1", 90_000]] as const };
  const read = (body: object) => {
    const event = writeNote({ id: "n", sequence: 1, note: { type: "use", ...body } as never });
    return readNote({ ...event, offset: 0, size: 0 } as never)?.note;
  };
  assert.deepEqual(read({ use }), { type: "use", use });
  const wrong = [
    undefined,
    {},
    { users: [], rooms: [["chat:1"]] },
    { users: [["", 1, 1]], rooms: [] },
    { users: [["ann", -1, 1]], rooms: [] },
    { users: [["ann", 1.5, 1]], rooms: [] },
    { users: [[1, 1, 1]], rooms: [] },
    { users: ["ann"], rooms: [] },
    { users: [["x".repeat(301), 1, 1]], rooms: [] },
    { users: Array.from({ length: 1001 }, () => ["ann", 1, 1]), rooms: [] },
  ];
  for (const one of wrong) assert.equal(read({ use: one }), undefined, JSON.stringify(one)?.slice(0, 80));
});
