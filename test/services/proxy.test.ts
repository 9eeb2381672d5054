import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import test, { type TestContext } from "node:test";
import { eventually } from "../support/eventually.js";
import { TcpProxy } from "../support/proxy.js";

/** A server that sends everything back, a proxy before it, and what is needed to look at both sides. */
async function echo(t: TestContext) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const proxy = await TcpProxy.start(t, { host: "127.0.0.1", port });
  return { proxy, sockets };
}

/** A connection through the proxy, and all it has received. */
async function client(t: TestContext, proxy: TcpProxy) {
  const socket = connect({ port: proxy.port, host: proxy.host });
  t.after(() => socket.destroy());
  const seen = { text: "", closed: false, error: "" };
  socket.setEncoding("utf8").on("data", (text) => {
    seen.text += text;
  });
  socket.on("error", (error) => {
    seen.error = (error as NodeJS.ErrnoException).code ?? "";
  });
  socket.on("close", () => {
    seen.closed = true;
  });
  await eventually(() => !socket.connecting);
  return { socket, seen, says: (text: string) => eventually(() => seen.text === text, `${seen.text} is not ${text}`) };
}

test("bytes and ends of connections pass in both directions, and are counted", async (t) => {
  const { proxy } = await echo(t);
  const { socket, seen, says } = await client(t, proxy);
  socket.write("hello");
  await says("hello");
  assert.equal(proxy.connections, 1);
  socket.end("!");
  await says("hello!");
  await eventually(() => seen.closed && proxy.connections === 0);
  assert.equal(seen.error, "");
  assert.equal(proxy.accepted, 1);
  assert.deepEqual(proxy.bytes("toServer"), { received: 6, lost: 0 });
  assert.deepEqual(proxy.bytes("toClient"), { received: 6, lost: 0 });
});

test("a cut resets what is open, and new connections pass", async (t) => {
  const { proxy, sockets } = await echo(t);
  const first = await client(t, proxy);
  first.socket.write("a");
  await first.says("a");
  proxy.cut();
  await eventually(
    () => first.seen.error === "ECONNRESET" && proxy.connections === 0 && sockets[0]?.destroyed === true,
  );
  const second = await client(t, proxy);
  second.socket.write("b");
  await second.says("b");
});

test("one connection can be cut by the port that the server sees, and the others live on", async (t) => {
  const { proxy, sockets } = await echo(t);
  const first = await client(t, proxy);
  await eventually(() => sockets.length === 1);
  const second = await client(t, proxy);
  await eventually(() => sockets.length === 2);
  assert.equal(proxy.cut(sockets[0]?.remotePort), 1);
  await eventually(() => first.seen.closed);
  second.socket.write("a");
  await second.says("a");
});

test("a black hole swallows bytes and ends, and the connections in it are reset in the end", async (t) => {
  const { proxy, sockets } = await echo(t);
  const old = await client(t, proxy);
  old.socket.write("a");
  await old.says("a");
  proxy.blackhole();
  const fresh = await client(t, proxy);
  old.socket.write("b");
  fresh.socket.write("c");
  await eventually(() => proxy.bytes("toServer").lost === 2);
  sockets[0]?.destroy();
  await eventually(() => sockets[0]?.destroyed === true);
  assert.deepEqual([old.seen.closed, fresh.seen.closed], [false, false]);
  proxy.heal();
  await eventually(() => old.seen.closed && fresh.seen.closed && proxy.connections === 0);
  assert.deepEqual([old.seen.text, fresh.seen.text], ["a", ""]);
  const last = await client(t, proxy);
  last.socket.write("d");
  await last.says("d");
});

test("a black hole may be in one direction only", async (t) => {
  const { proxy, sockets } = await echo(t);
  const { socket, seen } = await client(t, proxy);
  proxy.blackhole("toClient");
  socket.write("a");
  await eventually(() => sockets[0]?.bytesRead === 1 && proxy.bytes("toClient").lost === 1);
  proxy.heal();
  const other = await client(t, proxy);
  proxy.blackhole("toServer");
  await eventually(() => sockets.length === 2);
  sockets[1]?.write("from the server");
  await other.says("from the server");
  assert.equal(seen.text, "");
});

test("a stalled network loses nothing", async (t) => {
  const { proxy, sockets } = await echo(t);
  const { socket, says, seen } = await client(t, proxy);
  socket.write("a");
  await says("a");
  proxy.stall();
  socket.write("b");
  await new Promise((resolve) => socket.write("c", resolve));
  const late = await client(t, proxy);
  late.socket.write("d");
  assert.equal(sockets[0]?.bytesRead, 1);
  assert.equal(seen.text, "a");
  proxy.heal();
  await says("abc");
  await late.says("d");
});

test("a delay keeps the order, and many bytes fit into it", async (t) => {
  const { proxy } = await echo(t);
  const { socket, says } = await client(t, proxy);
  proxy.delay(5, 20);
  const words = Array.from({ length: 200 }, (_, index) => `${index} `.padEnd(20_000, "."));
  for (const word of words) socket.write(word);
  await says(words.join(""));
});

test("what is delayed has not arrived, and healing ends the wait", async (t) => {
  const { proxy, sockets } = await echo(t);
  const { socket, says } = await client(t, proxy);
  proxy.delay(1_000_000);
  socket.write("a");
  await eventually(() => proxy.bytes("toServer").received === 1);
  assert.equal(sockets[0]?.bytesRead, 0);
  proxy.heal();
  await says("a");
});

test("refused connections are reset, open ones live on", async (t) => {
  const { proxy } = await echo(t);
  const open = await client(t, proxy);
  proxy.refuse();
  const refused = await client(t, proxy);
  await eventually(() => refused.seen.closed);
  open.socket.write("a");
  await open.says("a");
  proxy.heal();
  const welcome = await client(t, proxy);
  welcome.socket.write("b");
  await welcome.says("b");
});

test("chosen chunks to clients are left out, alone or with their connection", async (t) => {
  const { proxy } = await echo(t);
  const { socket, seen, says } = await client(t, proxy);
  const other = await client(t, proxy);
  const dropped = proxy.dropNextToClient(1, (chunk) => chunk.includes("b"));
  for (const [text, so] of [
    ["a", "a"],
    ["b", "a"],
    ["c", "ac"],
    ["b", "acb"],
  ] as const) {
    socket.write(text);
    if (text === "b" && so === "a") await dropped;
    await says(so);
  }
  const cut = proxy.dropNextToClient(1, undefined, { cut: true });
  socket.write("d");
  await cut;
  await eventually(() => seen.closed);
  assert.equal(seen.text, "acb");
  other.socket.write("e");
  await other.says("e");
});

test("a reader that stops makes the writer wait, and not the proxy grow", async (t) => {
  const { proxy, sockets } = await echo(t);
  const { socket, seen } = await client(t, proxy);
  await eventually(() => sockets.length === 1);
  socket.pause();
  const parts = 400;
  const part = Buffer.alloc(256 * 1024, ".");
  for (let written = 0; written < parts; written++) sockets[0]?.write(part);
  let last = -1;
  let still = 0;
  await eventually(() => {
    const { received } = proxy.bytes("toClient");
    still = received > 0 && received === last ? still + 1 : 0;
    last = received;
    return still === 40;
  });
  assert.ok(last < (parts * part.length) / 2, `${last} bytes went to a reader that reads nothing`);
  socket.resume();
  await eventually(() => seen.text.length === parts * part.length);
});
