import assert from "node:assert/strict";
import { test } from "node:test";
import { json } from "../../protocol/json.js";
import { msgpack } from "../../protocol/msgpack.js";
import type { Position } from "../../protocol/positions.js";
import { Refusal } from "../../server/server.js";
import { connect, startServer } from "../support/start-server.js";
import { clientCodecs } from "../support/ws-client.js";

for (const codec of clientCodecs) {
  test(`a publish is answered with its position, and reaches everyone in the room, the publisher too (${codec.name})`, async (t) => {
    const server = await startServer(t, { authenticate: ({ token }) => ({ user: token }) });
    const [ann, bob] = [
      await connect(t, server, { codec, hello: { token: "ann" } }),
      await connect(t, server, { codec, hello: { token: "bob" } }),
    ];
    for (const client of [ann, bob]) await client.ask("joined", { type: "join", room: "a" });
    const before = Date.now();
    const data = { text: "hi" };
    const { position } = await ann.ask("published", { type: "publish", room: "a", event: "message", data, key: "k" });
    for (const client of [ann, bob]) {
      const { previous, events } = await client.next("events");
      const [{ at, ...event } = { at: 0 }] = events;
      assert.equal(previous, 0);
      assert.deepEqual(event, { offset: 1, event: "message", data, from: "ann", key: "k" });
      assert.ok(at >= before && at <= Date.now());
    }
    assert.equal(position?.offset, 1);
  });

  test(`a publish without an id is not answered (${codec.name})`, async (t) => {
    const server = await startServer(t, { kinds: { "*": { batchMs: 0 } } });
    const client = await connect(t, server, { codec });
    client.send({ type: "publish", room: "a", event: "n", data: 1 });
    await client.ping();
    assert.deepEqual(client.frames, []);
    assert.equal((await client.ask("history", { type: "history", room: "a" })).events.length, 1);
  });
}

test("one key is one event: the answer to the second publish is the position of the first", async (t) => {
  const server = await startServer(t, { authenticate: ({ token }) => ({ user: token }) });
  const ann = await connect(t, server, { hello: { token: "ann" } });
  const bob = await connect(t, server, { hello: { token: "bob" } });
  const publish = { type: "publish", room: "a", event: "n", data: 1, key: "k" } as const;
  const first = await ann.ask("published", publish);
  assert.deepEqual((await ann.ask("published", { ...publish, data: 2 })).position, first.position);
  // Keys are the sender's own: another user's are others, in another connection of the same user they are the same.
  assert.equal((await bob.ask("published", publish)).position?.offset, 2);
  const again = await connect(t, server, { hello: { token: "ann" } });
  assert.deepEqual((await again.ask("published", publish)).position, first.position);
  const { events } = await bob.ask("history", { type: "history", room: "a" });
  assert.deepEqual(
    events.map(({ data, from }) => [data, from]),
    [
      [1, "ann"],
      [1, "bob"],
    ],
  );
});

test("text of every kind, and names at their limits, come out as they went in, from each codec to each", async (t) => {
  const server = await startServer(t, { kinds: { "*": { batchMs: 0 } } });
  const data = { text: 'é 漢字 🦊 \u0000 \u2028 "\\/ \ufffe', "ключ 🔑": [null, true, -1.5, 1e300, "", {}, []] };
  let times = 0;
  const [room, event, key] = ["r:".padEnd(128, "x"), "e".repeat(64), "ключ".repeat(32)];
  for (const from of clientCodecs) {
    const publisher = await connect(t, server, { codec: from });
    for (const to of clientCodecs) {
      const reader = await connect(t, server, { codec: to });
      await reader.ask("joined", { type: "join", room });
      await publisher.ask("published", {
        type: "publish",
        room,
        event,
        data,
        key: key.slice(0, 127) + times++,
      });
      const [got] = (await reader.next("events")).events;
      assert.deepEqual(got?.data, data, `${from.name} to ${to.name}`);
      assert.equal(got?.event, event);
      reader.end();
    }
  }
});

test("binary comes out as binary for MessagePack and as base64 for JSON: live, in a join and in a history", async (t) => {
  const server = await startServer(t);
  const bytes = Uint8Array.of(0, 1, 254, 255);
  const forms = [
    [json, "AAH+/w=="],
    [msgpack, Buffer.from(bytes)],
  ] as const;
  const publisher = await connect(t, server, { codec: msgpack });
  for (const [codec, form] of forms) {
    const reader = await connect(t, server, { codec });
    const { position } = await reader.ask("joined", { type: "join", room: "a" });
    const data = { deep: [bytes] };
    await publisher.ask("published", { type: "publish", room: "a", event: "b", data });
    const same = (got: unknown) => {
      const [value] = (got as { deep: [unknown] }).deep;
      assert.deepEqual(value instanceof Uint8Array ? Buffer.from(value) : value, form);
    };
    same((await reader.next("events")).events[0]?.data);
    same((await reader.ask("history", { type: "history", room: "a" })).events[0]?.data);
    same((await reader.ask("joined", { type: "join", room: "a", since: position as Position })).events[0]?.data);
  }
});

