import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { pack } from "../../protocol/msgpack.js";
import { Payload } from "../../protocol/payload.js";
import { decodeRecord, encodeRecord } from "../../server/engine/record.js";

const names = fc.stringMatching(/^[A-Za-z0-9_.:@/-]{1,64}$/);
const wellFormed = (maxLength: number) => fc.string({ unit: "grapheme", minLength: 1, maxLength });

const payloads = fc.oneof(
  fc.jsonValue().map((value) => Payload.ofJson(JSON.stringify(value))),
  fc.jsonValue().map((value) => Payload.ofMsgpack(new Uint8Array(pack(value)), false)),
  fc.jsonValue().map((value) => Payload.ofValue(value)),
  fc.uint8Array().map((bytes) => Payload.ofValue({ bytes })),
);

const events = fc.record({
  event: names,
  data: payloads,
  at: fc.integer({ min: 0, max: 2 ** 48 }),
  from: fc.option(wellFormed(100), { nil: undefined }),
  key: fc.option(wellFormed(100), { nil: undefined }),
});

test("an event comes out of its record as it went in, in the form it went in", () => {
  fc.assert(
    fc.property(events, fc.nat(), (given, offset) => {
      const read = decodeRecord(offset, encodeRecord(given));
      const { event, at, from, key, data } = read;
      assert.deepEqual(
        { offset: read.offset, event, at, from, key },
        {
          offset,
          event: given.event,
          at: given.at,
          from: given.from,
          key: given.key,
        },
      );
      assert.equal(data.hasBinary, given.data.hasBinary);
      assert.equal(data.json, given.data.json);
      assert.deepEqual(Buffer.from(data.msgpack), Buffer.from(given.data.msgpack));
    }),
  );
});

test("nothing of the bytes it was read from stays in an event", () => {
  const bytes = encodeRecord({ event: "e", data: Payload.ofValue({ b: new Uint8Array([1, 2]) }), at: 1, from: "ann" });
  const read = decodeRecord(1, bytes);
  bytes.fill(0xff);
  assert.deepEqual([read.event, read.from, read.at], ["e", "ann", 1]);
  assert.deepEqual(read.data.value, { b: new Uint8Array([1, 2]) });
});

test("bytes that are no record are refused, wherever they were cut", () => {
  const whole = encodeRecord({ event: "event", data: Payload.ofJson("1"), at: 1, from: "ann", key: "k" });
  const head = whole.length - 1;
  for (let length = 0; length < head; length++) {
    assert.throws(() => decodeRecord(1, whole.subarray(0, length)), RangeError, `cut at ${length}`);
  }
});

test("a record is written down: a node of the next version has to read it", () => {
  const json = encodeRecord({
    event: "said",
    data: Payload.ofJson('{"a":1}'),
    at: 1_790_000_000_000,
    from: "ann",
    key: "k",
  });
  assert.equal(json.toString("hex"), "0c427a0c4506c0000004736169640003616e6e00016b7b2261223a317d");
});
