/** What the application asks of a user's sessions, and what clients may make of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ServerFrame } from "../../protocol/frames.js";
import { Payload } from "../../protocol/payload.js";
import { Answers, askAll, type Reply } from "../../server/session/answers.js";
import { eventually } from "../support/eventually.js";
import { connect, type Server, startServer } from "../support/start-server.js";
import { clientCodecs, type WsClient } from "../support/ws-client.js";

const authenticate = ({ token }: { token?: string | undefined }) => (token === undefined ? {} : { user: token });
const ann = { hello: { token: "ann" } };
/** Longer than any test waits. */
const LONG = { timeoutMs: 30_000 };

/** What has come and was not asked for; heartbeats come when they come. */
const unread = (client: WsClient) => client.frames.filter(({ type }) => type !== "heartbeat");

for (const codec of clientCodecs) {
  test(`a session is asked and answers, with data, without, and with an error (${codec.name})`, async (t) => {
    const server = await startServer(t, { authenticate });
    const client = await connect(t, server, { ...ann, codec });
    const data = { text: 'Pay "12 €"?', deep: [[[1.5, null]]] };
    const asked = server.call("ann", "dialog/confirm", data, LONG);
    const call = await client.next("call");
    assert.deepEqual([call.method, call.data], ["dialog/confirm", data]);
    client.send({ type: "answer", id: call.id, data: { pressed: ["ok", 1] } });
    assert.deepEqual(await asked, { sessions: 1, answers: [{ data: { pressed: ["ok", 1] } }], nodes: 1, missing: [] });

    const second = server.call("ann", "m", null, LONG);
    const { id } = await client.next("call");
    assert.notEqual(id, call.id);
    client.send({ type: "answer", id });
    assert.deepEqual((await second).answers, [{ data: null }]);

    const third = server.call("ann", "m", [1], LONG);
    client.send({ type: "answer", id: (await client.next("call")).id, data: 1, code: "busy", message: "later" });
    assert.deepEqual((await third).answers, [{ error: { code: "busy", message: "later" } }]);
    assert.deepEqual(unread(client), []);
  });
}

test("binary in an answer reaches the application as base64", async (t) => {
  const server = await startServer(t, { authenticate });
  const [, msgpack] = clientCodecs;
  const client = await connect(t, server, { ...ann, codec: msgpack as (typeof clientCodecs)[0] });
  const asked = server.call("ann", "m", { bytes: new Uint8Array([1, 2]) }, LONG);
  const call = await client.next("call");
  assert.deepEqual(call.data, { bytes: "AQI=" });
  client.send({ type: "answer", id: call.id, data: [new Uint8Array([255])] });
  assert.deepEqual((await asked).answers, [{ data: ["/w=="] }]);
});

test("every session of the user is asked once, nobody else's, and nobody is no error", async (t) => {
  const server = await startServer(t, { authenticate });
  const [one, two] = [await connect(t, server, ann), await connect(t, server, ann)];
  const other = await connect(t, server, { hello: { token: "bob" } });
  const anonymous = await connect(t, server);
  const asked = server.call("ann", "m", 1, LONG);
  one.send({ type: "answer", id: (await one.next("call")).id, data: "one" });
  two.send({ type: "answer", id: (await two.next("call")).id, data: "two" });
  const { sessions, answers } = await asked;
  assert.equal(sessions, 2);
  assert.deepEqual(
    new Set(answers.map((answer) => ("data" in answer ? answer.data : answer))),
    new Set(["one", "two"]),
  );
  for (const client of [one, two, other, anonymous]) {
    await client.ping();
    assert.deepEqual(unread(client), []);
  }
  assert.deepEqual(await server.call("nobody", "m", 1), { sessions: 0, answers: [], nodes: 1, missing: [] });
});

