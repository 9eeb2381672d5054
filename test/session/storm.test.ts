/** Many who come at the same time, against a real server. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { type Client, connect as connectClient } from "../../client/index.js";
import type { Position } from "../../protocol/positions.js";
import { MemoryBroker } from "../../server/engine/memory.js";
import { eventually } from "../support/eventually.js";
import { connect, type Server, startServer } from "../support/start-server.js";
import { type Closed, WsClient } from "../support/ws-client.js";

/** Takes a whole crowd at once. */
const CROWDS = { connectRate: 100_000, maxHandshakes: 100_000 };

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** The longest turn of the loop that server and clients share here: for whoever reads the output. */
function watchTurns(t: TestContext): void {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  t.after(() => {
    clearInterval(timer);
    t.diagnostic(`longest turn, clients included: ${longest.toFixed(0)} ms`);
  });
}

/** How often events of clients' rooms were read from logs in this process; comparisons of the ends do not count. */
function countReads(t: TestContext): () => number {
  const history = t.mock.method(MemoryBroker.prototype, "history");
  return () => history.mock.calls.filter(({ arguments: [room, , limit] }) => limit > 0 && !room.startsWith("|")).length;
}

/** The SDK's clients, as many as there are told apart by how often each was told to wait. */
class Crowd {
  readonly clients: Client[] = [];
  readonly refusals: number[] = [];

  constructor(t: TestContext, url: string, count: number) {
    for (const index of numbers(count)) {
      this.refusals.push(0);
      const client = connectClient(url, { WebSocket, minDelayMs: 20 });
      client.on("state", (state) => {
        if (state.status === "waiting" && state.code === 4101) this.refusals[index] = (this.refusals[index] ?? 0) + 1;
      });
      this.clients.push(client);
    }
    t.after(() => {
      for (const client of this.clients) client.close();
    });
  }

  get connected(): number {
    return this.clients.filter(({ state }) => state.status === "connected").length;
  }
}

test("a crowd beyond the rate is in at last, each in its place, and members are served meanwhile", async (t) => {
  watchTurns(t);
  const server = await startServer(t, { connectRate: 100 });
  const member = await connect(t, server);
  await member.ask("joined", { type: "join", room: "news" });
  const crowd = new Crowd(t, server.url, 200);
  let published = 0;
  let duringStorm = 0;
  const isHeard = () => member.frames.filter(({ type }) => type === "events").length;
  while (crowd.connected < 200) {
    await server.publish("news", "n", ++published);
    await member.next("events");
    if (crowd.connected < 200) duringStorm++;
  }
  assert.equal(isHeard(), 0, "each event was taken as it came");
  assert.ok(duringStorm > 10, `${duringStorm} deliveries in the storm`);
  const told = crowd.refusals.filter((times) => times > 0).length;
  const twice = crowd.refusals.filter((times) => times > 1).length;
  t.diagnostic(`${told} of 200 were told to wait, ${twice} of them more than once`);
  assert.ok(told >= 100, `the rate held: ${told} were told to wait`);
  assert.ok(twice <= 20, `who comes at its time is let in: ${twice} were told more than once`);
  assert.equal(server.connections, 201);
});

test("a client that does not wait for its place costs those who do next to nothing", async (t) => {
  const server = await startServer(t, { connectRate: 50 });
  const crowd = new Crowd(t, server.url, 60);
  await eventually(() => crowd.refusals.some((times) => times > 0));
  let refused = 0;
  // Every 100 ms, whatever it was told, without an end to it: once it is in it goes, and comes again.
  const hasty = setInterval(async () => {
    const client = await WsClient.connect(server.url, { hello: false }).catch(() => undefined);
    const closed = await Promise.race([client?.close(), client?.hello().then(() => undefined)]).catch(() => undefined);
    if (closed?.code === 4101) refused++;
    client?.end();
  }, 100);
  t.after(() => clearInterval(hasty));
  await eventually(() => crowd.connected === 60);
  const twice = crowd.refusals.filter((times) => times > 1).length;
  t.diagnostic(`${twice} of 60 were told more than once; the hasty one was refused ${refused} times`);
  assert.ok(twice <= 12, `${twice} were told more than once`);
});

