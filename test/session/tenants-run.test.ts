/** What clients of one tenant can do to another by what they send: nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isRoomName } from "../../protocol/names.js";
import { Random } from "../support/random.js";
import { startServer, usersMayAll } from "../support/start-server.js";
import { dataIn, member, Recording, SECRET, TENANTS, type Tenant } from "../support/tenants.js";
import { TenantsRun } from "../support/tenants-run.js";
import { clientCodecs, type WsClient } from "../support/ws-client.js";

const [ZEBRA, QUAGGA] = TENANTS;
const UNLIMITED = { requestRate: 1_000_000, userPublishRate: 1_000_000 };

for (const seed of [1, 2, 3]) {
  test(`seed ${seed}: whatever tenants do at the same time, each sees its own alone`, async (t) => {
    const settings = { secret: SECRET, kinds: { ...usersMayAll, live: { history: { size: 0 } } }, ...UNLIMITED };
    const recording = new Recording();
    const run = new TenantsRun(seed, [await startServer(t, settings)], ["chat:1", "chat:2", "live:1"]);
    await run.start(t, recording);
    for (let step = 0; step < 400; step++) await run.step();
    await run.end();
    recording.saysNothing();
  });
}

/** What may be tried to name a room of another tenant. */
function names(): string[] {
  const random = new Random(25);
  const between = [
    "|",
    "%7C",
    "%7c",
    "\\u007c",
    "\u007c",
    "｜",
    "¦",
    "\u0000",
    "\n",
    " ",
    "$",
    ":",
    "/",
    ".",
    "//",
    "@",
    "",
  ];
  const parts = [ZEBRA, QUAGGA, "chat:1", "chat", "1", "..", "*", "{sub}", "$nodes", "roomcast", ...between];
  const made = Array.from({ length: 300 }, () =>
    Array.from({ length: 1 + random.below(5) }, () => random.pick(parts)).join(""),
  );
  return [
    ...new Set([...between.map((one) => `${ZEBRA}${one}chat:1`), ...between.map((one) => `${one}chat:1`), ...made]),
  ];
}

/** Tries everything with a room's name; none of it may be answered as if there were such a room where it cannot be named. */
async function tryAll(client: WsClient, room: string): Promise<void> {
  const requests = [
    { type: "join", room },
    { type: "publish", room, event: "n", data: "from another" },
    { type: "history", room },
    { type: "members", room },
    { type: "leave", room },
  ] as const;
  for (const request of requests) {
    const answer = await client.request(request);
    const code = answer.type === "error" ? answer.code : undefined;
    if (!isRoomName(room)) assert.equal(code, "bad_request", `${request.type} in ${JSON.stringify(room)}`);
  }
}

for (const codec of clientCodecs) {
  test(`${codec.subprotocol}: no name that a client can write is a room of another tenant`, async (t) => {
    const server = await startServer(t, { secret: SECRET, ...UNLIMITED });
    const recording = new Recording();
    const rooms = ["chat:1", "chat", "1", "nodes"];
    const victim = await member(t, server, recording, { tenant: ZEBRA });
    victim.watch((frame) => frame.type === "heartbeat");
    for (const room of rooms) await victim.ask("joined", { type: "join", room });
    const others: readonly Tenant[] = [QUAGGA, undefined];
    const clients = await Promise.all(others.map((tenant) => member(t, server, recording, { tenant, codec })));
    for (const client of clients) {
      for (const room of names()) await tryAll(client, room);
      // Joined by whatever name it could.
      const legal = names().filter(isRoomName).slice(0, 90);
      for (const room of legal) await client.ask("joined", { type: "join", room });
    }
    await victim.ping();
    assert.deepEqual(victim.frames, [], "nothing came from others");
    for (const room of rooms) {
      await server.publish(room, "n", "for zebras", { tenant: ZEBRA });
      assert.deepEqual((await victim.next("events")).events.length, 1);
      const { events } = await victim.ask("history", { type: "history", room });
      assert.deepEqual(
        events.map(({ data }) => data),
        ["for zebras"],
      );
    }
    for (const client of clients) {
      await client.ping();
      for (const room of names()) assert.ok(!dataIn(client, room).includes("for zebras"), room);
    }
  });
}

test("a name written with escapes, twice, or as something else is no way to another tenant's room", async (t) => {
  const server = await startServer(t, { secret: SECRET });
  const client = await member(t, server, new Recording(), { tenant: QUAGGA });
  const written = [
    `"${ZEBRA}\\u007cchat:1"`,
    `"${ZEBRA}\\u007Cchat:1"`,
    `"chat:1","room":"${ZEBRA}|chat:1"`,
    `["${ZEBRA}|chat:1"]`,
    `{"toString":"${ZEBRA}|chat:1"}`,
    `"\\u0024nodes"`,
  ];
  for (const text of written) {
    const id = client.nextId();
    client.socket.send(`{"type":"join","id":${id},"room":${text}}`);
    const { code } = await client.next("error", (frame) => frame.id === id || frame.id === undefined);
    assert.equal(code, "bad_request", text);
  }
  await server.publish("chat:1", "n", 1, { tenant: ZEBRA });
  await client.ping();
  assert.deepEqual(client.frames, []);
});
