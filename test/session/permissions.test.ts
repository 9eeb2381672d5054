import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { SignJWT } from "jose";
import type { RoomAction } from "../../server/access/actions.js";
import type { AuthorizeQuestion } from "../../server/server.js";
import { connect, type ServerOptions, startServer } from "../support/start-server.js";
import { clientCodecs, type WsClient } from "../support/ws-client.js";

const SECRET = "the secret of these tests, 32 characters and more";
const key = new TextEncoder().encode(SECRET);
const seconds = (fromNowMs: number): number => (Date.now() + fromNowMs) / 1000;

type Claims = { readonly [name: string]: unknown };

const sign = (claims: Claims): Promise<string> =>
  new SignJWT({ exp: seconds(3_600_000), ...claims }).setProtectedHeader({ alg: "HS256" }).sign(key);

/** A server that asks for tokens; the rules are only those that a test gives. */
const start = (t: TestContext, options: ServerOptions = {}) =>
  startServer(t, { secret: SECRET, kinds: {}, ...options });

type Server = Awaited<ReturnType<typeof start>>;
const enter = async (t: TestContext, server: Server, claims: Claims): Promise<WsClient> =>
  connect(t, server, { hello: { token: await sign(claims) } });

const frameOf = (action: RoomAction, room: string) =>
  action === "publish" ? ({ type: action, room, event: "said", data: 1 } as const) : ({ type: action, room } as const);

/** What the server says to it: `yes`, or the code of the error. `members` is answered with `unavailable` where it is allowed. */
async function ask(client: WsClient, action: RoomAction, room: string): Promise<string> {
  const answer = await client.request(frameOf(action, room));
  if (answer.type === "error" && !(action === "members" && answer.code === "unavailable")) return answer.code;
  if (answer.type === "joined") await client.ask("left", { type: "leave", room });
  return "yes";
}

/** What has come and was not taken. */
const left = (client: WsClient) => client.frames.filter(({ type }) => type !== "heartbeat");

const actions = ["join", "publish", "history", "members"] as const;

/** Which of the actions it may do in the room. */
async function allowed(client: WsClient, room: string): Promise<string> {
  const words: string[] = [];
  for (const action of actions) {
    const answer = await ask(client, action, room);
    assert.match(answer, /^(yes|forbidden)$/);
    if (answer === "yes") words.push(action);
  }
  return words.join(" ");
}

test("without a secret, keys or hooks everyone may everything", async (t) => {
  const client = await connect(t, await startServer(t));
  assert.equal(await allowed(client, "chat:1"), "join publish history members");
});

test("without a secret the rules hold all the same", async (t) => {
  const kinds = { chat: { allow: { anonymous: ["join" as const] } } };
  const client = await connect(t, await startServer(t, { kinds }));
  assert.equal(await allowed(client, "chat:1"), "join");
  assert.equal(await allowed(client, "other:1"), "join publish history members");
});

test("with a secret and nothing else said, nobody is let in without a token, and a token alone allows nothing", async (t) => {
  const server = await start(t);
  const stranger = await connect(t, server, { hello: false });
  assert.equal((await stranger.refusal({ type: "hello" })).code, "unauthorized");
  assert.equal((await stranger.close()).code, 4200);
  const ann = await enter(t, server, { sub: "ann" });
  assert.equal(await allowed(ann, "chat:1"), "");
});

test("an application that says who somebody is has not said that they may anything", async (t) => {
  const authenticate = ({ token }: { token?: string | undefined }) => ({
    user: "ann",
    ...(token === "some" ? { rooms: { "chat:*": "join publish", "user:{sub}": ["history"] } } : {}),
  });
  const server = await startServer(t, { kinds: {}, authenticate });
  const [none, some] = await Promise.all(["none", "some"].map((token) => connect(t, server, { hello: { token } })));
  assert.ok(none && some);
  assert.equal(await allowed(none, "chat:1"), "");
  assert.equal(await allowed(some, "chat:1"), "join publish");
  assert.equal(await allowed(some, "user:ann"), "history");
  assert.equal(await allowed(some, "user:bob"), "");
});

