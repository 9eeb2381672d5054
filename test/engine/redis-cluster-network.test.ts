import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { event, placed, rules } from "../../server/engine/conformance-ground.js";
import { openRedis } from "../../server/engine/redis/redis.js";
import { eventually } from "../support/eventually.js";
import { TcpProxy } from "../support/proxy.js";
import type { Redis } from "../support/services/redis.js";
import { startRedisCluster } from "../support/services/redis-cluster.js";
import { ending, Follower, ownerOf, publishAtLast, urlOf } from "./redis-cluster-ground.js";
import { openNode, redisOptions, untilWell } from "./redis-ground.js";

const FAST = { timeoutMs: 500, probeMs: 200 };
/** How many rooms a node has in the test of very many. */
const MANY = Number(process.env["ROOMCAST_TEST_MANY_ROOMS"] ?? 5000);
const ROOMS = Array.from({ length: 9 }, (_, index) => `room:${index}`);

/** A Cluster whose servers have a proxy each in front of them, and say so: all nodes go through them. */
async function behindProxies(t: TestContext) {
  const { nodes } = await startRedisCluster(t);
  const proxies = await Promise.all(nodes.map((node) => TcpProxy.start(t, node)));
  for (const [index, node] of nodes.entries()) {
    await node.command("CONFIG", "SET", "cluster-announce-port", String(proxies[index]?.port));
  }
  const ports = proxies.map(({ port }) => port);
  for (const node of nodes) {
    await eventually(async () => {
      const ranges = (await node.command("CLUSTER", "SLOTS")) as unknown as [number, number, [string, number]][];
      return ranges.every(([, , [, port]]) => ports.includes(port));
    }, "the servers never said where they are to be found");
  }
  /** Which of them holds the slot of a room. */
  const holderOf = async (room: string): Promise<number> => {
    const announced = proxies.map(({ host, port }) => ({ ...(nodes[0] as Redis), host, port }));
    const [first, ...others] = announced as [Redis, ...Redis[]];
    const owner = await ownerOf([{ ...first, command: (nodes[0] as Redis).command }, ...others], options, room);
    return proxies.findIndex(({ port }) => port === owner.port);
  };
  const options = redisOptions([urlOf([{ ...(nodes[0] as Redis), port: ports[0] as number }])], FAST);
  return { nodes, proxies, options, holderOf };
}

test("a primary that a node cannot reach any more is noticed, and its rooms are made whole when it is back", async (t) => {
  const { proxies, options, holderOf } = await behindProxies(t);
  const follower = await Follower.open(t, options);
  for (const room of ROOMS) await follower.join(room);
  const holders = await Promise.all(ROOMS.map(holderOf));
  const [gone] = holders as [number];
  const proxy = proxies[gone] as TcpProxy;
  proxy.blackhole();
  const early = await Promise.all(ROOMS.map((room) => ending(follower.broker.publish(room, event(0), rules()))));
  for (const [index, end] of early.entries()) assert.equal(end === "done", holders[index] !== gone, `${index}: ${end}`);
  await eventually(() => follower.broker.problems().length > 0);
  for (const problem of follower.broker.problems())
    assert.ok(problem.startsWith(`redis c ${proxy.host}:${proxy.port}: `));
  for (const [index, room] of ROOMS.entries()) {
    const expected = holders[index] === gone ? "unavailable" : "done";
    assert.equal(await ending(follower.broker.publish(room, event(1), rules())), expected);
  }
  proxy.heal();
  await untilWell(follower.broker);
  for (const [index, room] of ROOMS.entries()) {
    if (holders[index] === gone) await eventually(() => follower.suspected.includes(room), `${room} was not doubted`);
    else assert.ok(!follower.suspected.includes(room), `${room} was doubted`);
    await publishAtLast(follower.broker, room, 2);
    await eventually(() => follower.told.includes(`${room} 2`), `${room} is silent`);
  }
});