test("an event of the quiet room leaves at once and alone; those of a busy one leave together, in order", async (t) => {
  const server = await startServer(t, { kinds: { "*": { batchMs: 1000, history: { size: 1000 } } } });
  for (const codec of clientCodecs) {
    const client = await connect(t, server, { codec });
    const room = `r:${codec.name}`;
    await client.ask("joined", { type: "join", room });
    for (let n = 0; n < 200; n++) client.send({ type: "publish", room, event: "n", data: n });
    // The pong is there before the second's batch: what is here by then is the one frame that did not wait.
    await client.ping();
    assert.deepEqual(
      client.frames.map((frame) => frame.type === "events" && frame.events.length),
      [1],
    );
    await client.until("the batch", () => client.frames.filter(({ type }) => type === "events").length === 2);
    const frames = client.frames.filter((frame) => frame.type === "events");
    assert.deepEqual(
      frames.map(({ previous }) => previous),
      [0, 1],
    );
    const data = frames.flatMap(({ events }) => events.map((event) => event.data));
    assert.deepEqual(
      data,
      Array.from({ length: 200 }, (_, n) => n),
    );
  }
});

test("a join in the middle of a batch neither misses nor repeats what waits", async (t) => {
  const server = await startServer(t, { kinds: { "*": { batchMs: 1000 } } });
  const first = await connect(t, server);
  const { position } = await first.ask("joined", { type: "join", room: "a" });
  for (let n = 0; n < 5; n++) await server.publish("a", "n", n);
  const second = await connect(t, server);
  const joined = await second.ask("joined", { type: "join", room: "a", since: position as Position });
  assert.deepEqual(
    joined.events.map(({ data }) => data),
    [0, 1, 2, 3, 4],
  );
  await server.publish("a", "n", 5);
  const later = await second.next("events");
  assert.deepEqual([later.previous, later.events.map(({ data }) => data)], [5, [5]]);
  const all = () => first.frames.flatMap((frame) => (frame.type === "events" ? frame.events : []));
  await first.until("all six", () => all().length === 6);
  assert.deepEqual(
    all().map(({ data }) => data),
    [0, 1, 2, 3, 4, 5],
  );
});

test("a connection that nothing is sent to gets heartbeats, and so does a busy one (both codecs)", async (t) => {
  const server = await startServer(t, { heartbeatMs: 100 });
  for (const codec of clientCodecs) {
    const client = await connect(t, server, { codec });
    const before = await connect(t, server, { codec, hello: false });
    for (let count = 0; count < 3; count++) await client.next("heartbeat");
    assert.deepEqual(before.frames, [], "not before the welcome");
  }
});

test("the application's rules hold for each action, and say which", async (t) => {
  const asked: string[] = [];
  const server = await startServer(t, {
    onCall: () => 1,
    authenticate: () => ({ user: "ann", info: { role: "x" } }),
    authorize: (question) => {
      asked.push(
        `${question.action} ${question.room} ${question.user} ${JSON.stringify(question.info)} ${question.token}`,
      );
      return question.room === "open";
    },
  });
  const client = await connect(t, server);
  const { session } = client.welcome;
  for (const room of ["closed", "open"]) {
    const codes = [
      await client.request({ type: "join", room, token: "room token" }),
      await client.request({ type: "publish", room, event: "n", data: 1 }),
      await client.request({ type: "history", room }),
    ].map((answer) => (answer.type === "error" ? answer.code : answer.type));
    const expected = room === "open" ? ["joined", "published", "history"] : ["forbidden", "forbidden", "forbidden"];
    assert.deepEqual(codes, expected);
  }
  assert.equal((await client.refusal({ type: "call", method: "m", data: null })).code, "forbidden");
  assert.deepEqual(asked.slice(0, 3), [
    'join closed ann {"role":"x"} room token',
    'publish closed ann {"role":"x"} undefined',
    'history closed ann {"role":"x"} undefined',
  ]);
  assert.equal(
    asked.some((line) => line.includes(session)),
    false,
  );
});

test("anything but true from authorize refuses", async (t) => {
  for (const answer of [undefined, null, 0, 1, "true", {}, Promise.resolve(1)] as unknown[]) {
    const server = await startServer(t, { authorize: () => answer as boolean });
    const client = await connect(t, server);
    assert.equal((await client.refusal({ type: "join", room: "a" })).code, "forbidden");
  }
});

