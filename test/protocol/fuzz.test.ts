/**
 * Decoders against bytes that nobody wrote, and against frames with some bytes changed. `ROOMCAST_FUZZ_RUNS` says how
 * many of each, per codec and side.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import type { Wire } from "../../protocol/codec.js";
import { ProtocolError } from "../../protocol/codes.js";
import { RoomEvent } from "../../protocol/event.js";
import { frames } from "../../protocol/frames.js";
import { Payload } from "../../protocol/payload.js";
import { readHazards } from "../torture/hostile/hazards.js";
import { clientFrame, serverFrame } from "./arbitraries.js";
import { codecs, encodeServer } from "./codecs.js";

const numRuns = Number(process.env["ROOMCAST_FUZZ_RUNS"] ?? 2000);
const prototypeKeys = Reflect.ownKeys(Object.prototype);
after(() => assert.deepEqual(Reflect.ownKeys(Object.prototype), prototypeKeys));

type Change = { readonly at: number; readonly remove: number; readonly insert: readonly number[] };

const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(200),
  remove: fc.oneof(fc.nat(3), fc.nat(200)),
  insert: fc.oneof(
    fc.array(fc.nat(255), { maxLength: 4 }),
    // Headers of MessagePack, and what has a meaning in JSON.
    fc.array(fc.constantFrom(...Buffer.from("c0c1c4c7cacfd3d4d8d9dbdcdddedf9f8fff", "hex")), { maxLength: 2 }),
    fc
      .constantFrom(
        "{",
        "}",
        "[",
        "]",
        '"',
        ",",
        ":",
        "\\",
        "\\u",
        "\\ud800",
        '"data":',
        '"__proto__":',
        "1e999",
        "null",
      )
      .map((text) => [...Buffer.from(text)]),
  ),
});
const changes = fc.array(change, { minLength: 1, maxLength: 4 });

function changed(wire: Wire, list: readonly Change[]): Wire {
  const bytes = [...(typeof wire === "string" ? Buffer.from(wire) : wire)];
  for (const { at, remove, insert } of list) bytes.splice(at % (bytes.length + 1), remove, ...insert);
  return typeof wire === "string" ? Buffer.from(bytes).toString() : new Uint8Array(bytes);
}

/** Runs a decoder, and gives its frame, or `undefined` where it refuses; fails at any other error. */
function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    assert.ok(error instanceof ProtocolError, error as Error);
    assert.equal(typeof error.fatal, "boolean");
    assert.ok(error.message.length < 600, error.message);
    return undefined;
  }
}

/** What a server lets in, every client must be able to read: one event must not break the readers of a room. */
function readable(payload: Payload): void {
  const event = new RoomEvent(1, { event: "e", data: payload, at: 1 });
  for (const { client, server } of codecs) {
    const wire = server.encodeEvents({ type: "events", room: "a", previous: 0 }, [event]);
    if (typeof wire === "string") assert.ok(!/\p{Surrogate}/u.test(wire));
    assert.equal(client.decode(wire)?.type, "events");
  }
}

for (const { client, server } of codecs) {
  const random: fc.Arbitrary<Wire> =
    client.name === "json"
      ? fc.oneof(
          fc.string({ unit: "binary", size: "medium" }),
          fc.json().map((text) => text.slice(0, 500)),
        )
      : fc.oneof(
          fc.uint8Array({ size: "medium" }),
          // An array of a frame's number and noise gets further.
          fc
            .tuple(fc.nat(15), fc.nat(80), fc.uint8Array({ maxLength: 60 }))
            .map(([length, number, noise]) => new Uint8Array([0x90 | length, number, ...noise])),
        );
  // The long ones would do nothing but take time.
  const hazards = readHazards().filter(({ codec, bytes }) => codec === client.name && bytes.length < 1000);
  const hazard = fc
    .constantFrom(...hazards)
    .map(({ bytes }): Wire => (client.name === "json" ? bytes.toString() : new Uint8Array(bytes)));
  const ofClient = fc.oneof(
    random,
    fc.tuple(hazard, changes).map(([wire, list]) => changed(wire, list)),
    fc.tuple(clientFrame(true), changes).map(([frame, list]) => changed(client.encode(frame), list)),
  );
  const ofServer = fc.oneof(
    random,
    fc.tuple(serverFrame(true), changes).map(([frame, list]) => changed(encodeServer(server, frame), list)),
  );

  test(`a server's ${client.name} decoder throws nothing but ProtocolError, and lets in only what all can read`, () => {
    fc.assert(
      fc.property(ofClient, (wire) => {
        const frame = decoded(() => server.decode(wire));
        if (frame === undefined) return;
        const spec = frames.client[frame.type];
        assert.ok(spec);
        for (const name of Object.keys(frame)) assert.ok(name === "type" || name in spec.fields, name);
        if ("data" in frame) {
          assert.ok(frame.data instanceof Payload);
          readable(frame.data);
        }
      }),
      { numRuns },
    );
  });

  test(`a client's ${client.name} decoder throws nothing but ProtocolError`, () => {
    fc.assert(
      fc.property(ofServer, (wire) => {
        const frame = decoded(() => client.decode(wire));
        if (frame !== undefined) assert.ok(frames.server[frame.type]);
      }),
      { numRuns },
    );
  });

  test(`a message of the other kind is fatal to the ${client.name} codec`, () => {
    const wire = client.name === "json" ? new Uint8Array([0x92, 9, 1]) : '{"type":"ping","id":1}';
    for (const decode of [() => server.decode(wire), () => client.decode(wire)]) {
      assert.throws(decode, { name: "ProtocolError", field: "frame", fatal: true });
    }
  });
}
