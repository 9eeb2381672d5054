/** Limits by address on a real port: clients' own addresses, and those that a balancer says. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createLog } from "../../server/log.js";
import { eventually } from "../support/eventually.js";
import { RawSocket, upgradeText } from "../support/raw-socket.js";
import { type ServerOptions, startServer } from "../support/start-server.js";

/** The opcode of a close frame. */
const CLOSE = 8;

/** A server behind a balancer on this machine, and what it answers to an upgrade with these forwarded addresses. */
async function behindBalancer(t: TestContext, options: ServerOptions) {
  const server = await startServer(t, { trustProxy: ["127.0.0.0/8"], metricsPort: 0, ...options });
  const upgrade = async (forwarded?: string) => {
    const socket = await RawSocket.connect(server.port);
    t.after(() => socket.destroy());
    const [first = "", ...rest] = upgradeText().split("\r\n");
    const lines = forwarded === undefined ? [] : [`X-Forwarded-For: ${forwarded}`];
    socket.write([first, ...lines, ...rest].join("\r\n"));
    const { status, headers } = await socket.response();
    return { socket, status, headers };
  };
  const count = async (reason: string): Promise<number> => {
    const text = await (await fetch(server.metricsUrl ?? "")).text();
    return Number(new RegExp(`refused_connections_total{reason="${reason}"} (\\d+)`).exec(text)?.[1]);
  };
  return { server, upgrade, count };
}

test("each client behind a balancer has connections of its own, IPv6 by network, and is told to come back later", async (t) => {
  const { upgrade, count } = await behindBalancer(t, { addressConnections: 2 });
  const taken = async (address: string) => (await upgrade(address)).status === 101;
  assert.deepEqual([await taken("192.0.2.1"), await taken("192.0.2.1"), await taken("192.0.2.2")], [true, true, true]);
  const { status, headers } = await upgrade("192.0.2.1");
  assert.equal(status, 503);
  assert.ok(Number(headers.get("retry-after")) >= 5);
  assert.deepEqual([await taken("2001:db8::1"), await taken("2001:db8:0:0:9::2")], [true, true]);
  assert.equal(await taken("2001:DB8::FFFF"), false, "another address of the same network");
  assert.equal(await taken("2001:db8:0:1::1"), true);
  assert.equal(await taken("203.0.113.7, 192.0.2.1"), false, "what the client says of itself is passed over");
  assert.equal(await count("address_connections"), 3);
});

test("a connection that ends gives its place back, however it ends", async (t) => {
  const { server, upgrade } = await behindBalancer(t, { addressConnections: 1 });
  const first = await upgrade("192.0.2.1");
  assert.equal((await upgrade("192.0.2.1")).status, 503);
  first.socket.destroy();
  await eventually(() => server.connections === 0);
  const second = await upgrade("192.0.2.1");
  assert.equal(second.status, 101);
  second.socket.sendFrame({ payload: "no frame of ours" });
  await eventually(() => server.connections === 0);
  await eventually(async () => (await upgrade("192.0.2.1")).status === 101);
});

test("an address that connects too often is told so over the WebSocket, and keeps nobody else out", async (t) => {
  const { upgrade, count } = await behindBalancer(t, { addressRate: 3 });
  const closes: string[] = [];
  for (let each = 0; each < 8; each++) {
    const { socket, status } = await upgrade("192.0.2.1");
    assert.equal(status, 101);
    socket.sendFrame({ payload: '{"type":"hello","id":1}' });
    const frame = await socket.frame();
    if (frame?.opcode === CLOSE) {
      assert.equal(frame.payload.readUInt16BE(0), 4101);
      assert.ok(JSON.parse(frame.payload.toString("utf8", 2)).retryMs > 0);
      closes.push("told");
    } else closes.push("welcome");
  }
  assert.ok(closes.filter((answer) => answer === "welcome").length >= 3, `${closes}`);
  assert.ok(closes.includes("told"), `${closes}`);
  assert.ok((await count("address_rate")) >= 1);
  const { socket } = await upgrade("192.0.2.2");
  socket.sendFrame({ payload: '{"type":"hello","id":1}' });
  await socket.json("welcome");
});

test("whoever runs the server is told of an address that is refused, once and not each time", async (t) => {
  const lines: string[] = [];
  const log = createLog({ level: "warn", destination: { write: (line: string) => lines.push(line) }, readable: false });
  const { upgrade } = await behindBalancer(t, { addressConnections: 1, log });
  for (let each = 0; each < 4; each++) await upgrade("192.0.2.1");
  const told = lines.filter((line) => line.includes("too many from one address"));
  assert.equal(told.length, 1);
  assert.match(told[0] ?? "", /"address":"192\.0\.2\.1".*"reason":"address_connections"/);
});

test("a balancer that does not say whom it stands for is not held to an address's limits", async (t) => {
  const { upgrade } = await behindBalancer(t, { addressConnections: 1, addressRate: 1 });
  for (let each = 0; each < 5; each++) assert.equal((await upgrade()).status, 101);
});
