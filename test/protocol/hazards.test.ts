/** What has brought down or slowed decoders elsewhere, byte for byte. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Packr } from "msgpackr";
import type { ServerCodec, Wire } from "../../protocol/codec.js";
import { ProtocolError } from "../../protocol/codes.js";
import { RoomEvent } from "../../protocol/event.js";
import type { ServerFrame } from "../../protocol/frames.js";
import { jsonServer } from "../../protocol/json-server.js";
import { msgpack } from "../../protocol/msgpack.js";
import { scanFrame } from "../../protocol/msgpack-scan.js";
import { msgpackServer } from "../../protocol/msgpack-server.js";
import type { Payload } from "../../protocol/payload.js";
import { readHazards } from "../torture/hostile/hazards.js";
import { oddIn } from "../torture/hostile/plainness.js";
import { bytes, codecs, thrown } from "./codecs.js";

const publishJson = (data: string) => `{"type":"publish","id":7,"room":"a","event":"b","data":${data}}`;
const publishMsgpack = (data: string | Uint8Array) =>
  new Uint8Array([...bytes("95 04 07 a161 a162"), ...(typeof data === "string" ? bytes(data) : data)]);

function refused(codec: ServerCodec, wire: Wire): ProtocolError {
  const error = thrown(() => codec.decode(wire));
  assert.ok(error instanceof ProtocolError, String(error));
  return error;
}

function refusesData(codec: ServerCodec, wire: Wire): void {
  const { field, fatal, id, message } = refused(codec, wire);
  assert.deepEqual({ field, fatal, id }, { field: "data", fatal: false, id: 7 }, message);
}

test("a lone surrogate in data is refused, and the error names the field `data` and the request", () => {
  for (const data of ['"\\ud800"', '["\\udc00\\ud800"]', '{"a":{"\\ud83d":1}}', '"\ud800"', '{"\udfff":1}']) {
    refusesData(jsonServer, publishJson(data));
  }
  assert.equal((jsonServer.decode(publishJson('"\\ud83d\\ude00"')) as { data: Payload }).data.value, "😀");
  for (const data of ["a3 eda080", "91 a3 edb080", "81 a3 eda080 01", "d903 edbfbf"]) {
    refusesData(msgpackServer, publishMsgpack(data));
  }
});

test("broken UTF-8 of any kind is refused where it stands", () => {
  for (const text of [
    "a1 80",
    "a1 ff",
    "a2 c080",
    "a2 c3 28",
    "a3 e28228",
    "a4 f4908080",
    "a1 c3",
    "da0001 ff",
    "db00000001 fe",
  ]) {
    refusesData(msgpackServer, publishMsgpack(text));
    assert.equal(refused(msgpackServer, bytes(`93 03 07 ${text}`)).field, "room");
  }
});

test("a key `__proto__` in data is refused at any depth and however it is written", () => {
  const written = [
    "__proto__",
    "\\u005f_proto__",
    "__pr\\u006fto__",
    "\\u005F\\u005f\\u0070\\u0072\\u006f\\u0074\\u006f__",
  ];
  for (const key of written) {
    for (const data of [`{"${key}":{"polluted":1}}`, `[0,{"a":[{"${key}":null}]}]`])
      refusesData(jsonServer, publishJson(data));
  }
  assert.equal((jsonServer.decode(publishJson('"__proto__"')) as { data: Payload }).data.value, "__proto__");
  const proto = Buffer.from("__proto__").toString("hex");
  for (const header of ["a9", "d909", "da0009", "db00000009"]) {
    refusesData(msgpackServer, publishMsgpack(`81 ${header}${proto} 80`));
    refusesData(msgpackServer, publishMsgpack(`81 a161 92 c0 81 ${header}${proto} c0`));
  }
  assert.equal((Object.prototype as { polluted?: unknown }).polluted, undefined);
});

test("a key `__proto__` of the frame itself changes nothing", () => {
  const frame = jsonServer.decode('{"__proto__":{"room":"x"},"type":"ping","id":1}');
  assert.deepStrictEqual(frame, { type: "ping", id: 1 });
  assert.equal(refused(jsonServer, '{"__proto__":{"room":"x"},"type":"leave","id":1}').field, "room");
});

test("data may nest 64 deep, not 65, in both codecs and whatever else the frame holds", () => {
  const deepJson = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  const deepMsgpack = (depth: number) => `${"91".repeat(depth - 1)}90`;
  assert.ok(jsonServer.decode(publishJson(deepJson(64))));
  assert.ok(msgpackServer.decode(publishMsgpack(deepMsgpack(64))));
  for (const depth of [65, 200_000]) {
    refusesData(jsonServer, publishJson(deepJson(depth)));
    refusesData(msgpackServer, publishMsgpack(deepMsgpack(depth)));
    refusesData(jsonServer, publishJson(`${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`));
    refusesData(msgpackServer, publishMsgpack(`${"81a161".repeat(depth)}01`));
    // A key with an escape must not switch the bound off.
    refusesData(jsonServer, `{"\\u0061":1,"id":7,"type":"publish","room":"a","event":"b","data":${deepJson(depth)}}`);
    assert.equal(refused(jsonServer, `{"type":"ping","id":7,"junk":${deepJson(depth)}}`).field, "frame");
    assert.equal(refused(jsonServer, `{"type":"join","id":7,"since":${deepJson(depth)}}`).field, "since");
    assert.equal(refused(msgpackServer, bytes(`93 09 07 ${deepMsgpack(depth)}`)).field, "frame");
  }
  // Too deep to be parsed at all: whether it is JSON nobody knows.
  assert.equal(refused(jsonServer, "[".repeat(200_000)).fatal, false);
  assert.equal(refused(msgpackServer, bytes("91".repeat(200_000))).fatal, false);
});

test("what nests too deep is not parsed, and the request is told by its own id and type alone", () => {
  const deep = "[".repeat(100_000);
  for (const [frame, id, field] of [
    [`{"id":7,"type":"publish","data":${deep}`, 7, "data"],
    [`{"data":${deep}${"]".repeat(100_000)},"type" : "publish", "id": 7 }`, 7, "data"],
    [`{"data":${deep}${"]".repeat(100_000)},"id":1,"id":7,"type":"call"}`, 7, "data"],
    [`{"id":7,"type":"publish","x":{"id":8,"type":"call"},"data":${deep}`, 7, "data"],
    [`{"id":7,"type":"publish","x":"\\",\\"id\\":8","data":${deep}`, 7, "data"],
    [`{"id":7,"type":"ping","more":${deep}`, 7, "frame"],
    [`{"id":"7","type":"publish","data":${deep}`, undefined, "data"],
    [`{"id":${"7".repeat(100_000)},"type":"publish","data":${deep}`, undefined, "data"],
    [`{"id":7x,"type":"publish","data":${deep}`, undefined, "data"],
    [`{"id":7,"type":"constructor","data":${deep}`, 7, "type"],
    [`{"id":7,"data":${deep}`, 7, "type"],
    [`{"id":7,"type":"publish","data":${deep}"`, 7, "data"],
  ] as const) {
    const error = refused(jsonServer, frame);
    const words = `${frame.slice(0, 60)}: ${error.message}`;
    assert.deepEqual([error.id, error.field, error.fatal], [id, field, false], words);
  }
});

for (const hazard of readHazards().filter(({ then }) => then !== "cut")) {
  test(`${hazard.codec}: ${hazard.name}: ${hazard.then}`, () => {
    const codec = hazard.codec === "json" ? jsonServer : msgpackServer;
    const wire = hazard.codec === "json" ? hazard.bytes.toString() : hazard.bytes;
    if (hazard.then === "refused" || hazard.then === "closed") {
      assert.equal(refused(codec, wire).fatal, hazard.then === "closed");
      return;
    }
    const frame = codec.decode(wire) as { readonly data: Payload };
    for (const value of [frame.data.value, JSON.parse(frame.data.json)]) assert.equal(oddIn(value), undefined);
    // Whatever one codec lets in, the readers of both can read.
    for (const to of codecs) {
      const head = { type: "events", room: "a", previous: 0 } as const;
      const read = to.client.decode(
        to.server.encodeEvents(head, [new RoomEvent(1, { event: "b", data: frame.data, at: 1 })]),
      );
      assert.equal((read as ServerFrame<"events">).events.length, 1);
    }
  });
}

test("the depth that one codec lets in, the other can carry to its readers", () => {
  for (const from of codecs) {
    const value = JSON.parse("[".repeat(64) + "]".repeat(64));
    const frame = from.server.decode(from.client.encode({ type: "publish", room: "a", event: "b", data: value }));
    const event = new RoomEvent(1, { event: "b", data: (frame as { data: Payload }).data, at: 1 });
    for (const to of codecs) {
      for (const head of [
        { type: "events", room: "a", previous: 0 },
        { type: "joined", id: 1, room: "a", recovered: true },
        { type: "history", id: 1, more: false },
      ] as const) {
        const read = to.client.decode(to.server.encodeEvents(head, [event]));
        assert.deepStrictEqual((read as ServerFrame<"events">).events[0]?.data, value);
      }
    }
  }
});

test("lengths that promise gigabytes cost nothing and end the connection", () => {
  const bombs = [
    "dd ffffffff",
    "df ffffffff",
    "c6 ffffffff",
    "db ffffffff",
    "dc ffff",
    "de ffff",
    "da ffff",
    "9f",
    "8f",
    "bf",
  ];
  const before = process.memoryUsage();
  for (let round = 0; round < 200; round++) {
    for (const bomb of bombs) {
      for (const wire of [bytes(bomb), publishMsgpack(bomb), publishMsgpack(`91 ${bomb}`)]) {
        assert.equal(refused(msgpackServer, wire).fatal, true);
        assert.equal((thrown(() => msgpack.decode(wire)) as ProtocolError).fatal, true);
      }
    }
  }
  const after = process.memoryUsage();
  assert.ok(after.heapTotal + after.arrayBuffers - before.heapTotal - before.arrayBuffers < 64 << 20);
});

test("extension types are refused: nothing in a payload is more than plain values", () => {
  const rich = new Packr({ useRecords: true, moreTypes: true, structuredClone: true });
  const values = [
    new Date(0),
    new Date(2 ** 40 + 1),
    /a+/g,
    new Set([1]),
    new Error("x"),
    { a: 1 },
    undefined,
    2n ** 60n,
    new Float32Array(3),
  ];
  for (const value of values) refusesData(msgpackServer, publishMsgpack(new Uint8Array(rich.pack(value))));
  for (const ext of [
    "d4 72 40",
    "d5 0000 00",
    "d6 ff 00000000",
    "d7 ff 0000000000000000",
    `d8 01 ${"00".repeat(16)}`,
  ]) {
    refusesData(msgpackServer, publishMsgpack(ext));
  }
  for (const ext of ["c7 00 01", "c8 0000 01", "c9 00000000 01", "c9 ffffffff 01"]) {
    refusesData(msgpackServer, publishMsgpack(ext));
  }
  // 60 KB of record definitions stall msgpackr for a third of a second; the walk stops at the first.
  refusesData(msgpackServer, publishMsgpack(`dd 00002710 ${"d47240 91a161 01".repeat(10_000)}`));
  assert.equal(refused(msgpackServer, publishMsgpack("c1")).fatal, true);
});

test("keys of maps are strings", () => {
  for (const map of ["81 01 01", "81 c0 01", "81 c401 61 01", "81 90 01", "81 cb3ff0000000000000 01"]) {
    refusesData(msgpackServer, publishMsgpack(map));
  }
});

test("whole numbers of 64 bits stay within what a double holds exactly", () => {
  for (const [number, value] of [
    ["cf 001fffffffffffff", Number.MAX_SAFE_INTEGER],
    ["d3 001fffffffffffff", Number.MAX_SAFE_INTEGER],
    ["d3 ffe0000000000001", Number.MIN_SAFE_INTEGER],
    ["d3 ffffffffffffffff", -1],
  ] as const) {
    const frame = msgpackServer.decode(publishMsgpack(number)) as { data: Payload };
    assert.equal(frame.data.value, value);
    assert.equal(frame.data.json, String(value));
  }
  for (const number of [
    "cf 0020000000000000",
    "cf ffffffffffffffff",
    "d3 0020000000000000",
    "d3 ffe0000000000000",
    "d3 8000000000000000",
  ]) {
    refusesData(msgpackServer, publishMsgpack(number));
    assert.equal(refused(msgpackServer, bytes(`92 09 ${number}`)).field, "id");
  }
});

test("numbers that no double holds are refused in both codecs", () => {
  for (const data of ["1e400", "[-1E+999]", '{"a":[1e309]}', `${"9".repeat(310)}`, `${"9".repeat(302)}e9`]) {
    refusesData(jsonServer, publishJson(data));
  }
  for (const data of ["1e308", "-1.5E-400", "1e5", '"1e999"', "9".repeat(300)])
    assert.ok(jsonServer.decode(publishJson(data)));
  for (const data of [
    "cb 7ff0000000000000",
    "cb fff0000000000000",
    "cb 7ff8000000000000",
    "ca 7f800000",
    "ca 7fc00000",
  ]) {
    refusesData(msgpackServer, publishMsgpack(data));
  }
});

test("floats that are whole numbers do where whole numbers are asked for, others do not", () => {
  assert.deepStrictEqual(msgpackServer.decode(bytes("92 09 cb4000000000000000")), { type: "ping", id: 2 });
  assert.deepStrictEqual(msgpackServer.decode(bytes("92 ca41100000 02")), { type: "ping", id: 2 });
  assert.deepStrictEqual(jsonServer.decode('{"type":"ping","id":2.0}'), { type: "ping", id: 2 });
  assert.equal(refused(msgpackServer, bytes("92 09 cb4000100000000000")).field, "id");
  assert.equal(refused(jsonServer, '{"type":"ping","id":2.5}').field, "id");
  assert.equal(refused(jsonServer, '{"type":"ping","id":"2"}').field, "id");
});

test("of several `data` the last counts, and its text is what readers get", () => {
  const text = (frame: string) => (jsonServer.decode(frame) as { data: Payload }).data.json;
  const rest = '"type":"publish","room":"a","event":"b"';
  assert.equal(text(`{"data":1,${rest},"data": [2 , {"data":3}] }`), '[2 , {"data":3}]');
  assert.equal(text(`{"data":1,${rest},"d\\u0061ta":2}`), "2");
  assert.equal(text(`{"d\\u0061ta":2,${rest},"data":1}`), "1");
  assert.equal(text(`{${rest},"data":"a\\"},\\"data\\":1","x":{"data":9}}`), '"a\\"},\\"data\\":1"');
  assert.equal(text(`{${rest},"data":"a\\"},\\"b"}`), '"a\\"},\\"b"');
  assert.equal(text(`{${rest},"data":"\\\\","x\\\\":1}`), '"\\\\"');
  assert.equal(text(`{${rest},"data":{},"x":[{"data":7}]}`), "{}");
  assert.equal(text(`\n{ "data"\t:\n1\r\n,${rest}}\n`), "1");
});

test("data that is null is a value, and data that is missing is an error", () => {
  assert.equal((jsonServer.decode(publishJson("null")) as { data: Payload }).data.value, null);
  assert.equal((msgpackServer.decode(publishMsgpack("c0")) as { data: Payload }).data.value, null);
  assert.equal(refused(jsonServer, '{"type":"publish","room":"a","event":"b"}').field, "data");
  assert.equal(refused(msgpackServer, bytes("94 04 c0 a161 a162")).field, "data");
});

test("a small payload of a large frame does not keep the frame", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  const kept: Payload[] = [];
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < 400; index++) {
    const wire = `{"type":"publish","room":"a","event":"b","data":"data of ${index}, thirteen and more","junk":"${"x".repeat(100_000)}${index}"}`;
    kept.push((jsonServer.decode(Buffer.from(wire).toString()) as { data: Payload }).data);
  }
  collect();
  assert.ok(kept.every((payload) => payload.size < 100));
  assert.ok(process.memoryUsage().heapUsed - before < 20 << 20);
});

test("errors quote little of what came, never half a character, and go back to strict readers", () => {
  const long = `${"x".repeat(56)}😀${"y".repeat(60_000)}`;
  for (const frame of [`{"type":"${long}"}`, `{"type":"leave","id":1,"room":"${long}"}`]) {
    const { message } = refused(jsonServer, frame);
    assert.ok(message.length < 300);
    for (const { client, server } of codecs) {
      const error = client.decode(server.encode({ type: "error", code: "bad_request", message }));
      assert.deepStrictEqual(error, { type: "error", code: "bad_request", message });
    }
  }
});

test("a client is told what was wrong in a server's frame, and not only that something is missing", () => {
  const error = thrown(() => msgpack.decode(bytes("9440a161c09195c0a162d6ff00000000c001"))) as ProtocolError;
  assert.match(error.message, /^events: .*extension/);
});

test("what stands in place of a frame's number is told to the developer", () => {
  assert.match(refused(msgpackServer, bytes("92 d40000 01")).message, /^type: .*0xd4/);
  assert.match(refused(msgpackServer, bytes("92 a161 01")).message, /^type: .*"a"/);
});

test("the walk remembers a few elements of a frame, each with whether it is binary, however many there are", () => {
  const { spans } = scanFrame(bytes(`dc03e8 c40100 ${"c0".repeat(999)}`), 64);
  assert.equal(spans.length, 32);
  assert.deepEqual(
    spans.slice(0, 2).map((span) => span.hasBinary),
    [true, false],
  );
});
