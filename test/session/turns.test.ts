import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Wire } from "../../protocol/codec.js";
import type { ClientFrame, ServerFrame } from "../../protocol/frames.js";
import { json } from "../../protocol/json.js";
import { jsonServer } from "../../protocol/json-server.js";
import { Usage } from "../../server/access/limits/limits.js";
import { Permissions } from "../../server/access/permissions.js";
import { Revocations } from "../../server/access/revocations/revocations.js";
import { AccessRules } from "../../server/access/rules.js";
import { TicketSeal } from "../../server/access/ticket.js";
import { MemoryBroker, MemoryLog } from "../../server/engine/memory.js";
import { createLog } from "../../server/log.js";
import { Rosters } from "../../server/presence/rosters.js";
import { Rooms } from "../../server/room/rooms.js";
import { defaultRules } from "../../server/room/rules.js";
import { everyone } from "../../server/session/identity.js";
import type { Link } from "../../server/session/link.js";
import { Sessions } from "../../server/session/sessions.js";
import { Slices } from "../../server/session/slices.js";
import { verbs } from "../../server/session/verbs.js";
import { eventually } from "../support/eventually.js";

/** A link that keeps what it is sent. */
class KeepingLink implements Link {
  readonly codec = jsonServer;
  readonly address = "127.0.0.1";
  readonly origin = undefined;
  readonly frames: ServerFrame[] = [];
  readonly rooms = new Set<string>();

  send(frame: Wire): void {
    this.frames.push(json.decode(frame) as ServerFrame);
  }

  join(room: string): void {
    this.rooms.add(room);
  }

  leave(room: string): void {
    this.rooms.delete(room);
  }

  buffered(): number {
    return 0;
  }

  beat(): void {}

  close(): void {}

  /** What was answered, in order: the type, and the id of what it answers. */
  get answers(): string[] {
    return this.frames.map((frame) => `${frame.type} ${"id" in frame ? frame.id : ""}`);
  }
}

