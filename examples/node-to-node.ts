// Two Node programs in one room; the listener is cut off twice, comes back, and has missed nothing.
// From the repository's root: npm run build && node dist/examples/node-to-node.js
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createServer } from "roomcast";
import { connect, type WebSocketConstructor } from "roomcast/client";
import WebSocket from "ws";

type Counting = { count: { readonly n: number } };
const TO = 30;
const ROOM = "demo:count";
// Node 22 has a WebSocket of its own; Node 20 needs the `ws` package's.
const options = { WebSocket: WebSocket as WebSocketConstructor, minDelayMs: 100 };

/** The first program: a node, and a client that counts in the room. */
async function count(): Promise<void> {
  const node = await createServer({ port: 0, logLevel: "warn" });
  const listener: ChildProcess = fork(fileURLToPath(import.meta.url), [node.url]);
  await once(listener, "message"); // it is in the room
  const client = connect(node.url, options);
  const room = client.room<Counting>(ROOM);
  for (let n = 1; n <= TO; n++) {
    await room.publish("count", { n });
    await setTimeout(20);
  }
  if (listener.exitCode === null) await once(listener, "exit");
  process.exitCode = listener.exitCode ?? 1;
  client.close();
  await node.close();
}

/** The second program: listens, and cuts its own connection now and then. */
async function listen(url: string): Promise<void> {
  let socket: WebSocket | undefined;
  class Cuttable extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols);
      socket = this;
    }
  }
  const client = connect(url, { ...options, WebSocket: Cuttable as WebSocketConstructor });
  const room = client.room<Counting>(ROOM);
  client.on("state", ({ status }) => console.log(`-- ${status}`));
  let last = 0;
  room.on("count", ({ offset, data }) => {
    console.log(`event ${offset}: ${data.n}`);
    if (data.n !== ++last) throw new Error(`expected ${last}, got ${data.n}`);
    if (data.n === 10 || data.n === 20) socket?.terminate();
    if (data.n === TO) client.close();
  });
  await room.joined;
  process.send?.("joined");
}

const [, , url] = process.argv;
await (url === undefined ? count() : listen(url));
