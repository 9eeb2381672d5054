import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import test from "node:test";
import { startNats } from "../support/services/nats.js";
import { startRedis, startReplica } from "../support/services/redis.js";

test("a Redis keeps its port over a restart, and its data only when told to", async (t) => {
  const forgetful = await startRedis(t);
  const persistent = await startRedis(t, { persistent: true });
  for (const redis of [forgetful, persistent]) {
    assert.equal(await redis.command("SET", "a", 1), "OK");
    const { pid } = redis;
    await redis.kill();
    await assert.rejects(redis.command("PING"));
    assert.throws(() => process.kill(pid, 0), "the process is gone");
    await redis.start();
    assert.notEqual(redis.pid, pid);
  }
  assert.equal(await forgetful.command("GET", "a"), null);
  assert.equal(await persistent.command("GET", "a"), "1");
});

test("stopping a server removes its folder, and it can be asked twice", async (t) => {
  for (const server of [await startRedis(t), await startNats(t)]) {
    assert.ok(existsSync(server.dir));
    const { pid } = server;
    await server.stop();
    await server.stop();
    assert.ok(!existsSync(server.dir));
    assert.throws(() => process.kill(pid, 0));
  }
});

test("a replica has its primary's data", async (t) => {
  const primary = await startRedis(t);
  await primary.command("SET", "a", 1);
  const replica = await startReplica(t, primary);
  assert.equal(await replica.command("GET", "a"), "1");
});

test("a server that cannot start says why", async (t) => {
  await assert.rejects(startRedis(t, { args: ["--no-such-setting", "1"] }), /redis-server ended: .*Bad directive/s);
  const taken = await startRedis(t);
  await assert.rejects(startRedis(t, { port: taken.port }), /in use/i);
  assert.equal(await taken.command("PING"), "PONG");
});

test("a NATS keeps its port and its JetStream over a restart", async (t) => {
  const nats = await startNats(t);
  assert.equal((await nats.monitor("/jsz"))["disabled"], undefined);
  const { pid } = nats;
  await nats.kill();
  assert.throws(() => process.kill(pid, 0));
  await nats.start();
  assert.equal((await nats.monitor("/varz"))["port"], nats.port);
});