test("rules say what anyone may, what users may, and the most that tokens may grant", async (t) => {
  const server = await start(t, {
    kinds: {
      "*": { allow: { anonymous: ["history"] } },
      news: { allow: { anonymous: ["join", "history"], user: ["members"], token: ["publish"] } },
      closed: { allow: { anonymous: [], token: [] } },
    },
  });
  const everything = { rooms: { "*": "join publish history members" } };
  const clients = {
    anonymous: await connect(t, server),
    user: await enter(t, server, { sub: "ann" }),
    bearer: await enter(t, server, everything),
    both: await enter(t, server, { sub: "ann", ...everything }),
  };
  const expected: { readonly [room: string]: { readonly [who in keyof typeof clients]: string } } = {
    "news:1": {
      anonymous: "join history",
      user: "join history members",
      bearer: "join publish history",
      both: "join publish history members",
    },
    "closed:1": { anonymous: "", user: "", bearer: "", both: "" },
    "other:1": {
      anonymous: "history",
      user: "history",
      bearer: "join publish history members",
      both: "join publish history members",
    },
  };
  for (const [room, by] of Object.entries(expected)) {
    for (const [who, client] of Object.entries(clients)) {
      assert.equal(await allowed(client, room), by[who as keyof typeof clients], `${who} in ${room}`);
    }
  }
});

test("a bad token is refused, also where who has none is let in", async (t) => {
  const server = await start(t, { kinds: { news: { allow: { anonymous: ["join"] } } } });
  await connect(t, server);
  for (const token of ["", "garbage", await sign({ exp: 1 }), `${await sign({ sub: "ann" })}x`]) {
    const client = await connect(t, server, { hello: false });
    assert.match((await client.refusal({ type: "hello", token })).code, /^(unauthorized|expired)$/);
  }
});

test("a token allows in its rooms what it names, and in no others", async (t) => {
  const server = await start(t);
  const rooms = { "chat:*": ["join", "publish"], "chat:1": "history", "user:{sub}:*": "join", "a:*:b": "publish" };
  const client = await enter(t, server, { sub: "ann", rooms });
  const expected = {
    "chat:1": "join publish history",
    "chat:2": "join publish",
    "chat:2:3": "join publish",
    chat: "",
    chats: "",
    "user:ann:x": "join",
    "user:anna:x": "",
    "user:bob:x": "",
    "a:x:b": "publish",
    "a:x:c": "",
    "a:x:y:b": "",
  };
  for (const [room, words] of Object.entries(expected)) assert.equal(await allowed(client, room), words, room);
});

test("a user whose name cannot stand in a room's is refused where the token asks for that", async (t) => {
  const server = await start(t);
  for (const sub of ["ann:admin", "*", "a b", undefined]) {
    const client = await connect(t, server, { hello: false });
    const token = await sign({ ...(sub === undefined ? {} : { sub }), rooms: { "user:{sub}:*": "join" } });
    assert.equal((await client.refusal({ type: "hello", token })).code, "unauthorized");
    await enter(t, server, { ...(sub === undefined ? {} : { sub }), rooms: { "user:*": "join" } });
  }
});

test("names that are no clients' rooms' are refused, whatever the token allows", async (t) => {
  const client = await enter(t, await start(t), { sub: "ann", rooms: { "*": "join publish history members" } });
  for (const room of ["$nodes", "acme|chat:1", "|chat:1", "", "a b"]) {
    for (const action of actions) assert.equal(await ask(client, action, room), "bad_request", `${action} ${room}`);
  }
});