test("what is told is a place in a line: later for each, and an HTTP answer for those who would wait long", async (t) => {
  const server = await startServer(t, { connectRate: 1 });
  await connect(t, server);
  const waits: number[] = [];
  for (const _ of numbers(8)) {
    const client = await connect(t, server, { hello: false });
    const { code, reason } = (await client.close()) as Closed;
    assert.equal(code, 4101);
    waits.push((JSON.parse(reason) as { retryMs: number }).retryMs);
  }
  for (const [index, wait] of waits.entries())
    assert.ok(index === 0 || wait > (waits[index - 1] as number), `${waits}`);
  assert.ok((waits.at(-1) as number) > 3000, `${waits}`);
  const later = await Promise.all(
    numbers(8).map(async () => {
      const socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/socket`, "roomcast.v1.json");
      t.after(() => socket.terminate());
      socket.on("error", () => undefined);
      return new Promise<string | undefined>((resolve) => {
        socket.on("unexpected-response", (_request, response) =>
          resolve(`${response.statusCode} ${response.headers["retry-after"]}`),
        );
        socket.on("close", () => resolve(undefined));
      });
    }),
  );
  assert.match(later.at(-1) ?? "", /^503 1[1-9]$/);
  assert.equal((await fetch(`${server.url}/live`)).status, 200, "plain HTTP is none of it");
});

test("connections that do not say hello fill the handshakes, not the node, and give their places back", async (t) => {
  const server = await startServer(t, { maxHandshakes: 5, helloTimeoutMs: 200 });
  const welcomed = await connect(t, server);
  const silent = await Promise.all(numbers(5).map(() => connect(t, server, { hello: false })));
  const refused = await connect(t, server, { hello: false });
  assert.equal((await refused.close()).code, 4101);
  await welcomed.ping();
  for (const one of silent) assert.equal((await one.close()).code, 4010);
  await connect(t, server);
});

test("of connections that do not say hello the oldest gives way to whoever comes, and none that waits for the application", async (t) => {
  let letIn = (): void => undefined;
  const asked = new Promise<void>((resolve) => {
    letIn = resolve;
  });
  const authenticate = async ({ token }: { readonly token?: string | undefined }) => {
    if (token === "slow") await asked;
    return { user: token };
  };
  const server = await startServer(t, { maxHandshakes: 3, helloTimeoutMs: 60_000, authenticate });
  const waiting = await connect(t, server, { hello: false });
  const welcome = waiting.hello({ token: "slow" });
  const silent = [await connect(t, server, { hello: false }), await connect(t, server, { hello: false })];
  const comes = async (): Promise<boolean> => {
    const client = await connect(t, server, { hello: false });
    return client.hello({ token: "quick" }).then(
      () => true,
      () => false,
    );
  };
  await eventually(comes, "nobody gave way");
  assert.equal((await silent[0]?.close())?.code, 4010);
  assert.deepEqual([silent[1]?.closed, waiting.closed], [undefined, undefined]);
  letIn();
  assert.equal((await welcome).user, "slow");
});

test("300 clients join 20 rooms each at once, at the price of one read a room", async (t) => {
  watchTurns(t);
  const reads = countReads(t);
  const server = await startServer(t, CROWDS);
  const clients = await Promise.all(numbers(300).map(() => connect(t, server)));
  let joined = 0;
  for (const [index, client] of clients.entries()) {
    client.watch(({ type }) => type === "joined" && ++joined > 0);
    // Each has other rooms than its neighbour, of 40.
    for (const at of numbers(20)) client.send({ type: "join", id: client.nextId(), room: `r:${(index + at) % 40}` });
  }
  await eventually(() => joined === 6000);
  assert.equal(reads(), 40);
  assert.equal(server.openRooms, 40);
  await server.publish("r:7", "n", 1);
  const heard = clients.filter((_, index) => numbers(20).some((at) => (index + at) % 40 === 7));
  await Promise.all(heard.map((client) => client.next("events")));
});

/** Fills rooms with 700 events each and comes back to the start of all of them, as many clients as asked. */
async function comeBack(t: TestContext, server: Server, rooms: readonly string[], count: number): Promise<WsClient[]> {
  const since = new Map<string, Position>();
  for (const room of rooms) {
    for (const n of numbers(700)) {
      const position = await server.publish(room, "n", n);
      if (n === 9) since.set(room, position as Position);
    }
  }
  const clients = await Promise.all(numbers(count).map(() => connect(t, server)));
  await Promise.all(
    clients.flatMap((client) =>
      rooms.map(async (room) => {
        const joined = await client.ask("joined", { type: "join", room, since: since.get(room) as Position });
        const pages = client.frames.filter((frame) => frame.type === "events" && frame.room === room);
        const events = [...pages, joined].flatMap((frame) => ("events" in frame ? frame.events : []));
        assert.ok(joined.recovered);
        assert.deepEqual(
          events.map(({ data }) => data),
          numbers(700).slice(10),
        );
      }),
    ),
  );
  return clients;
}

test("a crowd that comes back to where tails do not reach reads each log twice", async (t) => {
  watchTurns(t);
  const reads = countReads(t);
  const server = await startServer(t, { ...CROWDS, kinds: { "*": { history: { size: 1000 } } } });
  const rooms = numbers(5).map((n) => `r:${n}`);
  await comeBack(t, server, rooms, 60);
  assert.ok(reads() <= 2 * rooms.length, `${reads()} reads of ${rooms.length} logs`);
});

test("500 who are cut off and come back, half of them to another node, cost the application no question", async (t) => {
  watchTurns(t);
  let asked = 0;
  const authenticate = async ({ token }: { readonly token?: string | undefined }) => {
    asked++;
    return token === undefined ? undefined : { user: token };
  };
  const options = { ...CROWDS, authenticate, secret: "one secret of all nodes, long enough" };
  const servers = [await startServer(t, options), await startServer(t, options)];
  const clients = await Promise.all(
    numbers(500).map(async (index) => {
      const token = `u${index}`;
      return { index, token, client: await connect(t, servers[0] as Server, { hello: { token } }) };
    }),
  );
  assert.equal(asked, 500);
  for (const { client } of clients) client.end();
  const back = await Promise.all(
    clients.map(({ index, token, client }) =>
      connect(t, servers[index % 2] as Server, { hello: { token, session: client.welcome.session } }),
    ),
  );
  assert.equal(asked, 500, "nobody was asked about those who resume");
  assert.ok(back.every(({ welcome }, index) => welcome.resumed && welcome.user === `u${index}`));
  assert.deepEqual(
    servers.map((server) => server.connections),
    [250, 250],
  );
  // A token that is not the one it was welcomed with is asked about.
  await connect(t, servers[1] as Server, {
    hello: { token: "else", session: clients[0]?.client.welcome.session ?? "" },
  });
  assert.equal(asked, 501);
});
