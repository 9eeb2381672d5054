/** Bodies of requests: their bounds in size, time, memory and structure. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { problemOf } from "../../server/api/problems.js";
import { MOST_READING } from "../../server/transport/body.js";
import { Listener } from "../../server/transport/listener.js";
import { eventually } from "../support/eventually.js";
import { RawSocket } from "../support/raw-socket.js";
import { startServer } from "../support/start-server.js";
import { ask, keyFor } from "./support.js";

const { key, entry } = keyFor(["publish"]);
const path = "/v1/rooms/chat:1/events";
const fail = (error: unknown): never => {
  throw error;
};

/** A listener that answers with the length of a body. */
async function echo(t: TestContext, maxBytes: number): Promise<{ listener: Listener; port: number }> {
  const listener = await Listener.create();
  const ok = (bytes: Buffer) => ({
    status: 200,
    headers: {},
    body: `${bytes.length} ${bytes.toString("latin1", 0, 8)}`,
  });
  listener.on(
    "post",
    "/",
    (exchange) => {
      const take = (bytes: Buffer): void => exchange.answer(ok(bytes), fail);
      exchange.read(maxBytes, take, (error) => exchange.answer(problemOf(error), fail));
    },
    fail,
  );
  const port = await listener.listen("127.0.0.1", 0);
  t.after(() => {
    listener.stop();
    listener.cut();
  });
  return { listener, port };
}

async function open(t: TestContext, port: number): Promise<RawSocket> {
  const raw = await RawSocket.connect(port);
  t.after(() => raw.destroy());
  return raw;
}

const head = (length: number): string => `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`;

test("a body that comes in parts is put together, whatever the parts", async (t) => {
  const { listener, port } = await echo(t, 1_000_000);
  for (const parts of [["abc", "def"], ["a".repeat(5000), "b".repeat(90_000), "c"], [..."abcdefgh".repeat(40)]]) {
    const raw = await open(t, port);
    const whole = parts.join("");
    raw.write(head(whole.length));
    // Each is read for itself, the head too.
    await eventually(() => listener.traffic.open === 1);
    for (const part of parts) {
      raw.write(part);
      await new Promise((next) => setImmediate(next));
    }
    assert.equal((await raw.response()).body, `${whole.length} ${whole.slice(0, 8)}`);
  }
  assert.deepEqual([listener.traffic.reading, listener.traffic.open], [0, 0]);
});

test("a body that drips is cut once its time is over, and its connection with it", async (t) => {
  const { listener, port } = await echo(t, 1_000_000);
  listener.traffic.bodyMs = 50;
  const raw = await open(t, port);
  const nothing = await open(t, port);
  nothing.write(head(100));
  raw.write(`${head(100)}a`);
  for (const each of [raw, nothing]) {
    const answer = await each.response();
    assert.equal(answer.status, 408);
    assert.equal(JSON.parse(answer.body).code, "timeout");
    await each.end();
  }
  assert.deepEqual([listener.traffic.reading, listener.traffic.open], [0, 0]);
});

test("a body that drips takes no more memory than one that does not", async (t) => {
  const { listener, port } = await echo(t, 1_000_000);
  const raw = await open(t, port);
  raw.write(head(1001));
  for (let sent = 0; sent < 1000; sent++) {
    raw.write("a");
    if (sent % 50 === 0) await new Promise((next) => setImmediate(next));
  }
  await eventually(() => listener.traffic.reading > 0);
  assert.ok(listener.traffic.reading <= 2048, `${listener.traffic.reading}`);
  raw.write("z");
  assert.match((await raw.response()).body, /^1001 /);
  assert.ok(listener.traffic.reading <= 0);
});

test("bodies that are being read take no more than their share of memory together; further ones are refused", async (t) => {
  const size = 8_500_000;
  const { listener, port } = await echo(t, size);
  const allButOne = Buffer.alloc(size - 1, 0x61);
  const start = async (): Promise<RawSocket> => {
    const raw = await open(t, port);
    raw.write(head(size));
    raw.write(allButOne);
    return raw;
  };
  const fit = Math.floor(MOST_READING / size);
  const raws: RawSocket[] = [];
  while (raws.length < fit) {
    raws.push(await start());
    await eventually(() => listener.traffic.reading >= raws.length * allButOne.length);
  }
  assert.ok(listener.traffic.reading <= fit * size);
  const answer = await (await start()).response();
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get("retry-after"), "1");
  assert.ok(listener.traffic.reading <= fit * size, "nothing of what was refused is kept");
  raws[0]?.write("a");
  assert.match((await raws[0]?.response())?.body ?? "", /^8500000 /);
  for (const raw of raws) raw.destroy();
  await eventually(() => listener.traffic.reading === 0 && listener.traffic.open === 0);
});