for (const codec of clientCodecs) {
  test(`${codec.subprotocol}: a refusal names the action and the room, and nothing of the token`, async (t) => {
    const token = await sign({ sub: "ann" });
    const client = await connect(t, await start(t), { codec, hello: { token } });
    for (const action of actions) {
      const { code, message } = await client.refusal(frameOf(action, "chat:1"));
      assert.equal(code, "forbidden");
      assert.equal(message, `room: you may not ${action} in "chat:1"`);
    }
    await client.ping();
  });
}

test("publishing and reading the past need no join, and joining allows neither", async (t) => {
  const server = await start(t);
  const reader = await enter(t, server, { sub: "ann", rooms: { "chat:1": "history" } });
  const writer = await enter(t, server, { sub: "bob", rooms: { "chat:1": "publish" } });
  const member = await enter(t, server, { sub: "cy", rooms: { "chat:1": "join" } });
  await member.ask("joined", { type: "join", room: "chat:1" });
  await writer.ask("published", { type: "publish", room: "chat:1", event: "said", data: 1 });
  assert.equal((await member.next("events")).events.length, 1);
  assert.equal((await reader.ask("history", { type: "history", room: "chat:1" })).events.length, 1);
  for (const [client, words] of [
    [reader, "history"],
    [writer, "publish"],
  ] as const) {
    assert.equal(await allowed(client, "chat:1"), words);
  }
  for (const action of ["publish", "history", "members"] as const) {
    assert.equal(await ask(member, action, "chat:1"), "forbidden");
  }
});

test("a publish that nobody wants an answer to is refused like any other", async (t) => {
  const server = await start(t);
  const member = await enter(t, server, { sub: "ann", rooms: { "chat:1": "join" } });
  await member.ask("joined", { type: "join", room: "chat:1" });
  member.send({ type: "publish", room: "chat:1", event: "said", data: 1 });
  assert.equal((await member.next("error")).code, "forbidden");
  await member.ping();
  assert.deepEqual(left(member), []);
});

test("the application is asked only what neither the rules nor the token allow, and what it does not allow is refused", async (t) => {
  const questions: AuthorizeQuestion[] = [];
  const server = await start(t, {
    kinds: { news: { allow: { user: ["join"] } } },
    authorize: (question) => {
      questions.push(question);
      return question.room === "secret:1" && question.action === "join";
    },
  });
  const client = await enter(t, server, { sub: "ann", info: { n: 1 }, rooms: { "chat:*": "publish" } });
  assert.equal(await ask(client, "publish", "chat:1"), "yes");
  assert.equal(await ask(client, "join", "news:1"), "yes");
  assert.deepEqual(questions, [], "it was not asked what was clear");
  assert.equal(await ask(client, "join", "secret:1"), "yes");
  assert.equal(await ask(client, "publish", "secret:1"), "forbidden");
  assert.equal(await ask(client, "join", "chat:1"), "forbidden");
  assert.deepEqual(
    questions.map(({ action, room, user, info }) => [action, room, user, info]),
    [
      ["join", "secret:1", "ann", { n: 1 }],
      ["publish", "secret:1", "ann", { n: 1 }],
      ["join", "chat:1", "ann", { n: 1 }],
    ],
  );
});

test("only true is a yes of the application's", async (t) => {
  let answer: unknown;
  const server = await start(t, { authorize: () => answer as boolean });
  const client = await enter(t, server, { sub: "ann" });
  for (answer of ["true", 1, {}, undefined, null, false, Promise.resolve("yes")]) {
    for (const action of actions) assert.equal(await ask(client, action, "chat:1"), "forbidden");
  }
  answer = Promise.resolve(true);
  assert.equal(await allowed(client, "chat:1"), "join publish history members");
});

test("an application without tokens is asked everything: that is denial by default, too", async (t) => {
  const asked: string[] = [];
  const server = await startServer(t, {
    kinds: {},
    authorize: ({ action, room }) => {
      asked.push(`${action} ${room}`);
      return action === "history";
    },
  });
  assert.equal(await allowed(await connect(t, server), "chat:1"), "history");
  assert.deepEqual(asked, ["join chat:1", "publish chat:1", "history chat:1", "members chat:1"]);
});

