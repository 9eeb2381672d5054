import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../protocol/codes.js";
import { RoomEvent } from "../../protocol/event.js";
import { json } from "../../protocol/json.js";
import { msgpack, pack } from "../../protocol/msgpack.js";
import { msgpackServer } from "../../protocol/msgpack-server.js";
import { Payload } from "../../protocol/payload.js";
import { thrown } from "./codecs.js";

const taken = (value: unknown) => Payload.ofValue(value).value;
const refusedAt = (value: unknown) => {
  const error = thrown(() => Payload.ofValue(value));
  assert.ok(error instanceof ProtocolError, String(error));
  return error.field;
};

test("what an application gives is taken as JSON takes it", () => {
  const when = new Date(1_790_000_000_000);
  class Point {
    readonly x = 1;
    toJSON(key: string) {
      return { point: this.x, key };
    }
  }
  const values = [
    null,
    true,
    "text",
    1.5,
    [],
    {},
    when,
    [when],
    { when },
    { a: undefined, b: [undefined, 1] },
    [Number.NaN, Number.POSITIVE_INFINITY, -1],
    new Point(),
    { at: new Point(), list: [new Point()] },
    { gone: { toJSON: () => undefined }, here: 1 },
    Object.assign(Object.create(null), { a: 1 }),
    Object("text"),
    [Object(1), Object(false)],
    JSON.parse('{"constructor":1,"toString":2,"hasOwnProperty":3,"toJSON":4,"":5}'),
  ];
  for (const value of values) {
    assert.deepStrictEqual(taken(value), JSON.parse(JSON.stringify(value)));
    assert.equal(Payload.ofValue(value).json, JSON.stringify(value));
  }
  // biome-ignore lint/suspicious/noSparseArray: that is the point
  assert.deepStrictEqual(taken([1, , 2]), [1, null, 2]);
});

test("what has no form on the wire is refused, naming where it stands", () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  const again = { toJSON: (): unknown => ({ ...again }) };
  assert.equal(refusedAt(undefined), "data");
  assert.equal(
    refusedAt(() => 1),
    "data",
  );
  assert.equal(refusedAt(Symbol("s")), "data");
  assert.equal(refusedAt({ list: [0, 1n] }), "data.list[1]");
  assert.equal(refusedAt({ call() {} }), "data.call");
  assert.equal(refusedAt({ map: new Map([[1, 2]]) }), "data.map");
  assert.equal(refusedAt([new Set([1])]), "data[0]");
  assert.equal(refusedAt([new Float64Array(2)]), "data[0]");
  assert.equal(refusedAt(new ArrayBuffer(2)), "data");
  assert.equal(refusedAt({ a: "\ud800" }), "data.a");
  assert.equal(refusedAt({ "\ud800": 1 }), "data");
  assert.equal(refusedAt(JSON.parse('{"a":{"__proto__":1}}')), "data.a");
  assert.match(refusedAt(cycle), /^data\.self\.self/);
  assert.match(refusedAt(again), /^data/);
});

test("an error's path is short and well-formed, whatever the keys", () => {
  const error = thrown(() => Payload.ofValue({ ["😀".repeat(10_000)]: 1n })) as ProtocolError;
  assert.ok(error.message.length < 250);
  assert.ok(!/\p{Surrogate}/u.test(error.message));
});

test("nesting is bounded at 64 levels, and a value at the bottom is none", () => {
  const nest = (value: unknown, depth: number): unknown => (depth === 0 ? value : [nest(value, depth - 1)]);
  for (const leaf of [1, "x", null, new Uint8Array(1), new Date(0)]) assert.ok(Payload.ofValue(nest(leaf, 64)));
  assert.throws(() => Payload.ofValue(nest([], 64)), ProtocolError);
  assert.throws(() => Payload.ofValue(nest({ toJSON: () => [] }, 64)), ProtocolError);
  const json = Payload.ofValue(nest(1, 64)).json;
  assert.equal(json, "[".repeat(64) + 1 + "]".repeat(64));
});

test("a payload owns what it holds: the application may go on with its objects and buffers", () => {
  const buffer = Buffer.from("abc");
  const list = [1];
  const payload = Payload.ofValue({ buffer, list });
  buffer.fill(0);
  list.push(2);
  assert.deepStrictEqual(payload.value, { buffer: new Uint8Array([97, 98, 99]), list: [1] });
  assert.equal(payload.json, '{"buffer":"YWJj","list":[1]}');
});

