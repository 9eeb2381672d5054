import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as dial } from "node:net";
import test, { type TestContext } from "node:test";
import { connect as connectNats, headers, type NatsConnection } from "nats";
import { natsQueues } from "../../server/engine/nats/queues.js";
import type { Queues, WorkQueue } from "../../server/engine/queue.js";
import type { ServerOptions } from "../../server/server.js";
import { uniqueName } from "../engine/nats-support.js";
import { eventually } from "../support/eventually.js";
import { type Nats, startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import { connect, startServer } from "../support/start-server.js";
import type { WsClient } from "../support/ws-client.js";
import { untilEmpty } from "./conformance.js";

const nothing = (): void => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

function queuesAt(server: Nats, namespace: string): Queues {
  const options = { servers: [server.url], replicas: 1, storage: "file" as const, namespace };
  return natsQueues({ ...options, timeoutMs: 1500, probeMs: 500, log });
}

/** A queue to look at; it takes nothing. */
async function lookAt(t: TestContext, queues: Queues): Promise<WorkQueue> {
  const work = queues.openWork({ prefetch: 10, ackMs: 30_000, deadAgeMs: 3_600_000, maxBytes: 1_048_576 });
  t.after(() => work.close(0));
  await eventually(() => work.problems().length === 0);
  return work;
}

/** NATS, a node that takes commands from it, and a backend's connection. */
async function ground(t: TestContext, options: ServerOptions = {}) {
  const nats = await startNats(t);
  const namespace = uniqueName();
  const settings: ServerOptions = { nats: [nats.url], namespace, natsStreams: [namespace], queue: "nats", ...options };
  const server = await startServer(t, settings);
  const work = await lookAt(t, queuesAt(nats, namespace));
  const backend = await connectNats({ servers: nats.url, reconnectTimeWait: 50, maxReconnectAttempts: -1 });
  t.after(() => backend.close());
  return { nats, namespace, settings, server, work, backend };
}

/** As a backend does it; resolves once JetStream has it. */
async function write(backend: NatsConnection, subject: string, command: unknown, id?: string) {
  const named = id === undefined ? undefined : headers();
  named?.set("Nats-Msg-Id", id ?? "");
  const payload = typeof command === "string" ? command : JSON.stringify(command);
  return backend.jetstream().publish(subject, Buffer.from(payload), named && { headers: named });
}

/** All events that the client has been given, by their data. */
function eventsOf(client: WsClient): unknown[] {
  return client.frames.flatMap((frame) => (frame.type === "events" ? frame.events.map(({ data }) => data) : []));
}

const publish = (data: unknown, room = "orders:1") => ({ do: "publish", room, event: "paid", data });

test("what a backend writes into the queue is published, once for each id", async (t) => {
  const { server, namespace, backend, work } = await ground(t);
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "orders:1" });
  await write(backend, `${namespace}-commands.shop`, publish(1), "one");
  await write(backend, `${namespace}-commands.shop`, publish(1), "one");
  await write(backend, `${namespace}-commands.any.depth.of-it`, publish(2));
  await write(backend, `${namespace}-commands.shop`, publish(3));
  await eventually(() => eventsOf(client).length >= 3);
  await untilEmpty(work);
  assert.deepEqual(eventsOf(client), [1, 2, 3]);
});

test("a command needs no client library: a line of text over TCP", async (t) => {
  const { server, namespace, nats, work } = await ground(t);
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "orders:1" });
  const socket = dial(nats.port, nats.host);
  t.after(async () => void socket.destroy());
  await once(socket, "connect");
  let answers = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    answers += text;
  });
  const body = JSON.stringify(publish("bare"));
  const head = "NATS/1.0\r\nNats-Msg-Id:bare-1\r\n\r\n";
  const subject = `${namespace}-commands.shop`;
  const put = `HPUB ${subject} answers.1 ${head.length} ${head.length + body.length}\r\n${head}${body}\r\n`;
  socket.write(`CONNECT {"verbose":false,"headers":true}\r\nSUB answers.* 1\r\n${put}${put}`);
  await eventually(() => answers.includes('"duplicate": true') || answers.includes('"duplicate":true'));
  await eventually(() => eventsOf(client).length > 0);
  await untilEmpty(work);
  assert.deepEqual(eventsOf(client), ["bare"]);
});

