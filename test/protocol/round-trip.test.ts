import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Wire } from "../../protocol/codec.js";
import { RoomEvent } from "../../protocol/event.js";
import { frames, type ServerFrame, structures } from "../../protocol/frames.js";
import { msgpack } from "../../protocol/msgpack.js";
import { msgpackServer } from "../../protocol/msgpack-server.js";
import { Payload } from "../../protocol/payload.js";
import { clientFrame, data, serverFrame } from "./arbitraries.js";
import { asRead, codecs, encodeServer, opened } from "./codecs.js";

const numRuns = Number(process.env["ROOMCAST_PROPERTY_RUNS"] ?? 500);

/** The same bytes in the middle of a buffer that is used again at once, as transports have them. */
function inReusedBuffer(wire: Wire, use: (view: Wire) => unknown): unknown {
  if (typeof wire === "string") return use(wire);
  const pool = Buffer.alloc(wire.length + 64, 0xc1);
  pool.set(wire, 32);
  const result = use(pool.subarray(32, 32 + wire.length));
  pool.fill(0xc1);
  return result;
}

for (const { client, server } of codecs) {
  test(`what a client writes in ${client.name}, a server reads`, () => {
    fc.assert(
      fc.property(clientFrame(true), (frame) => {
        const read = inReusedBuffer(client.encode(frame), (wire) => server.decode(wire));
        assert.deepStrictEqual(opened(read as ReturnType<typeof server.decode>), asRead(client, frame));
      }),
      { numRuns },
    );
  });

  test(`what a server writes in ${client.name}, a client reads`, () => {
    fc.assert(
      fc.property(serverFrame(true), (frame) => {
        const read = inReusedBuffer(encodeServer(server, frame), (wire) => client.decode(wire));
        assert.deepStrictEqual(read, asRead(client, frame));
      }),
      { numRuns },
    );
  });

  for (const reader of codecs) {
    test(`data published in ${client.name} reaches a reader of ${reader.client.name} as it was`, () => {
      fc.assert(
        fc.property(data(true), (value) => {
          const wire = client.encode({ type: "publish", room: "a", event: "b", data: value });
          const received = inReusedBuffer(wire, (view) => server.decode(view)) as { data: Payload };
          const event = new RoomEvent(7, { event: "b", data: received.data, at: 1 });
          const out = reader.server.encodeEvents({ type: "events", room: "a", previous: 6 }, [event]);
          const read = reader.client.decode(out) as ServerFrame<"events">;
          assert.deepStrictEqual(read.events[0]?.data, asRead(reader.client, asRead(client, value)));
        }),
        { numRuns },
      );
    });
  }
}

test("a writer grows within a frame without losing a byte, whatever the sizes", () => {
  for (const length of [...Array(70).keys()].map((step) => 440 + step)) {
    for (const value of ["x".repeat(length), "ü".repeat(length), "x".repeat(length * 130)]) {
      const event = new RoomEvent(2 ** 40, {
        event: "e".repeat(64),
        data: Payload.ofValue(value),
        from: value,
        at: 70_000,
      });
      const wire = msgpackServer.encodeEvents({ type: "events", room: "r".repeat(128), previous: 2 ** 33 }, [
        event,
        event,
      ]);
      const read = { offset: 2 ** 40, event: "e".repeat(64), data: value, from: value, at: 70_000 };
      const expected = { type: "events", room: "r".repeat(128), previous: 2 ** 33, events: [read, read] };
      if (value.length <= 16_384) assert.deepStrictEqual(msgpack.decode(wire), expected);
      else assert.throws(() => msgpack.decode(wire), { field: "events[0].from" });
    }
  }
});

test("a writer that has just grown small again loses no byte at any place where it grows", () => {
  const large = { event: "e", data: Payload.ofValue("x".repeat(1_100_000)), at: 1 };
  for (let length = 380; length < 512; length++) {
    // One frame beyond a mebibyte, and the writer starts anew with its first 512 bytes.
    msgpackServer.encodeEvent(new RoomEvent(1, large));
    for (const [at, previous] of [
      [1, undefined],
      [2 ** 20, 2 ** 40],
    ] as const) {
      const data = "x".repeat(length);
      const event = { offset: 3, event: "e", data, at, key: "k" };
      const head = { type: "events", room: "r", ...(previous === undefined ? {} : { previous }) } as const;
      const wire = msgpackServer.encodeEvents(head, [new RoomEvent(3, { ...event, data: Payload.ofValue(data) })]);
      assert.deepStrictEqual(msgpack.decode(wire), { ...head, events: [event] });
    }
  }
});

test("a frame takes any number of events, in both codecs", () => {
  for (const { client, server } of codecs) {
    for (const count of [0, 1, 15, 16, 17, 65_535, 65_536]) {
      const event = new RoomEvent(1, { event: "e", data: Payload.ofValue(1), at: 1 });
      const frame = client.decode(server.encodeEvents({ type: "events", room: "a" }, Array(count).fill(event)));
      assert.equal((frame as ServerFrame<"events">).events.length, count);
    }
  }
});

test("a frame that cannot be written leaves nothing behind in the next one", () => {
  const event = new RoomEvent(1, { event: "e", data: Payload.ofValue("x"), at: 1 });
  const head = { type: "joined", id: 1, room: "a", recovered: true, members: [{ user: "u", info: () => 1 }] } as const;
  assert.throws(() => msgpackServer.encodeEvents(head, [event]));
  const wire = msgpackServer.encodeEvents({ type: "events", room: "a", previous: 0 }, [event]);
  assert.deepStrictEqual(msgpack.decode(wire), {
    type: "events",
    room: "a",
    previous: 0,
    events: [{ offset: 1, event: "e", data: "x", at: 1 }],
  });
});

test("an event is encoded once, and its bytes are its own", () => {
  for (const { server } of codecs) {
    const event = new RoomEvent(1, { event: "e", data: Payload.ofValue({ a: 1 }), at: 1, from: "ann" });
    const first = server.encodeEvent(event);
    assert.equal(server.encodeEvent(event), first);
    if (first instanceof Uint8Array) assert.equal(first.buffer.byteLength, first.length);
  }
});

test("events stand last in every frame that has them, and numbers are given once", () => {
  const numbers = Object.values(frames).flatMap((table) => Object.values(table).map((spec) => spec.number));
  assert.equal(new Set(numbers).size, numbers.length);
  for (const table of Object.values(frames)) {
    for (const { fields } of Object.values(table)) {
      const names = Object.keys(fields);
      if (names.includes("events")) assert.equal(names.at(-1), "events");
    }
  }
  assert.equal(Object.keys(structures.events)[0], "offset");
});
