import assert from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import test from "node:test";
import { Addresses, isPublic } from "../../server/hooks/addresses.js";

const closed = [
  ...["0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.8.8.8", "169.254.169.254"],
  ...["172.16.0.1", "172.31.255.255", "192.168.1.1", "192.0.0.8", "198.18.0.1", "198.19.255.255", "203.0.113.9"],
  ...["224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
  ...["::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "2001::1", "100::1"],
  // IPv4 in the forms that IPv6 has for it.
  ...["::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:a00:1", "::ffff:0:127.0.0.1", "::127.0.0.1", "::10.0.0.1"],
  ...["64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1"],
];
const open = [
  ...[
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "223.255.255.1",
  ],
  ...["2606:4700::1111", "2a00:1450:4001:800::200e", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
];

test("addresses that are not of the public Internet are told from those that are, in every form", () => {
  assert.deepEqual(closed.filter(isPublic), []);
  assert.deepEqual(
    open.filter((address) => !isPublic(address)),
    [],
  );
  assert.deepEqual(["localhost", "", "1.2.3", "::g"].filter(isPublic), []);
});

test("an IP address in a URL is checked in whichever way it is written", () => {
  const none = new Addresses(() => false);
  const hosts = ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "0", "[::1]"];
  const more = [
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "169.254.169.254",
    "[fd00::1]",
    "[64:ff9b::7f00:1]",
    "127.0.0.1.",
  ];
  for (const host of [...hosts, ...more]) {
    assert.throws(() => none.checkLiteral(new URL(`http://${host}/`)), { name: "AddressRefused" }, host);
  }
  none.checkLiteral(new URL("http://8.8.8.8/"));
  none.checkLiteral(new URL("http://example.com/"));
  const some = new Addresses((address) => address === "127.0.0.1");
  for (const host of ["127.0.0.1", "0x7f000001", "[::ffff:127.0.0.1]"]) some.checkLiteral(new URL(`http://${host}/`));
  assert.throws(() => some.checkLiteral(new URL("http://127.0.0.2/")));
});

const at = (...addresses: string[]): LookupAddress[] =>
  addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));

test("a look-up gives only addresses that may be connected to", async () => {
  const found = (addresses: LookupAddress[], all: boolean) =>
    new Promise((resolve) => {
      new Addresses(
        () => false,
        async () => addresses,
      ).lookup("a.example", { all }, (error, address) => resolve(error === null ? address : error.name));
    });
  assert.deepEqual(await found(at("10.0.0.1", "8.8.8.8", "::1", "2606:4700::1"), true), at("8.8.8.8", "2606:4700::1"));
  assert.equal(await found(at("10.0.0.1", "8.8.8.8"), false), "8.8.8.8");
  assert.equal(await found(at("10.0.0.1", "::ffff:192.168.0.1"), true), "AddressRefused");
  assert.equal(await found([], true), "AddressRefused");
});

test("all who look a host up at the same time share one look-up", async () => {
  let count = 0;
  const addresses = new Addresses(
    () => false,
    async () => {
      count++;
      return at("8.8.8.8");
    },
  );
  const look = () => new Promise((resolve) => addresses.lookup("a.example", {}, (_, address) => resolve(address)));
  assert.deepEqual(await Promise.all([look(), look(), look()]), ["8.8.8.8", "8.8.8.8", "8.8.8.8"]);
  assert.equal(count, 1);
  await look();
  assert.equal(count, 2);
});
