import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { ReactNode } from "react";
import { renderToString } from "react-dom/server";
import type { Client, ClientState, Room, RoomEvent, RoomState } from "../../client/index.js";
import {
  RoomcastProvider,
  useClient,
  useConnection,
  useEvent,
  useEvents,
  useMembers,
  useReset,
  useRoom,
} from "../../client/react.js";
import { answerJoin, at, connected, rig, settle } from "./support.js";

type Chat = { message: number; note: string };

function Everything({ client }: { readonly client: Client | undefined }): ReactNode {
  const { status } = useConnection(client);
  const { room, state } = useRoom<Chat>(client, "r", { presence: true });
  const { events, isLoading } = useEvents(room, { past: true });
  const { members, count, isListed } = useMembers(room);
  useEvent(room, "message", () => {});
  useReset(room, () => {});
  return JSON.stringify([status, state, events, isLoading, members, count, isListed]).replaceAll('"', "");
}

function Below(): ReactNode {
  return <Everything client={useClient()} />;
}

const idle = "[connecting,{status:idle},[],true,[],null,false]";
const decoded = (html: string) => html.replaceAll("&quot;", '"');

test("rendered on a server every hook gives the state of before, with a client and without one; nothing is sent", async (t) => {
  const { client, transport } = rig(t);
  for (const given of [client, undefined]) {
    assert.equal(decoded(renderToString(<Everything client={given} />)), idle);
  }
  assert.deepEqual(client.room("r").state, { status: "idle" });
  const server = await transport.next();
  await server.welcome();
  await settle();
  assert.deepEqual(
    server.sent.map(({ type }) => type),
    ["hello"],
  );
});

test("what is there already is not rendered on a server: the browser's first rendering could not be the same", async (t) => {
  const { client, server } = await connected(t);
  void client.room("r").join();
  await answerJoin(server, at(3));
  assert.equal(decoded(renderToString(<Everything client={client} />)), idle);
});

test("a provider connects to nothing on a server, and whoever is not below one is told", () => {
  const connects: string[] = [];
  const connect = () => {
    connects.push("connect");
    throw new Error("not on a server");
  };
  const page = (
    <RoomcastProvider connect={connect}>
      <Below />
    </RoomcastProvider>
  );
  assert.equal(decoded(renderToString(page)), idle);
  assert.deepEqual(connects, []);
  assert.throws(() => renderToString(<Below />), /useClient: expected a RoomcastProvider above/);
});

/** Never called: what it says is for the compiler. */
export function Typed({ client, maybe }: { readonly client: Client; readonly maybe: Client | undefined }): ReactNode {
  const connection: ClientState = useConnection(maybe);
  const { room, state } = useRoom<Chat>(client, "r");
  const used: Room<Chat> = room;
  const stands: RoomState = state;
  const perhaps = useRoom<Chat>(maybe, "r");
  // @ts-expect-error without a client there is no room
  const wrong: Room<Chat> = perhaps.room;
  const { events } = useEvents(room);
  for (const event of events) {
    if (event.event === "message") event.data satisfies number;
    else event.data satisfies string;
  }
  const numbers: readonly RoomEvent<number, "message">[] = useEvents(perhaps.room, { event: "message" }).events;
  // @ts-expect-error no such event
  useEvents(room, { event: "massage" });
  useEvent(room, "note", ({ data }) => data satisfies string);
  // @ts-expect-error the data of a note is no number
  useEvent(room, "note", ({ data }) => data satisfies number);
  // @ts-expect-error no such event
  useEvent(room, "massage", () => {});
  useReset(perhaps.room, ({ reason }) => reason satisfies string);
  const { members } = useMembers(perhaps.room);
  const users: string[] = members.map(({ user }) => user);
  const untyped = useRoom(client, "r").room;
  useEvent(untyped, "anything", ({ data }) => data satisfies unknown);
  return JSON.stringify([connection, used, stands, wrong, numbers, users]);
}

test("`roomcast/client` takes in nothing of React", async () => {
  const { metafile } = await build({
    entryPoints: [fileURLToPath(new URL("../../client/index.js", import.meta.url))],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    logLevel: "error",
  });
  assert.deepEqual(
    Object.keys(metafile.inputs).filter((path) => /react|held-|event-list/.test(path)),
    [],
  );
});
