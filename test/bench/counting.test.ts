import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { countEvents, DATA_BYTES, eventData } from "../../bench/support/event-data.js";
import { BINARY, FrameWalker, PING, TEXT } from "../../bench/support/wire.js";
import { msgpack } from "../../protocol/index.js";
import { pack } from "../../protocol/msgpack.js";

/** A frame as a server sends it. */
function serverFrame(opcode: number, payload: Uint8Array): Buffer {
  const long = payload.length >= 126;
  const header = Buffer.from(
    long ? [0x80 | opcode, 126, payload.length >> 8, payload.length & 0xff] : [0x80 | opcode, payload.length],
  );
  return Buffer.concat([header, payload]);
}

function eventsFrame(stamps: readonly number[]): Buffer {
  const events = stamps.map((stamp, index) => ({
    offset: index + 1,
    event: "event",
    data: eventData("json", stamp),
    at: 0,
  }));
  return serverFrame(TEXT, Buffer.from(JSON.stringify({ type: "events", room: "bench", previous: 0, events })));
}

test("an event's data takes 100 bytes in both forms", () => {
  assert.equal(JSON.stringify(eventData("json", 123)).length, DATA_BYTES);
  assert.equal(pack(eventData("msgpack", 123)).length, DATA_BYTES);
});

test("what a publisher sends as MessagePack is counted, and says when it was sent", () => {
  const data = eventData("msgpack", 1234567);
  const bytes = Buffer.from(
    msgpack.encode({ type: "publish", id: 1, room: "bench", event: "event", data }) as Uint8Array,
  );
  const seen: number[] = [];
  assert.equal(
    countEvents(bytes, 0, bytes.length, (stamp) => seen.push(stamp)),
    1,
  );
  assert.deepEqual(seen, [1234567]);
});

test("events are counted alike however the bytes are split over reads", () => {
  const stamp = fc.integer({ min: 1, max: 2 ** 40 });
  const frame = fc.oneof(
    fc.array(stamp, { maxLength: 8 }).map((stamps) => ({ stamps, bytes: eventsFrame(stamps) })),
    fc
      .uint8Array({ minLength: 80, maxLength: 120 })
      .map((bytes) => ({ stamps: [], bytes: serverFrame(BINARY, bytes) })),
    fc.constant({ stamps: [], bytes: serverFrame(PING, Buffer.alloc(0)) }),
  );
  const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 });
  const property = fc.property(fc.array(frame, { maxLength: 12 }), sizes, (frames, reads) => {
    const seen: number[] = [];
    let count = 0;
    const walker = new FrameWalker((_opcode, bytes, start, end) => {
      count += countEvents(bytes, start, end, (one) => seen.push(one));
    });
    const stream = Buffer.concat(frames.map((one) => one.bytes));
    // What stood in the read buffer before is still there behind the bytes read.
    const buffer = Buffer.concat([eventsFrame([7, 8]), eventsFrame([9])]);
    for (let at = 0, turn = 0; at < stream.length; turn++) {
      const length = Math.min(reads[turn % reads.length] as number, buffer.length, stream.length - at);
      stream.copy(buffer, 0, at, at + length);
      walker.feed(buffer, length);
      at += length;
    }
    const expected = frames.flatMap((one) => one.stamps);
    assert.deepEqual(seen, expected);
    assert.equal(count, expected.length);
  });
  fc.assert(property, { numRuns: Number(process.env["ROOMCAST_TEST_RUNS"] ?? 200) });
});
