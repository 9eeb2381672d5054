/** What the application asks of the SDK, over real servers. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { type Client, type ConnectOptions, connect, RoomcastError } from "../../client/index.js";
import { json } from "../../protocol/json.js";
import { msgpack } from "../../protocol/msgpack.js";
import { eventually } from "../support/eventually.js";
import { startRedis } from "../support/services/redis.js";
import { startServer } from "../support/start-server.js";

const authenticate = ({ token }: { token?: string | undefined }) => ({ user: token });
const LONG = { timeoutMs: 30_000 };

async function open(t: TestContext, url: string, options: ConnectOptions): Promise<Client> {
  const client = connect(url, { WebSocket, token: "ann", minDelayMs: 20, ...options });
  t.after(() => client.close());
  await eventually(() => client.state.status === "connected");
  return client;
}

for (const codec of [json, msgpack]) {
  test(`over ${codec.name}: what the application asks is answered, with data or with what was thrown`, async (t) => {
    const server = await startServer(t, { authenticate, onCall: ({ data }) => data });
    const onCall = async (method: string, data: unknown) => {
      if (method === "refuse") throw new RoomcastError("busy" as never, "another time");
      if (method === "break") throw new Error("broken");
      return method === "nothing" ? undefined : { method, data };
    };
    const client = await open(t, server.url, { codec, onCall });
    const ask = async (method: string) => (await server.call("ann", method, [1, "ü"], LONG)).answers;
    assert.deepEqual(await ask("echo"), [{ data: { method: "echo", data: [1, "ü"] } }]);
    assert.deepEqual(await ask("nothing"), [{ data: null }]);
    const [refused, broken] = [...(await ask("refuse")), ...(await ask("break"))];
    assert.ok(refused !== undefined && "error" in refused && refused.error.code === "busy");
    assert.ok(broken !== undefined && "error" in broken && broken.error.code === "internal");
    // Both ask at once, and neither takes the other's answer for its own.
    const both = await Promise.all([ask("echo"), client.call("own", 7)]);
    assert.deepEqual(both, [[{ data: { method: "echo", data: [1, "ü"] } }], 7]);
  });
}

test("a client that answers nothing says that it knows no method", async (t) => {
  const server = await startServer(t, { authenticate });
  await open(t, server.url, {});
  const { answers } = await server.call("ann", "m", 1, LONG);
  assert.ok(answers[0] !== undefined && "error" in answers[0]);
  assert.equal(answers[0].error.code, "unknown_method");
});

test("a client that moves is asked where it is, once, while its node drains", async (t) => {
  const redis = [(await startRedis(t)).url];
  const settings = {
    redis,
    authenticate,
    secret: "a secret of both nodes, and long enough for it",
    drainMs: 500,
    deadlineMs: 5000,
  };
  const [a, b] = await Promise.all([
    startServer(t, { ...settings, node: "a" }),
    startServer(t, { ...settings, node: "b" }),
  ]);
  await eventually(() => a.nodes().length === 2 && b.nodes().length === 2);
  let asked = 0;
  const urls = [a.url, b.url];
  // A balancer in front: the first connection goes to the node that ends, the next one to the other.
  const Balanced = class extends WebSocket {
    constructor(_url: string, protocols: string[]) {
      super(`${urls.shift()?.replace("http", "ws")}/v1/socket`, protocols);
    }
  };
  await open(t, a.url, { WebSocket: Balanced, onCall: () => ++asked });
  const answers: unknown[] = [];
  let puts = 0;
  const draining = a.drain();
  for (let isDone = false; !isDone; ) {
    const called = await b.call("ann", "m", 1, LONG);
    puts++;
    answers.push(...called.answers.flatMap((answer) => ("data" in answer ? [answer.data] : [])));
    assert.ok(called.answers.length <= 1, JSON.stringify(called));
    isDone = b.connections === 1 && a.connections === 0;
  }
  await draining;
  assert.equal(answers.length, asked);
  assert.deepEqual((await b.call("ann", "m", 1, LONG)).answers, [{ data: asked }]);
  assert.ok(asked <= puts + 1);
});