test("a payload owns its bytes though the transport uses its buffer again", () => {
  const pool = Buffer.alloc(200);
  const wire = msgpack.encode({
    type: "publish",
    room: "a",
    event: "b",
    data: { text: "hello", bytes: new Uint8Array([1, 2]) },
  });
  pool.set(wire as Uint8Array, 50);
  const { data } = msgpackServer.decode(pool.subarray(50, 50 + wire.length)) as { data: Payload };
  pool.fill(0xff);
  assert.deepStrictEqual(data.value, { text: "hello", bytes: new Uint8Array([1, 2]) });
  assert.equal(data.msgpack.buffer.byteLength, data.msgpack.length);
  assert.equal(Payload.ofValue([1]).msgpack.buffer.byteLength, 2);
});

test("reading a payload leaves its bytes as they are, also for those who print or compare them", () => {
  const payload = Payload.ofMsgpack(new Uint8Array(pack({ a: [1] })), false);
  assert.deepStrictEqual(payload.value, payload.value);
  assert.deepEqual(Object.keys(payload.msgpack), Object.keys(new Uint8Array(payload.msgpack.length)));
});

test("binary is base64 in JSON, at the top and within, of any length", () => {
  for (const length of [0, 1, 2, 3, 8191, 8192, 8193, 70_000]) {
    const bytes = new Uint8Array(length).map((_, index) => index * 7);
    const text = Buffer.from(bytes).toString("base64");
    for (const payload of [Payload.ofValue(bytes), Payload.ofMsgpack(new Uint8Array(pack(bytes)), true)]) {
      assert.equal(payload.json, JSON.stringify(text));
      assert.deepStrictEqual(payload.value, bytes);
    }
    assert.equal(Payload.ofValue({ a: [bytes] }).json, JSON.stringify({ a: [text] }));
  }
  const frame = json.encode({ type: "call", id: 1, method: "m", data: [Buffer.from("abc")] });
  assert.equal(frame, '{"type":"call","id":1,"method":"m","data":["YWJj"]}');
});

test("every form leads to every other, in any order of asking", () => {
  const value = { text: "ü😀", list: [1, -1, 2 ** 40, 0.5, null, true], empty: {} };
  const text = JSON.stringify(value);
  const make = [
    () => Payload.ofValue(value),
    () => Payload.ofJson(text),
    () => Payload.ofMsgpack(new Uint8Array(pack(value)), false),
  ];
  const forms = ["value", "json", "msgpack"] as const;
  for (const payloadOf of make) {
    for (const first of forms) {
      for (const second of forms) {
        const payload = payloadOf();
        assert.ok(payload[first] !== undefined && payload[second] !== undefined);
        assert.deepStrictEqual(payload.value, value);
        assert.equal(payload.json, text);
        assert.deepStrictEqual(Payload.ofMsgpack(payload.msgpack, false).value, value);
      }
    }
  }
});

test("a size is in bytes, and stays the same when other forms are made", () => {
  for (const [text, bytes] of [
    ['"abc"', 5],
    ['"ü"', 4],
    ['"中文"', 8],
    ['"😀"', 6],
    ['"aü中😀"', 12],
    ["0", 1],
  ] as const) {
    const payload = Payload.ofJson(text);
    assert.equal(payload.size, bytes);
    assert.equal(payload.size, Buffer.byteLength(text));
    assert.ok(payload.msgpack.length > 0);
    assert.equal(payload.size, bytes);
  }
  const packed = Payload.ofMsgpack(new Uint8Array(pack("abc")), false);
  assert.equal(packed.size, 4);
  assert.equal(packed.json, '"abc"');
  assert.equal(packed.size, 4);
  assert.ok(new RoomEvent(1, { event: "e", data: packed, at: 1 }).size > 4);
});

test("a MessagePack client sends what a JSON client would", () => {
  const data = { when: new Date(0), gone: undefined, list: [undefined, Number.NaN] };
  const frame = msgpackServer.decode(msgpack.encode({ type: "publish", room: "a", event: "b", data }));
  assert.equal((frame as { data: Payload }).data.json, JSON.stringify(data));
  assert.throws(() => msgpack.encode({ type: "publish", room: "a", event: "b", data: { a: "\ud800" } }), {
    field: "data.a",
  });
});

test("whether a payload is within a number of bytes goes by its bytes, not by its characters", () => {
  for (const text of ["", "a", "ü", "€", "😀", "a€😀".repeat(20)]) {
    for (const payload of [Payload.ofJson(JSON.stringify(text)), Payload.ofValue(text), Payload.ofValue([text])]) {
      const { size } = Payload.ofJson(payload.json);
      for (const bytes of [size, size + 1, size * 3]) assert.ok(payload.isWithin(bytes), `${text} in ${bytes}`);
      assert.ok(!payload.isWithin(size - 1), text);
    }
  }
  assert.ok(!Payload.ofValue({ deep: [{ bytes: new Uint8Array(100) }] }).isWithin(100));
  assert.ok(Payload.ofValue({ deep: [{ bytes: new Uint8Array(100) }] }).hasBinary);
});
