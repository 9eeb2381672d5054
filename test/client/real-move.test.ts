/** Make before break, against real servers on one Redis: what the application sees while nodes end one after the other. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { type Client, type ConnectOptions, connect } from "../../client/index.js";
import { eventually } from "../support/eventually.js";
import { startRedis } from "../support/services/redis.js";
import { type Server, startServer, usersMayAll } from "../support/start-server.js";
import { clientCodecs } from "../support/ws-client.js";

const LOGGED = "chat:1";
const PLAIN = "cursor:1";

/** Nodes that know of each other. A call takes its time; `onHello` is told of each time the application is asked who comes. */
async function startNodes(t: TestContext, count: number, onHello = () => {}): Promise<Server[]> {
  const redis = await startRedis(t);
  const slow = { noticeMs: 0, drainMs: 50, deadlineMs: 10_000 };
  const kinds = { ...usersMayAll, cursor: { history: { size: 0 } } };
  const onCall = async ({ data }: { data: unknown }) => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    return data;
  };
  const authenticate = () => {
    onHello();
    return { user: "ann" };
  };
  const hooks = { onCall, authenticate, secret: "s".repeat(32) };
  const start = () => startServer(t, { redis: [redis.url], ...slow, kinds, ...hooks });
  const nodes = await Promise.all(Array.from({ length: count }, start));
  for (const node of nodes) await eventually(() => node.nodes().length === count, "the nodes never saw each other");
  return nodes;
}

type Way = {
  to: Server;
  /** Every socket that was opened, in order. */
  readonly sockets: WebSocket[];
};

/** A client whose connections go wherever `way` leads, and all that its application is told. */
function open(t: TestContext, way: Way, options: ConnectOptions = {}): { client: Client; told: string[] } {
  class Routed extends WebSocket {
    constructor(_: string, protocols: string[]) {
      super(`${way.to.url.replace("http", "ws")}/v1/socket`, protocols);
      way.sockets.push(this);
    }
  }
  const client = connect("http://nodes", { WebSocket: Routed, minDelayMs: 20, ...options });
  t.after(() => client.close());
  const told: string[] = [];
  client.on("state", ({ status }) => told.push(status));
  client.on("error", (error) => told.push(`error: ${error.message}`));
  return { client, told };
}

/** Does something over and over, each time when the one before is done, until it is stopped. */
function repeat(act: (count: number) => Promise<unknown>): { readonly done: number; stop(): Promise<void> } {
  let isEnding = false;
  const state = { done: 0, stop };
  const running = (async () => {
    for (let count = 1; !isEnding; count++) {
      await act(count);
      state.done = count;
    }
  })();
  running.catch(() => {});
  async function stop(): Promise<void> {
    isEnding = true;
    await running;
  }
  return state;
}

for (const codec of clientCodecs) {
  test(`over ${codec.name}: three nodes end one after the other under load, and the application sees nothing of it`, async (t) => {
    let hellos = 0;
    const nodes = await startNodes(t, 4, () => hellos++);
    const way: Way = { to: nodes[0] as Server, sockets: [] };
    const { client, told } = open(t, way, { codec });
    const [logged, plain]: [unknown[], unknown[]] = [[], []];
    const [room, cursor] = [client.room(LOGGED), client.room(PLAIN)];
    room.onAny(({ data }) => logged.push(data));
    cursor.onAny(({ data }) => plain.push(data));
    await Promise.all([room.joined, cursor.joined]);
    for (const each of [room, cursor]) each.onState(({ status }) => told.push(`room ${status}`));
    room.onReset(() => told.push("reset"));
    told.length = 0;
    const loads = [
      repeat((count) => room.publish("message", count)),
      repeat((count) => cursor.publish("moved", count)),
      repeat(async (count) => assert.equal(await client.call("slow", count), count)),
      repeat(() => room.history({ limit: 2 })),
      repeat(async (count) => {
        const passing = client.room(`passing:${count}`);
        await passing.join();
        passing.leave();
      }),
    ];
    const going = () => {
      const before = loads.map(({ done }) => done);
      return eventually(() => loads.every(({ done }, index) => done > (before[index] ?? 0)), "something stands still");
    };
    await going();
    for (const [index, node] of nodes.slice(0, 3).entries()) {
      way.to = nodes[index + 1] as Server;
      await node.drain();
      await going();
    }
    await Promise.all(loads.map((load) => load.stop()));
    const published = Array.from({ length: loads[0]?.done ?? 0 }, (_, index) => index + 1);
    await eventually(() => logged.length >= published.length, "events are missing");
    assert.deepEqual(logged, published, "the log, once and in order");
    assert.equal(new Set(plain).size, plain.length, "nothing twice where there is no log");
    assert.deepEqual(told, []);
    assert.deepEqual([way.sockets.length, hellos], [4, 1]);
  });
}

test("a node that is gone in the middle of the move: publishes in flight are in the log once, in order", async (t) => {
  const nodes = await startNodes(t, 2);
  const way: Way = { to: nodes[0] as Server, sockets: [] };
  const { client, told } = open(t, way);
  const room = client.room(LOGGED);
  const heard: unknown[] = [];
  room.onAny(({ data }) => heard.push(data));
  room.onReset(() => told.push("reset"));
  await room.joined;
  const load = repeat((count) => Promise.all([1, 2, 3].map((n) => room.publish("message", count * 10 + n))));
  await eventually(() => load.done > 5);
  way.to = nodes[1] as Server;
  const drained = (nodes[0] as Server).drain();
  await eventually(() => way.sockets.length === 2, "it does not move");
  // With whatever is on its way, both ways.
  way.sockets[0]?.terminate();
  await drained;
  const before = load.done;
  await eventually(() => load.done > before + 5, "publishing stands still");
  await load.stop();
  const published = Array.from({ length: load.done }, (_, index) => [1, 2, 3].map((n) => (index + 1) * 10 + n)).flat();
  await eventually(() => heard.length >= published.length, "events are missing");
  assert.deepEqual(heard, published);
  assert.equal(told.includes("reset"), false);
  assert.equal(way.sockets.length, 2);
});
