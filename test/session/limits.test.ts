/** What clients are held to, on a node by itself. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ServerFrame } from "../../protocol/frames.js";
import { eventually } from "../support/eventually.js";
import { connect, type Server, type ServerOptions, startServer, usersMayAll } from "../support/start-server.js";
import { type ConnectOptions, WsClient } from "../support/ws-client.js";

const authenticate: ServerOptions["authenticate"] = ({ token }) => (token === undefined ? {} : { user: token });

const as = (user: string): ConnectOptions => ({ hello: { token: user } });

/** A server whose counters can be read. */
async function counting(t: TestContext, options: ServerOptions) {
  const server = await startServer(t, { metricsPort: 0, ...options });
  const refused = async (name: string): Promise<number> => {
    const text = await (await fetch(server.metricsUrl ?? "")).text();
    return Number(new RegExp(`^roomcast_\\w+{\\w+="${name}"} (\\d+)$`, "m").exec(text)?.[1]);
  };
  return { server, refused };
}

const publishOf = (room = "chat:1", data: unknown = 1) => ({ type: "publish", room, event: "n", data }) as const;

/** Sends so many publishes at once; what was answered, in order. */
const publishes = (client: WsClient, count: number, room?: string): Promise<ServerFrame[]> =>
  Promise.all(Array.from({ length: count }, () => client.request(publishOf(room))));

const published = (answers: readonly ServerFrame[]): number =>
  answers.filter(({ type }) => type === "published").length;

/** The codes and the settings that the refusals name; each has to say when to try again. */
function refusals(answers: readonly ServerFrame[]): Set<string> {
  const words = new Set<string>();
  for (const answer of answers) {
    if (answer.type !== "error") continue;
    assert.ok((answer.retryMs ?? 0) > 0, JSON.stringify(answer));
    words.add(`${answer.code} ${answer.message.split(":")[0]}`);
  }
  return words;
}

test("a session that asks too fast is told when to try again; who does then is served", async (t) => {
  const { server, refused } = await counting(t, { requestRate: 5 });
  const client = await connect(t, server);
  const answers = await publishes(client, 14);
  assert.equal(published(answers), 9, "two seconds' worth at once, and the hello was one");
  assert.deepEqual(refusals(answers), new Set(["rate_limited requestRate"]));
  assert.equal(await refused("requestRate"), 5);
  const last = answers.at(-1) as ServerFrame<"error">;
  await new Promise((resolve) => setTimeout(resolve, last.retryMs));
  assert.equal(published(await publishes(client, 1)), 1);
});

test("a session that goes on asking however often it is refused is closed, and others notice nothing", async (t) => {
  const { server, refused } = await counting(t, { requestRate: 50 });
  const [flooding, other] = [await connect(t, server), await connect(t, server)];
  const flood = setInterval(() => {
    for (let each = 0; each < 40; each++) flooding.send({ ...publishOf(), id: flooding.nextId() });
  }, 5);
  t.after(() => clearInterval(flood));
  assert.equal((await flooding.close()).code, 4029);
  await other.ping();
  assert.equal(await refused("flood"), 1);
  const asked = await refused("requestRate");
  assert.ok(asked >= 99 && asked <= 400, `${asked} were refused before`);
});