test("who is silent is told as a timeout, and who ends as unavailable, without waiting for the rest of the time", async (t) => {
  const server = await startServer(t, { authenticate });
  const silent = await connect(t, server, ann);
  assert.deepEqual((await server.call("ann", "m", 1, { timeoutMs: 50 })).answers, [
    { error: { code: "timeout", message: "no answer within 50 ms" } },
  ]);
  const late = await silent.next("call");
  const asked = server.call("ann", "m", 1, LONG);
  await silent.next("call");
  // Of the question before: it does not answer this one.
  silent.send({ type: "answer", id: late.id, data: "late" });
  await silent.ping();
  silent.end();
  assert.deepEqual((await asked).answers, [{ error: { code: "unavailable", message: "the session has ended" } }]);
});

test("a session that was told to move is not asked on the connection it is to leave, and one that cannot answer is not at all", async () => {
  const replies: Reply[] = [];
  const frames: unknown[] = [];
  const session = {
    ...{ id: "s", state: "open", toldToMove: true, link: {}, answers: undefined as Answers | undefined },
    send: (frame: unknown) => frames.push(frame),
  };
  const stream = { ...session, toldToMove: false, link: { isOneWay: true } };
  for (const [, reply] of await askAll([session, stream], "m", 1, 30_000)) replies.push(reply);
  const codes = replies.map((reply) => "error" in reply && reply.error.code);
  assert.deepEqual([frames, codes], [[], ["unavailable", "unavailable"]]);
});

test("answers that nobody asked for, that come twice or are no answers disturb nothing", async (t) => {
  const server = await startServer(t, { authenticate });
  const client = await connect(t, server, ann);
  for (const id of [0, 1, -1, 2 ** 53 - 1, -(2 ** 53 - 1)]) client.send({ type: "answer", id, data: id });
  await client.ping();
  assert.deepEqual(unread(client), []);
  const asked = server.call("ann", "m", 1, LONG);
  const { id } = await client.next("call");
  for (const wrong of [
    `{"type":"answer","data":1}`,
    `{"type":"answer","id":"${id}","data":1}`,
    `{"type":"answer","id":${id},"code":7}`,
    `{"type":"answer","id":${id},"data":{"__proto__":1}}`,
    `{"type":"answer","id":${id},"data":"\\ud800"}`,
    `{"type":"answer","id":${id},"data":${"[".repeat(70)}${"]".repeat(70)}}`,
  ]) {
    client.socket.send(wrong);
    const error = await client.next("error");
    // The id is the node's own: as an answer to a request of the client's it would be taken for another.
    assert.deepEqual([error.code, error.id], ["bad_request", undefined], wrong.slice(0, 60));
  }
  client.send({ type: "answer", id, data: "right" });
  client.send({ type: "answer", id, data: "twice" });
  assert.deepEqual((await asked).answers, [{ data: "right" }]);
  await client.ping();
  assert.deepEqual(unread(client), []);
});

test("an answer that is too large, and the longest error, reach the application cut", async (t) => {
  const server = await startServer(t, { authenticate });
  const client = await connect(t, server, ann);
  const large = server.call("ann", "m", 1, LONG);
  client.send({ type: "answer", id: (await client.next("call")).id, data: "x".repeat(20_000) });
  const [answer] = (await large).answers;
  assert.equal(answer !== undefined && "error" in answer && answer.error.code, "too_large");
  const long = server.call("ann", "m", 1, LONG);
  const text = "😀".repeat(5000);
  client.send({ type: "answer", id: (await client.next("call")).id, code: text, message: text });
  const [error] = (await long).answers;
  assert.ok(error !== undefined && "error" in error);
  assert.deepEqual([error.error.code.length, error.error.message.length], [64, 200]);
});

test("a flood of answers is held to the session's rates, and the others are served", async (t) => {
  const server = await startServer(t, { authenticate, requestRate: 20 });
  const flooding = await connect(t, server, ann);
  const other = await connect(t, server, { hello: { token: "bob" } });
  for (let n = 0; n < 5000 && flooding.closed === undefined; n++) {
    flooding.send({ type: "answer", id: -1, data: n });
    if (n % 100 === 0) await other.ping().catch(() => undefined);
  }
  assert.equal((await flooding.close())?.code, 4029);
  const asked = server.call("bob", "m", 1, LONG);
  other.send({ type: "answer", id: (await other.next("call")).id, data: "here" });
  assert.deepEqual((await asked).answers, [{ data: "here" }]);
});

