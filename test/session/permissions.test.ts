import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuthorizeQuestion } from "../../server/server.js";
import { actions, allowed, ask, enter, frameOf, left, start } from "../support/permissions.js";
import { signed } from "../support/sign.js";
import { connect, startServer } from "../support/start-server.js";
import { clientCodecs } from "../support/ws-client.js";

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

test("what an application grants in words that mean nothing lets nobody in", async (t) => {
  let rooms: unknown;
  const authenticate = () => ({ user: "ann", rooms: rooms as { [pattern: string]: string } });
  const server = await startServer(t, { kinds: {}, authenticate });
  for (rooms of [{ "a*b": "join" }, { "chat:*": "fly" }, { "user:{sub}*": "join" }, ["chat:*"], "chat:*", true]) {
    const client = await connect(t, server, { hello: false });
    assert.equal((await client.refusal({ type: "hello", token: "x" })).code, "internal", JSON.stringify(rooms));
    assert.equal((await client.close()).code, 4101, "it may come back: the fault is the application's");
  }
});

test("a session that is resumed has what the application granted it, which is not asked again", async (t) => {
  let asked = 0;
  const authenticate = () => {
    asked++;
    return { user: "ann", rooms: { "user:{sub}:*": "join", "chat:*": ["publish"] } };
  };
  const server = await startServer(t, { kinds: {}, authenticate });
  const first = await connect(t, server, { hello: { token: "x" } });
  const second = await connect(t, server, { hello: { token: "x", session: first.welcome.session } });
  assert.deepEqual([second.welcome.resumed, asked], [true, 1]);
  assert.equal(await allowed(second, "user:ann:x"), "join");
  assert.equal(await allowed(second, "user:bob:x"), "");
  assert.equal(await allowed(second, "chat:1"), "publish");
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
  for (const token of ["", "garbage", signed({ exp: 1 }), `${signed({ sub: "ann" })}x`]) {
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
    const token = signed({ ...(sub === undefined ? {} : { sub }), rooms: { "user:{sub}:*": "join" } });
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
    const token = signed({ sub: "ann" });
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

test("a token of a hundred patterns is taken, and one of more refused", async (t) => {
  const server = await start(t);
  const rooms = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`a:*:b:*:room${index}:*`, "join"]));
  const client = await enter(t, server, { sub: "ann", rooms: rooms(100) });
  assert.equal(await allowed(client, "a:x:b:y:room99:z"), "join");
  assert.equal(await allowed(client, "a:x:b:y:room100:z"), "");
  const other = await connect(t, server, { hello: false });
  assert.equal((await other.refusal({ type: "hello", token: signed({ rooms: rooms(101) }) })).code, "unauthorized");
});
