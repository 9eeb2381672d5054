/** Nodes in processes of their own that are killed, or drained: what the stream of what happened says of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { connect as connectClient } from "../../client/index.js";
import { eventually } from "../support/eventually.js";
import { connect, startServer } from "../support/start-server.js";
import { WsClient } from "../support/ws-client.js";
import { NodeProcess } from "../torture/node-process.js";
import { type Entry, engines } from "./engines.js";

/** Longer than any mark goes unlooked at. */
const LONG_MS = 60_000;
const RECORDED = { "*": { record: true, history: { size: 5000 } } };
const ofType = (entries: readonly Entry[], type: string) => entries.filter((entry) => entry.type === type);

for (const [name, open] of Object.entries(engines)) {
  test(`${name}: what was published on a node that is killed before it has told of it is told by another`, async (t) => {
    const engine = await open(t);
    const settings = { ...engine.settings, kinds: RECORDED };
    const [first, second] = [await NodeProcess.start(t, settings), await NodeProcess.start(t, settings)];
    const onFirst = await WsClient.connect(first.url);
    const onSecond = await WsClient.connect(second.url);
    t.after(() => onSecond.end());
    const rooms = Array.from({ length: 20 }, (_, index) => `chat:${index}`);
    const published: string[] = [];
    const say = async (client: WsClient, room: string, data: string): Promise<void> => {
      await client.ask("published", { type: "publish", room, event: "said", data, key: data });
      published.push(`${room} ${data}`);
    };
    for (const room of rooms) await say(onSecond, room, `${room}-before`);
    await Promise.all(rooms.map((room) => say(onFirst, room, `${room}-last words`)));
    await first.kill();
    const told = async () =>
      ofType(await engine.entries(), "published").map(({ room, data }) => `${room} ${String(data)}`);
    await eventually(async () => (await told()).length >= 40, "what the killed node published was not told", LONG_MS);
    const all = await told();
    assert.deepEqual([...all].sort(), published.sort());
    for (const room of rooms) {
      const own = all.filter((words) => words.startsWith(`${room} `));
      assert.deepEqual(own, [`${room} ${room}-before`, `${room} ${room}-last words`]);
    }
  });

  test(`${name}: that a node was killed is told once by those that are left, and by itself once it is back`, async (t) => {
    const engine = await open(t);
    const settings = { ...engine.settings, records: ["connected" as const, "left" as const], leaseMs: 1000 };
    const killed = await NodeProcess.start(t, { ...settings, node: "killed" });
    const left = [
      await startServer(t, { ...settings, node: "left-1" }),
      await startServer(t, { ...settings, node: "left-2" }),
    ];
    const client = await WsClient.connect(killed.url);
    await eventually(async () => ofType(await engine.entries(), "connected").length === 1, "nobody was told");
    const [connected] = await engine.entries();
    assert.equal(connected?.node, "killed");
    await killed.kill();
    client.end();
    await eventually(
      async () => ofType(await engine.entries(), "node_gone").length > 0,
      "its end was not told",
      LONG_MS,
    );
    const gone = () => engine.entries().then((all) => ofType(all, "node_gone"));
    assert.deepEqual(
      (await gone()).map(({ node, instance }) => [node, instance]),
      [["killed", connected?.instance]],
    );
    for (const server of left) await server.close();
    // Those that end by themselves have said so: nothing of them is left to be found.
    await killed.restart();
    const again = await WsClient.connect(killed.url);
    await eventually(async () => ofType(await engine.entries(), "connected").length === 2, "nobody was told");
    await killed.kill();
    again.end();
    await killed.restart();
    await eventually(async () => (await gone()).length === 2, "it did not find its own end", LONG_MS);
    const entries = await engine.entries();
    assert.deepEqual(
      entries.map(({ type, node }) => [type, node]),
      [
        ["connected", "killed"],
        ["node_gone", "killed"],
        ["connected", "killed"],
        ["node_gone", "killed"],
      ],
    );
    assert.equal(entries[3]?.instance, entries[2]?.instance);
  });

  test(`${name}: a node that stood still is told to be gone; then that it is back, and who is there`, async (t) => {
    const engine = await open(t);
    const settings = { ...engine.settings, records: ["connected" as const, "left" as const], leaseMs: 1000 };
    const still = await NodeProcess.start(t, { ...settings, node: "still" });
    await startServer(t, { ...settings, node: "other" });
    const client = await WsClient.connect(still.url);
    t.after(() => client.end());
    await eventually(async () => (await engine.entries()).length === 1, "nobody was told");
    still.pause();
    await eventually(
      async () => ofType(await engine.entries(), "node_gone").length === 1,
      "its end was not told",
      LONG_MS,
    );
    still.resume();
    await eventually(async () => ofType(await engine.entries(), "connected").length === 2, "who is there was not told");
    const entries = await engine.entries();
    assert.deepEqual(
      entries.map(({ type, node }) => [type, node]),
      [
        ["connected", "still"],
        ["node_gone", "still"],
        ["node_back", "still"],
        ["connected", "still"],
      ],
    );
    assert.deepEqual(entries[3], entries[0]);
  });

  test(`${name}: a client that moves as its node ends left there as one that moved, and is connected elsewhere`, async (t) => {
    const engine = await open(t);
    const records = ["connected" as const, "left" as const];
    // With a secret of their own the nodes know each other's sessions.
    const shared = { secret: "s".repeat(32), kinds: { "*": { allow: { anonymous: ["join" as const] } } } };
    const settings = { ...engine.settings, ...shared, records, noticeMs: 0, drainMs: 100 };
    const ending = await NodeProcess.start(t, { ...settings, node: "ending" });
    const staying = await startServer(t, { ...settings, node: "staying" });
    await eventually(() => staying.nodes().length === 2, "the nodes never saw each other");
    let to = ending.url;
    const Routed = class extends WebSocket {
      constructor(_: string, protocols: string[]) {
        super(`${to.replace("http", "ws")}/v1/socket`, protocols);
      }
    };
    const client = connectClient("http://nodes", { WebSocket: Routed });
    t.after(() => client.close());
    await client.room("chat:1").joined;
    await eventually(async () => (await engine.entries()).length === 1, "nobody was told");
    // Not before the node that ends knows that there is another one.
    await connect(t, staying);
    to = staying.url;
    await ending.end("SIGTERM");
    // Each node tells of its own: which of the two is first is left open.
    await eventually(async () => {
      const all = await engine.entries();
      return ofType(all, "left").length === 1 && all.filter(({ resumed }) => resumed === true).length === 1;
    }, "nobody was told");
    const entries = await engine.entries();
    const [first] = entries;
    const left = entries.find(({ type }) => type === "left");
    assert.deepEqual([left?.node, left?.reason, left?.connected], ["ending", "moved", first?.id]);
    const next = entries.find(({ session, id }) => session === first?.session && id !== first?.id && id !== left?.id);
    assert.deepEqual([next?.type, next?.node, next?.resumed], ["connected", "staying", true]);
    assert.deepEqual(ofType(entries, "node_gone"), []);
  });
}