test("a client that waits for many answers of its own may still give one", async (t) => {
  const server = await startServer(t, { authenticate, maxRequests: 2, onCall: () => new Promise(() => undefined) });
  const client = await connect(t, server, ann);
  for (const id of [101, 102]) client.send({ type: "call", id, method: "never", data: 1 });
  const asked = server.call("ann", "m", 1, LONG);
  client.send({ type: "answer", id: (await client.next("call")).id, data: 1 });
  assert.deepEqual((await asked).answers, [{ data: 1 }]);
});

test("no more than 32 questions wait for one session", async (t) => {
  const server = await startServer(t, { authenticate });
  const client = await connect(t, server, ann);
  const calls = Array.from({ length: 33 }, (_, n) => server.call("ann", "m", n, LONG));
  const refused = await Promise.race(calls);
  assert.ok(refused.answers[0] !== undefined && "error" in refused.answers[0]);
  assert.equal(refused.answers[0].error.code, "too_many");
  await client.until("32 questions", () => client.frames.filter(({ type }) => type === "call").length === 32);
  for (const frame of unread(client)) client.send({ type: "answer", id: (frame as ServerFrame<"call">).id });
  await Promise.all(calls);
});

test("every question ends once, whatever comes in whatever order", () => {
  const step = fc.oneof(
    fc.constant({ do: "ask" as const }),
    fc.record({ do: fc.constantFrom("answer" as const, "forget" as const), id: fc.integer({ min: -40, max: 2 }) }),
    fc.constant({ do: "close" as const }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const answers = new Answers();
      const put: number[] = [];
      const ended = new Map<number, number>();
      const forgotten = new Set<number>();
      let asked = 0;
      for (const one of steps) {
        if (one.do === "ask") {
          const name = asked++;
          const send = (frame: object) => put.push((frame as { id: number }).id);
          answers.ask(send, "m", 1, () => ended.set(name, (ended.get(name) ?? 0) + 1));
        } else if (one.do === "answer") answers.take({ type: "answer", id: one.id, data: Payload.ofValue(1) });
        else if (one.do === "close") answers.close();
        else if (put.includes(one.id) && answers.forget(one.id)) forgotten.add(one.id);
        assert.ok(answers.size <= 32);
      }
      answers.close();
      assert.deepEqual(new Set(ended.values()), new Set(ended.size === 0 ? [] : [1]));
      assert.equal(ended.size, asked - forgotten.size);
      assert.equal(new Set(put).size, put.length);
    }),
  );
});

test("what cannot be asked is refused by its name", async (t) => {
  const server: Server = await startServer(t);
  const refused: [Promise<unknown>, RegExp][] = [
    [server.call("", "m", 1), /^ProtocolError: user: /],
    [server.call("ann", "a method", 1), /^ProtocolError: method: expected a name like an event's, got "a method"$/],
    [server.call("ann", "m", () => 1), /^ProtocolError: data: /],
    [
      server.call("ann", "m", "x".repeat(16_384)),
      /^ProtocolError: data: expected at most 16384 bytes of JSON, got 16386$/,
    ],
    [
      server.call("ann", "m", '"'.repeat(8000)),
      /^ProtocolError: data: expected at most 28000 bytes as a string of JSON, got 32006$/,
    ],
    [
      server.call("ann", "m", 1, { timeoutMs: 0 }),
      /^ProtocolError: timeoutMs: expected a whole number from 1 to 30000, got 0$/,
    ],
    [server.call("ann", "m", 1, { timeoutMs: 30_001 }), /^ProtocolError: timeoutMs: /],
    [server.call("ann", "m", 1, { tenant: "no tenant" }), /^ProtocolError: tenant: /],
  ];
  for (const [asked, words] of refused) await assert.rejects(asked, words);
});

test("sessions that end in a drain while they are asked are told, and the server ends", async (t) => {
  const server = await startServer(t, { authenticate });
  const client = await connect(t, server, ann);
  const asked = server.call("ann", "m", 1, LONG).catch((error: unknown) => error);
  await client.next("call");
  await server.close();
  await asked;
  await eventually(() => client.closed !== undefined);
});
