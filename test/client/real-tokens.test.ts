/** Tokens that end in seconds, against real servers: nothing is missed, and who gets no other one is told. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { type ConnectOptions, connect, type Room } from "../../client/index.js";
import { eventually } from "../support/eventually.js";
import { startServer } from "../support/start-server.js";
import { inSeconds, withSecret } from "../support/tokens.js";

const SECRET = "the secret of these tests, 32 characters and more";
const ROOM = "chat:1";

/** Good for one to two seconds. */
const sessionToken = (claims: object = { rooms: { "*": "join publish history" } }) =>
  withSecret(SECRET, { sub: "ann", exp: inSeconds(2), ...claims });
const roomToken = () => withSecret(SECRET, { room: ROOM, exp: inSeconds(2) });

/** A client, all that its application is told, and an event that is published every few milliseconds. */
async function open(t: TestContext, options: ConnectOptions) {
  const server = await startServer(t, { secret: SECRET, tokenSkewMs: 0, kinds: {} });
  const told: string[] = [];
  const client = connect(server.url, { WebSocket, minDelayMs: 20, ...options });
  t.after(() => client.close());
  client.on("state", ({ status }) => told.push(status));
  client.on("error", ({ message }) => told.push(`error: ${message}`));
  await eventually(() => told.includes("connected"));
  let last = 0;
  let publishing = Promise.resolve();
  const timer = setInterval(() => {
    const data = ++last;
    publishing = publishing.then(async () => void (await server.publish(ROOM, "message", data)));
  }, 20);
  t.after(() => clearInterval(timer));
  const stop = async (heard: readonly unknown[]) => {
    clearInterval(timer);
    await publishing;
    await eventually(() => heard.at(-1) === last, "the last event never came");
    assert.deepEqual(
      heard,
      Array.from(heard, (_, index) => Number(heard[0]) + index),
      "each once and in order, none left out",
    );
  };
  return { client, told, stop };
}

function listen(room: Room, told: string[]) {
  const heard: unknown[] = [];
  room.onAny(({ data }) => heard.push(data));
  room.onState(({ status }) => told.push(`room ${status}`));
  room.onReset(() => told.push("reset"));
  return heard;
}

test("tokens of two seconds are renewed again and again, and the application sees nothing of it", async (t) => {
  let asked = 0;
  const { client, told, stop } = await open(t, {
    token: () => {
      asked++;
      return sessionToken();
    },
  });
  const room = client.room(ROOM);
  const heard = listen(room, told);
  await room.joined;
  await eventually(() => asked > 5);
  await stop(heard);
  assert.deepEqual(told, ["connected", "room joined"]);
});

test("a client that gets no token for a while comes back when it gets one, and has missed nothing", async (t) => {
  let works = true;
  const { client, told, stop } = await open(t, {
    token: () => {
      if (!works) throw new Error("no token today");
      return sessionToken();
    },
  });
  const room = client.room(ROOM);
  const heard = listen(room, told);
  await room.joined;
  works = false;
  await eventually(() => client.state.status === "waiting" && client.state.code === 4203, "it is never closed");
  await eventually(() => told.filter((each) => each === "error: no token today").length > 2);
  works = true;
  await eventually(() => client.state.status === "connected");
  await stop(heard);
  assert.equal(told.includes("reset"), false);
});

test("a room's tokens of two seconds follow each other without a hole, and nothing is told", async (t) => {
  const asked: number[] = [];
  const { client, told, stop } = await open(t, { token: () => sessionToken({ exp: inSeconds(600) }) });
  const room = client.room(ROOM, {
    token: async () => {
      asked.push(Date.now());
      return roomToken();
    },
  });
  const heard = listen(room, told);
  await room.joined;
  told.length = 0;
  await eventually(() => asked.length > 3);
  await stop(heard);
  assert.deepEqual(told, []);
});

test("a room with a fixed token fails when it ends, and can be joined with another by a new room", async (t) => {
  const { client, told } = await open(t, { token: () => sessionToken({ exp: inSeconds(600) }) });
  const room = client.room(ROOM, { token: roomToken() });
  const heard = listen(room, told);
  await room.joined;
  await eventually(() => room.state.status === "failed");
  assert.equal(room.state.status === "failed" && room.state.code, "expired");
  await assert.rejects(room.join(), { code: "expired" });
  const { position } = room;
  assert.ok(position);
  room.leave();
  const next = client.room(ROOM, { token: roomToken(), since: position });
  const more = listen(next, told);
  await next.joined;
  await eventually(() => more.length > 0);
  assert.equal(more[0], Number(heard.at(-1)) + 1, "it goes on where the other one was");
});

test("without a token for it the room is forbidden, and one for another room does not help", async (t) => {
  const { client } = await open(t, { token: () => sessionToken({ exp: inSeconds(600) }) });
  await assert.rejects(client.room(ROOM).join(), { code: "forbidden" });
  await assert.rejects(client.room("chat:2", { token: roomToken() }).join(), { code: "forbidden" });
});
