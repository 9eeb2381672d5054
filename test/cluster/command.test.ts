/** The commands that ask the nodes of a cluster, where there is little to ask; `servers.test.ts` has the rest. */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { Command } from "../support/command.js";
import { eventually } from "../support/eventually.js";
import { freePort } from "../support/services/free-port.js";
import { startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import { connect, startServer } from "../support/start-server.js";

async function run(t: TestContext, ...args: string[]) {
  const command = new Command(t, args);
  const { code } = await command.exited;
  return { code, stdout: command.stdout, errors: command.errors };
}

test("with the memory engine there is nobody to ask, and it says so", async (t) => {
  for (const args of [["nodes"], ["rooms"], ["disconnect", "alice"], ["remove", "alice", "r"]]) {
    const { code, stdout, errors } = await run(t, ...args);
    assert.deepEqual([code, stdout, errors.length], [2, "", 1]);
    assert.match(errors[0] ?? "", /a node is by itself, and there is nobody to ask/);
  }
});

test("an engine that cannot be reached is one line, without the password", async (t) => {
  const url = `redis://:swordfish@127.0.0.1:${await freePort()}`;
  const { code, stdout, errors } = await run(t, "nodes", "--redis", url);
  assert.deepEqual([code, stdout, errors.length], [1, "", 1]);
  assert.match(errors[0] ?? "", /^cannot reach the engine: redis/);
  assert.doesNotMatch(errors[0] ?? "", /swordfish/);
});

test("where no node answers it says so", async (t) => {
  const redis = await startRedis(t);
  assert.deepEqual(await run(t, "nodes", "--redis", redis.url), { code: 0, stdout: "no node answered\n", errors: [] });
});

test("the rooms of all nodes are listed, by as many pages as it takes, and by a prefix", async (t) => {
  const redis = await startRedis(t);
  const settings = { redis: [redis.url], lingerMs: 0 };
  const servers = await Promise.all([startServer(t, settings), startServer(t, settings)]);
  await eventually(() => servers.every((server) => server.nodes().length === 2));
  const join = async (server: number, ...rooms: string[]) => {
    const client = await connect(t, servers[server] as (typeof servers)[0]);
    for (const room of rooms) await client.ask("joined", { type: "join", room });
  };
  await join(0, "chat:1", "chat:2", "order:1");
  await join(1, "chat:2", "chat:3");
  const list = (...args: string[]) => run(t, "rooms", "--redis", redis.url, ...args);
  assert.deepEqual((await list()).stdout.split("\n"), [
    ...["clients  room", "      1  chat:1", "      2  chat:2", "      1  chat:3", "      1  order:1"],
    ...["4 rooms on 2 nodes", ""],
  ]);
  assert.match(
    (await list("--prefix", "chat:", "--limit", "2")).stdout,
    /^2 rooms on 2 nodes; there are more: --after chat:2$/m,
  );
  assert.deepEqual(JSON.parse((await list("--prefix", "chat:", "--after", "chat:2", "--json")).stdout), {
    ...{ rooms: [{ room: "chat:3", clients: 1 }], nodes: 2, missing: [] },
  });
  assert.match((await list("--tenant", "acme")).stdout, /^0 rooms on 2 nodes$/m);
});

test("asking makes and changes nothing in NATS", async (t) => {
  const nats = await startNats(t);
  assert.deepEqual(await run(t, "nodes", "--nats", nats.url), { code: 0, stdout: "no node answered\n", errors: [] });
  assert.equal((await nats.monitor("/jsz"))["streams"], 0);
});

test("wrong arguments and settings are told, all of them", async (t) => {
  const cases: readonly (readonly [args: readonly string[], lines: readonly RegExp[]])[] = [
    [
      ["nodes", "--redis", "http://x", "--wach"],
      [/^--wach: no such option; did you mean --watch\?/, /^redis\[0\]: /],
    ],
    [["nodes", "--check", "--redis", "redis://x"], [/^--check: no such option/]],
    [
      ["rooms", "--prefix", "$", "--limit", "0", "--tenant", "a b", "--after", "x y", "--redis", "redis://x"],
      [
        /^--tenant: expected 1 to 32/,
        /^--prefix: expected the beg/,
        /^--after: expected a room's/,
        /^--limit: expected a w/,
      ],
    ],
    [["disconnect", "--redis", "redis://x"], [/^expected USER before the options, got 0 arguments/]],
    [["remove", "alice", "--redis", "redis://x"], [/^expected USER and ROOM before the options, got 1 argument$/]],
    [["remove", "alice", "no room", "--redis", "redis://x"], [/^ROOM: expected a room's name/]],
    [["disconnect", "x".repeat(300), "--redis", "redis://x"], [/^USER: expected 1 to 256 characters/]],
  ];
  for (const [args, lines] of cases) {
    const { code, errors } = await run(t, ...args);
    assert.equal(code, 2);
    assert.equal(errors.length, lines.length, errors.join("\n"));
    for (const [index, line] of lines.entries()) assert.match(errors[index] ?? "", line);
  }
});

test("each command has a help", async (t) => {
  for (const command of ["nodes", "disconnect", "remove"]) {
    const { code, stdout } = await run(t, command, "--help");
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^Usage: roomcast ${command} `));
  }
});

test("it watches until a signal ends it", async (t) => {
  const redis = await startRedis(t);
  const watching = new Command(t, ["nodes", "--watch", "--json", "--redis", redis.url]);
  const namesIn = (line: string) => (JSON.parse(line) as { nodes: { name: string }[] }).nodes.map(({ name }) => name);
  const last = () => namesIn(watching.stdout.trim().split("\n").at(-1) || '{"nodes":[]}');
  const server = await startServer(t, { redis: [redis.url], node: "a" });
  await eventually(() => last().length === 1);
  assert.deepEqual(last(), ["a"]);
  await server.close();
  await eventually(() => last().length === 0);
  watching.child.kill("SIGINT");
  assert.deepEqual(await watching.exited, { code: 0, signal: null });
});