const roomToken = (claims: Claims = {}) => sign({ room: "chat:1", ...claims });

test("a room token lets into its room, to do what it says", async (t) => {
  const server = await start(t);
  const ann = await enter(t, server, { sub: "ann" });
  await ann.ask("joined", { type: "join", room: "chat:1", token: await roomToken() });
  assert.equal((await ann.request(frameOf("history", "chat:1"))).type, "history");
  assert.equal(await ask(ann, "members", "chat:1"), "yes");
  assert.equal(await ask(ann, "publish", "chat:1"), "forbidden", "by default it is for reading");
  const bob = await enter(t, server, { sub: "bob" });
  await bob.ask("joined", { type: "join", room: "chat:1", token: await roomToken({ may: ["join", "publish"] }) });
  assert.equal(await ask(bob, "publish", "chat:1"), "yes");
  assert.equal(await ask(bob, "history", "chat:1"), "forbidden");
  await ann.next("events");
  for (const client of [ann, bob]) assert.equal(await ask(client, "join", "chat:2"), "forbidden");
});

test("what a room token granted ends when its room is left", async (t) => {
  const client = await enter(t, await start(t), { sub: "ann" });
  const token = await roomToken({ may: "join publish history" });
  await client.ask("joined", { type: "join", room: "chat:1", token });
  await client.ask("left", { type: "leave", room: "chat:1" });
  assert.equal(await allowed(client, "chat:1"), "");
});

test("a room token is good for its room, user and tenant alone", async (t) => {
  const server = await start(t);
  const ann = await enter(t, server, { sub: "ann" });
  const elsewhere = await enter(t, server, { sub: "ann", tenant: "acme" });
  const cases: readonly (readonly [WsClient, Claims, string])[] = [
    [ann, { room: "chat:2" }, "another room"],
    [ann, { room: "chat:1:2" }, "a longer name"],
    [ann, { sub: "bob" }, "another user"],
    [ann, { tenant: "acme" }, "another tenant"],
    [ann, { may: "publish" }, "no join"],
    [elsewhere, {}, "no tenant"],
  ];
  for (const [client, claims, what] of cases) {
    const answer = await client.refusal({ type: "join", room: "chat:1", token: await roomToken(claims) });
    assert.equal(answer.code, "forbidden", what);
    assert.equal(await allowed(client, "chat:1"), "", what);
  }
  await ann.ask("joined", { type: "join", room: "chat:1", token: await roomToken({ sub: "ann" }) });
  await elsewhere.ask("joined", { type: "join", room: "chat:1", token: await roomToken({ tenant: "acme" }) });
});

test("a room token that is none is refused, and so is one with a pattern for its room", async (t) => {
  const client = await enter(t, await start(t), { sub: "ann" });
  const session = await sign({ sub: "ann", rooms: { "chat:1": "join" } });
  const bad: readonly (readonly [string, string | Promise<string>, string])[] = [
    ["garbage", "garbage", "unauthorized"],
    ["a session's token", session, "unauthorized"],
    ["past its end", roomToken({ exp: 1 }), "expired"],
    ["a pattern", roomToken({ room: "chat:*" }), "unauthorized"],
    ["an unknown action", roomToken({ may: "join fly" }), "unauthorized"],
    ["patterns as well", roomToken({ rooms: { "chat:*": "join" } }), "unauthorized"],
    ["another secret", `${await roomToken()}x`, "unauthorized"],
  ];
  for (const [what, token, code] of bad) {
    assert.equal((await client.refusal({ type: "join", room: "chat:1", token: await token })).code, code, what);
    assert.equal(await allowed(client, "chat:1"), "", what);
  }
});