test("a command that can never be done is a dead letter at once, with the reason, and holds nothing up", async (t) => {
  const { server, namespace, backend, work } = await ground(t, { apiMaxBytes: 2000 });
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "orders:1" });
  const subject = `${namespace}-commands.shop`;
  const wrong: readonly [unknown, RegExp][] = [
    ["{no JSON", /JSON/],
    ["", /expected a JSON object, got nothing/],
    [[1], /expected an object/],
    [{ do: "explode" }, /^do: expected one of .*publish/],
    [{ do: "publish", room: "", event: "e", data: 1 }, /^room: expected/],
    [{ do: "publish", room: "orders:1", event: "e", data: 1, colour: "red" }, /colour/],
    [publish("x".repeat(2000)), /expected at most 2000 bytes/],
    ["[".repeat(1999), /levels of nesting/],
  ];
  for (const [index, [command]] of wrong.entries()) await write(backend, subject, command, `wrong-${index}`);
  await write(backend, subject, publish("last"), "last");
  await eventually(() => eventsOf(client).length > 0);
  await untilEmpty(work);
  assert.deepEqual(eventsOf(client), ["last"]);
  const letters = [...(await work.deadLetters(100))].sort((a, b) => a.id.localeCompare(b.id));
  assert.equal(letters.length, wrong.length);
  for (const [index, [command, reason]] of wrong.entries()) {
    const letter = letters[index];
    assert.equal(letter?.id, `wrong-${index}`);
    assert.equal(letter.tries, 1);
    assert.match(letter.reason, reason);
    assert.equal(Buffer.from(letter.bytes).toString(), typeof command === "string" ? command : JSON.stringify(command));
  }
});

test("an id that cannot be a key is a dead letter", async (t) => {
  const { namespace, backend, work } = await ground(t);
  await write(backend, `${namespace}-commands.shop`, publish(1), "i".repeat(300));
  await eventually(async () => (await work.numbers()).dead === 1);
  const [letter] = await work.deadLetters(1);
  assert.match(letter?.reason ?? "", /^id: expected at most/);
});

test("a dead letter that is put back is applied, once what was wrong is mended", async (t) => {
  const { server, namespace, backend, work } = await ground(t);
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "orders:1" });
  await write(backend, `${namespace}-commands.shop`, { ...publish(1), colour: "red" }, "wrong");
  await eventually(async () => (await work.numbers()).dead === 1);
  const manager = await backend.jetstreamManager();
  const letter = await manager.streams.getMessage(`${namespace}-dead`, { last_by_subj: `${namespace}-dead.shop` });
  assert.equal(letter.header.get("Roomcast-Id"), "wrong");
  assert.equal(letter.header.get("Roomcast-Tries"), "1");
  assert.match(letter.header.get("Roomcast-Reason"), /colour/);
  const { colour: _, ...mended } = JSON.parse(Buffer.from(letter.data).toString()) as { colour: string };
  const subject = letter.subject.replace("-dead.", "-commands.");
  await write(backend, subject, mended, "wrong-again");
  await manager.streams.deleteMessage(`${namespace}-dead`, letter.seq);
  await eventually(() => eventsOf(client).length > 0);
  await untilEmpty(work);
  assert.deepEqual([eventsOf(client), (await work.numbers()).dead], [[1], 0]);
});

