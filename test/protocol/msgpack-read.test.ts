import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Unpackr } from "msgpackr";
import { pack, unpack } from "../../protocol/msgpack.js";
import { scanFrame } from "../../protocol/msgpack-scan.js";
import { data } from "./arbitraries.js";
import { bytes } from "./codecs.js";

const a = (count: number) => "61".repeat(count);
const written: readonly (readonly [string, unknown])[] = [
  ["00", 0],
  ["7f", 127],
  ["e0", -32],
  ["ff", -1],
  ["c0", null],
  ["c2", false],
  ["c3", true],
  ["cc ff", 255],
  ["cd fffe", 65_534],
  ["ce fffffffe", 4_294_967_294],
  ["cf 001ffffffffffffe", 9_007_199_254_740_990],
  ["cf 0000000100000002", 4_294_967_298],
  ["d0 80", -128],
  ["d1 8001", -32_767],
  ["d2 80000001", -2_147_483_647],
  ["d3 fffffffeffffffff", -4_294_967_297],
  ["d3 ffe0000000000001", -9_007_199_254_740_991],
  ["d3 0000000000000001", 1],
  ["ca 3fc00000", 1.5],
  ["cb bff8000000000000", -1.5],
  ["a0", ""],
  ["a2 c3bc", "ü"],
  [`bf ${a(31)}`, "a".repeat(31)],
  ["d9 01 61", "a"],
  ["da 0001 61", "a"],
  ["db 00000001 61", "a"],
  ["a8 efbbbf 61 f09f9880", "\ufeffa😀"],
  ["c4 00", new Uint8Array()],
  ["c4 02 00ff", new Uint8Array([0, 255])],
  ["c5 0001 07", new Uint8Array([7])],
  ["c6 00000001 07", new Uint8Array([7])],
  ["90", []],
  ["93 01 a161 90", [1, "a", []]],
  ["dc 0001 c0", [null]],
  ["dd 00000001 c3", [true]],
  ["80", {}],
  ["81 a161 81 a0 01", { a: { "": 1 } }],
  ["82 a161 01 a161 02", { a: 2 }],
  ["de 0001 a161 01", { a: 1 }],
  ["df 00000001 a161 01", { a: 1 }],
];

test("every type of MessagePack is read in all of its widths, to the value that it means", () => {
  for (const [text, value] of written) {
    assert.equal(scanFrame(bytes(`91 ${text}`), 64).fault, undefined, text);
    assert.deepStrictEqual(unpack(bytes(text)), value, text);
    assert.deepStrictEqual(unpack(bytes(`93 01 ${text} 02`)), [1, value, 2], text);
  }
});

test("text of any length is read as it was written, a byte order mark too", () => {
  for (const start of ["", "\ufeff", "ü", "😀", "\u0000"]) {
    for (const length of [0, 1, 20, 23, 24, 25, 31, 32, 63, 64, 65, 255, 256, 65_535, 65_536]) {
      const text = start + "x".repeat(length);
      assert.ok(unpack(pack(text)) === text, `${JSON.stringify(start)} and ${length}`);
    }
  }
});

test("what is read is what msgpackr reads", () => {
  const reference = new Unpackr({ useRecords: false, mapsAsObjects: true, copyBuffers: true, int64AsType: "number" });
  fc.assert(
    fc.property(data(true), (value) => {
      const packed = new Uint8Array(pack(value));
      assert.deepStrictEqual(unpack(packed), reference.unpack(packed.slice()));
    }),
    { numRuns: 500 },
  );
});