test("a body that is longer than may be is refused: by what it says of itself before it comes, else as it comes", async (t) => {
  const server = await startServer(t, { apiKeys: [entry], apiMaxBytes: 2048 });
  const headers = `host: x\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\n`;
  const told = await open(t, server.port);
  told.write(`POST ${path} HTTP/1.1\r\n${headers}content-length: 2049\r\n\r\n`);
  const early = await told.response();
  assert.equal(early.status, 413);
  const problem = JSON.parse(early.body);
  assert.deepEqual([problem.code, problem.errors[0].field], ["too_large", "body"]);
  assert.match(problem.detail, /at most 2048 bytes, got 2049/);
  const chunked = await open(t, server.port);
  chunked.write(`POST ${path} HTTP/1.1\r\n${headers}transfer-encoding: chunked\r\n\r\n`);
  for (let part = 0; part < 3; part++) chunked.write(`3e8\r\n${"a".repeat(1000)}\r\n`);
  assert.equal((await chunked.response()).status, 413);
  const body = JSON.stringify({ event: "said", data: "x".repeat(100) });
  const fits = await open(t, server.port);
  const [first, second] = [body.slice(0, 30), body.slice(30)];
  fits.write(`POST ${path} HTTP/1.1\r\n${headers}transfer-encoding: chunked\r\n\r\n`);
  for (const part of [first, second]) fits.write(`${part.length.toString(16)}\r\n${part}\r\n`);
  fits.write("0\r\n\r\n");
  assert.equal((await fits.response()).status, 200);
});

test("a body that nests deep, or has very many parts, is refused before it is parsed", async (t) => {
  const server = await startServer(t, { apiKeys: [entry] });
  const deep = (levels: number): string => `${"[".repeat(levels)}${"]".repeat(levels)}`;
  const publish = (body: string) => ask(server, path, { key, body });
  assert.equal((await publish(`{"event":"e","data":${deep(64)}}`)).status, 200);
  const one = await publish(`{"event":"e","data":${deep(400_000)}}`);
  assert.deepEqual([one.status, one.json.errors[0].field], [400, "data"]);
  const items = (levels: number): string =>
    `{"items":[{"room":"a","event":"e","data":1},{"room":"a","event":"e","data":${deep(levels)}}]}`;
  assert.equal((await ask(server, "/v1/batch", { key, body: items(64) })).status, 200);
  const other = await ask(server, "/v1/batch", { key, body: items(65) });
  assert.deepEqual([other.status, other.json.errors[0].field], [400, "items[1].data"]);
  const many = await publish(`{"event":"e","data":[${"[],".repeat(200_000)}0]}`);
  assert.match(many.json.detail, /at most 150000 arrays and objects/);
});

test("data goes on as the text it came in, however it is written and whatever stands around it", async (t) => {
  const all = keyFor();
  const server = await startServer(t, { apiKeys: [all.entry] });
  const bodies = [
    '{"data":{"a":[1,{"data":2}],"s":"}\\"],"},"event":"e"}',
    '{ "event" : "e" , "data" :\n { "a" : [ 1, {"data": 2} ], "s" : "}\\"],"\t}\n}',
    '{"d\\u0061ta":{"a":[1,{"data":2}],"s":"}\\"],"},"event":"e"}',
    '{"data":1,"event":"e","data":{"a":[1,{"data":2}],"s":"}\\"],"}}',
  ];
  for (const body of bodies) {
    assert.equal((await ask(server, "/v1/rooms/one:1/events", { key: all.key, body })).status, 200, body);
    const item = body.replace("{", '{"room":"many:1",');
    const batch = await ask(server, "/v1/batch", { key: all.key, body: `{"items":[${item},${item}]}` });
    assert.equal(batch.status, 200, batch.text);
  }
  const twice = `{"items":[{"room":"x","event":"e","data":"wrong"}],"items":[{"room":"many:1","event":"e","data":{"a":[1,{"data":2}],"s":"}\\"],"}}]}`;
  assert.equal((await ask(server, "/v1/batch", { key: all.key, body: twice })).status, 200);
  for (const [room, count] of [
    ["one:1", 4],
    ["many:1", 9],
  ] as const) {
    const { json } = await ask(server, `/v1/rooms/${room}/history`, { key: all.key });
    assert.equal(json.events.length, count);
    for (const { data } of json.events) assert.deepEqual(data, { a: [1, { data: 2 }], s: '}"],' });
  }
});