/** A node without a network on which no work has its turn at once: all of it waits for the test to begin the next turn. */
function busyNode(t: TestContext) {
  let next: (() => void)[] = [];
  const slices = new Slices({ budgetMs: 0, later: (act) => next.push(act) });
  const log = new MemoryLog({ maxBytes: 1 << 20 });
  const fanout = { publish: () => undefined };
  const rooms = new Rooms({
    openBroker: (deliver) => new MemoryBroker(log, deliver),
    fanout,
    rulesFor: () => defaultRules,
    lingerMs: 60_000,
    checkMs: 0,
  });
  t.after(() => rooms.close());
  const limits = {
    ...{ maxFrameBytes: 65_536, maxRooms: 100, maxRequests: 32, maxFramesPerTurn: 1000 },
    ...{ maxBackpressureBytes: 1 << 20, requestRate: 500, byteRate: 1 << 20 },
    ...{ userConnections: 100, userPublishRate: 500 },
  };
  const sessions = new Sessions({
    context: {
      node: "n",
      verbs,
      rooms,
      presences: new Rosters({
        ...{ instance: "i", broker: rooms.broker, engines: new Map(), fanout },
        ...{ leaseMs: 10_000, checkMs: 60_000, log: createLog({ level: "silent" }) },
      }),
      hooks: {},
      identities: everyone,
      permissions: new Permissions(new AccessRules({}, { isOpen: true, maxFrameBytes: 65_536 }), new Revocations()),
      limits,
      usage: new Usage(limits, () => 0),
      heartbeatMs: 20_000,
      tickets: new TicketSeal([], 60_000),
      log: { debug: () => undefined, error: (message, fields) => assert.fail(`${message} ${JSON.stringify(fields)}`) },
      slices,
      turn: () => 1,
      now: () => 1,
    },
    helloTimeoutMs: 60_000,
    publishedBytes: () => 0,
  });
  t.after(() => sessions.stop());
  const open = () => {
    const link = new KeepingLink();
    const session = sessions.open(link);
    return { link, session, send: (frame: ClientFrame) => session.receive(json.encode(frame)) };
  };
  /** Turns until nothing waits any more, the engine's answers included. */
  const settle = async (): Promise<void> => {
    for (let idle = 0; idle < 3; idle++) {
      const due = next;
      next = [];
      for (const act of due) act();
      if (due.length > 0) idle = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const welcomed = async () => {
    const client = open();
    client.send({ type: "hello", id: 1 });
    await settle();
    assert.deepEqual(client.link.answers, ["welcome 1"]);
    client.link.frames.length = 0;
    return client;
  };
  return { slices, rooms, sessions, open, settle, welcomed };
}

test("what comes behind a hello that waits for its turn is taken after the welcome, in order", async (t) => {
  const { open, settle, slices } = busyNode(t);
  const { link, send } = open();
  send({ type: "hello", id: 1 });
  send({ type: "ping", id: 2 });
  send({ type: "join", id: 3, room: "a" });
  send({ type: "ping", id: 4 });
  assert.deepEqual([link.answers, slices.waiting], [[], 1]);
  await settle();
  assert.deepEqual(link.answers, ["welcome 1", "pong 2", "pong 4", "joined 3"]);
  assert.deepEqual([...link.rooms], ["a"]);
});

test("joins of one session are answered in the order they came, whether their rooms are open or not", async (t) => {
  const { settle, welcomed } = busyNode(t);
  const [first, second] = [await welcomed(), await welcomed()];
  first.send({ type: "join", id: 2, room: "open" });
  await settle();
  for (const [index, room] of ["open", "b", "c"].entries()) second.send({ type: "join", id: index + 2, room });
  await settle();
  assert.deepEqual(second.link.answers, ["joined 2", "joined 3", "joined 4"]);
});

test("a leave takes out a join that waits for its turn, and a second join is another", async (t) => {
  const { rooms, settle, welcomed } = busyNode(t);
  const { link, send } = await welcomed();
  await rooms.hold("a");
  send({ type: "join", id: 2, room: "a" });
  send({ type: "leave", id: 3, room: "a" });
  send({ type: "join", id: 4, room: "a" });
  assert.equal(rooms.find("a")?.holds, 3);
  await settle();
  assert.deepEqual(link.answers, ["left 3", "error 2", "joined 4"]);
  assert.deepEqual(link.frames[1], {
    type: "error",
    id: 2,
    code: "not_joined",
    message: "room: left before the join was answered",
  });
  assert.equal(rooms.find("a")?.holds, 2);
});

test("a session that ends while its joins wait leaves nothing behind", async (t) => {
  const { rooms, sessions, settle, slices, welcomed } = busyNode(t);
  const { link, session, send } = await welcomed();
  const room = await rooms.hold("a");
  send({ type: "join", id: 2, room: "a", since: room.position as never });
  send({ type: "join", id: 3, room: "b" });
  session.ended();
  await settle();
  assert.deepEqual([link.answers, [...link.rooms], slices.waiting, sessions.pending], [[], [], 0, 0]);
  assert.deepEqual([room.holds, rooms.find("b")?.holds], [1, 0]);
});

test("a session that ends while its hello waits is not welcomed", async (t) => {
  const { open, sessions, settle } = busyNode(t);
  const { link, session, send } = open();
  send({ type: "hello", id: 1 });
  session.ended();
  await settle();
  assert.deepEqual([link.answers, sessions.size, sessions.pending], [[], 0, 0]);
});

test("what waits of one session is no more than it may ask for at once", async (t) => {
  const { settle, welcomed, slices } = busyNode(t);
  const { link, send } = await welcomed();
  const deferred = slices.deferred;
  for (let id = 2; id < 42; id++) send({ type: "join", id, room: `a:${id}` });
  assert.equal(link.frames.filter((frame) => frame.type === "error" && frame.code === "too_many").length, 8);
  await eventually(() => slices.deferred === deferred + 32);
  await settle();
  assert.equal(link.rooms.size, 32);
});

test("events published while a joiner waits for its turn are in its answer, once", async (t) => {
  const { rooms, settle, welcomed } = busyNode(t);
  const room = await rooms.hold("a");
  const since = room.position;
  const { link, send } = await welcomed();
  const publisher = await welcomed();
  publisher.send({ type: "publish", id: 2, room: "a", event: "n", data: 1 });
  send({ type: "join", id: 2, room: "a", since: since as never });
  publisher.send({ type: "publish", id: 3, room: "a", event: "n", data: 2 });
  await settle();
  const joined = link.frames[0];
  assert.ok(joined?.type === "joined" && joined.recovered);
  assert.deepEqual(
    joined.events.map(({ data }) => data),
    [1, 2],
  );
});
