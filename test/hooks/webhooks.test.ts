import assert from "node:assert/strict";
import test from "node:test";
import { msgpack } from "../../protocol/msgpack.js";
import { verifyHook } from "../../server/server.js";
import { type Answer, allows, HttpApplication, hookSecret, type Posted } from "../support/application.js";
import { eventually } from "../support/eventually.js";
import { connect, startServer } from "../support/start-server.js";

/** An application that answers these types so, and all else with yes. */
const answering =
  (answers: { readonly [type: string]: Answer | ((posted: Posted) => Answer) }) =>
  (posted: Posted): Answer => {
    const answer = answers[posted.body["type"] as string];
    if (typeof answer !== "function" || answer.length !== 1) return (answer as Answer | undefined) ?? allows(posted);
    return (answer as (posted: Posted) => Answer)(posted);
  };

const all = ["connect", "join", "publish", "call"] as const;

test("the application is asked over HTTP who a client is, and what it may; each post is signed", async (t) => {
  const application = await HttpApplication.start(
    t,
    answering({ connect: { user: "ada", info: { name: "Ada" }, tenant: "acme" }, call: { data: { sum: 3 } } }),
  );
  const server = await startServer(t, { ...application.asked(...all), kinds: {} });
  const client = await connect(t, server, { hello: { token: "a token" }, headers: { origin: server.url } });
  assert.equal(client.welcome.user, "ada");
  await client.ask("joined", { type: "join", room: "chat:1", token: "a room token" });
  await client.ask("published", { type: "publish", room: "chat:1", event: "said", data: { text: "hi" } });
  await client.ask("history", { type: "history", room: "chat:1" });
  const result = await client.ask("result", { type: "call", method: "add", data: [1, 2] });
  assert.deepEqual(result.data, { sum: 3 });

  const bodies = application.posts.map(({ body }) => ({ ...body, id: "", at: 0 }));
  const whose = { user: "ada", info: { name: "Ada" }, tenant: "acme" };
  const session = (bodies[1] as { session?: string }).session;
  const base = { id: "", at: 0, session, ...whose };
  assert.deepEqual(bodies, [
    { id: "", at: 0, type: "connect", token: "a token", origin: server.url, address: "127.0.0.1" },
    { ...base, type: "join", action: "join", room: "chat:1", token: "a room token" },
    { ...base, type: "publish", room: "chat:1", event: "said", data: { text: "hi" } },
    { ...base, type: "join", action: "history", room: "chat:1" },
    { ...base, type: "call", method: "add", data: [1, 2] },
  ]);
  assert.equal(typeof session, "string");
  for (const { headers, raw, body } of application.posts) {
    assert.ok(verifyHook(headers, raw, hookSecret));
    assert.equal(headers["webhook-id"], body["id"]);
    assert.ok(Math.abs(Number(body["at"]) - Date.now()) < 600_000);
  }
  assert.deepEqual(
    application.posts.map(({ path }) => path),
    ["/connect", "/join", "/publish", "/join", "/call"],
  );
});

test("a hello is refused by status or by answer, with the application's words", async (t) => {
  const refusals: [Answer, string, number, RegExp][] = [
    [401, "unauthorized", 4200, /does not let you in/],
    [403, "forbidden", 4200, /does not let you in/],
    [{ allow: false }, "unauthorized", 4200, /does not let you in/],
    [{ allow: false, code: "expired", reason: "log in again" }, "expired", 4203, /log in again/],
    [{ user: "ada", expiresAt: 1 }, "expired", 4203, /past its end/],
    [{ allow: false, code: "unavailable", reason: "not today" }, "unavailable", 4101, /not today/],
  ];
  const application = await HttpApplication.start(t, ({ body }) => refusals[Number(body["token"])]?.[0] ?? 500);
  const server = await startServer(t, application.asked("connect"));
  for (const [index, [, code, close, words]] of refusals.entries()) {
    const client = await connect(t, server, { hello: false });
    const error = await client.ask("error", { type: "hello", token: String(index) });
    assert.equal(error.code, code);
    assert.match(error.message, words);
    assert.equal((await client.close()).code, close);
  }
});

