/** Both sides of a codec, in this process: what is no frame is refused as such, what is one can be written and read again. */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import type { ClientCodec, ReceivedFrame, ServerCodec, Wire } from "../../protocol/codec.js";
import { ProtocolError } from "../../protocol/codes.js";
import type { ClientFrame, ServerFrame } from "../../protocol/frames.js";
import { plain } from "../../protocol/plain.js";
import { clientFrame, serverFrame } from "../protocol/arbitraries.js";
import { codecs, encodeServer, opened } from "../protocol/codecs.js";
import type { Random } from "../support/random.js";
import { mutated, shorter } from "./bytes.js";
import { jsonNoise, msgpackNoise } from "./noise.js";
import type { Target } from "./target.js";

/** `from` is whose frame it is to be; the bytes of a text are its UTF-8. */
export type CodecInput = { readonly from: "client" | "server"; readonly hex: string };

/** Nothing that fits in a frame takes longer to read than this, in milliseconds. */
const LONGEST_MS = 100;
/** So often it is looked how long something takes. */
const MOST_TRIES = 5;
/** So many right frames of each side are there to begin with. */
const FRAMES = 300;

/** For a comparison: -0 is written as 0 in JSON, and what is undefined as nothing. */
const comparable = (value: unknown): unknown => {
  return JSON.parse(
    JSON.stringify(value, (_, item) =>
      item instanceof Uint8Array ? `bytes ${Buffer.from(item).toString("hex")}` : item,
    ) ?? "null",
  );
};

export class CodecTarget implements Target<CodecInput> {
  readonly name: ClientCodec["name"];
  readonly #client: ClientCodec;
  readonly #server: ServerCodec;
  readonly #frames: { readonly client: readonly Wire[]; readonly server: readonly Wire[] };

  constructor(name: ClientCodec["name"]) {
    const pair = codecs.find(({ client }) => client.name === name);
    if (pair === undefined) throw new Error(`expected a codec, got ${name}`);
    this.name = name;
    this.#client = pair.client;
    this.#server = pair.server;
    // Always the same ones: the seed of a run decides what becomes of them.
    const sample = { numRuns: FRAMES, seed: 1 };
    this.#frames = {
      client: fc.sample(clientFrame(true), sample).map((frame) => this.#client.encode(frame)),
      server: fc.sample(serverFrame(true), sample).map((frame) => encodeServer(this.#server, frame)),
    };
  }

  make(random: Random): CodecInput {
    const from = random.pick(["client", "server"] as const);
    const noise = this.name === "json" ? jsonNoise : msgpackNoise;
    let bytes = random.chance(0.4) ? noise(random, from) : Buffer.from(random.pick(this.#frames[from]) as Uint8Array);
    for (let count = random.below(5); count > 0; count--) bytes = mutated(bytes, random);
    return { from, hex: bytes.toString("hex") };
  }

  check(inputs: readonly CodecInput[]): Promise<readonly (string | undefined)[]> {
    return Promise.resolve(inputs.map((input) => this.#checkOne(input)));
  }

  #checkOne(input: CodecInput): string | undefined {
    let quickestMs = Number.POSITIVE_INFINITY;
    // What takes long each time does so by itself, and not because the machine does something else.
    for (let tries = 0; tries < MOST_TRIES && quickestMs > LONGEST_MS; tries++) {
      const began = performance.now();
      const what = this.#read(input);
      if (what !== undefined) return what;
      quickestMs = Math.min(quickestMs, performance.now() - began);
    }
    return quickestMs > LONGEST_MS ? `took ${Math.round(quickestMs)} ms` : undefined;
  }

  #read({ from, hex }: CodecInput): string | undefined {
    const bytes = Buffer.from(hex, "hex");
    const wire: Wire = this.name === "json" ? bytes.toString() : new Uint8Array(bytes);
    try {
      const what = from === "client" ? this.#readByServer(wire) : this.#readByClient(wire);
      if (what !== undefined) return what;
    } catch (error) {
      if (!(error instanceof ProtocolError)) return `threw ${String(error)}`;
      if (error.message.length > 600) return `an error of ${error.message.length} characters`;
    }
    return isDeepStrictEqual(Reflect.ownKeys(Object.prototype), PROTOTYPE) ? undefined : "Object.prototype was changed";
  }

  #readByServer(wire: Wire): string | undefined {
    const frame = opened(this.#server.decode(wire));
    return this.#same(frame, () => {
      return opened(this.#server.decode(this.#client.encode(frame as ClientFrame)) as ReceivedFrame);
    });
  }

  #readByClient(wire: Wire): string | undefined {
    const frame = this.#client.decode(wire);
    if (frame === undefined) return undefined;
    // A client does not bound what a server sends it, and a server sends nothing that is not plain.
    plain(frame, "frame");
    return this.#same(frame, () => this.#client.decode(encodeServer(this.#server, frame as ServerFrame)));
  }

  /** What was read is no longer anybody's bytes: that it cannot be written, or reads otherwise, is the codec's fault. */
  #same(frame: object, again: () => unknown): string | undefined {
    let second: unknown;
    try {
      second = again();
    } catch (error) {
      return `was read, and cannot be written and read again: ${String(error)}`;
    }
    return isDeepStrictEqual(comparable(frame), comparable(second))
      ? undefined
      : "was read, written, and read as something else";
  }

  *smaller({ from, hex }: CodecInput): Generator<CodecInput> {
    for (const bytes of shorter(Buffer.from(hex, "hex"))) yield { from, hex: bytes.toString("hex") };
  }
}

const PROTOTYPE = Reflect.ownKeys(Object.prototype);