test("who is refused and comes back when it was told is never closed, however many it asks at once", async (t) => {
  const server = await startServer(t, { requestRate: 100 });
  const client = await connect(t, server);
  let served = 0;
  const ask = async (): Promise<void> => {
    for (;;) {
      const [answer] = await publishes(client, 1);
      if (answer?.type === "published") break;
      const { retryMs } = answer as ServerFrame<"error">;
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
    served++;
  };
  await Promise.all(
    Array.from({ length: 32 }, async () => {
      for (let each = 0; each < 10; each++) await ask();
    }),
  );
  assert.equal(served, 320);
});

test("a session that sends too many bytes is told so, and one frame of full size always fits", async (t) => {
  const { server, refused } = await counting(t, { byteRate: 1024, maxFrameBytes: 32_768 });
  const client = await connect(t, server);
  const large = () => client.request(publishOf("chat:1", "x".repeat(32_000)));
  assert.equal((await large()).type, "published");
  assert.deepEqual(refusals([await large()]), new Set(["rate_limited byteRate"]));
  assert.equal(await refused("byteRate"), 1);
});

test("a user may publish so much in all sessions together; clients without a user are not one user", async (t) => {
  const { server, refused } = await counting(t, {
    userPublishRate: 10,
    authenticate,
    kinds: { "*": { allow: { anonymous: ["publish"] } } },
  });
  const [first, second] = [await connect(t, server, as("ann")), await connect(t, server, as("ann"))];
  const bob = await connect(t, server, as("bob"));
  const answers = [...(await publishes(first, 8)), ...(await publishes(second, 8))];
  const count = published(answers);
  assert.ok(count >= 10 && count <= 12, `${count}`);
  assert.deepEqual(refusals(answers), new Set(["rate_limited userPublishRate"]));
  assert.equal(published(await publishes(bob, 8)), 8);
  const strangers = [await connect(t, server), await connect(t, server)];
  for (const stranger of strangers) assert.equal(published(await publishes(stranger, 20)), 20);
  assert.equal(await refused("userPublishRate"), 16 - count);
});

test("a user has so many sessions; one that is resumed is one of them, and one that ends leaves its place", async (t) => {
  const { server, refused } = await counting(t, { userConnections: 2, authenticate });
  const [first, second] = [await connect(t, server, as("ann")), await connect(t, server, as("ann"))];
  const third = await connect(t, server, { hello: false });
  const refusal = await third.refusal({ type: "hello", token: "ann" });
  assert.deepEqual(refusals([refusal]), new Set(["too_many userConnections"]));
  const closed = await third.close();
  assert.equal(closed.code, 4101);
  assert.ok(JSON.parse(closed.reason).retryMs > 0);
  assert.equal(await refused("userConnections"), 1);

  const { session } = first.welcome;
  const resumed = await connect(t, server, { hello: { token: "ann", session } });
  assert.equal(resumed.welcome.resumed, true);
  assert.equal((await first.close()).code, 4001);

  second.end();
  await eventually(() => server.connections === 1);
  await connect(t, server, as("ann"));
  await connect(t, server, as("bob"));
});

test("the same name in another tenant is another user", async (t) => {
  const inTenant: ServerOptions["authenticate"] = ({ token = "" }) => ({ user: "ann", tenant: token });
  const server = await startServer(t, { userConnections: 1, authenticate: inTenant });
  await connect(t, server, as("a"));
  await connect(t, server, as("b"));
  const third = await connect(t, server, { hello: false });
  third.send({ type: "hello", id: 1, token: "a" });
  assert.equal((await third.close()).code, 4101);
});

test("so much may be published in a room by all clients, whether it is open on this node or not", async (t) => {
  const { server, refused } = await counting(t, { kinds: { quiet: { publishRate: 6 } } });
  const clients = [await connect(t, server), await connect(t, server)];
  const count = async (room: string): Promise<number> => {
    const answers = (await Promise.all(clients.map((client) => publishes(client, 10, room)))).flat();
    assert.deepEqual(refusals(answers), new Set(["rate_limited publishRate"]));
    return published(answers);
  };
  const closed = await count("quiet:1");
  assert.ok(closed >= 6 && closed <= 8, `${closed}`);
  await clients[0]?.ask("joined", { type: "join", room: "quiet:2" });
  const open = await count("quiet:2");
  assert.ok(open >= 6 && open <= 8, `${open}`);
  assert.equal(await refused("publishRate"), 40 - closed - open);
  assert.equal(published(await publishes(clients[0] as WsClient, 10, "loud:1")), 10);
});

test("what the application publishes in a room is not refused, and counts", async (t) => {
  const server = await startServer(t, { kinds: { quiet: { publishRate: 6 } } });
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "quiet:1" });
  await publishes(client, 1, "quiet:1");
  for (let each = 0; each < 20; each++) await server.publish("quiet:1", "n", each);
  assert.equal(published(await publishes(client, 1, "quiet:1")), 0);
});

