import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { event, rules, values } from "../../server/engine/conformance-ground.js";
import { type Broker, EngineError } from "../../server/engine/engine.js";
import { openNats } from "../../server/engine/nats/nats.js";
import { eventually } from "../support/eventually.js";
import { TcpProxy } from "../support/proxy.js";
import { startNats } from "../support/services/nats.js";
import { Follower, kept } from "./nats-follower.js";
import { natsOptions, openNode, untilWell } from "./nats-support.js";

const ROOM = "room:1";
const FAST = { timeoutMs: 400, probeMs: 200 };

/** How a call ended: "done", or the code of its `EngineError`. */
const ending = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "done",
    (error: unknown) => (error instanceof EngineError ? error.code : `not an EngineError: ${String(error)}`),
  );

/** A node that reaches NATS through a proxy, and one that has its own way. */
async function behindProxy(t: TestContext) {
  const server = await startNats(t);
  const proxy = await TcpProxy.start(t, server);
  const straight = natsOptions({ servers: [server.url], ...FAST });
  const other = await openNode(straight);
  t.after(() => other.close());
  return { server, proxy, other, options: { ...straight, servers: [proxy.url("nats")] } };
}

/** Publishes until it is taken, as a client with a key does. */
async function publishAtLast(broker: Broker, room: string, value: number): Promise<void> {
  const attempt = () => ending(broker.publish(room, event(value, { key: `k${value}` }), kept));
  for (let end = await attempt(); end !== "done"; end = await attempt()) {
    assert.ok(end === "unavailable" || end === "timeout", end);
    await new Promise((next) => setTimeout(next, 5));
  }
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

test("connections that are cut under load lose nothing, repeat nothing, and keep the order", async (t) => {
  const { proxy, other, options } = await behindProxy(t);
  const follower = new Follower();
  t.after(() => follower.end());
  const broker = await openNode(options, follower.deliver, follower.suspect);
  t.after(() => broker.close());
  await follower.follow(broker, ROOM);
  let cuts = 0;
  for (const value of numbers(600)) {
    if (value % 60 === 30) cuts += proxy.cut() > 0 ? 1 : 0;
    await publishAtLast(value % 2 === 0 ? other : broker, ROOM, value);
  }
  await eventually(() => {
    follower.repair(ROOM);
    return follower.seen(ROOM).length >= 600;
  });
  assert.deepEqual(follower.seen(ROOM), numbers(600));
  assert.equal(follower.resets, 0);
  assert.ok(cuts > 5);
});

test("a server that is killed under load costs nothing that was acknowledged, and nothing comes twice", async (t) => {
  const server = await startNats(t);
  const options = natsOptions({ servers: [server.url], ...FAST });
  const follower = new Follower();
  t.after(() => follower.end());
  const [node, publisher] = [await openNode(options, follower.deliver, follower.suspect), await openNode(options)];
  t.after(() => node.close());
  t.after(() => publisher.close());
  const rooms = ["room:1", "room:2", "room:3"];
  for (const room of rooms) await follower.follow(node, room);
  const published = Promise.all(
    rooms.map(async (room) => {
      for (const value of numbers(300)) await publishAtLast(publisher, room, value);
    }),
  );
  for (const count of [50, 150]) {
    await eventually(() => rooms.every((room) => follower.seen(room).length > count));
    await server.kill();
    await server.start();
  }
  await published;
  await eventually(() => rooms.every((room) => follower.seen(room).length >= 300));
  for (const room of rooms) assert.deepEqual(follower.seen(room), numbers(300));
  assert.equal(follower.resets, 0);
});

test("a connection that leads nowhere is noticed, every call settles, and rooms are in doubt once it leads back", async (t) => {
  const { proxy, other, options } = await behindProxy(t);
  const told: unknown[] = [];
  const suspected: string[] = [];
  const broker = await openNode(
    options,
    (_room, _epoch, events) => void told.push(...(values(events) ?? [])),
    (room) => void suspected.push(room),
  );
  t.after(() => broker.close());
  await broker.subscribe(ROOM, rules());
  suspected.length = 0;
  proxy.blackhole();
  const early = await Promise.all([
    ending(broker.publish(ROOM, event(1), rules())),
    ending(broker.history(ROOM, {}, 10, rules())),
    ending(broker.history(ROOM, {}, 0, rules())),
    ending(broker.subscribe("room:2", rules())),
    ending(broker.publish("room:3", event(1, { key: "k" }), rules(0))),
  ]);
  for (const end of early) assert.match(end, /^(timeout|unavailable)$/);
  await eventually(() => broker.problems().length > 0);
  assert.equal(await ending(broker.publish(ROOM, event(2), rules())), "unavailable");
  assert.equal(await ending(broker.publish(ROOM, event(2), rules(0))), "unavailable");
  await other.publish(ROOM, event("meanwhile"), rules());
  proxy.heal();
  await untilWell(broker);
  await eventually(() => suspected.includes(ROOM));
  assert.deepEqual(suspected, [ROOM]);
  await other.publish("room:2", event("not subscribed"), rules());
  await other.publish(ROOM, event("after"), rules());
  await eventually(() => told.includes("after"));
  assert.deepEqual(told, ["after"]);
});

for (const direction of ["toServer", "toClient"] as const) {
  test(`a connection of which one direction leads nowhere is noticed: ${direction}`, async (t) => {
    const { proxy, options } = await behindProxy(t);
    const broker = await openNode(options);
    t.after(() => broker.close());
    proxy.blackhole(direction);
    await eventually(() => broker.problems().length > 0);
    proxy.heal();
    await untilWell(broker);
    assert.equal(await ending(broker.publish(ROOM, event(1), rules())), "done");
  });
}

test("an answer that is lost: the same key again gives the first position, and is no second event", async (t) => {
  const { proxy, other, options } = await behindProxy(t);
  const broker = await openNode(options);
  t.after(() => broker.close());
  const lost = proxy.dropNextToClient(1, (bytes) => bytes.includes('"seq":'), { cut: true });
  assert.equal(await ending(broker.publish(ROOM, event("once", { key: "k" }), rules())), "timeout");
  await lost;
  await untilWell(broker);
  const position = await broker.publish(ROOM, event("once", { key: "k" }), rules());
  const log = await other.history(ROOM, {}, 10, rules());
  assert.deepEqual(values(log.events), ["once"]);
  assert.deepEqual(log.position, position);
});

test("rooms that were subscribed before an outage are at the server again before they are called in doubt", async (t) => {
  const server = await startNats(t);
  const options = natsOptions({ servers: [server.url], ...FAST });
  const rooms = Array.from({ length: 3000 }, (_, n) => `room:${n}`);
  const told = new Set<string>();
  const suspected: string[] = [];
  const node = await openNode(
    options,
    (room) => void told.add(room),
    (room) => void suspected.push(room),
  );
  t.after(() => node.close());
  await Promise.all(rooms.map((room) => node.subscribe(room, rules(0))));
  await node.subscribe(ROOM, rules());
  suspected.length = 0;
  await server.kill();
  await server.start();
  await eventually(() => suspected.includes(ROOM));
  const other = await openNode(options);
  t.after(() => other.close());
  for (const room of rooms.slice(2)) await other.publish(room, event(1), rules(0));
  await eventually(() => told.size >= rooms.length - 2);
});

test("without streams the server's own rooms are subscribed again after an outage, and called in doubt", async (t) => {
  const server = await startNats(t);
  const options = natsOptions({ servers: [server.url], streams: [], ...FAST });
  const told: string[] = [];
  const suspected: string[] = [];
  const node = await openNode(
    options,
    (room) => void told.push(room),
    (room) => void suspected.push(room),
  );
  t.after(() => node.close());
  const own = ["$node", "|members|chat:1"];
  for (const room of [...own, ROOM]) await node.subscribe(room, rules(0));
  suspected.length = 0;
  await server.kill();
  await server.start();
  await eventually(() => suspected.length >= own.length);
  assert.deepEqual(suspected, own);
  for (const room of own) await node.publish(room, event(1), rules(0));
  await eventually(() => told.length >= own.length);
  assert.deepEqual(told, own);
});

test("a server that is not there, or has no JetStream, is a problem, and no longer when it is and has", async (t) => {
  const server = await startNats(t, { jetstream: false });
  const broker = openNats(natsOptions({ servers: [server.url], ...FAST }))(
    () => {},
    () => {},
  );
  t.after(() => broker.close());
  await eventually(() => broker.problems().some((problem) => problem.includes("JetStream")));
  assert.equal(await ending(broker.publish(ROOM, event(1), rules())), "unavailable");
  assert.equal(await ending(broker.publish(ROOM, event(1), rules(0))), "done");
  await server.kill();
  await eventually(() => broker.problems().some((problem) => problem.includes(`${server.port}`)));
  assert.equal(await ending(broker.publish(ROOM, event(1), rules(0))), "unavailable");
});

test("a node that is closed leaves nothing unsettled", async (t) => {
  const { proxy, options } = await behindProxy(t);
  const broker = await openNode(options);
  proxy.stall();
  const calls = [
    ending(broker.publish(ROOM, event(1), rules())),
    ending(broker.publish(ROOM, event(2), rules())),
    ending(broker.history(ROOM, {}, 10, rules())),
    ending(broker.subscribe(ROOM, rules())),
  ];
  await broker.close();
  for (const end of await Promise.all(calls)) assert.match(end, /^(timeout|unavailable)$/);
});