test("a wrong answer is the application's fault: told in the log with its field, internal to the client", async (t) => {
  const wrong: [Answer, RegExp][] = [
    [{ user: 7 }, /hook connect: user: expected/],
    [{ user: "ada", tenant: "a b" }, /hook connect: tenant: expected/],
    [{ user: "ada", expiresAt: "soon" }, /hook connect: expiresAt: expected/],
    [{ user: "ada", rooms: { "chat:*": ["fly"] } }, /hook connect: rooms/],
    [{ allow: "no" }, /hook connect: allow: expected true or false, got .*no/],
    [{ allow: false, code: "nope" }, /hook connect: code: expected one of/],
    [{ user: "ada", cacheMs: -1 }, /hook connect: cacheMs: expected milliseconds/],
    [[], /hook connect: the answer: expected a JSON object/],
    [404, /hook connect: expected status 200, 401 or 403, got 404/],
  ];
  const logged: string[] = [];
  const write = (_: string, fields?: object) => void logged.push(JSON.stringify(fields ?? {}));
  const application = await HttpApplication.start(t, ({ body }) => wrong[Number(body["token"])]?.[0] ?? 500);
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: write };
  const server = await startServer(t, { ...application.asked("connect"), hookFailures: 1, log });
  for (const [index, [, words]] of wrong.entries()) {
    const client = await connect(t, server, { hello: false });
    const error = await client.ask("error", { type: "hello", token: String(index) });
    assert.equal(error.code, "internal");
    assert.doesNotMatch(error.message, /hook/);
    assert.match(logged.at(-1) ?? "", words);
  }
});

test("an answer that nests without end, or has names that mean something to JavaScript, ends nothing", async (t) => {
  const deep = `${"[".repeat(30_000)}${"]".repeat(30_000)}`;
  const raw: { readonly [token: string]: string } = {
    deep: `{"user":"ada","info":${deep}}`,
    rooms: `{"user":"ada","rooms":${deep}}`,
    proto: '{"__proto__":{"user":"eve"},"constructor":{"user":"eve"},"user":"ada","info":{"__proto__":{"a":1}}}',
    inherited: '{"__proto__":{"allow":false,"user":"eve"}}',
  };
  const application = await HttpApplication.start(t, ({ body }) => {
    if (body["type"] === "call") return (response) => response.end(`{"data":${deep}}`);
    return (response) => response.end(raw[String(body["token"])]);
  });
  for (const hookCacheSize of [0, 100]) {
    const server = await startServer(t, { ...application.asked("connect", "call"), hookCacheSize });
    for (const token of ["deep", "rooms"]) {
      const client = await connect(t, server, { hello: false });
      const answer = await client.request({ type: "hello", token });
      if (answer.type === "error") assert.equal(answer.code, "internal");
    }
    const proto = await connect(t, server, { hello: { token: "proto" } });
    assert.equal(proto.welcome.user, "ada");
    assert.equal((await connect(t, server, { hello: { token: "inherited" } })).welcome.user, undefined);
    assert.equal((await proto.refusal({ type: "call", method: "m", data: 1 })).code, "internal");
    await proto.ping();
  }
});

test("rules and tokens hold as ever: the join hook is asked about what they leave open", async (t) => {
  const may = (allow: boolean) => ({ allow });
  const application = await HttpApplication.start(
    t,
    answering({
      connect: { user: "ada", rooms: { "granted:*": ["join"] } },
      join: (posted: Posted) => may(posted.body["room"] === "chat:1"),
    }),
  );
  const server = await startServer(t, {
    ...application.asked("connect", "join"),
    kinds: { free: { allow: { user: ["join"] } } },
  });
  const client = await connect(t, server);
  for (const room of ["free:1", "granted:1", "chat:1"]) await client.ask("joined", { type: "join", room });
  assert.equal((await client.refusal({ type: "join", room: "chat:2" })).code, "forbidden");
  assert.deepEqual(
    application.of("join").map(({ body }) => body["room"]),
    ["chat:1", "chat:2"],
  );
  // Nobody is there to ask about publishing.
  assert.equal((await client.refusal({ type: "publish", room: "chat:1", event: "e", data: 1 })).code, "forbidden");
});

