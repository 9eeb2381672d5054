/** `roomcast revoke`. */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { Command } from "../support/command.js";
import { startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import { SECRET, signed } from "../support/sign.js";
import { connect, startServer } from "../support/start-server.js";

async function run(t: TestContext, args: readonly string[], env = {}) {
  const command = new Command(t, ["revoke", ...args], env);
  const { code } = await command.exited;
  return { code, stdout: command.stdout, errors: command.errors };
}

const claims = { rooms: { "chat:*": "join publish history" } };

for (const name of ["redis", "nats"] as const) {
  test(`${name}: the command takes back on all nodes what it is told`, async (t) => {
    const { url } = name === "redis" ? await startRedis(t) : await startNats(t);
    const settings = { [name]: [url], secret: SECRET, kinds: {} };
    const nodes = [await startServer(t, settings), await startServer(t, settings)] as const;
    const enter = (node: (typeof nodes)[number], token: string) => connect(t, node, { hello: { token } });
    const revoke = (...args: string[]) => run(t, [...args, `--${name}`, url]);
    const done = { code: 0, stdout: "in force on 2 nodes\n", errors: [] };

    const ann = await enter(nodes[1], signed({ sub: "ann", jti: "t", tenant: "acme", ...claims }));
    assert.deepEqual(await revoke("--token", "t"), done);
    assert.equal((await ann.close()).code, 4200);

    const token = signed({ sub: "ann", tenant: "acme", ...claims });
    const again = await enter(nodes[0], token);
    await again.ask("joined", { type: "join", room: "chat:1" });
    const actions = ["--user", "ann", "--tenant", "acme", "--room", "chat:*", "--actions"];
    assert.deepEqual(await revoke(...actions, "join,publish", "--for", "1h"), done);
    assert.equal((await again.next("removed")).room, "chat:1");
    assert.deepEqual(await revoke(...actions, "none"), done);
    await again.ask("joined", { type: "join", room: "chat:1" });

    assert.deepEqual(await revoke("--block", "ann", "--tenant", "acme", "--for", "1h"), done);
    assert.deepEqual(await again.close(), { code: 4200, reason: "user: blocked" });
    assert.deepEqual(await revoke("--unblock", "ann", "--tenant", "acme"), done);
    const old = await enter(nodes[1], token);
    assert.deepEqual(await revoke("--user", "ann", "--tenant", "acme", "--before", "now"), done);
    assert.equal((await old.close()).code, 4200);

    const lines = (await revoke("--list")).stdout.trim().split("\n");
    assert.deepEqual(
      lines.map((line) => line.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "…")),
      ['token "t" until …', 'tokens of "ann" of acme before … until …'],
      "what was given back is not in force",
    );

    const acme = await enter(nodes[1], signed({ sub: "bob", tenant: "acme" }));
    const bob = await enter(nodes[1], signed({ sub: "bob" }));
    const disconnect = new Command(t, ["disconnect", "bob", "--tenant", "acme", `--${name}`, url]);
    assert.equal((await disconnect.exited).code, 0);
    assert.equal((await acme.close()).code, 4201);
    await bob.ping();
  });
}

test("without a node there is nobody who would remember it, and it says so", async (t) => {
  const redis = await startRedis(t);
  const { code, stdout, errors } = await run(t, ["--token", "t", "--redis", redis.url]);
  assert.deepEqual([code, stdout, errors], [1, "", ["no node has it: nothing was taken back"]]);
});

test("the list is as long as there is something in force", async (t) => {
  const redis = await startRedis(t);
  const none = await run(t, ["--list", "--redis", redis.url]);
  assert.deepEqual([none.code, none.stdout, none.errors], [1, "", ["no node answered"]]);
  const node = await startServer(t, { redis: [redis.url], secret: SECRET });
  const until = Date.now() + 3_600_000;
  for (let index = 0; index < 45; index++) {
    await node.revoke({ user: `u${index}`, room: "chat:*", actions: "join publish", until });
  }
  const { code, stdout } = await run(t, ["--list", "--redis", redis.url]);
  const line = (index: number) => `room chat:* join,publish of "u${index}" until ${new Date(until).toISOString()}`;
  const expected = Array.from({ length: 45 }, (_, index) => `${line(index)}\n`).join("");
  assert.deepEqual([code, stdout], [0, expected]);
});

test("wrong arguments are told, and nothing is done", async (t) => {
  const redis = ["--redis", (await startRedis(t)).url];
  const cases: readonly (readonly [args: readonly string[], lines: readonly RegExp[]])[] = [
    [[], [/^expected one of --token, --user, --block and --unblock$/]],
    [["--token", "t", "--user", "u"], [/^expected one of --token/]],
    [["--token", "t", "--tenant", "x"], [/^--tenant: expected no --token with it$/]],
    [["--block", "u"], [/^--block: expected --for or --until with it$/]],
    [["--block", "u", "--for", "soon"], [/^--for: expected a time such as/]],
    [["--block", "u", "--until", "soon"], [/^--until: expected "now" or a time/]],
    [["--block", "u", "--for", "30d"], [/^blockedUntil: expected a time no later than maxTokenLifeMs from now/]],
    [["--user", "u", "--for", "1h"], [/^--for, --until: expected --room with it$/]],
    [["--user", "u", "--room", "chat:*"], [/^--room: expected --actions with it$/]],
    [["--user", "u", "--room", "a b", "--actions", "join"], [/^room: expected a pattern of rooms' names/]],
    [["--user", "u", "--room", "a", "--actions", "jump"], [/^actions: expected some of join/]],
    [
      ["--user", "u", "--before", "x", "--before", "y"],
      [/^--before: expected once/, /^--before: expected "now"/],
    ],
    [["--list", "--user", "u"], [/^--list: expected no other option of this command with it$/]],
    [["--usr", "u"], [/^--usr: no such option; did you mean --user\?$/]],
  ];
  for (const [args, lines] of cases) {
    const { code, stdout, errors } = await run(t, [...args, ...redis]);
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
    assert.equal(errors.length, lines.length, errors.join("\n"));
    for (const [index, line] of lines.entries()) assert.match(errors[index] ?? "", line);
  }
  assert.match((await run(t, ["--help"])).stdout, /^Usage: roomcast revoke --token ID/);
});