test("the application may look at an event, replace its data or refuse it, at once or later", async (t) => {
  const seen: unknown[] = [];
  const answers: { readonly [event: string]: unknown } = {
    pass: undefined,
    replace: { data: { text: "changed" } },
    clear: { data: null },
    refuse: false,
  };
  const server = await startServer(t, {
    onPublish: ({ event, data, room }) => {
      seen.push([room, event, data]);
      const [how = "", when] = event.split("-");
      const answer = answers[how] as never;
      return when === "later" ? new Promise((resolve) => setImmediate(resolve, answer)) : answer;
    },
  });
  const client = await connect(t, server);
  for (const when of ["now", "later"]) {
    for (const how of Object.keys(answers)) {
      const answer = await client.request({
        type: "publish",
        room: "a",
        event: `${how}-${when}`,
        data: { text: "as sent" },
      });
      assert.equal(answer.type === "error" ? answer.code : answer.type, how === "refuse" ? "forbidden" : "published");
    }
  }
  assert.equal(seen.length, 8);
  assert.deepEqual(seen[0], ["a", "pass-now", { text: "as sent" }]);
  const { events } = await client.ask("history", { type: "history", room: "a" });
  const data = [{ text: "as sent" }, { text: "changed" }, null];
  assert.deepEqual(
    events.map((event) => event.data),
    [...data, ...data],
  );
});

test("a session's publishes keep their order however long the application looks at each", async (t) => {
  let calls = 0;
  const server = await startServer(t, {
    onPublish: async () => {
      // The first ones take the longest.
      for (let turn = 20 - calls++; turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve));
    },
  });
  const client = await connect(t, server);
  for (let n = 0; n < 20; n++) client.send({ type: "publish", id: n, room: "a", event: "n", data: n });
  for (let n = 0; n < 20; n++) assert.equal((await client.next("published")).id, n);
  const { events } = await client.ask("history", { type: "history", room: "a" });
  assert.deepEqual(
    events.map(({ data }) => data),
    Array.from({ length: 20 }, (_, n) => n),
  );
});

test("a call is answered by the application, in each codec's form, or refused in its own words", async (t) => {
  const server = await startServer(t, {
    onCall: async ({ method, data }) => {
      if (method === "echo") return data;
      if (method === "nothing") return undefined;
      if (method === "bytes") return { bytes: Uint8Array.of(255) };
      if (method === "busy") throw new Refusal("rate_limited", "not so fast", 1500);
      if (method === "broken") throw new Error("secret words");
      throw new Refusal("unknown_method", `no ${method}`);
    },
  });
  for (const codec of clientCodecs) {
    const client = await connect(t, server, { codec });
    const call = (method: string, data: unknown = null) => client.request({ type: "call", method, data });
    const result = async (method: string, data?: unknown) => {
      const answer = await call(method, data);
      return answer.type === "result" ? answer.data : answer;
    };
    assert.deepEqual(await result("echo", { a: ["é", 1] }), { a: ["é", 1] });
    assert.equal(await result("nothing"), null);
    const { bytes } = (await result("bytes")) as { bytes: unknown };
    assert.deepEqual(typeof bytes === "string" ? bytes : [...(bytes as Uint8Array)], codec === json ? "/w==" : [255]);
    const error = async (method: string) => {
      const { type, ...rest } = (await call(method)) as { type: string; id?: number };
      return { ...rest, id: undefined };
    };
    const busy = { id: undefined, code: "rate_limited", message: "not so fast", retryMs: 1500 };
    assert.deepEqual(await error("busy"), busy);
    assert.deepEqual(await error("other"), { id: undefined, code: "unknown_method", message: "no other" });
    assert.equal(JSON.stringify(await error("broken")).includes("secret"), false);
  }
});

test("without the hook there is no method to call", async (t) => {
  const client = await connect(t, await startServer(t));
  assert.equal((await client.refusal({ type: "call", method: "m", data: 1 })).code, "unknown_method");
});

test("more requests than may be without an answer are refused, and those before them are answered", async (t) => {
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const server = await startServer(t, { maxRequests: 4, onCall: () => gate.then(() => 1) });
  const client = await connect(t, server);
  for (let id = 101; id <= 106; id++) client.send({ type: "call", id, method: "m", data: 1 });
  for (const id of [105, 106]) {
    const error = await client.next("error");
    assert.deepEqual([error.id, error.code, (error.retryMs ?? 0) > 0], [id, "too_many", true]);
  }
  open();
  for (const id of [101, 102, 103, 104]) assert.equal((await client.next("result")).id, id);
  await client.ping();
});
