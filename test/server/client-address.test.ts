import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import {
  forwardedFor,
  normalAddress,
  parseAddressRange,
  TrustedProxies,
} from "../../server/transport/client-address.js";

const trusted = new TrustedProxies(["10.0.0.0/8", "fd00::/8", "192.0.2.7"]);
const addressOf = (peer: string, header: string): string => trusted.addressOf(peer, () => header);

const byte = fc.integer({ min: 0, max: 255 });
const balancer = fc.oneof(
  fc.tuple(byte, byte, byte).map((rest) => `10.${rest.join(".")}`),
  fc.ipV6().filter((address) => /^fd[0-9a-f]{2}:/i.test(address)),
  fc.constantFrom("fd00::1", "192.0.2.7", "::ffff:10.1.2.3"),
);
const client = fc.oneof(fc.ipV4(), fc.ipV6()).filter((address) => {
  const normal = normalAddress(address);
  return !/^(10\.|fd[0-9a-f]{2}:)/.test(normal) && normal !== "192.0.2.7";
});
/** An address as a balancer may write it: with a port, in brackets, in capitals, mapped into IPv6. */
const written = (address: string) =>
  fc.oneof(
    fc.constant(address),
    fc.nat(65_535).map((port) => (isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`)),
    fc.constant(isIP(address) === 6 ? `[${address.toUpperCase()}]` : `::ffff:${address}`),
  );
const spaced = (entry: fc.Arbitrary<string>) =>
  fc.tuple(fc.constantFrom("", " ", "\t"), entry, fc.constantFrom("", " ")).map((parts) => parts.join(""));
/** What a client may say of itself: anything at all, much of it looking like addresses. */
const forged = fc.oneof(
  fc.string(),
  fc.array(fc.oneof(client, balancer, fc.constantFrom("", "unknown", "_hidden"))).map((entries) => entries.join(", ")),
);

test("an address has one form, however it is written", () => {
  const forms: [string, string][] = [
    ["127.0.0.1", "127.0.0.1"],
    ["::ffff:127.0.0.1", "127.0.0.1"],
    ["::FFFF:7f00:1", "127.0.0.1"],
    ["0000:0000:0000:0000:0000:ffff:7f00:0001", "127.0.0.1"],
    ["2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
    ["::1", "::1"],
    ["::ffff:0:1.2.3.4", "::ffff:0:102:304"],
    ["", ""],
    ["unknown", "unknown"],
    ["fe80::1%eth0", "fe80::1%eth0"],
  ];
  for (const [given, normal] of forms) assert.equal(normalAddress(given), normal, given);
  fc.assert(
    fc.property(
      fc.oneof(fc.ipV4(), fc.ipV6()),
      (given) => normalAddress(normalAddress(given)) === normalAddress(given),
    ),
  );
});

test("a range is an address and its bits, IPv4 also where it is written mapped", () => {
  assert.deepEqual(parseAddressRange("10.0.0.0/8"), { address: "10.0.0.0", bits: 8 });
  assert.deepEqual(parseAddressRange("10.1.2.3"), { address: "10.1.2.3", bits: 32 });
  assert.deepEqual(parseAddressRange("::1"), { address: "::1", bits: 128 });
  assert.deepEqual(parseAddressRange("FD00:0::/8"), { address: "fd00::", bits: 8 });
  assert.deepEqual(parseAddressRange("::ffff:10.0.0.0/104"), { address: "10.0.0.0", bits: 8 });
  assert.deepEqual(parseAddressRange("::ffff:10.1.2.3"), { address: "10.1.2.3", bits: 32 });
  assert.deepEqual(parseAddressRange("::ffff:0.0.0.0/90"), { address: "::ffff:0.0.0.0", bits: 90 });
});

test("what is no range is refused", () => {
  const wrong = [
    "",
    "10.0.0",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "10.0.0.0/-1",
    "balancer",
    "fe80::1%eth0",
    "[::1]",
    "10.0.0.1:80",
  ];
  for (const range of wrong) {
    assert.throws(() => parseAddressRange(range), /expected an IP address, or a range as 10\.0\.0\.0\/8/, range);
    assert.throws(() => new TrustedProxies([range]), range);
  }
});

test("the header is not even looked at where the peer is not trusted", () => {
  const never = (): string => assert.fail("it was looked at");
  assert.equal(trusted.addressOf("198.51.100.1", never), "198.51.100.1");
  assert.equal(trusted.addressOf("2001:db8::1", never), "2001:db8::1");
  assert.equal(trusted.addressOf("", never), "");
  assert.equal(new TrustedProxies([]).addressOf("::ffff:10.0.0.1", never), "10.0.0.1");
});

test("a peer mapped into IPv6 is the balancer that it is", () => {
  for (const peer of ["10.0.0.1", "::ffff:10.0.0.1", "0000:0000:0000:0000:0000:ffff:0a00:0001"]) {
    assert.equal(addressOf(peer, "198.51.100.1"), "198.51.100.1");
    assert.equal(addressOf(peer, ""), "10.0.0.1");
  }
});

test("an entry may have a port, and be IPv6 in brackets", () => {
  const forms: [string, string][] = [
    ["198.51.100.1:5678", "198.51.100.1"],
    ["::ffff:198.51.100.1", "198.51.100.1"],
    ["[::ffff:198.51.100.1]:80", "198.51.100.1"],
    ["[2001:DB8::1]:80", "2001:db8::1"],
    ["[2001:db8::1]", "2001:db8::1"],
    [" 2001:db8::1\t", "2001:db8::1"],
  ];
  for (const [entry, address] of forms) assert.equal(addressOf("10.0.0.1", entry), address, entry);
});

test("an entry that is no address ends the search: nobody knows who stands there", () => {
  const none = [
    "unknown",
    "_hidden",
    '"[2001:db8::1]"',
    "198.51.100.1:99999999",
    "[2001:db8::1",
    "for=198.51.100.1",
    "fe80::1%eth0",
    "01.2.3.4",
    " ".repeat(100),
  ];
  for (const entry of none) {
    assert.equal(addressOf("10.0.0.1", entry), "10.0.0.1", entry);
    assert.equal(addressOf("10.0.0.1", `203.0.113.9, ${entry}, 10.0.0.2`), "10.0.0.2", entry);
  }
  assert.equal(addressOf("10.0.0.1", ","), "10.0.0.1");
  assert.equal(addressOf("10.0.0.1", "203.0.113.9,"), "10.0.0.1");
  assert.equal(addressOf("10.0.0.1", ",203.0.113.9"), "203.0.113.9");
});

test("of a huge header only so much is looked at as there are balancers one behind the other", () => {
  const hops = Array.from({ length: 100_000 }, (_, index) => `10.1.${(index >> 8) & 255}.${index & 255}`);
  assert.equal(addressOf("10.0.0.1", `203.0.113.9,${hops.join(",")}`), hops.at(-32));
  assert.equal(addressOf("10.0.0.1", "1".repeat(1_000_000)), "10.0.0.1");
  assert.equal(addressOf("10.0.0.1", ",".repeat(1_000_000)), "10.0.0.1");
});

test("several headers are one list, in their order", () => {
  const request = (headers: [string, string][]) => ({
    forEach: (each: (name: string, value: string) => void) => {
      for (const [name, value] of headers) each(name, value);
    },
  });
  assert.equal(forwardedFor(request([["host", "a"]])), "");
  const header = forwardedFor(
    request([
      ["x-forwarded-for", "203.0.113.9"],
      ["host", "a"],
      ["x-forwarded-for", "198.51.100.1"],
    ]),
  );
  assert.equal(addressOf("10.0.0.1", header), "198.51.100.1");
});

test("the client is whom the first balancer saw, whatever the client said, through any number of balancers", () => {
  const chain = fc
    .tuple(fc.option(forged, { nil: undefined }), client, fc.array(balancer, { minLength: 1, maxLength: 8 }))
    .chain(([said, from, balancers]) => {
      const entries = [from, ...balancers.slice(0, -1)].map((address) => spaced(written(address)));
      return fc.tuple(...entries).map((seen) => ({
        header: [...(said === undefined ? [] : [said]), ...seen].join(","),
        peer: balancers.at(-1) as string,
        from,
      }));
    });
  fc.assert(fc.property(chain, ({ header, peer, from }) => assert.equal(addressOf(peer, header), normalAddress(from))));
});

test("whatever the header is, the answer is an address", () => {
  fc.assert(
    fc.property(fc.oneof(client, balancer), forged, (peer, header) => {
      assert.notEqual(isIP(addressOf(peer, header)), 0);
      if (header === "") assert.equal(addressOf(peer, header), normalAddress(peer));
    }),
  );
});
