/** Tokens that end: of the connection and of single rooms. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestConnection } from "../../client/testing.js";
import { answerJoin, at, connected, event, events, moving, rig, settle } from "./support.js";

const TIMERS = { apis: ["setTimeout", "setInterval", "Date"] } as const;

const refuse = (server: TestConnection, id: number, code: string, message = "no") =>
  server.send({ type: "error", id, code, message });

const countOf = (server: TestConnection, type: string) => server.sent.filter((frame) => frame.type === type).length;

/** Gives another token each time, or what it is told to. */
function tokens() {
  const source = {
    asked: 0,
    next: (): string | Promise<string> => `t${source.asked}`,
    token: () => {
      source.asked++;
      return source.next();
    },
  };
  return source;
}

test("a room's token goes with each join of it, and with no other", async (t) => {
  const { client, server, transport } = await connected(t, { token: "mine" });
  void client.room("a", { token: "of a" }).join();
  void client.room("b").join();
  assert.deepEqual(
    server.sent.flatMap((frame) => (frame.type === "join" ? [[frame.room, frame.token]] : [])),
    [],
    "joins go out at the end of the turn",
  );
  assert.deepEqual(
    [await answerJoin(server, at(1)), await answerJoin(server, at(1))].map(({ token }) => token),
    ["of a", undefined],
  );
  server.cut();
  const second = await transport.next();
  second.accept();
  assert.equal((await second.take("hello")).token, "mine");
  assert.equal((await second.take("join")).token, "of a", "behind hello, without waiting for the welcome");
});

test("a function is asked anew for every join; the join waits for it and takes the position of then", async (t) => {
  const { client, server, transport } = await connected(t);
  const source = tokens();
  const heard: unknown[] = [];
  const room = client.room("r", { token: source.token });
  room.onAny(({ data }) => heard.push(data));
  assert.equal((await answerJoin(server, at(3))).token, "t1");
  let give: (token: string) => void = () => {};
  source.next = () => new Promise((resolve) => (give = resolve));
  server.send(events("r", 5, 6));
  await settle();
  assert.deepEqual([source.asked, countOf(server, "join")], [2, 1]);
  server.send(events("r", 3, 4));
  give("t2");
  const join = await answerJoin(server, at(6), { missed: [event(5), event(6)] });
  assert.deepEqual([join.token, join.since], ["t2", at(4)]);
  source.next = () => "t3";
  server.cut();
  const second = await transport.next();
  await second.welcome();
  assert.equal((await answerJoin(second, at(6))).token, "t3");
  assert.deepEqual(heard, [4, 5, 6]);
});

test("a room whose token function fails is tried again, each time later; nobody else waits for it", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server, errors } = await connected(t, { random: () => 0.5 });
  const source = tokens();
  source.next = () => Promise.reject(new Error("no token today"));
  const room = client.room("r", { token: source.token });
  const joined = room.join();
  void client.room("other").join();
  await answerJoin(server, at(1));
  await settle();
  for (const [count, delayMs] of [1250, 1275, 1303].entries()) {
    assert.deepEqual([source.asked, errors.length, room.state.status], [count + 1, count + 1, "joining"]);
    t.mock.timers.tick(delayMs - 1);
    assert.equal(source.asked, count + 1);
    if (count === 2) source.next = () => "late";
    t.mock.timers.tick(1);
    await settle();
  }
  assert.equal((await answerJoin(server, at(1))).token, "late");
  await joined;
});

test("a token function that throws what is nothing does no harm", async (t) => {
  const { client, server } = await connected(t);
  const source = tokens();
  source.next = () => Promise.reject();
  const room = client.room("r", { token: source.token });
  void room.join();
  await settle();
  assert.equal(room.state.status, "joining");
  room.leave();
  await settle();
  assert.equal(countOf(server, "join"), 0);
});

test("a token that comes when its connection or the room is gone is not used", async (t) => {
  const { client, server, transport } = await connected(t);
  const source = tokens();
  const gives: ((token: string) => void)[] = [];
  source.next = () => new Promise((resolve) => gives.push(resolve));
  const room = client.room("r", { token: source.token });
  void room.join();
  await settle();
  server.cut();
  const second = await transport.next();
  await second.welcome();
  gives[0]?.("stale");
  await settle();
  assert.equal(countOf(second, "join"), 0);
  gives[1]?.("fresh");
  assert.equal((await answerJoin(second, at(1))).token, "fresh");
  second.cut();
  const third = await transport.next();
  await third.welcome();
  room.leave();
  gives[2]?.("late");
  await settle();
  assert.equal(countOf(third, "join"), 0);
});

