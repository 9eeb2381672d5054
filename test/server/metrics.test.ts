import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect as connectSocket, type Socket } from "node:net";
import test, { type TestContext } from "node:test";
import { type LimitName, limitNames } from "../../server/access/limits/limits.js";
import { Metrics, metricInfos, type NodeNumbers } from "../../server/metrics.js";
import { metricsRoutes } from "../../server/transport/http.js";
import { Listener } from "../../server/transport/listener.js";
import { Command } from "../support/command.js";
import { eventually } from "../support/eventually.js";
import { startRedis } from "../support/services/redis.js";
import { connect, type Server, type ServerOptions, startServer } from "../support/start-server.js";

/** A server with a port for its metrics. */
async function measured(
  t: TestContext,
  options: ServerOptions = {},
): Promise<Server & { readonly metricsUrl: string }> {
  return (await startServer(t, { metricsPort: 0, ...options })) as Server & { readonly metricsUrl: string };
}

type Samples = ReadonlyMap<string, number>;

/** The samples, each by its name with its labels. */
function samplesIn(text: string): Samples {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

/** A promise, and what resolves it. */
function gateway<T>(): { readonly passed: Promise<T>; readonly open: (value: T) => void } {
  let open: (value: T) => void = () => undefined;
  const passed = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

const scrape = async (url: string): Promise<string> => (await fetch(url)).text();
const samples = async (url: string): Promise<Samples> => samplesIn(await scrape(url));

/** A connection to the port, on which this was asked by hand. */
async function asking(t: TestContext, port: number, path: string): Promise<Socket> {
  const socket = connectSocket(port, "127.0.0.1");
  t.after(() => socket.destroy());
  await once(socket, "connect");
  socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  return socket;
}

test("a scrape says how many are here, in how many rooms, and what they have done", async (t) => {
  const server = await measured(t, { maxConnections: 4 });
  const before = await samples(server.metricsUrl);
  assert.equal(before.get("roomcast_connections"), 0);
  assert.equal(before.get('roomcast_node_state{state="ready"}'), 1);
  assert.equal(before.get('roomcast_node_state{state="draining"}'), 0);
  assert.ok([...before.keys()].some((name) => name.startsWith(`roomcast_build_info{node="${server.settings.node}",`)));

  const clients = await Promise.all([1, 2, 3].map(() => connect(t, server)));
  await connect(t, server, { hello: false });
  await assert.rejects(connect(t, server));
  await clients[0]?.ask("joined", { type: "join", room: "chat:1" });
  await clients[1]?.ask("joined", { type: "join", room: "chat:2" });
  await clients[0]?.ask("published", { type: "publish", room: "chat:1", event: "n", data: "some data" });
  await clients[0]?.next("events");
  const now = await samples(server.metricsUrl);
  assert.equal(now.get("roomcast_connections"), 4);
  assert.equal(now.get("roomcast_sessions"), 3);
  assert.equal(now.get("roomcast_handshakes"), 1);
  assert.equal(now.get('roomcast_refused_connections_total{reason="full"}'), 1);
  assert.equal(now.get("roomcast_rooms"), 2);
  assert.ok(Number(now.get("roomcast_published_bytes_total")) > Number(before.get("roomcast_published_bytes_total")));
  assert.equal(now.get("roomcast_engine_problems"), 0);

  for (const client of clients) client.end();
  await eventually(async () => (await samples(server.metricsUrl)).get("roomcast_sessions") === 0);
});

test("each metric says its own number, also where it has become smaller", async (t) => {
  let number = 1000;
  const next = (): number => number++;
  const numbers = (): NodeNumbers => ({
    ...{ state: "ready", connections: next(), sessions: next(), handshakes: next(), rooms: next() },
    refused: {
      rate: next(),
      handshakes: next(),
      full: next(),
      address_rate: next(),
      address_connections: next(),
      draining: next(),
    },
    limited: Object.fromEntries(limitNames.map((name) => [name, next()])) as Record<LimitName, number>,
    ...{ streams: next(), clientRequests: { publish: next(), history: next(), call: next() } },
    requests: { "publish 2xx": next(), "publish 4xx": next() },
    ...{ logReads: next(), strays: next(), publishedBytes: next(), problems: next() },
    drain: { left: next(), moved: next(), closed: next() },
    hooks: {
      calls: { "join answered": next(), "join failed": next() },
      seconds: { join: next() },
      circuits: { "join open": next() },
      told: { waiting: next(), dropped: next() },
    },
    decisions: { results: { "join l1": next() }, passedOver: next(), answers: next(), bytes: next() },
    ...{ commands: undefined, records: undefined },
    presence: {
      ...{ rosters: next(), members: next(), frames: next(), writes: next() },
      ...{ reads: next(), beats: next(), nodesGone: next(), leasesLost: next() },
    },
  });
  const metrics = new Metrics({ node: "n", version: "1.2.3", numbers });
  t.after(() => metrics.close());
  const first = samplesIn(await metrics.text());
  const counted = [...first].filter(([, value]) => value >= 1000 && value < number);
  assert.equal(
    new Set(counted.map(([, value]) => value)).size,
    41 + limitNames.length,
    "some number is said twice, or not at all",
  );
  number = 1000;
  assert.deepEqual(samplesIn(await metrics.text()).get("roomcast_connections"), first.get("roomcast_connections"));
  for (const reason of ["rate", "handshakes", "full", "address_rate", "address_connections", "draining"])
    assert.ok(first.has(`roomcast_refused_connections_total{reason="${reason}"}`));
});

test("what is said of the process is about right", async (t) => {
  const { metricsUrl } = await measured(t);
  const now = await samples(metricsUrl);
  const between = (name: string, low: number, high: number): void => {
    const value = now.get(name) ?? Number.NaN;
    assert.ok(value > low && value < high, `${name} is ${value}`);
  };
  between("process_resident_memory_bytes", 10e6, 10e9);
  between("nodejs_heap_size_used_bytes", 1e6, 10e9);
  between("process_cpu_seconds_total", 0.01, 3600);
  between("process_start_time_seconds", Date.now() / 1000 - 3600, Date.now() / 1000);
  between('roomcast_event_loop_delay_seconds{statistic="max"}', -1, 60);
});

test("HEAD answers without the body, other paths are 404, other methods 405, and no WebSocket is opened", async (t) => {
  const { metricsUrl } = await measured(t);
  const got = await fetch(metricsUrl);
  assert.equal(got.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.equal(got.headers.get("cache-control"), "no-store");
  const head = await fetch(metricsUrl, { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.ok(Number(head.headers.get("content-length")) > 1000);
  assert.equal(await head.text(), "");
  for (const path of ["/", "/metrics/", "/metrics/x", "/live", "/v1/socket"]) {
    assert.equal((await fetch(new URL(path, metricsUrl))).status, 404, path);
  }
  assert.equal((await fetch(metricsUrl, { method: "POST", body: "x" })).status, 405);
  await assert.rejects(connect(t, { url: new URL(metricsUrl).origin }), /404/);
});

test("a node without metricsPort has none, nor any at its own port", async (t) => {
  const server = await startServer(t);
  assert.equal(server.metricsUrl, undefined);
  assert.equal((await fetch(`${server.url}/metrics`)).status, 404);
});

test("a reply that comes when the other side has gone is not sent", async (t) => {
  const listener = await Listener.create();
  t.after(() => {
    listener.stop();
    listener.cut();
  });
  const failures: unknown[] = [];
  const gate = gateway<string>();
  let asked = 0;
  const text = (): Promise<string> => {
    asked++;
    return gate.passed;
  };
  listener.serve(metricsRoutes({ contentType: "text/plain", text }), (error) => failures.push(error));
  const port = await listener.listen("127.0.0.1", 0);
  const stays = await asking(t, port, "/metrics");
  const leaves = await Promise.all(Array.from({ length: 20 }, () => asking(t, port, "/metrics")));
  await eventually(() => asked === 21);
  for (const socket of leaves) socket.destroy();
  // One that came after them has been answered: so the listener has seen that they have gone.
  for (let times = 0; times < 5; times++) assert.equal((await fetch(`http://127.0.0.1:${port}/other`)).status, 404);
  gate.open("all of it");
  assert.match(String((await once(stays, "data"))[0]), /^HTTP\/1\.1 200 OK.*all of it$/s);
  assert.deepEqual(failures, []);
  assert.equal((await fetch(`http://127.0.0.1:${port}/metrics`)).status, 200);
});

test("a reply that fails is 500, says nothing of why, and is logged", async (t) => {
  const listener = await Listener.create();
  t.after(() => {
    listener.stop();
    listener.cut();
  });
  const failures: unknown[] = [];
  const text = (): Promise<string> => Promise.reject(new Error("secret"));
  listener.serve(metricsRoutes({ contentType: "text/plain", text }), (error) => failures.push(error));
  const port = await listener.listen("127.0.0.1", 0);
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /secret/);
  assert.match(String(failures[0]), /secret/);
});

test("scrapes that are broken off harm nothing", async (t) => {
  const server = await measured(t);
  const port = Number(new URL(server.metricsUrl).port);
  for (let times = 0; times < 10; times++) {
    const sockets = await Promise.all(Array.from({ length: 20 }, () => asking(t, port, "/metrics")));
    for (const socket of sockets) socket.destroy();
  }
  assert.equal((await fetch(server.metricsUrl)).status, 200);
  await (await connect(t, server)).ping();
});

test("two nodes in one process have numbers of their own", async (t) => {
  const one = await measured(t, { node: "one" });
  const two = await measured(t, { node: "two" });
  await connect(t, one);
  assert.equal((await samples(one.metricsUrl)).get("roomcast_connections"), 1);
  assert.equal((await samples(two.metricsUrl)).get("roomcast_connections"), 0);
  await one.close();
  await assert.rejects(fetch(one.metricsUrl));
  assert.match(await scrape(two.metricsUrl), /roomcast_build_info\{node="two"/);
});

test("rooms and users leave no series behind, however many they are", async (t) => {
  const authenticate = ({ token = "" }: { readonly token?: string | undefined }) => ({ user: token });
  const server = await measured(t, { maxRooms: 10_000, maxRequests: 1000, requestRate: 1_000_000, authenticate });
  const before = await scrape(server.metricsUrl);
  const client = await connect(t, server, { hello: { token: "user:0" } });
  for (let at = 0; at < 10_000; at += 500) {
    const batch = Array.from({ length: 500 }, (_, index) => at + index);
    await Promise.all(batch.map((number) => client.ask("joined", { type: "join", room: `room:${number}` })));
    await Promise.all(
      batch.map((number) => server.publish(`room:${number}`, "n", number, { from: `user:${number}`, key: "k" })),
    );
  }
  await Promise.all(
    Array.from({ length: 50 }, (_, index) => connect(t, server, { hello: { token: `user:${index}` } })),
  );
  const now = await scrape(server.metricsUrl);
  assert.equal(samplesIn(now).get("roomcast_rooms"), 10_000);
  assert.deepEqual([...samplesIn(now).keys()], [...samplesIn(before).keys()]);
  assert.ok(now.length < before.length + 200, "numbers only have become longer");
  assert.doesNotMatch(now, /room:|user:|127\.0\.0\.1/);
});

test("while a node ends its metrics say so, to the last; then their port is closed", async (t) => {
  const gate = gateway<void>();
  const onPublish = async (): Promise<undefined> => {
    await gate.passed;
    return undefined;
  };
  const server = await measured(t, { onPublish, deadlineMs: 30_000 });
  const publisher = await connect(t, server);
  publisher.send({ type: "publish", id: 100, room: "chat:1", event: "n", data: 1 });
  await publisher.ping();
  const closing = server.close();
  assert.equal((await publisher.close()).code, 4100);
  const last = await samples(server.metricsUrl);
  assert.equal(last.get('roomcast_node_state{state="draining"}'), 1);
  assert.equal(last.get('roomcast_node_state{state="ready"}'), 0);
  assert.equal(last.get("roomcast_drain_closed_total"), 1);
  gate.open();
  await closing;
  await assert.rejects(fetch(server.metricsUrl));
});

test("how far a drain has come", async (t) => {
  const redis = await startRedis(t);
  const shared = { redis: [redis.url], drainMs: 100, deadlineMs: 30_000 };
  const server = await measured(t, shared);
  await startServer(t, shared);
  const [moves, stays] = [await connect(t, server), await connect(t, server)];
  await eventually(() => server.nodes().length === 2);
  const drained = server.drain();
  for (const client of [moves, stays]) await client.next("move");
  assert.equal((await samples(server.metricsUrl)).get("roomcast_drain_clients_left"), 2);
  moves.socket.close();
  await eventually(async () => (await samples(server.metricsUrl)).get("roomcast_drain_moved_total") === 1);
  const now = await samples(server.metricsUrl);
  assert.equal(now.get("roomcast_drain_clients_left"), 1);
  assert.equal(now.get("roomcast_drain_closed_total"), 0);
  stays.socket.close();
  await drained;
});

// A scraper keeps its connection. The timeout is what tells.
test("a node with metrics ends by itself, also while a scraper is connected", { timeout: 15_000 }, async (t) => {
  const command = new Command(t, ["serve", "--port", "0", "--metrics-port", "0"]);
  const { metricsUrl } = await command.line(/^listening on /);
  const socket = await asking(t, Number(new URL(String(metricsUrl)).port), "/metrics");
  await once(socket, "data");
  command.child.kill("SIGTERM");
  assert.deepEqual(await command.exited, { code: 0, signal: null });
});

test("a port that is taken is named as the setting it is, in one line, with exit code 1", async (t) => {
  const { port } = await startServer(t);
  const command = new Command(t, ["serve", "--port", "0", "--metrics-port", String(port)]);
  assert.deepEqual(await command.exited, { code: 1, signal: null });
  assert.deepEqual(command.errors, [`cannot start: metricsPort: expected a free one on 127.0.0.1, got ${port}`]);
});

test("every metric has a name of ours or a usual one, and says what it is in a sentence", () => {
  for (const { name, type, help } of metricInfos) {
    assert.match(name, /^(roomcast|process|nodejs)_[a-z_]+$/);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    assert.match(help, /^[A-Z].+\.$/, name);
  }
});

test("promtool finds nothing to say", async (t) => {
  const { metricsUrl } = await measured(t);
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], {
    input: await scrape(metricsUrl),
    encoding: "utf8",
  });
  assert.deepEqual([status, stdout, stderr], [0, "", ""]);
});