test("while the rooms' engine is away a command is not given up, however often it was tried", async (t) => {
  const redis = await startRedis(t, { persistent: true });
  const { server, namespace, backend, work } = await ground(t, {
    redis: [redis.url],
    kinds: { "*": { engine: "redis" } },
    queueTries: 1,
    engineTimeoutMs: 300,
    probeMs: 200,
  });
  await redis.kill();
  await eventually(() => server.problems().length > 0);
  for (let index = 0; index < 5; index++) {
    await write(backend, `${namespace}-commands.shop`, publish(index), `c${index}`);
  }
  // Tried, and given back: it waits for another try, or is being tried again.
  const manager = await backend.jetstreamManager();
  const isAgain = async () => (await manager.consumers.info(`${namespace}-commands`, "roomcast")).num_redelivered >= 5;
  await eventually(isAgain, "they were never tried again");
  await redis.start();
  await untilEmpty(work);
  assert.equal((await work.numbers()).dead, 0);
  const { events = [] } = await server.history("orders:1");
  assert.deepEqual(events.map(({ data }) => data).sort(), [0, 1, 2, 3, 4]);
});

test("the application's other commands are applied: a user is disconnected", async (t) => {
  const { server, namespace, backend, work } = await ground(t, {
    authenticate: ({ token }) => ({ user: token ?? "nobody" }),
  });
  const client = await connect(t, server, { hello: { token: "ann" } });
  const other = await connect(t, server, { hello: { token: "bob" } });
  await write(backend, `${namespace}-commands.shop`, { do: "disconnect", user: "ann" }, "off-1");
  await eventually(() => client.closed !== undefined);
  assert.deepEqual([client.closed?.code, other.closed], [4201, undefined]);
  await untilEmpty(work);
  assert.equal(await work.isDone("off-1"), true);
});

test("commands that are no publishes and are known to be done are not applied again", async (t) => {
  const { server, namespace, backend, work } = await ground(t, {
    authenticate: ({ token }) => ({ user: token ?? "nobody" }),
  });
  const client = await connect(t, server, { hello: { token: "ann" } });
  await work.markDone("off-2");
  await write(backend, `${namespace}-commands.shop`, { do: "disconnect", user: "ann" }, "off-2");
  await untilEmpty(work);
  await client.ask("joined", { type: "join", room: "orders:1" });
  assert.equal(client.closed, undefined);
});

test("commands to one room are begun in the order in which they were written, by one node", async (t) => {
  const { server, namespace, backend, work } = await ground(t);
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "orders:1" });
  const values = Array.from({ length: 300 }, (_, index) => index);
  await Promise.all(values.map((value) => write(backend, `${namespace}-commands.shop`, publish(value), `o${value}`)));
  await eventually(() => eventsOf(client).length >= values.length);
  await untilEmpty(work);
  assert.deepEqual(eventsOf(client), values);
});

test("a node that closes leaves what it has not done to others", async (t) => {
  const { server, settings, namespace, backend, work } = await ground(t);
  const client = await connect(t, await startServer(t, settings));
  await client.ask("joined", { type: "join", room: "orders:1" });
  const writes: Promise<unknown>[] = [];
  let closed: Promise<void> | undefined;
  for (let index = 0; index < 200; index++) {
    writes.push(write(backend, `${namespace}-commands.shop`, publish(index), `c${index}`));
    if (index === 100) closed = server.close();
  }
  await Promise.all([...writes, closed]);
  await eventually(() => eventsOf(client).length >= 200);
  await untilEmpty(work);
  assert.deepEqual(
    [...eventsOf(client)].sort((a, b) => Number(a) - Number(b)),
    Array.from({ length: 200 }, (_, index) => index),
  );
});

test("a node serves its clients while the queue is away, and takes commands once it is there", async (t) => {
  const redis = await startRedis(t);
  const { nats, server, namespace, backend } = await ground(t, {
    redis: [redis.url],
    kinds: { "*": { engine: "redis" } },
    engineTimeoutMs: 300,
    probeMs: 200,
  });
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "orders:1" });
  await nats.kill();
  await server.publish("orders:1", "paid", "without");
  await eventually(() => eventsOf(client).length === 1);
  await nats.start();
  await eventually(() =>
    write(backend, `${namespace}-commands.shop`, publish("with"), "w1").then(
      () => true,
      () => false,
    ),
  );
  await eventually(() => eventsOf(client).length === 2);
  assert.deepEqual(eventsOf(client), ["without", "with"]);
});