test("a hook with kinds is asked about their rooms, and is not there for others", async (t) => {
  const application = await HttpApplication.start(t, answering({}));
  const options = application.asked("connect", "join", "publish");
  const hooks = Object.fromEntries(
    Object.entries(options.hooks ?? {}).map(([name, hook]) => [
      name,
      name === "connect" ? hook : { ...hook, kinds: ["chat"] },
    ]),
  );
  const server = await startServer(t, { ...options, hooks, kinds: { free: { allow: { user: ["join", "publish"] } } } });
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "chat:1" });
  await client.ask("published", { type: "publish", room: "chat:1", event: "e", data: 1 });
  assert.equal((await client.refusal({ type: "join", room: "other:1" })).code, "forbidden");
  assert.equal((await client.refusal({ type: "publish", room: "other:1", event: "e", data: 1 })).code, "forbidden");
  await client.ask("joined", { type: "join", room: "free:1" });
  await client.ask("published", { type: "publish", room: "free:1", event: "e", data: 1 });
  assert.deepEqual(
    application.posts.map(({ body }) => body["room"]),
    [undefined, "chat:1", "chat:1"],
  );
});

test("the publish hook lets events pass, changes them, or refuses them", async (t) => {
  const application = await HttpApplication.start(
    t,
    answering({
      publish: ({ body }: Posted) => {
        if (body["event"] === "change") return { allow: true, data: { was: body["data"] } };
        if (body["event"] === "null") return { allow: true, data: null };
        if (body["event"] === "refuse") return { allow: false, reason: "mind your words" };
        return body["event"] === "odd" ? {} : { allow: true };
      },
    }),
  );
  const server = await startServer(t, { ...application.asked("connect", "join", "publish"), kinds: {} });
  const client = await connect(t, server, { codec: msgpack });
  await client.ask("joined", { type: "join", room: "chat:1" });
  const publish = (event: string, data: unknown) => client.request({ type: "publish", room: "chat:1", event, data });
  for (const event of ["change", "null", "pass"]) await publish(event, { bytes: new Uint8Array([1, 2, 3]) });
  const refused = await publish("refuse", 1);
  assert.deepEqual([refused.type, "message" in refused && refused.message], ["error", "mind your words"]);
  const odd = await publish("odd", 1);
  assert.equal("code" in odd && odd.code, "internal");
  const events = [];
  for (let count = 0; count < 3; ) {
    const frame = await client.next("events");
    events.push(...frame.events.map(({ data }) => data));
    count += frame.events.length;
  }
  // The application sees base64; what it lets pass is what was published.
  assert.deepEqual(events[0], { was: { bytes: "AQID" } });
  assert.equal(events[1], null);
  assert.deepEqual(Buffer.from((events[2] as { bytes: Uint8Array }).bytes), Buffer.from([1, 2, 3]));
});

test("a call is answered with data, or with an error of the application's", async (t) => {
  const answers: { readonly [method: string]: Answer } = {
    nothing: { data: null },
    full: { error: { code: "too_many", message: "no seat left", retryMs: 500 } },
    hidden: 403,
    missing: {},
    odd: { error: { code: "seats" } },
  };
  const application = await HttpApplication.start(
    t,
    answering({ call: ({ body }: Posted) => answers[body["method"] as string] ?? { data: body["data"] } }),
  );
  const server = await startServer(t, application.asked("connect", "call"));
  const client = await connect(t, server);
  const call = async (method: string) => {
    const frame = await client.request({ type: "call", method, data: { a: 1 } });
    return frame.type === "result" ? frame.data : frame.type === "error" ? [frame.code, frame.message] : frame;
  };
  assert.deepEqual(await call("echo"), { a: 1 });
  assert.equal(await call("nothing"), null);
  assert.deepEqual(await call("full"), ["too_many", "no seat left"]);
  assert.deepEqual(await call("hidden"), ["forbidden", "you may not call it"]);
  for (const method of ["missing", "odd"]) assert.equal(((await call(method)) as string[])[0], "internal");
});

