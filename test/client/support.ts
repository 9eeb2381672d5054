/** What the client's tests share: a client with its test transport, and events to be sent. */
import type { TestContext } from "node:test";
import { type Client, type ClientState, type ConnectOptions, connect } from "../../client/index.js";
import { type TestConnection, TestTransport } from "../../client/testing.js";
import type { WireEvent } from "../../protocol/frames.js";

export type Rig = {
  readonly client: Client;
  readonly transport: TestTransport;
  readonly states: ClientState[];
  readonly errors: Error[];
};

/** A client that is closed by the test's end. Delays are none, unless the test says so: `random` gives 0. */
export function rig(t: TestContext, options: ConnectOptions = {}): Rig {
  const transport = new TestTransport();
  const client = connect("https://example.test", { transport, random: () => 0, ...options });
  const states: ClientState[] = [];
  const errors: Error[] = [];
  client.on("state", (state) => states.push(state));
  client.on("error", (error) => errors.push(error));
  t.after(() => client.close());
  return { client, transport, states, errors };
}

/** The same with a connection that is welcomed. */
export async function connected(
  t: TestContext,
  options: ConnectOptions = {},
): Promise<Rig & { server: TestConnection }> {
  const made = rig(t, options);
  const server = await made.transport.next();
  await server.welcome();
  return { ...made, server };
}

export function event(offset: number | undefined, data: unknown = offset): WireEvent {
  return { ...(offset !== undefined && { offset }), event: "message", data, at: 1_790_000_000_000 };
}

export function events(room: string, previous: number, ...offsets: number[]) {
  return { type: "events", room, previous, events: offsets.map((offset) => event(offset)) } as const;
}

/** Answers the next join of this connection; gives the join. */
export async function answerJoin(
  server: TestConnection,
  position: { epoch: string; offset: number } | undefined,
  { recovered = true, missed = [] as readonly WireEvent[] } = {},
) {
  const join = await server.take("join");
  server.send({
    type: "joined",
    id: join.id,
    room: join.room,
    ...(position && { position }),
    recovered,
    events: missed,
  });
  return join;
}

/** Lets everything happen that needs no timer. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export const at = (offset: number, epoch = "e") => ({ epoch, offset });
export const move = { type: "move", afterMs: 0, deadlineMs: 60_000, reason: "draining" } as const;

/** A client with one room joined, told to move, and all that the application is told of it. */
export async function moving(t: TestContext, options: ConnectOptions = {}) {
  const made = await connected(t, options);
  const { client, server } = made;
  const heard: unknown[] = [];
  const told: string[] = [];
  const room = client.room("r");
  room.onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  client.on("state", ({ status }) => told.push(status));
  room.onState(({ status }) => told.push(`room ${status}`));
  room.onReset(() => told.push("reset"));
  server.send(move);
  return { ...made, old: server, room, heard, told };
}

/** Answers the next call with what it brought. */
export async function answerCall(server: TestConnection) {
  const { id, data } = await server.take("call");
  server.send({ type: "result", id, data });
}