test("connections that are cut are made again, and every room with them", async (t) => {
  const { proxies, options } = await behindProxies(t);
  const [publisher, follower] = [await openNode(options), await Follower.open(t, options)];
  t.after(() => publisher.close());
  for (const room of ROOMS) await follower.join(room);
  for (let value = 0; value < 30; value++) {
    if (value % 5 === 2) for (const proxy of proxies) proxy.cut();
    await Promise.all(ROOMS.map((room) => publishAtLast(publisher, room, value)));
  }
  const expected = Array.from({ length: 30 }, (_, value) => value);
  for (const room of ROOMS) {
    await eventually(() => follower.seen.get(room)?.length === 30, `${room} never came in whole`);
    assert.deepEqual(follower.seen.get(room), expected);
  }
});

test("very many rooms are subscribed again, each at its server, and all of them are doubted", async (t) => {
  const { nodes } = await startRedisCluster(t);
  const suspected = new Set<string>();
  const told = new Set<string>();
  const node = await openNode(
    redisOptions([urlOf(nodes)], FAST),
    (room) => void told.add(room),
    (room) => void suspected.add(room),
  );
  t.after(() => node.close());
  const rooms = Array.from({ length: MANY }, (_, index) => `room:${index}`);
  for (let from = 0; from < rooms.length; from += 500) {
    await Promise.all(rooms.slice(from, from + 500).map((room) => node.subscribe(room, rules(0))));
  }
  for (const server of nodes) await server.command("CLIENT", "KILL", "TYPE", "pubsub");
  await eventually(() => suspected.size === rooms.length, "not all rooms were doubted");
  for (let from = 0; from < rooms.length; from += 500) {
    await Promise.all(rooms.slice(from, from + 500).map((room) => node.publish(room, event(1), rules(0))));
  }
  await eventually(() => told.size === rooms.length, "not all rooms are subscribed");
});

test("of events in rooms that a node has not joined nothing comes over its connections", async (t) => {
  const { proxies, options, nodes } = await behindProxies(t);
  // It does not look at the map again, and goes on through the proxies.
  const follower = await Follower.open(t, { ...options, probeMs: 60_000 });
  await follower.join("room:0");
  // The other node goes past them.
  for (const node of nodes) await node.command("CONFIG", "SET", "cluster-announce-port", "0");
  const direct = [urlOf(nodes)];
  await eventually(async () => {
    const ranges = (await nodes[0]?.command("CLUSTER", "SLOTS")) as unknown as [number, number, [string, number]][];
    return ranges.every(([, , [, port]]) => nodes.some((node) => node.port === port));
  });
  const publisher = await openNode({ ...options, shards: direct });
  t.after(() => publisher.close());
  const received = (): number => proxies.reduce((sum, proxy) => sum + proxy.bytes("toClient").received, 0);
  const before = received();
  const data = "x".repeat(1000);
  for (let index = 1; index <= 300; index++) {
    placed(await publisher.publish(`room:${index}`, event(data), rules()));
    await publisher.publish(`room:${index}`, event(data), rules(0));
  }
  await publishAtLast(publisher, "room:0", 1);
  await eventually(() => follower.told.includes("room:0 1"));
  assert.deepEqual(follower.told, ["room:0 1"]);
  const came = received() - before;
  assert.ok(came > 50 && came < 10_000, `of 600,000 bytes that were published elsewhere ${came} came`);
});

test("a cluster with a password is reached with it, on every server", async (t) => {
  const secret = "a-password";
  const args = ["--requirepass", secret, "--masterauth", secret];
  const { nodes } = await startRedisCluster(t, { args });
  const node = await openNode(redisOptions([urlOf(nodes.slice(0, 1))], { ...FAST, password: secret }));
  t.after(() => node.close());
  for (const room of ROOMS) {
    await node.subscribe(room, rules());
    placed(await node.publish(room, event(1), rules()));
  }
  const wrong = openRedis(redisOptions([urlOf(nodes)], { ...FAST, password: "another" }))(
    () => undefined,
    () => undefined,
  );
  t.after(() => wrong.close());
  await eventually(() => wrong.problems().some((problem) => /WRONGPASS|NOAUTH|password/.test(problem)));
  assert.ok(!wrong.problems().join().includes("another"));
});