test("a renewal is asked of the hook renew, or of connect with the type renew, and says whose it is", async (t) => {
  for (const names of [["connect", "renew"] as const, ["connect"] as const]) {
    const application = await HttpApplication.start(t, ({ body }) =>
      body["token"] === "other" ? { user: "eve" } : { user: "ada", tenant: "acme" },
    );
    const server = await startServer(t, application.asked(...names));
    const client = await connect(t, server, { hello: { token: "one" } });
    await client.ask("renewed", { type: "renew", token: "two" });
    const { path, body } = application.posts.at(-1) as Posted;
    assert.equal(path, names.length === 2 ? "/renew" : "/connect");
    const { type, token, user, tenant, session } = body;
    assert.deepEqual({ type, token, user, tenant }, { type: "renew", token: "two", user: "ada", tenant: "acme" });
    assert.equal(typeof session, "string");
    assert.equal((await client.refusal({ type: "renew", token: "other" })).code, "forbidden");
  }
});

test("what the application in the process answers is not asked over HTTP, and that is said", async (t) => {
  const application = await HttpApplication.start(t, answering({}));
  const told: object[] = [];
  const silent = () => undefined;
  const server = await startServer(t, {
    ...application.asked(...all),
    kinds: {},
    authenticate: () => ({ user: "grace" }),
    onCall: () => "here",
    log: { debug: silent, info: silent, error: silent, warn: (_, fields) => void told.push(fields ?? {}) },
  });
  assert.deepEqual(told, [
    { hook: "connect", in: "authenticate" },
    { hook: "call", in: "onCall" },
  ]);
  const client = await connect(t, server);
  assert.equal(client.welcome.user, "grace");
  assert.equal((await client.ask("result", { type: "call", method: "m", data: 1 })).data, "here");
  await client.ask("joined", { type: "join", room: "chat:1" });
  assert.deepEqual(
    application.posts.map(({ path }) => path),
    ["/join"],
  );
});

test("at the start it is said which hooks there are, and which cannot be posted to, without what may be secret", async (t) => {
  const lines: string[] = [];
  const write = (text: string, fields?: object) => void lines.push(JSON.stringify([text, fields]));
  const log = { debug: write, info: write, warn: write, error: write };
  const url = (host: string) => `https://${host}/secret-path?key=secret-key`;
  const hooks = {
    connect: { url: url("app.example.com") },
    join: { url: url("0x7f.1:8443"), whenDown: "cache" as const },
  };
  await startServer(t, { hooks, hookSecrets: [hookSecret], log });
  const said = lines.filter((line) => line.includes("hook"));
  assert.deepEqual(
    said.map((line) => JSON.parse(line)),
    [
      [
        "a hook cannot be posted to",
        { hook: "join", problem: "127.0.0.1: expected a public address, or one in hookNetworks" },
      ],
      ["a hook", { hook: "connect", host: "app.example.com", whenDown: "refuse" }],
      ["a hook", { hook: "join", host: "127.0.0.1:8443", whenDown: "cache" }],
    ],
  );
  for (const line of lines) assert.doesNotMatch(line, /secret/);
});

test("a hook for publishing alone closes nothing: who may do everything otherwise still may", async (t) => {
  const application = await HttpApplication.start(t, answering({ publish: { allow: false } }));
  const server = await startServer(t, application.asked("publish"));
  const client = await connect(t, server);
  await client.ask("joined", { type: "join", room: "chat:1" });
  assert.equal((await client.refusal({ type: "publish", room: "chat:1", event: "e", data: 1 })).code, "forbidden");
});

