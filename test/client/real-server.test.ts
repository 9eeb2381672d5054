/** The client against a real server, over the `ws` package. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { type Client, type ConnectOptions, connect } from "../../client/index.js";
import { json } from "../../protocol/json.js";
import { msgpack } from "../../protocol/msgpack.js";
import { eventually } from "../support/eventually.js";
import { startServer } from "../support/start-server.js";

/** The client's WebSockets, so that a test can cut them off without a goodbye. */
class Sockets {
  readonly all: WebSocket[] = [];
  readonly Class = tracked(this.all);

  cut(): void {
    this.all.at(-1)?.terminate();
  }
}

function tracked(all: WebSocket[]) {
  return class extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      all.push(this);
    }
  };
}

function open(t: TestContext, url: string, options: ConnectOptions = {}): { client: Client; sockets: Sockets } {
  const sockets = new Sockets();
  const client = connect(url, { WebSocket: sockets.Class, minDelayMs: 20, ...options });
  t.after(() => client.close());
  return { client, sockets };
}

for (const codec of [json, msgpack]) {
  test(`over ${codec.name}: join, publish, a cut, and nothing missed or repeated after it`, async (t) => {
    const server = await startServer(t);
    const { client, sockets } = open(t, server.url, { codec });
    const room = client.room<{ message: { n: number } }>("chat:1");
    const heard: number[] = [];
    let resets = 0;
    room.on("message", ({ data }) => heard.push(data.n));
    room.onReset(() => resets++);
    await room.joined;
    const first = await room.publish("message", { n: 1 });
    assert.equal(first?.offset, 1);
    await server.publish("chat:1", "message", { n: 2 });
    await eventually(() => heard.length === 2);
    for (let round = 0; round < 3; round++) {
      const lost = new Promise<void>((resolve) => {
        const stop = client.on("state", () => {
          stop();
          resolve();
        });
      });
      sockets.cut();
      await lost;
      await server.publish("chat:1", "message", { n: heard.length + 1 });
      const mine = room.publish("message", { n: heard.length + 2 });
      assert.ok((await mine)?.offset);
      await eventually(() => heard.length === 4 + round * 2);
    }
    assert.deepEqual(
      heard.slice().sort((a, b) => a - b),
      [1, 2, 3, 4, 5, 6, 7, 8],
    );
    assert.equal(resets, 0);
    assert.equal(sockets.all.length, 4);
    const page = await room.history({ limit: 3 });
    assert.equal(page.events.length, 3);
    assert.deepEqual(page.position, room.position);
    assert.ok((await client.ping()) >= 0);
  });
}

test("calls reach the application, and a refused token ends the client", async (t) => {
  const server = await startServer(t, {
    authenticate: ({ token }) => (token === "good" ? { user: "ann" } : undefined),
    onCall: ({ user, data }) => ({ user, data }),
  });
  const { client } = open(t, server.url, { token: () => "good" });
  assert.deepEqual(await client.call("echo", [1]), { user: "ann", data: [1] });
  const { client: refused } = open(t, server.url, { token: "bad" });
  await eventually(() => refused.state.status === "closed");
  assert.equal(refused.state.status === "closed" && refused.state.code, 4200);
});

test("a room that one may not join fails, and the others do not", async (t) => {
  const server = await startServer(t, { authorize: ({ room }) => room !== "secret" });
  const { client } = open(t, server.url);
  await assert.rejects(client.room("secret").join(), { code: "forbidden" });
  await client.room("open").join();
});

test("a server that starts anew is found again, and its rooms tell that their log is gone", async (t) => {
  const server = await startServer(t);
  const sockets = new Sockets();
  let { url } = server;
  // Stands for an address that leads to whichever server there is.
  class Routed extends sockets.Class {
    constructor(_: string, protocols: string[]) {
      super(`${url.replace("http", "ws")}/v1/socket`, protocols);
    }
  }
  const { client } = open(t, url, { WebSocket: Routed });
  const room = client.room("chat:1");
  const resets: unknown[] = [];
  room.onReset(({ position }) => resets.push(position?.offset));
  await room.joined;
  await room.publish("message", 1);
  await server.close();
  const early = room.publish("message", 2);
  url = (await startServer(t)).url;
  assert.equal((await early)?.offset, 1);
  await eventually(() => resets.length === 1);
});
