/** Frames that nobody means: random bytes, and right frames with some bytes changed. The same for the same seed. */
import { type ClientFrame, clientFrames, type FieldKind } from "../../../protocol/frames.js";
import { pack } from "../../../protocol/msgpack.js";
import type { Random } from "../../support/random.js";
import { type FrameParts, OPCODE } from "../../support/raw-socket.js";

type Codec = "json" | "msgpack";
type Spec = { readonly number: number; readonly fields: { readonly [name: string]: string } };
const table = Object.entries(clientFrames) as readonly (readonly [ClientFrame["type"], Spec])[];
const kindOf = (spec: string): FieldKind => spec.replace("?", "") as FieldKind;

/** The rooms that such frames are about: few, so that they are joined, left and published in again and again. */
const ROOMS = 20;

const right: { readonly [kind in FieldKind]?: readonly unknown[] } = {
  id: [1, 0, -1, Number.MAX_SAFE_INTEGER],
  uint: [5, 0, Number.MAX_SAFE_INTEGER],
  string: ["text", "", "ü🦊", "x".repeat(500)],
  bool: [true, false],
  event: ["e", "a:b/c@d"],
  key: ["k", "🦊".repeat(60)],
  any: [{ a: 1 }, [], null, "text", 1e300, [[[[{ deep: [true] }]]]], { constructor: 1, toString: null }],
  position: [
    { epoch: "e", offset: 3 },
    { epoch: "", offset: 0 },
  ],
};
const wrong: readonly unknown[] = [
  ...["", "a b", "$a", "\u0000", 1.5, -1, true, null, {}, [], 2 ** 53, "x".repeat(20_000), { epoch: 1 }, [["a"]]],
];

/** What means something to a parser. */
const PIECES: { readonly [codec in Codec]: readonly string[] } = {
  json: [
    ...[...'{}[]":,\\-+.e09tfn'],
    ...['"data":', '"__proto__":', '"constructor":', "\\u0000", "\\ud800", "1e999", "null", "\u0000", "[[[[", "}}}}"],
  ],
  msgpack: [
    ...["80", "8f", "90", "9f", "a0", "bf", "c0", "c1", "c2", "c4ff", "c6ffffffff", "c700", "c9ffffffff", "ca7fc00000"],
    ...["cb7ff0000000000000", "cfffffffffffffffff", "d38000000000000000", "d4", "d6ff", "d8", "d9ff", "dbffffffff"],
    ...["dcffff", "ddffffffff", "deffff", "dfffffffff", "ff", "a95f5f70726f746f5f5f", "d47240"],
  ],
};

/** Makes frames for one codec. */
export class WrongFrames {
  readonly #random: Random;
  readonly #codec: Codec;

  constructor(random: Random, codec: Codec) {
    this.#random = random;
    this.#codec = codec;
  }

  /** Bytes that mean nothing, mostly as one whole message, at times under a header that means nothing either. */
  random(): FrameParts {
    const random = this.#random;
    const length = random.chance(0.05) ? random.below(60_000) : random.below(200);
    const payload = random.chance(0.5) ? this.#noise(length) : this.#pieces(random.below(40));
    if (random.chance(0.9)) return { payload, opcode: this.#opcode };
    // Of the right length and masked: else what comes behind it would be taken for a part of it.
    return { payload, opcode: random.below(16), fin: random.chance(0.5), reserved: random.below(8) };
  }

  /** A frame of the table with other values here and there, and up to five changes of its bytes. */
  mutated(): FrameParts {
    let payload = this.#frame();
    for (let count = this.#random.below(6); count > 0; count--) payload = this.#mutate(payload);
    return { payload, opcode: this.#opcode };
  }

  get #opcode(): number {
    return this.#codec === "json" ? OPCODE.text : OPCODE.binary;
  }

  #noise(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let at = 0; at < length; at++) bytes[at] = this.#random.below(256);
    // Else it would seldom get further than the check of UTF-8.
    return this.#codec === "json" && this.#random.chance(0.9) ? Buffer.from(bytes.toString("latin1")) : bytes;
  }

  #piece(): Buffer {
    return Buffer.from(this.#random.pick(PIECES[this.#codec]), this.#codec === "json" ? "utf8" : "hex");
  }

  #pieces(count: number): Buffer {
    return Buffer.concat(Array.from({ length: count }, () => this.#piece()));
  }

  #value(kind: FieldKind): unknown {
    if (kind === "room") return `fuzz:${this.#random.below(ROOMS)}`;
    return this.#random.pick(right[kind] ?? [1]);
  }

  #frame(): Buffer {
    const random = this.#random;
    const [type, { number, fields }] = random.pick(table);
    const values: { [name: string]: unknown } = {};
    for (const [name, spec] of Object.entries(fields)) {
      const roll = random.below(12);
      if (roll === 0 || (spec.endsWith("?") && random.chance(0.5))) continue;
      values[name] = roll === 1 ? random.pick(wrong) : this.#value(kindOf(spec));
    }
    if (this.#codec === "json") return Buffer.from(JSON.stringify({ type, ...values }));
    return Buffer.from(pack([number, ...Object.keys(fields).map((name) => values[name] ?? null)]));
  }

  #mutate(bytes: Buffer): Buffer {
    const random = this.#random;
    const at = random.below(bytes.length + 1);
    const end = at + random.below(Math.min(40, bytes.length - at) + 1);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (random.below(7)) {
      case 0:
        return Buffer.concat([
          before,
          Buffer.from([random.below(256)]),
          bytes.subarray(Math.min(at + 1, bytes.length)),
        ]);
      case 1:
        return Buffer.concat([before, bytes.subarray(end)]);
      case 2:
        return Buffer.concat([bytes.subarray(0, end), after]);
      case 3:
        return Buffer.concat([before, this.#frame(), after]);
      case 4:
        return before;
      case 5:
        return Buffer.concat([
          before,
          ...Array.from({ length: random.below(300) }, () => bytes.subarray(at, end)),
          after,
        ]);
      default:
        return Buffer.concat([before, this.#piece(), after]);
    }
  }
}