test("decisions are remembered for as long as the application says, where that is on", async (t) => {
  const application = await HttpApplication.start(
    t,
    answering({ connect: { user: "ada", cacheMs: 60_000 }, join: { allow: true, cacheMs: 60_000 } }),
  );
  for (const [hookCacheSize, times] of [
    [0, 2],
    [100, 1],
  ] as const) {
    application.posts.length = 0;
    const server = await startServer(t, { ...application.asked("connect", "join"), kinds: {}, hookCacheSize });
    for (let count = 0; count < 2; count++) {
      const client = await connect(t, server, { hello: { token: "same" } });
      await client.ask("joined", { type: "join", room: "chat:1" });
    }
    assert.deepEqual([application.of("connect").length, application.of("join").length], [times, times]);
  }
});

test("an application that is down: clients are told so with a time, or get its last answer where the rule is cache", async (t) => {
  const application = await HttpApplication.start(
    t,
    answering({ connect: { user: "ada", cacheMs: 1 }, join: { allow: true, cacheMs: 1 } }),
  );
  for (const whenDown of ["refuse", "cache"] as const) {
    const asked = application.asked("connect", "join");
    const hooks = Object.fromEntries(
      Object.entries(asked.hooks ?? {}).map(([name, hook]) => [name, { ...hook, whenDown }]),
    );
    const server = await startServer(t, { ...asked, hooks, kinds: {} });
    const first = await connect(t, server, { hello: { token: "same" } });
    await first.ask("joined", { type: "join", room: "chat:1" });
    await application.stop();
    const second = await connect(t, server, { hello: false });
    if (whenDown === "refuse") {
      const error = await second.ask("error", { type: "hello", token: "same" });
      assert.equal(error.code, "unavailable");
      assert.ok((error.retryMs ?? 0) > 0);
      const { code, reason } = await second.close();
      assert.equal(code, 4101);
      assert.ok(JSON.parse(reason).retryMs > 0);
    } else {
      assert.equal((await second.hello({ token: "same" })).user, "ada");
      await second.ask("joined", { type: "join", room: "chat:1" });
      assert.equal((await second.refusal({ type: "join", room: "chat:2" })).code, "unavailable");
    }
    await application.start();
  }
});

test("metrics say what became of posts, and how the circuit is", async (t) => {
  const application = await HttpApplication.start(t, answering({ connect: { user: "ada" }, join: 500 }));
  const options = { ...application.asked("connect", "join"), kinds: {}, hookFailures: 2, metricsPort: 0 };
  const server = await startServer(t, options);
  const client = await connect(t, server);
  for (let count = 0; count < 4; count++) await client.refusal({ type: "join", room: "chat:1" });
  const scrape = async () => (await fetch(server.metricsUrl as string)).text();
  const text = await scrape();
  const has = (line: string) => assert.ok(text.includes(`\n${line}\n`), `${line} is not in ${text}`);
  has('roomcast_hook_calls_total{hook="connect",result="answered"} 1');
  has('roomcast_hook_calls_total{hook="join",result="failed"} 2');
  has('roomcast_hook_calls_total{hook="join",result="refused"} 2');
  has('roomcast_hook_circuit{hook="connect",state="closed"} 1');
  has('roomcast_hook_circuit{hook="join",state="open"} 1');
  assert.match(text, /roomcast_hook_seconds_total\{hook="join"\} 0\.\d/);
});

test("a server that closes does not wait for an application that never answers", async (t) => {
  const application = await HttpApplication.start(t, () => () => undefined);
  const server = await startServer(t, { ...application.asked("connect"), deadlineMs: 200, hookTimeoutMs: 60_000 });
  const client = await connect(t, server, { hello: false });
  client.send({ type: "hello", id: 1, token: "t" });
  await eventually(() => application.posts.length === 1);
  await server.close();
});