test("when a room's token has ended another one is fetched: nothing is missed, and nothing is told", async (t) => {
  const { client, server, errors } = await connected(t);
  const source = tokens();
  const told: unknown[] = [];
  const room = client.room("r", { token: source.token });
  room.onAny(({ data }) => told.push(data));
  await answerJoin(server, at(3));
  room.onState(({ status }) => told.push(status));
  room.onReset(() => told.push("reset"));
  server.send(events("r", 3, 4));
  server.send({ type: "removed", room: "r", code: "expired" });
  const join = await answerJoin(server, at(6), { missed: [event(5), event(6)] });
  assert.deepEqual([join.token, join.since], ["t2", at(4)]);
  server.send(events("r", 6, 7));
  assert.deepEqual(told, [4, 5, 6, 7]);
  assert.deepEqual(errors, []);
});

test("where there is no other token at once the application sees that the room is not joined", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server, errors } = await connected(t);
  const source = tokens();
  const states: string[] = [];
  const room = client.room("r", { token: source.token });
  void room.join();
  await answerJoin(server, at(3));
  room.onState(({ status }) => states.push(status));
  source.next = () => Promise.reject(new Error("no token today"));
  server.send({ type: "removed", room: "r", code: "expired" });
  await settle();
  assert.deepEqual([states, errors.map(({ message }) => message)], [["joining"], ["no token today"]]);
  source.next = () => "t3";
  t.mock.timers.tick(1000);
  await settle();
  assert.deepEqual((await answerJoin(server, at(4), { missed: [event(4)] })).since, at(3));
  assert.deepEqual(states, ["joining", "joined"]);
});

test("a token that ends while a join is under way: the join is made again, whatever became of it", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server } = await connected(t);
  const source = tokens();
  const heard: unknown[] = [];
  const room = client.room("r", { token: source.token });
  room.onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  server.send(events("r", 5, 6));
  const { id } = await server.take("join");
  server.send({ type: "removed", room: "r", code: "expired" });
  refuse(server, id, "not_joined", "left before the join was answered");
  t.mock.timers.tick(1000);
  await settle();
  assert.deepEqual((await answerJoin(server, at(6), { missed: [4, 5, 6].map((n) => event(n)) })).since, at(3));
  assert.deepEqual(heard, [4, 5, 6]);
});

test("with a fixed token the room fails when it has ended; join tries again", async (t) => {
  const { client, server } = await connected(t);
  const room = client.room("r", { token: "fixed" });
  void room.join();
  await answerJoin(server, at(3));
  server.send({ type: "removed", room: "r", code: "expired" });
  assert.equal(room.state.status === "failed" && room.state.code, "expired");
  const again = room.join();
  refuse(server, (await server.take("join")).id, "expired");
  await assert.rejects(again, { code: "expired" });
});

test("a function that gives a token that has ended is told so, and asked again later and later", async (t) => {
  t.mock.timers.enable(TIMERS);
  const { client, server, errors } = await connected(t, { random: () => 0.5 });
  const source = tokens();
  const room = client.room("r", { token: source.token });
  const joined = room.join();
  for (let count = 1; count < 5; count++) {
    refuse(server, (await server.take("join")).id, "expired", `ended ${count}`);
    t.mock.timers.tick(1249);
    await settle();
    assert.equal(source.asked, count);
    t.mock.timers.tick(200);
    await settle();
  }
  await answerJoin(server, at(1));
  await joined;
  assert.deepEqual(
    errors.map(({ message }) => message),
    [1, 2, 3, 4].map((n) => `ended ${n}`),
  );
});

test("a refusal that another token does not change fails the room, and join asks for a token again", async (t) => {
  const { client, server } = await connected(t);
  const source = tokens();
  const room = client.room("r", { token: source.token });
  const joined = room.join();
  refuse(server, (await server.take("join")).id, "forbidden");
  await assert.rejects(joined, { code: "forbidden" });
  void room.join();
  assert.equal((await answerJoin(server, at(1))).token, "t2");
  server.send({ type: "removed", room: "r", code: "forbidden" });
  assert.equal(room.state.status, "failed");
  assert.equal(source.asked, 2);
});

test("a room with a token function moves along, with a token of its own for the new connection", async (t) => {
  const source = tokens();
  const { client, old, transport, room } = await moving(t);
  const guarded = client.room("guarded", { token: source.token });
  void guarded.join();
  assert.equal((await answerJoin(old, at(1))).token, "t1");
  const fresh = await transport.next();
  await fresh.welcome({ node: "n_2" });
  const joins = [await answerJoin(fresh, at(3)), await answerJoin(fresh, at(1))];
  assert.deepEqual(
    joins.map(({ room: name, token }) => [name, token]),
    [
      ["r", undefined],
      ["guarded", "t2"],
    ],
  );
  assert.deepEqual([client.state.status === "connected" && client.state.node, room.state.status], ["n_2", "joined"]);
  // The old one's membership ends with its token, and it does not matter any more.
  old.send({ type: "removed", room: "guarded", code: "expired" });
  assert.equal(guarded.state.status, "joined");
  assert.equal(source.asked, 2);
});

