/** JSON and MessagePack by their grammar, with values that readers get wrong: half of it right, and none of it usual. */
import { frames } from "../../protocol/frames.js";
import { pack } from "../../protocol/msgpack.js";
import type { Random } from "../support/random.js";

type Side = "client" | "server";

const NUMBERS = [
  "0",
  "-0",
  "1",
  "-1",
  "1.5",
  "1e3",
  "1E+2",
  "1e-400",
  "1e400",
  "9007199254740993",
  "01",
  "+1",
  ".5",
  "1.",
  "0x1",
  "NaN",
];
const STRINGS = [
  '""',
  '"a"',
  '"\\u0041"',
  '"\\ud83d\\ude00"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\x"',
  '"\u2028"',
  '"\t"',
  '"\0"',
  '"𝄞"',
  '"\uFFFD"',
];
const KEYS = [
  '"a"',
  '"__proto__"',
  '"constructor"',
  '"toJSON"',
  '"\\u005f_proto__"',
  '""',
  '"a"',
  '"length"',
  '"$base64"',
];
const BLANKS = ["", "", "", " ", "\n", "\r\n\t", "\u00a0", "\ufeff", "/**/"];

function jsonValue(random: Random, depth: number): string {
  const blank = random.pick(BLANKS);
  const kind = depth <= 0 ? random.below(4) : random.below(8);
  if (kind === 0) return blank + random.pick(NUMBERS);
  if (kind === 1) return blank + random.pick(STRINGS);
  if (kind === 2) return blank + random.pick(["true", "false", "null", "undefined", "True", "nul"]);
  if (kind === 3) return `"${"x".repeat(random.below(300))}"`;
  if (kind === 4) {
    const deep = random.below(random.chance(0.1) ? 3000 : 40);
    return "[".repeat(deep) + jsonValue(random, 0) + "]".repeat(random.chance(0.9) ? deep : random.below(deep + 1));
  }
  const items = Array.from({ length: random.below(6) }, () => jsonValue(random, depth - 1));
  if (kind === 5) return `[${items.join(",")}${blank}]`;
  return `{${items.map((item) => `${random.pick(KEYS)}:${item}`).join(",")}}`;
}

/** A frame of the table with values of any kind in its fields, or a value that is no frame. */
export function jsonNoise(random: Random, from: Side): Buffer {
  if (random.chance(0.2)) return Buffer.from(jsonValue(random, 3));
  const [type, { fields }] = random.pick(Object.entries(frames[from]));
  const rights: { readonly [name: string]: string } = { id: "1", room: '"fuzz:1"', event: '"e"' };
  const parts = Object.keys(fields).map((name) => {
    const value = random.chance(0.8) ? (rights[name] ?? jsonValue(random, 3)) : jsonValue(random, 3);
    return `"${name}":${value}`;
  });
  const all = [`"type":${random.chance(0.95) ? `"${type}"` : jsonValue(random, 1)}`, ...parts];
  if (random.chance(0.2)) all.push(random.pick(all));
  if (random.chance(0.2)) all.reverse();
  return Buffer.from(`{${all.join(",")}}`);
}

/** What begins a value of MessagePack, with the number of bytes that its length or number takes. */
const HEADS: readonly (readonly [head: number, size: number])[] = [
  ...([
    [0xc0, 0],
    [0xc1, 0],
    [0xc2, 0],
    [0xc3, 0],
    [0xc4, 1],
    [0xc5, 2],
    [0xc6, 4],
    [0xc7, 1],
    [0xc8, 2],
    [0xc9, 4],
  ] as const),
  ...([
    [0xca, 4],
    [0xcb, 8],
    [0xcc, 1],
    [0xcd, 2],
    [0xce, 4],
    [0xcf, 8],
    [0xd0, 1],
    [0xd1, 2],
    [0xd2, 4],
    [0xd3, 8],
  ] as const),
  ...([
    [0xd4, 2],
    [0xd5, 3],
    [0xd6, 5],
    [0xd7, 9],
    [0xd8, 17],
    [0xd9, 1],
    [0xda, 2],
    [0xdb, 4],
  ] as const),
  ...([
    [0xdc, 2],
    [0xdd, 4],
    [0xde, 2],
    [0xdf, 4],
  ] as const),
];
const SCALARS = [
  0,
  1,
  -1,
  2 ** 31,
  2 ** 53 - 1,
  1.5,
  "",
  "a",
  "__proto__",
  "\u{1f600}",
  true,
  false,
  null,
  "x".repeat(40),
];

function msgpackValue(random: Random, depth: number): Buffer {
  if (depth <= 0 || random.chance(0.4)) return Buffer.from(pack(random.pick(SCALARS)));
  if (random.chance(0.3)) {
    const [head, size] = random.pick(HEADS);
    // Lengths that are small, or about as large as can be.
    const rest = Array.from({ length: size }, (_, at) =>
      at < size - 1 ? random.pick([0, 0, 0, 255]) : random.below(8),
    );
    const body = Array.from({ length: random.below(10) }, () => random.below(256));
    return Buffer.from([head, ...rest, ...body]);
  }
  if (random.chance(0.05)) return Buffer.concat([Buffer.alloc(random.below(3000), 0x91), Buffer.from([0xc0])]);
  const count = random.below(5);
  const isMap = random.chance(0.5);
  const said = random.chance(0.9) ? count : random.below(16);
  const items = Array.from({ length: isMap ? count * 2 : count }, () => msgpackValue(random, depth - 1));
  return Buffer.concat([Buffer.from([(isMap ? 0x80 : 0x90) | said]), ...items]);
}

/** As `jsonNoise`. */
export function msgpackNoise(random: Random, from: Side): Buffer {
  if (random.chance(0.2)) return msgpackValue(random, 4);
  const [, { number, fields }] = random.pick(Object.entries(frames[from]));
  const rights: { readonly [name: string]: unknown } = { id: 1, room: "fuzz:1", event: "e" };
  const items = Object.keys(fields).map((name) => {
    const right = random.chance(0.8) ? rights[name] : undefined;
    return right === undefined ? msgpackValue(random, 3) : Buffer.from(pack(right));
  });
  const length = items.length + 1;
  return Buffer.concat([Buffer.from([0x90 | (random.chance(0.9) ? length : random.below(16)), number]), ...items]);
}
