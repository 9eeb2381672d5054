/** `UPDATE_VECTORS=1` writes `test/vectors` anew; what changes there changes the protocol. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { Wire } from "../../protocol/codec.js";
import { ProtocolError } from "../../protocol/codes.js";
import { frames, type Side } from "../../protocol/frames.js";
import { asRead, bytes, codecs, encodeServer, hex, opened, thrown } from "./codecs.js";
import { clientExamples, type Input, invalid, serverExamples, tolerated } from "./examples.js";

const folder = new URL("../../../test/vectors/", import.meta.url);
const [json, msgpack] = codecs as [(typeof codecs)[0], (typeof codecs)[0]];

/** Binary has no form in a JSON file: it stands as an object of one key. */
function written(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $base64: Buffer.from(value).toString("base64") };
  if (Array.isArray(value)) return value.map(written);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, written(item)]));
}

function compare(name: string, vectors: readonly object[]): void {
  const file = new URL(name, folder);
  const text = `[\n${vectors.map((vector) => `  ${JSON.stringify(vector)}`).join(",\n")}\n]\n`;
  if (process.env["UPDATE_VECTORS"] === "1") writeFileSync(file, text);
  assert.equal(text, readFileSync(file, "utf8"));
}

const textOf = (wire: Wire) => {
  assert.equal(typeof wire, "string");
  return wire;
};

/** What the other side makes of a message; `undefined` where it passes it over. */
function read(side: Side, codec: (typeof codecs)[0], wire: Wire): object | undefined {
  return side === "client" ? opened(codec.server.decode(wire)) : codec.client.decode(wire);
}

function readInput(input: Input): object | undefined {
  return "json" in input ? read(input.side, json, input.json) : read(input.side, msgpack, bytes(input.msgpack));
}

test("every frame of the table has a vector, with all of its fields in one and few in another", () => {
  const sides = { client: clientExamples, server: serverExamples };
  for (const side of ["client", "server"] as const) {
    for (const [type, { fields }] of Object.entries(frames[side])) {
      const examples = sides[side].filter((frame) => frame.type === type);
      assert.ok(examples.length > 0, `no vector of ${side} ${type}`);
      for (const field of Object.keys(fields)) {
        assert.ok(
          examples.some((frame) => field in frame),
          `no vector with ${type}.${field}`,
        );
        if (fields[field]?.endsWith("?"))
          assert.ok(
            examples.some((frame) => !(field in frame)),
            `none without ${type}.${field}`,
          );
      }
    }
  }
});

test("frames are written as the vectors say, and read back as they were", () => {
  const vectors = [
    ...clientExamples.map((frame) => ({
      side: "client" as const,
      frame,
      text: json.client.encode(frame),
      packed: msgpack.client.encode(frame),
    })),
    ...serverExamples.map((frame) => ({
      side: "server" as const,
      frame,
      text: encodeServer(json.server, frame),
      packed: encodeServer(msgpack.server, frame),
    })),
  ];
  for (const { side, frame, text, packed } of vectors) {
    const expected = frame.type === "presence" ? withoutNullInfo(frame) : frame;
    assert.deepStrictEqual(read(side, json, text), asRead(json.client, expected));
    assert.deepStrictEqual(read(side, msgpack, packed), expected);
  }
  compare(
    "frames.json",
    vectors.map(({ side, frame, text, packed }) => ({
      side,
      frame: written(frame),
      json: textOf(text),
      msgpack: hex(packed),
    })),
  );
});

/** A null in an optional field is a field left out. */
function withoutNullInfo(frame: object): object {
  return JSON.parse(JSON.stringify(frame, (_key, value: unknown) => (value === null ? undefined : value)));
}

test("unusual messages are read as the vectors say", () => {
  compare(
    "tolerated.json",
    tolerated.map((input) => ({ ...input, frame: written(readInput(input) ?? null) })),
  );
});

test("wrong messages are refused with the field and the weight that the vectors say", () => {
  compare(
    "invalid.json",
    invalid.map((input) => {
      const error = thrown(() => readInput(input));
      assert.ok(error instanceof ProtocolError, String(error));
      const { field, fatal } = error;
      return { ...input, error: { field, fatal } };
    }),
  );
});