test("a token of three seconds is renewed for a minute without a gap", async (t) => {
  t.mock.timers.enable(TIMERS);
  const source = tokens();
  const { transport, states, errors } = rig(t, { token: source.token });
  const server = await transport.next();
  await server.welcome({ expiresInMs: 3000 });
  for (let seconds = 2; seconds <= 60; seconds += 2) {
    t.mock.timers.tick(2000);
    server.send({ type: "renew", expiresInMs: 1000 });
    const { id, token } = await server.take("renew");
    assert.equal(token, `t${source.asked}`);
    server.send({ type: "renewed", id, expiresInMs: 3000, session: `s${seconds}` });
  }
  assert.deepEqual([source.asked, states.length, errors], [31, 1, []]);
});

test("a renewal that is refused is told, and tried again with another token until the end", async (t) => {
  t.mock.timers.enable(TIMERS);
  const source = tokens();
  const { transport, errors } = rig(t, { token: source.token });
  const server = await transport.next();
  await server.welcome();
  server.send({ type: "renew", expiresInMs: 20_000 });
  refuse(server, (await server.take("renew")).id, "unauthorized");
  for (let ms = 0; ms < 25_000; ms += 50) {
    t.mock.timers.tick(50);
    await settle();
    const renew = server.sent.at(-1);
    if (renew?.type === "renew" && errors.length < countOf(server, "renew")) refuse(server, renew.id, "unauthorized");
  }
  const asked = source.asked;
  assert.ok(asked > 8 && asked < 18, `asked ${asked} times`);
  assert.equal(errors.length, asked - 1);
  t.mock.timers.tick(60_000);
  await settle();
  assert.equal(source.asked, asked, "the end has come, and the server closes");
});

test("after its token's end a client with a function comes back with another, and resumes its rooms", async (t) => {
  t.mock.timers.enable(TIMERS);
  const source = tokens();
  const { client, transport, states } = rig(t, { token: source.token });
  const server = await transport.next();
  await server.welcome({ session: "s_1" });
  const room = client.room("r");
  const heard: unknown[] = [];
  room.onAny(({ data }) => heard.push(data));
  await answerJoin(server, at(3));
  server.cut(4203, "the token is past its end");
  assert.equal(room.state.status, "joining");
  t.mock.timers.tick(1000);
  const second = await transport.next();
  assert.equal((await second.welcome()).token, "t2");
  assert.deepEqual((await answerJoin(second, at(4), { missed: [event(4)] })).since, at(3));
  assert.deepEqual(heard, [4]);
  assert.deepEqual(
    states.map(({ status }) => status),
    ["connected", "waiting", "connecting", "connected"],
  );
});

test("a function that gives the same token after its end is asked later and later", async (t) => {
  t.mock.timers.enable(TIMERS);
  let asked = 0;
  const { client, transport, errors } = rig(t, {
    token: () => {
      asked++;
      return "old";
    },
    maxDelayMs: 4000,
  });
  const delays: number[] = [];
  for (let count = 0; count < 6; count++) {
    const server = await transport.next();
    server.accept();
    refuse(server, (await server.take("hello")).id, "expired");
    server.cut(4203, "token: it is past its end");
    if (client.state.status === "waiting") delays.push(client.state.delayMs);
    t.mock.timers.tick(delays.at(-1) ?? 0);
    await settle();
  }
  assert.deepEqual(delays, [1000, 2000, 3000, 4000, 4000, 4000]);
  assert.equal(asked, 7);
  assert.equal(errors.length, 6);
});

for (const [what, token, code] of [
  ["a fixed token that has ended", "fixed", 4203],
  ["no token", undefined, 4203],
  ["a function whose token is refused", () => "wrong", 4200],
  ["a function, disconnected by the application", () => "mine", 4201],
] as const) {
  test(`${what}: the client is closed for good`, async (t) => {
    const { client, server } = await connected(t, token === undefined ? {} : { token });
    server.cut(code, "for good");
    assert.deepEqual(client.state, { status: "closed", code, reason: "for good" });
  });
}

test("a token that has ended during a move is no end of the move", async (t) => {
  t.mock.timers.enable(TIMERS);
  const source = tokens();
  const { transport, client, told } = await moving(t, { token: source.token });
  t.mock.timers.tick(0);
  const second = await transport.next();
  second.cut(4203, "the token is past its end");
  t.mock.timers.tick(1000);
  await settle();
  const third = await transport.next();
  assert.equal((await third.welcome({ node: "n_3" })).token, "t3");
  await answerJoin(third, at(3));
  assert.equal(client.state.status === "connected" && client.state.node, "n_3");
  assert.deepEqual(told, []);
});