test("a room token is no session's: neither in a hello nor to renew with", async (t) => {
  const server = await start(t);
  const token = await roomToken({ sub: "ann" });
  const stranger = await connect(t, server, { hello: false });
  assert.equal((await stranger.refusal({ type: "hello", token })).code, "unauthorized");
  const ann = await enter(t, server, { sub: "ann" });
  assert.equal((await ann.refusal({ type: "renew", token })).code, "unauthorized");
  await ann.ping();
});

test("a room token grants no more than the kind lets tokens grant", async (t) => {
  const server = await start(t, { kinds: { chat: { allow: { token: ["join"] } } } });
  const client = await enter(t, server, { sub: "ann" });
  const token = await roomToken({ may: "join publish history members" });
  await client.ask("joined", { type: "join", room: "chat:1", token });
  assert.equal(await ask(client, "publish", "chat:1"), "forbidden");
  assert.equal(await ask(client, "history", "chat:1"), "forbidden");
});

test("who joined with a room token is taken out when it ends, hears nothing more, and comes back with another", async (t) => {
  const server = await start(t, { tokenSkewMs: 0 });
  const ann = await enter(t, server, { sub: "ann" });
  await ann.ask("joined", { type: "join", room: "chat:1", token: await roomToken({ exp: seconds(700) }) });
  await ann.ask("joined", { type: "join", room: "chat:2", token: await roomToken({ room: "chat:2" }) });
  const removed = await ann.next("removed");
  assert.deepEqual([removed.room, removed.code], ["chat:1", "expired"]);
  await server.publish("chat:1", "said", 1);
  await server.publish("chat:2", "said", 2);
  assert.equal((await ann.next("events")).room, "chat:2", "the other room is another token's");
  await ann.ping();
  assert.deepEqual(left(ann), []);
  const { events } = await ann.ask("joined", {
    ...({ type: "join", room: "chat:1", token: await roomToken() } as const),
    since: { epoch: (await server.publish("chat:1", "said", 3))?.epoch ?? "", offset: 0 },
  });
  assert.deepEqual(
    events.map(({ data }) => data),
    [1, 3],
    "what was said meanwhile is in the log",
  );
});

test("a renewal with a longer room token keeps the client in its room", async (t) => {
  const server = await start(t, { tokenSkewMs: 0 });
  const ann = await enter(t, server, { sub: "ann" });
  await ann.ask("joined", {
    type: "join",
    room: "chat:2",
    token: await roomToken({ room: "chat:2", exp: seconds(900) }),
  });
  await ann.ask("joined", { type: "join", room: "chat:1", token: await roomToken({ exp: seconds(500) }) });
  await ann.ask("joined", { type: "join", room: "chat:1", token: await roomToken() });
  assert.equal((await ann.next("removed")).room, "chat:2", "which ends later than the first of the two");
  await server.publish("chat:1", "said", 1);
  assert.equal((await ann.next("events")).room, "chat:1");
});

test("a renewal that allows less takes the client out of rooms at once, and only out of those", async (t) => {
  const server = await start(t);
  const ann = await enter(t, server, { sub: "ann", rooms: { "*": "join publish" } });
  for (const room of ["chat:1", "chat:2", "news:1"]) await ann.ask("joined", { type: "join", room });
  const less = { "chat:1": "join", "news:*": "publish" };
  const renewed = ann.ask("renewed", { type: "renew", token: await sign({ sub: "ann", rooms: less }) });
  await renewed;
  const out = [await ann.next("removed"), await ann.next("removed")];
  assert.deepEqual(out.map(({ room, code }) => `${room} ${code}`).sort(), ["chat:2 forbidden", "news:1 forbidden"]);
  for (const room of ["chat:2", "news:1", "chat:1"]) await server.publish(room, "said", room);
  assert.equal((await ann.next("events")).room, "chat:1");
  await ann.ping();
  assert.deepEqual(left(ann), []);
  assert.equal(await ask(ann, "publish", "chat:1"), "forbidden");
  assert.equal(await ask(ann, "publish", "news:1"), "yes");
});

