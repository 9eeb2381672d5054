import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import test from "node:test";
import { eventually } from "../support/eventually.js";
import { onFreePort } from "../support/services/free-port.js";
import { startHaproxy } from "../support/services/haproxy.js";
import { startNatsCluster } from "../support/services/nats-cluster.js";
import { startRedis, startReplica } from "../support/services/redis.js";
import { startRedisCluster } from "../support/services/redis-cluster.js";
import { startSentinels } from "../support/services/sentinel.js";

test("sentinels name the primary, and another one after a failover asked for or needed", async (t) => {
  const primary = await startRedis(t);
  const replicas = [await startReplica(t, primary), await startReplica(t, primary)];
  const sentinels = await startSentinels(t, primary, { downAfterMs: 300, failoverTimeoutMs: 2000 });
  assert.equal(await sentinels.primary(), primary.port);

  const second = await sentinels.failover();
  assert.ok(replicas.some(({ port }) => port === second));
  const promoted = replicas.find(({ port }) => port === second);
  assert.match(String(await promoted?.command("ROLE")), /^master/);

  await eventually(async () => String(await promoted?.command("INFO", "replication")).includes("connected_slaves:2"));
  await promoted?.kill();
  assert.notEqual(await sentinels.primaryAfter(second), second);
});

test("a Redis Cluster shares its slots, and its replicas copy", async (t) => {
  const cluster = await startRedisCluster(t, { primaries: 3, replicas: 1 });
  assert.equal(cluster.nodes.length, 6);
  assert.equal(cluster.urls[0], cluster.nodes[0]?.url);
  const answers = await Promise.all(
    cluster.nodes.slice(0, 3).map((node) => node.command("SET", "a", 1).catch((error: Error) => error.message)),
  );
  assert.deepEqual(answers.map((answer) => String(answer).split(" ")[0]).sort(), ["MOVED", "MOVED", "OK"]);
  assert.match(String(await cluster.nodes[5]?.command("ROLE")), /^slave/);
});

test("NATS servers elect a leader, and another one when it is gone", async (t) => {
  const cluster = await startNatsCluster(t, 3);
  const leader = await cluster.leader();
  assert.ok(leader);
  await leader.kill();
  const others = cluster.nodes.filter((node) => node !== leader);
  await eventually(async () => {
    const states = await Promise.all(others.map((node) => node.monitor("/jsz")));
    const leaders = states.map((state) => (state["meta_cluster"] as { leader?: string } | undefined)?.leader);
    return leaders.every((name) => name === leaders[0] && others.some((node) => node.serverName === name));
  });
  await leader.start();
  await eventually(async () => (await cluster.leader()) !== undefined);
});

test("haproxy forwards connections to its servers", async (t) => {
  const redis = await startRedis(t);
  const port = await onFreePort(async (free) => {
    const configuration = `
      defaults
        mode tcp
        timeout connect 5s
        timeout client 30s
        timeout server 30s
      listen redis
        bind 127.0.0.1:${free}
        server one 127.0.0.1:${redis.port}
    `;
    await startHaproxy(t, configuration, [free]);
    return free;
  });
  const socket = connect({ port, host: "127.0.0.1" });
  t.after(() => socket.destroy());
  socket.write("PING\r\n");
  const [answer] = await once(socket.setEncoding("utf8"), "data");
  assert.equal(answer, "+PONG\r\n");
});

test("a haproxy that cannot read its configuration says why", async (t) => {
  await assert.rejects(startHaproxy(t, "nonsense", [1]), /haproxy ended: .*unknown keyword 'nonsense'/s);
});
