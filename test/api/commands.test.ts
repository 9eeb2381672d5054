/** Operations as commands of the durable queue. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../protocol/codes.js";
import type { Application } from "../../server/api/application.js";
import { applyCommand, commandNames } from "../../server/api/commands.js";
import { operations } from "../../server/api/operations.js";
import { EngineError } from "../../server/engine/engine.js";
import { eventually } from "../support/eventually.js";
import { startRedis } from "../support/services/redis.js";
import { connect, startServer } from "../support/start-server.js";

/** What the field of a `ProtocolError` is. */
const wrong =
  (field: string) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof ProtocolError, String(error));
    assert.equal(error.field, field);
    return true;
  };

test("what reads, and what somebody waits for, is no command", () => {
  const posts = operations.filter(({ method, id }) => method === "post" && id !== "call").map(({ id }) => id);
  assert.deepEqual(commandNames, posts);
});

test("a command is applied once by its id, and its parts each by theirs", async (t) => {
  const server = await startServer(t);
  const commands = [
    { do: "publish", room: "a:1", event: "e", data: { n: 1 }, from: "ann" },
    { do: "publishMany", rooms: ["a:1", "b:1"], event: "e", data: 2 },
    { do: "batch", items: [3, 4].map((data) => ({ room: "a:1", event: "e", data })) },
  ];
  for (const [index, command] of commands.entries()) {
    for (let time = 0; time < 2; time++) await applyCommand(server, command, `command-${index}-${"x".repeat(110)}`);
  }
  const data = async (room: string) => (await server.history(room)).events?.map((event) => event.data);
  assert.deepEqual(await data("a:1"), [{ n: 1 }, 2, 3, 4]);
  assert.deepEqual(await data("b:1"), [2]);
});

test("a command's own key goes before its id", async (t) => {
  const server = await startServer(t);
  const command = { do: "publish", room: "a:1", event: "e", data: 1, key: "mine" };
  await applyCommand(server, command, "one");
  await applyCommand(server, command, "two");
  const { events } = await server.history("a:1");
  assert.deepEqual(
    events?.map(({ key }) => key),
    ["mine"],
  );
});

test("commands concern users of the tenant that they name", async (t) => {
  const server = await startServer(t, { authenticate: ({ token }) => ({ user: "ann", tenant: token }) });
  const [acme, other] = [
    await connect(t, server, { hello: { token: "acme" } }),
    await connect(t, server, { hello: { token: "other" } }),
  ];
  await applyCommand(server, { do: "disconnect", user: "ann", tenant: "acme" }, "1");
  await acme.until("closed", () => acme.closed?.code === 4201);
  await applyCommand(server, { do: "block", user: "ann", tenant: "other", until: Date.now() + 60_000 }, "2");
  await other.until("closed", () => other.closed?.code === 4200);
});

test("a command that can never be done says which field is wrong", async (t) => {
  const server = await startServer(t, { kinds: { small: { maxEventBytes: 4 } } });
  const cases: readonly (readonly [unknown, string])[] = [
    [null, "command"],
    [[], "command"],
    ["publish", "command"],
    [{}, "do"],
    [{ do: "history", room: "a:1" }, "do"],
    [{ do: "call", user: "ann", method: "m" }, "do"],
    [{ do: "constructor" }, "do"],
    [{ do: "publish", room: "a b", event: "e", data: 1 }, "room"],
    [{ do: "publish", room: "a:1", event: "e" }, "data"],
    [{ do: "publish", room: "a:1", event: "e", data: 1, colour: 1 }, "colour"],
    [{ do: "batch", items: [{ room: "a:1", event: "e", data: 1 }, 5] }, "items[1]"],
    [{ do: "remove", user: "ann" }, "room"],
    [{ do: "block", user: "ann", until: 5 }, "until"],
    [{ do: "revoke", user: "ann", room: "a:*" }, "actions"],
    [{ do: "publishMany", rooms: ["a:1", "small:1"], event: "e", data: "too long" }, "[1]"],
  ];
  for (const [command, field] of cases) await assert.rejects(applyCommand(server, command, "id"), wrong(field));
  // The rest of a command whose part could not be done is done.
  assert.equal((await server.history("a:1")).events?.length, 1);
});

test("what may be done later rejects as the engine does, and with one item of many too", async (t) => {
  const redis = await startRedis(t);
  const server = await startServer(t, {
    redis: [redis.url],
    kinds: { here: { engine: "memory" } },
    engineTimeoutMs: 300,
    probeMs: 100,
  });
  await redis.kill();
  await eventually(() => server.problems().length > 0);
  const away = (error: unknown): boolean => error instanceof EngineError && error.retryMs > 0;
  const app: Application = server;
  await assert.rejects(applyCommand(app, { do: "publish", room: "a:1", event: "e", data: 1 }, "1"), away);
  const many = { do: "publishMany", rooms: ["here:1", "a:1"], event: "e", data: 1 };
  await assert.rejects(applyCommand(app, many, "2"), away);
  await redis.start();
  await eventually(() => server.problems().length === 0);
  await applyCommand(app, many, "2");
  assert.equal((await server.history("here:1")).events?.length, 1, "the room that had it has it once");
  assert.equal((await server.history("a:1")).events?.length, 1);
});
