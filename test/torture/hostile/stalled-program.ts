/** Clients that join a room and read nothing of it, until they are told to: in a process of their own. */
import { OPCODE, RawSocket } from "../../support/raw-socket.js";
import { obey } from "../part.js";
import type { Seen, StalledOrder } from "./stalled-readers.js";

const sockets: RawSocket[] = [];
const seen: Seen[] = [];

async function stall(port: number, room: string): Promise<number> {
  const socket = await RawSocket.open(port);
  socket.sendFrame({ payload: '{"type":"hello","id":1}' });
  await socket.json("welcome");
  socket.sendFrame({ payload: JSON.stringify({ type: "join", id: 2, room }) });
  await socket.json("joined");
  // The kernel takes what it takes; nothing asks it for more.
  socket.socket.pause();
  sockets.push(socket);
  return Date.now();
}

/** Resolves with when each had joined, in Unix milliseconds. */
async function come({ port, room, count, withinMs }: StalledOrder & { type: "come" }): Promise<number[]> {
  const startedAt = Date.now();
  const all: Promise<number>[] = [];
  for (let each = 0; each < count; each++) {
    const waitMs = startedAt + (each * withinMs) / count - Date.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    all.push(stall(port, room));
  }
  return Promise.all(all);
}

/** Reads to the end of the connection, or until the server is heard to have told of a reset and to be alive. */
async function read(socket: RawSocket): Promise<void> {
  const one: Seen = { code: undefined, frames: 0, resets: 0, inOrder: true };
  seen.push(one);
  let last: number | undefined;
  socket.socket.resume();
  for (;;) {
    const frame = await socket.frame();
    if (frame === undefined || frame.opcode === OPCODE.close) {
      one.code = frame === undefined ? 1006 : frame.payload.readUInt16BE(0);
      socket.destroy();
      return;
    }
    one.frames++;
    // What comes is large: its head says what has to be known.
    const head = frame.payload.subarray(0, 100).toString("latin1");
    if (head.startsWith('{"type":"reset"')) {
      one.resets++;
      last = undefined;
    }
    const previous = /"previous":(\d+)/.exec(head)?.[1];
    if (previous === undefined) continue;
    if (last !== undefined && Number(previous) !== last) one.inOrder = false;
    last = lastOffset(frame.payload) ?? last;
  }
}

/** The offset of the last event in an `events` frame. */
function lastOffset(payload: Buffer): number | undefined {
  const at = payload.lastIndexOf('{"offset":');
  return at < 0 ? undefined : Number.parseInt(payload.subarray(at + 10, at + 26).toString("latin1"), 10);
}

obey<StalledOrder>((order) => {
  if (order.type === "come") return come(order);
  if (order.type === "seen") return seen;
  for (const socket of sockets.splice(-order.count)) void read(socket);
  return undefined;
});
