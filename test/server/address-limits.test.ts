import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressLimits, type AddressUse, networkOf } from "../../server/access/limits/address-limits.js";
import { Random } from "../support/random.js";

const limitsOf = (addressConnections: number, addressRate: number) => {
  const random = new Random(5);
  return new AddressLimits({ addressConnections, addressRate }, () => random.next());
};

/** Takes as many of so many connections as may be; gives what was taken. */
function come(limits: AddressLimits, address: string, now: number, count: number): AddressUse[] {
  const taken: AddressUse[] = [];
  for (let index = 0; index < count; index++) {
    const use = limits.find(address);
    if (limits.refuse(use, now) === undefined) taken.push(limits.take(use, now));
  }
  return taken;
}

test("IPv6 counts by /64, however it is written; IPv4 counts as it is", () => {
  const networks: [string, string][] = [
    ["1.2.3.4", "1.2.3.4"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:db8::1:2:3:4:5", "2001:db8:0:1::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["1::", "1:0:0:0::/64"],
    ["::1:2:3:4:5:6:7", "0:1:2:3::/64"],
    ["64:ff9b::1.2.3.4", "64:ff9b:0:0::/64"],
    ["::ffff:0:1.2.3.4", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["no address: at all", "no address: at all"],
  ];
  for (const [address, network] of networks) assert.equal(networkOf(address), network, address);
});

test("an address has so many connections at once, and another one's do not count", () => {
  const limits = limitsOf(3, 1000);
  const taken = come(limits, "10.0.0.1", 0, 5);
  assert.equal(taken.length, 3);
  assert.equal(come(limits, "10.0.0.2", 0, 2).length, 2);
  const refused = limits.refuse(limits.find("10.0.0.1"), 0);
  assert.deepEqual([refused?.reason, refused?.accept], ["address_connections", false]);
  assert.ok((refused?.retryMs ?? 0) >= 5000);
  limits.left(taken[0] as AddressUse, 0);
  assert.equal(come(limits, "10.0.0.1", 0, 5).length, 1);
});

test("an address has so many a second, and those who are refused are asked back one after the other", () => {
  const limits = limitsOf(1000, 10);
  assert.equal(come(limits, "2001:db8::1", 0, 8).length, 8);
  assert.equal(come(limits, "2001:db8::2", 0, 8).length, 2, "another address of the same network");
  const waits = Array.from({ length: 20 }, () => limits.refuse(limits.find("2001:db8::3"), 0)?.retryMs ?? 0);
  assert.deepEqual(
    waits.slice(1).map((wait, index) => wait - (waits[index] as number)),
    Array.from({ length: 19 }, () => 100),
  );
  const [first = 0] = waits;
  assert.equal(come(limits, "2001:db8::3", first, 1).length, 1);
  assert.deepEqual(limits.refused, { address_rate: 26, address_connections: 0 });
});

test("a long wait is told over HTTP, and none is longer than two minutes", () => {
  const limits = limitsOf(1000, 1);
  come(limits, "10.0.0.1", 0, 1);
  const refused = Array.from({ length: 300 }, () => limits.refuse(limits.find("10.0.0.1"), 0));
  assert.equal(refused.filter((one) => one?.accept).length, 10);
  const waits = refused.map((one) => one?.retryMs ?? 0);
  assert.ok(Math.max(...waits) <= 121_000);
  assert.ok(new Set(waits.slice(100)).size > 150, "the end of the line is no one moment");
});

test("what is remembered goes with the connections, and is bounded where addresses come and go at once", () => {
  const limits = limitsOf(10, 1);
  const taken: AddressUse[] = [];
  for (let index = 0; index < 50_000; index++) {
    const address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
    const use = limits.find(address);
    assert.equal(limits.refuse(use, index / 50_000), undefined);
    taken.push(limits.take(use, index / 50_000));
  }
  assert.equal(limits.size, 50_000);
  for (const use of taken) limits.left(use, 1);
  assert.ok(limits.size <= 10_000, `${limits.size}`);
  limits.sweep(500);
  assert.ok(limits.size > 0, "their buckets are not full yet");
  limits.sweep(2000);
  assert.equal(limits.size, 0);
});

test("who is asked about and not taken leaves nothing behind", () => {
  const limits = limitsOf(10, 10);
  for (let index = 0; index < 1000; index++) limits.refuse(limits.find(`10.0.${index >> 8}.${index & 255}`), 0);
  assert.equal(limits.size, 0);
});

test("an address that comes back before its bucket is full has what is left of it", () => {
  const limits = limitsOf(10, 2);
  const [first, second] = come(limits, "10.0.0.1", 0, 5);
  limits.left(first as AddressUse, 0);
  limits.left(second as AddressUse, 0);
  assert.equal(come(limits, "10.0.0.1", 0, 5).length, 0);
  const back = come(limits, "10.0.0.1", 500, 5);
  assert.equal(back.length, 1);
  limits.sweep(5000);
  assert.equal(limits.size, 1, "it has a connection again");
});
