import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { crc16, readRedirect, readSlots, readState, slotOf } from "../../server/engine/redis/slots.js";
import { startRedisCluster } from "../support/services/redis-cluster.js";

const ASKED = { host: "asked", port: 7000 };

test("the CRC16 is that of the specification of Redis Cluster", () => {
  assert.equal(crc16("123456789"), 0x31c3);
  assert.equal(crc16(""), 0);
});

test("names are in the slots that the specification says, by their hash tags", () => {
  assert.equal(slotOf("foo"), 12_182);
  assert.equal(slotOf("somekey"), 11_058);
  assert.equal(slotOf("{user1000}.following"), slotOf("{user1000}.followers"));
  assert.equal(slotOf("{user1000}.following"), slotOf("user1000"));
  assert.equal(slotOf("foo{}{bar}"), crc16("foo{}{bar}") % 16_384);
  assert.equal(slotOf("foo{{bar}}zap"), slotOf("{bar"));
  assert.equal(slotOf("foo{bar}{zap}"), slotOf("bar"));
  assert.equal(slotOf("foo{bar"), crc16("foo{bar") % 16_384);
});

test("a server finds the same slots", async (t) => {
  const { nodes } = await startRedisCluster(t, { primaries: 1 });
  const characters = fc.constantFrom(..."{}{}ab:$-/9");
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: characters, minLength: 1, maxLength: 12 }), async (name) => {
      assert.equal(slotOf(name), Number(await nodes[0]?.command("CLUSTER", "KEYSLOT", name)));
    }),
    { numRuns: 100 },
  );
});

test("a server without a name of its own is where it was asked", () => {
  const reply = [
    [0, 99, [Buffer.from("10.0.0.1"), 7001, Buffer.from("id"), []], [Buffer.from("?"), 7002, Buffer.from("id"), []]],
    [100, 16_383, [null, 7003, Buffer.from("id"), []]],
  ];
  assert.deepEqual(readSlots(reply, ASKED), [
    { from: 0, to: 99, primary: { host: "10.0.0.1", port: 7001 }, replicas: [{ host: "asked", port: 7002 }] },
    { from: 100, to: 16_383, primary: { host: "asked", port: 7003 }, replicas: [] },
  ]);
  for (const bad of [null, 7, [7], [[0, 16_384, [null, 1]]], [[5, 4, [null, 1]]], [[0, 1]]]) {
    assert.throws(() => readSlots(bad, ASKED), TypeError);
  }
});

test("a redirect says where to, and whether for good", () => {
  assert.deepEqual(readRedirect("MOVED 3999 127.0.0.1:6381", ASKED), {
    isMoved: true,
    slot: 3999,
    to: { host: "127.0.0.1", port: 6381 },
  });
  assert.deepEqual(readRedirect("ASK 3999 :6381", ASKED), {
    isMoved: false,
    slot: 3999,
    to: { host: "asked", port: 6381 },
  });
  assert.deepEqual(readRedirect("MOVED 1 2001:db8::1:6381", ASKED)?.to, { host: "2001:db8::1", port: 6381 });
  assert.equal(readRedirect("CLUSTERDOWN The cluster is down", ASKED), undefined);
});

test("what a server says of its cluster is read", () => {
  const text = "cluster_state:ok\r\ncluster_known_nodes:3\r\ncluster_current_epoch:7\r\n";
  assert.deepEqual(readState(Buffer.from(text)), { isOk: true, epoch: 7 });
  assert.deepEqual(readState(Buffer.from("cluster_state:fail\r\n")), { isOk: false, epoch: 0 });
});
