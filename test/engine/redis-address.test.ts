import assert from "node:assert/strict";
import test from "node:test";
import { parseRedisShard } from "../../server/engine/redis/address.js";

const plain = {
  kind: "standalone",
  primary: undefined,
  tls: false,
  db: 0,
  username: undefined,
  password: undefined,
  weight: 1,
  was: 1,
};

test("an address of one server", () => {
  const local = { ...plain, hosts: [{ host: "a.example", port: 6379 }], name: "a.example:6379" };
  assert.deepEqual(parseRedisShard("redis://a.example"), local);
  assert.deepEqual(parseRedisShard("redis://a.example/"), local);
  assert.deepEqual(parseRedisShard("rediss://a.example:6379/3"), { ...local, tls: true, db: 3 });
  assert.deepEqual(parseRedisShard("redis://ann:s%40cret@a.example"), {
    ...local,
    username: "ann",
    password: "s@cret",
  });
  assert.deepEqual(parseRedisShard("redis://:secret@a.example"), { ...local, password: "secret" });
  assert.deepEqual(parseRedisShard("redis://[::1]:7000"), {
    ...plain,
    hosts: [{ host: "::1", port: 7000 }],
    name: "::1:7000",
  });
});

test("addresses of Sentinels and of a Cluster", () => {
  const hosts = [
    { host: "a", port: 1 },
    { host: "b", port: 26_379 },
  ];
  const sentinel = { ...plain, kind: "sentinel", hosts, primary: "mymaster", name: "mymaster" };
  assert.deepEqual(parseRedisShard("redis+sentinel://a:1+b/mymaster"), sentinel);
  const cluster = { ...plain, kind: "cluster", hosts: [hosts[0], { host: "b", port: 6379 }], name: "a:1" };
  assert.deepEqual(parseRedisShard("redis+cluster://a:1+b"), cluster);
  assert.deepEqual(parseRedisShard("rediss+cluster://a:1+b"), { ...cluster, tls: true });
});

test("a shard's name, weight and the weight it had", () => {
  const of = (query: string) => {
    const { name, weight, was } = parseRedisShard(`redis://a${query}`);
    return { name, weight, was };
  };
  assert.deepEqual(of("?name=one"), { name: "one", weight: 1, was: 1 });
  assert.deepEqual(of("?weight=2.5"), { name: "a:6379", weight: 2.5, was: 2.5 });
  assert.deepEqual(of("?weight=1&was=0&name=b-2"), { name: "b-2", weight: 1, was: 0 });
});

const wrong = [
  "a:6379",
  "http://secret@a",
  "redis://",
  "redis://ann:secret@a:99999",
  "redis://ann:secret@a:0",
  "redis://ann:secret@a+b",
  "redis://ann:secret@a/x",
  "redis://ann:secret@a,b",
  "redis://ann:secret%@a",
  "redis://ann:secret@a?weight=-1",
  "redis://ann:secret@a?weight=1e9",
  "redis://ann:secret@a?wieght=1",
  "redis://ann:secret@a?name=x&name=y",
  "redis://ann:secret@a?name=a%20b",
  "redis+sentinel://ann:secret@a:1",
  "redis+cluster://ann:secret@a:1/2",
  "redis+other://ann:secret@a",
];
for (const address of wrong) {
  test(`refused, without its password: ${address}`, () => {
    assert.throws(
      () => parseRedisShard(address),
      (error: Error) =>
        error instanceof TypeError && error.message.startsWith("expected ") && !error.message.includes("secret"),
    );
  });
}