test("a renewal that allows more is good at once, and takes nobody out", async (t) => {
  const server = await start(t);
  const ann = await enter(t, server, { sub: "ann", rooms: { "chat:1": "join" } });
  await ann.ask("joined", { type: "join", room: "chat:1" });
  assert.equal(await ask(ann, "join", "chat:2"), "forbidden");
  await ann.ask("renewed", { type: "renew", token: await sign({ sub: "ann", rooms: { "chat:*": "join publish" } }) });
  assert.equal(await ask(ann, "join", "chat:2"), "yes");
  assert.equal(await ask(ann, "publish", "chat:1"), "yes");
  assert.equal((await ann.next("events")).room, "chat:1");
  assert.deepEqual(left(ann), []);
});

test("a renewal takes nobody out of a room that rules, a room token or the application let them into", async (t) => {
  const server = await start(t, {
    kinds: { news: { allow: { user: ["join"] } } },
    authorize: ({ room }) => room === "asked:1",
  });
  const ann = await enter(t, server, { sub: "ann", rooms: { "chat:2": "join" } });
  for (const room of ["news:1", "asked:1", "chat:2"]) await ann.ask("joined", { type: "join", room });
  await ann.ask("joined", { type: "join", room: "chat:1", token: await roomToken() });
  await ann.ask("renewed", { type: "renew", token: await sign({ sub: "ann" }) });
  assert.equal((await ann.next("removed")).room, "chat:2");
  for (const room of ["news:1", "asked:1", "chat:1"]) {
    await server.publish(room, "said", 1);
    assert.equal((await ann.next("events")).room, room);
  }
  assert.deepEqual(left(ann), []);
});

test("a renewal is of the same user and the same tenant", async (t) => {
  const server = await start(t);
  const ann = await enter(t, server, { sub: "ann", tenant: "acme", rooms: { "chat:1": "join" } });
  for (const claims of [
    { sub: "bob", tenant: "acme" },
    { sub: "ann" },
    { sub: "ann", tenant: "other" },
    { tenant: "acme" },
  ]) {
    const token = await sign({ ...claims, rooms: { "*": "join" } });
    assert.equal((await ann.refusal({ type: "renew", token })).code, "forbidden", JSON.stringify(claims));
  }
  assert.equal(await ask(ann, "join", "chat:1"), "yes");
  assert.equal(await ask(ann, "join", "chat:2"), "forbidden");
});

test("a session that is resumed may what its token says, not what an earlier one said", async (t) => {
  const server = await start(t);
  const [wide, narrow] = [
    await sign({ sub: "ann", rooms: { "chat:*": "join publish" } }),
    await sign({ sub: "ann", rooms: { "chat:1": "join" } }),
  ];
  const first = await connect(t, server, { hello: { token: wide } });
  const { session } = first.welcome;
  const again = await connect(t, server, { hello: { token: wide, session } });
  assert.equal(again.welcome.resumed, true);
  assert.equal(await ask(again, "publish", "chat:2"), "yes");
  const other = await connect(t, server, { hello: { token: narrow, session } });
  assert.equal(other.welcome.resumed, false, "a ticket goes with its token");
  assert.equal(await ask(other, "publish", "chat:2"), "forbidden");
  const none = await connect(t, server, { hello: false });
  assert.equal((await none.refusal({ type: "hello", session })).code, "unauthorized");
});

test("a token of a hundred patterns is taken, and one of more refused", async (t) => {
  const server = await start(t);
  const rooms = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`a:*:b:*:room${index}:*`, "join"]));
  const client = await enter(t, server, { sub: "ann", rooms: rooms(100) });
  assert.equal(await allowed(client, "a:x:b:y:room99:z"), "join");
  assert.equal(await allowed(client, "a:x:b:y:room100:z"), "");
  const other = await connect(t, server, { hello: false });
  assert.equal((await other.refusal({ type: "hello", token: await sign({ rooms: rooms(101) }) })).code, "unauthorized");
});
