import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { WebSocket } from "ws";
import { type Client, connect as connectSdk } from "../../client/index.js";
import { eventually } from "../support/eventually.js";
import { connect, startServer } from "../support/start-server.js";

const authenticate = ({ token }: { readonly token?: string | undefined }) => (token ? { user: token } : {});
const hello = (token: string) => ({ hello: { token } });

/** The SDK as alice, and its connections so far. */
function sdk(t: TestContext, url: string): { readonly client: Client; readonly sockets: readonly WebSocket[] } {
  const sockets: WebSocket[] = [];
  class Tracked extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols);
      sockets.push(this);
    }
  }
  const client = connectSdk(url, { token: "alice", WebSocket: Tracked, minDelayMs: 20 });
  t.after(() => client.close());
  return { client, sockets };
}

test("every session of a user is closed for good, and nobody else's", async (t) => {
  const server = await startServer(t, { authenticate });
  const [first, second] = [await connect(t, server, hello("alice")), await connect(t, server, hello("alice"))];
  const other = await connect(t, server, hello("bob"));
  const nobody = await connect(t, server);
  assert.deepEqual(await server.disconnect("alice"), { count: 2, nodes: 1, missing: [] });
  for (const client of [first, second]) assert.equal((await client.close()).code, 4201);
  await other.ping();
  await nobody.ping();
  assert.deepEqual(await server.disconnect("alice"), { count: 0, nodes: 1, missing: [] });
});

test("a user who is taken out of a room is told, and gets no more of it", async (t) => {
  const server = await startServer(t, { authenticate });
  const [alice, bob] = [await connect(t, server, hello("alice")), await connect(t, server, hello("bob"))];
  for (const client of [alice, bob]) {
    for (const room of ["r", "other"]) await client.ask("joined", { type: "join", room });
  }
  assert.equal((await server.count("r")).count, 2);
  assert.deepEqual(await server.remove("alice", "r"), { count: 1, nodes: 1, missing: [] });
  assert.deepEqual(await alice.next("removed"), { type: "removed", room: "r", code: "forbidden" });
  assert.equal((await server.count("r")).count, 1);
  await server.publish("r", "n", 1);
  await server.publish("other", "n", 2);
  assert.equal((await bob.next("events")).room, "r");
  assert.equal((await alice.next("events")).room, "other", "the first that comes");
  await alice.ping();
  assert.ok(!alice.frames.some((frame) => frame.type === "events"));
  assert.equal((await alice.refusal({ type: "leave", room: "r" })).code, "not_joined");
  assert.equal((await server.remove("alice", "r")).count, 0, "who is not in is not told");
  await alice.ask("joined", { type: "join", room: "r" });
});

test("a join that waits for the application is ended by a removal", async (t) => {
  let answer: (may: boolean) => void = () => undefined;
  let asked = false;
  const authorize = () => {
    asked = true;
    return new Promise<boolean>((resolve) => {
      answer = resolve;
    });
  };
  const server = await startServer(t, { authenticate, authorize });
  const alice = await connect(t, server, hello("alice"));
  const refused = alice.refusal({ type: "join", room: "r" });
  await eventually(() => asked);
  assert.equal((await server.remove("alice", "r")).count, 1);
  answer(true);
  assert.equal((await refused).code, "not_joined");
  assert.ok(alice.frames.some((frame) => frame.type === "removed"));
  await server.publish("r", "n", 1);
  await alice.ping();
  assert.ok(!alice.frames.some((frame) => frame.type === "events"));
});

test("the SDK does not join again by itself, not even after a reconnect", async (t) => {
  const joins: string[] = [];
  const authorize = ({ action, room }: { readonly action: string; readonly room?: string | undefined }) => {
    if (action === "join") joins.push(room ?? "");
    return true;
  };
  const server = await startServer(t, { authenticate, authorize });
  const { client, sockets } = sdk(t, server.url);
  const [room, other] = [client.room("r"), client.room("other")];
  const seen: unknown[] = [];
  room.on("n", (event) => seen.push(event.data));
  await room.join();
  await other.join();
  await server.remove("alice", "r");
  await eventually(() => room.state.status === "failed");
  const message = "the server took you out of the room";
  assert.deepEqual(room.state, { status: "failed", code: "forbidden", message });
  sockets.at(-1)?.terminate();
  await eventually(() => joins.length === 3);
  await other.join();
  await server.publish("r", "n", 1);
  await client.ping();
  assert.deepEqual(joins, ["r", "other", "other"]);
  assert.deepEqual(seen, []);
  assert.equal(room.state.status, "failed");
});

test("the SDK of a user who was disconnected stays away", async (t) => {
  const server = await startServer(t, { authenticate });
  const { client, sockets } = sdk(t, server.url);
  await client.room("r").join();
  await server.disconnect("alice");
  await eventually(() => client.state.status === "closed");
  assert.equal(sockets.length, 1);
  assert.equal(server.connections, 0);
});
