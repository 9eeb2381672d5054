/** What can happen to rooms and publishes in the middle of a move. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { answerCall, answerJoin, at, event, events, moving } from "./support.js";

test("a join under way on the old connection is awaited there, then the room is joined on the new one", async (t) => {
  const { client, old, transport } = await moving(t);
  const late = client.room("late");
  const joined = late.join();
  const asked = await old.take("join");
  const next = await transport.next();
  await next.welcome();
  await answerJoin(next, at(3));
  assert.equal(next.sent.filter(({ type }) => type === "join").length, 1);
  old.send({ type: "joined", id: asked.id, room: "late", position: at(9), recovered: false, events: [] });
  await joined;
  assert.equal(old.state, "open");
  assert.deepEqual((await answerJoin(next, at(9))).since, at(9));
  assert.equal(old.state, "closed");
});

test("a join under way on an old connection that is lost is made on the new one", async (t) => {
  const { client, old, transport } = await moving(t);
  const joined = client.room("late").join();
  await old.take("join");
  const next = await transport.next();
  await next.welcome();
  await answerJoin(next, at(3));
  old.cut();
  assert.equal((await answerJoin(next, at(1))).room, "late");
  await joined;
});

test("a room wanted in the middle is joined where it can be at once, and it is awaited", async (t) => {
  const { client, old, transport, told } = await moving(t);
  const next = await transport.next();
  next.accept();
  const early = client.room("early");
  void early.join();
  // The new node has not said welcome: nobody waits for it.
  assert.equal((await answerJoin(old, at(1))).room, "early");
  const { id } = await next.take("hello");
  const limits = { maxFrameBytes: 65_536, maxRooms: 9, maxRequests: 9 };
  next.send({ type: "welcome", id, session: "s", node: "n", resumed: true, heartbeatMs: 20_000, limits });
  const late = client.room("late");
  void late.join();
  for (const name of ["r", "early", "late"]) {
    assert.equal(old.state, "open");
    assert.equal((await answerJoin(next, at(3))).room, name);
  }
  assert.equal(old.state, "closed");
  assert.deepEqual([early.state.status, late.state.status, told], ["joined", "joined", []]);
});

test("a room left in the middle is left on both connections and is not waited for", async (t) => {
  const { room, old, transport } = await moving(t);
  const next = await transport.next();
  await next.welcome();
  await next.take("join");
  room.leave();
  for (const server of [old, next]) assert.equal((await server.take("leave")).room, "r");
  // Its own request is the last one that the old connection waits for.
  old.send({ type: "left", id: old.sent.at(-1)?.id ?? -1 });
  assert.equal(old.state, "closed");
});

test("a hole seen on the old connection is closed by the join on the new one, which is the only one", async (t) => {
  const { old, transport, heard } = await moving(t);
  const next = await transport.next();
  await next.welcome();
  old.send(events("r", 4, 5));
  await answerJoin(next, at(5), { missed: [event(4), event(5)] });
  assert.deepEqual([old.state, heard], ["closed", [4, 5]]);
  assert.equal(next.sent.filter(({ type }) => type === "join").length, 1);
});

test("a join that the new node refuses for the moment is tried again there, and the old one serves until then", async (t) => {
  const { old, transport, heard, told } = await moving(t);
  const next = await transport.next();
  await next.welcome();
  const { id } = await next.take("join");
  next.send({ type: "error", id, code: "rate_limited", message: "slowly", retryMs: 10 });
  old.send(events("r", 3, 4));
  assert.deepEqual((await answerJoin(next, at(5), { missed: [event(5)] })).since, at(4));
  assert.deepEqual([heard, told, old.state], [[4, 5], [], "closed"]);
});

test("a join that waits for the moment it was given goes on waiting when the old connection ends", async (t) => {
  const { client, old, transport } = await moving(t);
  const call = client.call("slow", 1);
  const next = await transport.next();
  await next.welcome();
  await answerJoin(next, at(3));
  void client.room("full").join();
  const { id } = await next.take("join");
  next.send({ type: "error", id, code: "rate_limited", message: "slowly", retryMs: 60_000 });
  await answerCall(old);
  await call;
  assert.equal(old.state, "closed");
  assert.equal(next.sent.filter(({ type }) => type === "join").length, 2);
});

test("a room that the new node refuses, or that either node removes, fails; the move goes on without it", async (t) => {
  for (const end of ["refused", "removed by the old", "removed by the new"]) {
    const { room, old, transport } = await moving(t);
    const next = await transport.next();
    await next.welcome();
    const { id } = await next.take("join");
    if (end === "refused") next.send({ type: "error", id, code: "forbidden", message: "not you" });
    else (end === "removed by the old" ? old : next).send({ type: "removed", room: "r", code: "forbidden" });
    assert.equal(room.state.status === "failed" && room.state.code, "forbidden", end);
    // A join without an answer is the new connection's own affair.
    assert.deepEqual([old.state, next.state], ["closed", "open"], end);
  }
});

test("a log that is lost in the middle is told, and both connections agree afterwards", async (t) => {
  const { old, transport, heard, told } = await moving(t);
  const next = await transport.next();
  await next.welcome();
  old.send({ type: "reset", room: "r", position: at(2, "f"), reason: "history_lost" });
  await answerJoin(next, at(4, "f"), { recovered: false });
  next.send(events("r", 4, 5));
  assert.deepEqual([heard, told.filter((each) => each === "reset").length > 0], [[5], true]);
});

test("with several publishes of a room on their way, none goes out on the new connection before all are answered", async (t) => {
  const { room, old, transport } = await moving(t, { inFlight: 2 });
  const all = [1, 2, 3].map((data) => room.publish("message", data));
  const next = await transport.next();
  await next.welcome();
  await answerJoin(next, at(3));
  const sent = old.sent.filter((frame) => frame.type === "publish");
  old.send({ type: "published", id: sent[0]?.id ?? -1, position: at(4) });
  assert.equal(
    next.sent.some(({ type }) => type === "publish"),
    false,
  );
  old.cut();
  for (const offset of [5, 6]) {
    const { id = -1, key, data } = await next.take("publish");
    if (offset === 5) assert.equal(key, sent[1]?.key);
    assert.equal(data, offset - 3);
    next.send({ type: "published", id, position: at(offset) });
  }
  assert.deepEqual(
    await Promise.all(all),
    [4, 5, 6].map((offset) => at(offset)),
  );
});
