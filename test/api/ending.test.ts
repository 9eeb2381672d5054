/** The API while its node ends. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { RawSocket } from "../support/raw-socket.js";
import { accepts } from "../support/services/accepts.js";
import { startRedis } from "../support/services/redis.js";
import { connect, startServer } from "../support/start-server.js";
import { ask, keyFor } from "./support.js";

const { key, entry } = keyFor();
const body = JSON.stringify({ event: "said", data: "x".repeat(200) });
const request = `POST /v1/rooms/chat:1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

async function open(t: TestContext, port: number): Promise<RawSocket> {
  const raw = await RawSocket.connect(port);
  t.after(() => raw.destroy());
  return raw;
}

const refuses = (port: number): Promise<boolean> =>
  accepts(port).then(
    () => false,
    () => true,
  );

test("a request that is under way as its node closes is answered, and its connection ends with the answer", async (t) => {
  const server = await startServer(t, { apiKeys: [entry], deadlineMs: 60_000 });
  const raw = await open(t, server.port);
  raw.write(request);
  const usual = await raw.response();
  assert.deepEqual([usual.status, usual.headers.get("connection")], [200, undefined]);
  raw.write(request.slice(0, -100));
  // Its head is there before the end begins: the answer to another one says so.
  await ask(server, "/v1/nodes", { key });
  const closed = server.close();
  await eventually(() => refuses(server.port));
  raw.write(request.slice(-100));
  const answer = await raw.response();
  assert.deepEqual([answer.status, answer.headers.get("connection")], [200, "close"]);
  assert.equal(JSON.parse(answer.body).position.offset, 2);
  await raw.end();
  await closed;
});

test("a node that drains goes on answering on the connections that it has, and ends each with its answer", async (t) => {
  const redis = await startRedis(t);
  const options = { apiKeys: [entry], redis: [redis.url] };
  const slow = { drainMs: 60_000, deadlineMs: 120_000 };
  const [one, two] = await Promise.all([startServer(t, { ...options, ...slow }), startServer(t, options)]);
  await eventually(() => [one, two].every((server) => server.nodes().length === 2));
  const stays = await connect(t, one);
  await stays.ask("joined", { type: "join", room: "chat:1" });
  const raws = await Promise.all([open(t, one.port), open(t, one.port)]);
  for (const raw of raws) {
    raw.write(request);
    assert.equal((await raw.response()).status, 200);
  }
  const drained = one.drain();
  await eventually(() => refuses(one.port));
  for (const raw of raws) {
    raw.write(request);
    const answer = await raw.response();
    assert.deepEqual([answer.status, answer.headers.get("connection")], [200, "close"]);
    await raw.end();
  }
  assert.equal((await ask(two, "/v1/rooms/chat:1", { key })).json.clients, 1);
  await one.close();
  await drained;
});

test("one who never reads the answer does not hold the node beyond its deadline", async (t) => {
  const server = await startServer(t, { apiKeys: [entry], deadlineMs: 300 });
  const raw = await open(t, server.port);
  raw.write(request.slice(0, -100));
  await ask(server, "/v1/nodes", { key });
  await server.close();
  await raw.end();
});
