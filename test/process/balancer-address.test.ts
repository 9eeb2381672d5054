/** Whose address an application is asked about: through the balancers that are handed out, and past them. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startBalancer } from "../support/balancer.js";
import { RawSocket, upgradeText } from "../support/raw-socket.js";
import { type Server, type ServerOptions, startServer } from "../support/start-server.js";

const CLIENT = "127.0.0.1";
const FORGED = "203.0.113.9";

/** Servers that let everyone in, and the addresses that they were asked about. */
async function asking(t: TestContext, options: ServerOptions = {}): Promise<{ servers: Server[]; asked: string[] }> {
  const asked: string[] = [];
  const authenticate: ServerOptions["authenticate"] = ({ address }) => {
    asked.push(address);
    return {};
  };
  const servers = await Promise.all([1, 2, 3].map(() => startServer(t, { ...options, authenticate })));
  return { servers, asked };
}

/** One of them. */
async function oneAsking(t: TestContext, options: ServerOptions = {}): Promise<{ server: Server; asked: string[] }> {
  const { servers, asked } = await asking(t, options);
  return { server: servers[0] as Server, asked };
}

async function raw(t: TestContext, port: number): Promise<RawSocket> {
  const socket = await RawSocket.connect(port);
  t.after(() => socket.destroy());
  return socket;
}

/** Headers of these lines, as often as they are there, and then a welcome. */
async function welcomed(
  socket: RawSocket,
  lines: readonly string[] = [],
  before: readonly Buffer[] = [],
): Promise<void> {
  const [first = "", ...rest] = upgradeText().split("\r\n");
  socket.write(Buffer.concat([...before, Buffer.from([first, ...lines, ...rest].join("\r\n"))]));
  assert.equal((await socket.response()).status, 101);
  socket.sendFrame({ payload: '{"type":"hello","id":1}' });
  await socket.json("welcome");
}

const forwarded = (...values: string[]) => values.map((value) => `X-Forwarded-For: ${value}`);

/** A header of the PROXY protocol, version 2: TCP over IPv4, from this address. */
function proxyHeader(from: string): Buffer {
  const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
  const addresses = [...from.split(".").map(Number), 127, 0, 0, 1];
  return Buffer.concat([signature, Buffer.from([0x21, 0x11, 0, 12, ...addresses, 0x10, 0x20, 0, 80])]);
}

test("behind HAProxy in HTTP mode the address is the client's, whatever the client says of itself", async (t) => {
  // The balancer is at 127.0.0.1, as the client is: that it is asked about 127.0.0.2 comes from the header alone.
  const { servers, asked } = await asking(t, { trustProxy: [CLIENT] });
  const changes = { "%[src]": "127.0.0.2" };
  const balancer = await startBalancer(t, "haproxy/http.cfg", servers, changes);
  const headers = [[], forwarded(FORGED), forwarded(FORGED, FORGED), forwarded(`${FORGED}, ${CLIENT}`), forwarded("")];
  for (const lines of headers) await welcomed(await raw(t, balancer.port), lines);
  assert.deepEqual(asked, Array(headers.length).fill("127.0.0.2"));
});

test("what HAProxy in HTTP mode writes is the address it was asked from", async (t) => {
  // Nodes that trust the whole of 127.0.0.0/8 would take 127.0.0.1 for one more balancer, and look further.
  const { servers, asked } = await asking(t, { trustProxy: ["127.0.0.0/8"] });
  const balancer = await startBalancer(t, "haproxy/http.cfg", servers);
  await welcomed(await raw(t, balancer.port), forwarded(FORGED));
  assert.deepEqual(asked, [CLIENT]);
});

test("a header that a balancer appends beside the client's own is the one that counts", async (t) => {
  const { servers, asked } = await asking(t, { trustProxy: [CLIENT] });
  const changes = {
    "http-request del-header X-Forwarded-For": "",
    "http-request set-header X-Forwarded-For %[src]": "http-request add-header X-Forwarded-For 127.0.0.2",
  };
  const balancer = await startBalancer(t, "haproxy/http.cfg", servers, changes);
  for (const lines of [[], forwarded(FORGED), forwarded(FORGED, FORGED)]) {
    await welcomed(await raw(t, balancer.port), lines);
  }
  assert.deepEqual(asked, Array(3).fill("127.0.0.2"));
});