const joins = (client: WsClient, room: string): Promise<ServerFrame> => client.request({ type: "join", room });

test("a room has so many members; who is in already may join again, and who leaves makes room", async (t) => {
  const { server, refused } = await counting(t, { kinds: { small: { maxMembers: 2 } } });
  const clients = await Promise.all([1, 2, 3].map(() => connect(t, server)));
  const [first, second, third] = clients as [WsClient, WsClient, WsClient];
  assert.equal((await joins(first, "small:1")).type, "joined");
  assert.equal((await joins(second, "small:1")).type, "joined");
  assert.deepEqual(refusals([await joins(third, "small:1")]), new Set(["too_many maxMembers"]));
  assert.equal((await joins(first, "small:1")).type, "joined", "again, from another position");
  assert.equal((await joins(third, "small:2")).type, "joined");
  await second.ask("left", { type: "leave", room: "small:1" });
  assert.equal((await joins(third, "small:1")).type, "joined");
  assert.equal(await refused("maxMembers"), 1);
  await first.ask("left", { type: "leave", room: "small:1" });
  third.end();
  await eventually(async () => (await joins(second, "small:1")).type === "joined");
});

test("of many who join at the same time as many come in as there is room for", async (t) => {
  const server: Server = await startServer(t, { kinds: { small: { maxMembers: 5 } } });
  const clients = await Promise.all(Array.from({ length: 12 }, () => connect(t, server)));
  const answers = await Promise.all(clients.map((client) => joins(client, "small:1")));
  assert.equal(answers.filter(({ type }) => type === "joined").length, 5);
});

test("an event is as large as its kind allows", async (t) => {
  const { server, refused } = await counting(t, { kinds: { small: { maxEventBytes: 100 } } });
  const client = await connect(t, server);
  const ask = (room: string, data: unknown) => client.request(publishOf(room, data));
  assert.equal((await ask("small:1", "x".repeat(98))).type, "published");
  const refusal = (await ask("small:1", "x".repeat(99))) as ServerFrame<"error">;
  assert.deepEqual([refusal.code, refusal.retryMs], ["too_large", undefined]);
  assert.match(refusal.message, /100 bytes \(maxEventBytes\), got 101/);
  assert.equal((await ask("large:1", "x".repeat(99))).type, "published");
  assert.equal(await refused("maxEventBytes"), 1);
  await assert.rejects(server.publish("small:1", "n", "x".repeat(99)), /maxEventBytes/);
});

test("what the application makes of an event is held to the kind's limit too", async (t) => {
  const onPublish: ServerOptions["onPublish"] = () => ({ data: "x".repeat(200) });
  const server = await startServer(t, { kinds: { small: { maxEventBytes: 100 } }, onPublish });
  const client = await connect(t, server);
  const [answer] = await publishes(client, 1, "small:1");
  assert.equal(answer?.type === "error" && answer.code, "too_large");
});

test("a client that may not publish in a room takes nothing from those who may", async (t) => {
  const kinds = { ...usersMayAll, quiet: { publishRate: 6, allow: { anonymous: [], user: ["publish" as const] } } };
  const server = await startServer(t, { kinds, authenticate });
  const stranger = await connect(t, server);
  const answers = await publishes(stranger, 20, "quiet:1");
  assert.deepEqual(new Set(answers.map((answer) => answer.type === "error" && answer.code)), new Set(["forbidden"]));
  assert.equal(published(await publishes(await connect(t, server, as("ann")), 6, "quiet:1")), 6);
});

test("a connection beyond what an address may have is refused, and a client that ends makes room", async (t) => {
  const { server, refused } = await counting(t, { addressConnections: 2 });
  const clients = [await connect(t, server), await connect(t, server)];
  await assert.rejects(WsClient.connect(server.url), /503/);
  assert.equal(await refused("address_connections"), 1);
  clients[0]?.end();
  await eventually(() => server.connections === 1);
  await connect(t, server);
});