for (const file of ["haproxy/haproxy.cfg", "nginx/nginx.conf"] as const) {
  test(`${file}: the address is the balancer's, whatever the client says`, async (t) => {
    const { servers, asked } = await asking(t);
    const balancer = await startBalancer(t, file, servers);
    await welcomed(await raw(t, balancer.port), forwarded(FORGED));
    // Passed on as it is, and passed over by the node.
    await welcomed(await raw(t, balancer.port), [], [proxyHeader(FORGED)]);
    assert.deepEqual(asked, [CLIENT, CLIENT]);
  });
}

test("X-Forwarded-For of anyone but a trusted balancer is passed over", async (t) => {
  for (const trustProxy of [[], ["10.0.0.0/8", "::2"]]) {
    const { server, asked } = await oneAsking(t, { trustProxy });
    for (const lines of [forwarded(FORGED), forwarded(FORGED, "10.0.0.1"), forwarded("10.0.0.1")]) {
      await welcomed(await raw(t, server.port), lines);
    }
    assert.deepEqual(asked, [CLIENT, CLIENT, CLIENT]);
  }
});

test("of a trusted balancer's headers the last entry counts, also where there are several", async (t) => {
  const { server, asked } = await oneAsking(t, { trustProxy: ["::ffff:127.0.0.1"] });
  await welcomed(await raw(t, server.port), forwarded(FORGED, "198.51.100.1"));
  await welcomed(await raw(t, server.port), forwarded(`${FORGED}, 198.51.100.2:1234`));
  await welcomed(await raw(t, server.port), forwarded("198.51.100.3", "unknown"));
  await welcomed(await raw(t, server.port), ["x-forwarded-FOR:   [2001:DB8::1]:80  "]);
  assert.deepEqual(asked, ["198.51.100.1", "198.51.100.2", CLIENT, "2001:db8::1"]);
});

test("a header that is larger than requests may be harms nobody", async (t) => {
  const { server, asked } = await oneAsking(t, { trustProxy: [CLIENT] });
  const socket = await raw(t, server.port);
  const [first = "", ...rest] = upgradeText().split("\r\n");
  socket.write([first, ...forwarded(`${FORGED},`.repeat(10_000)), ...rest].join("\r\n"));
  await socket.end();
  await welcomed(await raw(t, server.port), forwarded(`${FORGED},`.repeat(200).slice(0, -1)));
  assert.deepEqual(asked, [FORGED]);
});

test("a PROXY protocol header changes nothing about the address, trusted or not", async (t) => {
  for (const trustProxy of [[], [CLIENT]]) {
    const { server, asked } = await oneAsking(t, { trustProxy });
    await welcomed(await raw(t, server.port), [], [proxyHeader(FORGED)]);
    await welcomed(await raw(t, server.port), trustProxy.length > 0 ? forwarded("198.51.100.1") : [], [
      proxyHeader(FORGED),
    ]);
    assert.deepEqual(asked, [CLIENT, trustProxy.length > 0 ? "198.51.100.1" : CLIENT]);
  }
});

test("a connection with two PROXY protocol headers, or with one in words, is not served", async (t) => {
  const { server, asked } = await oneAsking(t);
  const twice = await raw(t, server.port);
  twice.write(Buffer.concat([proxyHeader(FORGED), proxyHeader("198.51.100.1"), Buffer.from(upgradeText())]));
  const words = await raw(t, server.port);
  words.write(`PROXY TCP4 ${FORGED} 127.0.0.1 1 2\r\n${upgradeText()}`);
  assert.equal((await words.response()).status, 505);
  // Nothing answers the first, and the native code ends it as it ends a connection that never asks.
  await twice.end();
  assert.deepEqual(asked, []);
  await welcomed(await raw(t, server.port));
});
