import assert from "node:assert/strict";
import { test } from "node:test";
import { type ClientFrame, clientFrames, type FieldKind } from "../../protocol/frames.js";
import { pack } from "../../protocol/msgpack.js";
import { ChildServer } from "../support/child-server.js";
import { Random } from "../support/random.js";
import { clientCodecs, type WsClient } from "../support/ws-client.js";

type Type = ClientFrame["type"];
type Spec = { readonly number: number; readonly fields: { readonly [name: string]: string } };
const table = Object.entries(clientFrames) as readonly (readonly [Type, Spec])[];
const kindOf = (spec: string): FieldKind => spec.replace("?", "") as FieldKind;

const right: { readonly [kind in FieldKind]?: unknown } = {
  ...{ id: 1, uint: 5, string: "text", bool: true, room: "r:1", event: "e", key: "k", any: { a: 1 } },
  position: { epoch: "e", offset: 3 },
};
const names = ["", "ä", "a b", "a\n", "$a", "a*", 1, true, {}, []];
/** Of each kind what it is not. */
const wrong: { readonly [kind in FieldKind]?: readonly unknown[] } = {
  id: ["1", 1.5, true, {}, [], 2 ** 53, -(2 ** 53)],
  uint: ["1", 1.5, -1, true, {}, [], 2 ** 53],
  string: [1, true, {}, [], "x".repeat(16_385)],
  bool: ["true", 1, 0, {}, []],
  room: [...names, "r".repeat(129), "r:\ud83e\udd8a"],
  event: [...names, "e".repeat(65)],
  key: ["", 1, true, {}, [], "k".repeat(129)],
  position: [1, "e", true, {}, [], { epoch: 1, offset: 1 }, { epoch: "e" }, { offset: 1 }, { epoch: "e", offset: -1 }],
};

/** A frame in the codec's own form, from values that the table would not take. */
function encode(codec: string, type: Type, values: { readonly [name: string]: unknown }): string | Uint8Array {
  if (codec === "json") return JSON.stringify({ type, ...values });
  const { number, fields } = clientFrames[type] as Spec;
  const ordered = Object.entries(fields).map(([name, spec]) => {
    const value = values[name];
    const named = kindOf(spec) === "position" && typeof value === "object" && value !== null && !Array.isArray(value);
    return named ? Object.values({ epoch: null, offset: null, ...value }) : (value ?? null);
  });
  return pack([number, ...ordered]);
}

function valuesOf(fields: Spec["fields"]): { [name: string]: unknown } {
  return Object.fromEntries(Object.entries(fields).map(([name, spec]) => [name, right[kindOf(spec)]]));
}

for (const codec of clientCodecs) {
  test(`a wrong value in any field of any frame is answered with its name, and the connection stays (${codec.name})`, async (t) => {
    const server = await ChildServer.start(t, { maxRequests: 1000 });
    const before = await server.connect(t, { codec, hello: false });
    const after = await server.connect(t, { codec });
    let cases = 0;
    const refused = async (client: WsClient, type: Type, field: string, value: unknown): Promise<void> => {
      const values = { ...valuesOf(clientFrames[type].fields), [field]: value };
      client.socket.send(encode(codec.name, type, values));
      const words = `${type}.${field} = ${JSON.stringify(value)?.slice(0, 40)}`;
      const error = await client.next("error").catch((cause: unknown) => {
        throw new Error(words, { cause });
      });
      assert.equal(error.code, "bad_request", words);
      assert.ok(error.message.startsWith(field), `${words}: ${error.message}`);
      assert.match(error.message, /expected .+, got .+/, words);
      // The id of an answer is the node's own, and names no request of the client's.
      assert.equal(error.id, field === "id" || type === "answer" ? undefined : 1, words);
      cases++;
    };
    for (const [type, { fields }] of table) {
      const client = type === "hello" ? before : after;
      for (const [field, spec] of Object.entries(fields)) {
        for (const value of wrong[kindOf(spec)] ?? []) await refused(client, type, field, value);
        // In MessagePack what is left out is nil, and nil is a value where any value may stand.
        const nil = codec.name === "msgpack" && spec === "any";
        if (!spec.endsWith("?") && !nil) await refused(client, type, field, undefined);
      }
      if (type !== "hello") await client.ping();
    }
    assert.ok(cases > 150, `${cases} cases`);
    await before.hello();
    await server.unharmed();
  });

  test(`an unknown frame is answered, an unknown field passed over (${codec.name})`, async (t) => {
    const server = await ChildServer.start(t);
    const client = await server.connect(t, { codec });
    const unknown =
      codec.name === "json" ? [JSON.stringify({ type: "nothing", id: 4 })] : [pack([200, 4]), pack([0, 4])];
    for (const frame of [...unknown]) {
      client.socket.send(frame);
      const error = await client.next("error");
      assert.deepEqual([error.code, error.id, error.message.startsWith("type")], ["bad_request", 4, true]);
    }
    // Frames that only a server sends are none of a client's.
    client.socket.send(codec.name === "json" ? '{"type":"welcome","id":4}' : pack([32, 4]));
    assert.equal((await client.next("error")).code, "bad_request");
    client.socket.send(codec.name === "json" ? '{"type":"ping","id":5,"more":[1]}' : pack([9, 5, [1], "more"]));
    assert.equal((await client.next("pong")).id, 5);
    await server.unharmed();
  });

  const runs = Number(process.env["ROOMCAST_FUZZ_RUNS"] ?? 2000);
  test(`${runs} random and mutated frames disturb nobody (${codec.name})`, async (t) => {
    const seed = Number(process.env["ROOMCAST_FUZZ_SEED"] ?? 1);
    const random = new Random(seed);
    const server = await ChildServer.start(t, { maxRooms: 10, kinds: { fuzz: { history: { size: 5 } } } });
    const fuzz = new Fuzz(random, codec.name);
    let client: WsClient | undefined;
    let connections = 0;
    let longestMs = 0;
    const codes = new Map<number, number>();
    await server.report();
    for (let run = 0; run < runs; run++) {
      if (client === undefined || client.closed !== undefined) {
        connections++;
        client = await server.connect(t, { codec, hello: random.chance(0.9) ? {} : false });
      }
      const frame = fuzz.next();
      client.socket.send(frame);
      // Answered or closed: the frame has been dealt with. Whatever comes is a frame of the protocol, or the codec throws.
      client.send({ type: "ping", id: 1_000_000 + run });
      const at = client;
      const what = Buffer.from(frame)
        .toString(codec.name === "json" ? "utf8" : "hex")
        .slice(0, 200);
      await at
        .until(`an answer to run ${run} of seed ${seed}: ${what}`, () =>
          at.frames.some(({ type }) => type === "pong" || type === "error"),
        )
        .catch((error: unknown) => {
          if (at.closed === undefined) throw error;
          codes.set(at.closed.code, (codes.get(at.closed.code) ?? 0) + 1);
        });
      at.frames.length = 0;
      // Of what held the loop for long, the frame is said, so that it can be looked at by itself.
      const { stallMs } = await server.report();
      if (stallMs > 50) t.diagnostic(`run ${run}: held for ${stallMs.toFixed(1)} ms: ${what}`);
      longestMs = Math.max(longestMs, stallMs);
      if (run % 100 === 0) await server.unharmed();
    }
    await server.unharmed();
    for (const code of codes.keys()) assert.ok([4202, 4200, 1007].includes(code), `closed with ${code}`);
    t.diagnostic(
      `${connections} connections, closed by ${JSON.stringify([...codes])}; held for ${longestMs.toFixed(1)} ms at the most`,
    );
  });
}

/** Frames that are nearly right, and some that are nothing. */
class Fuzz {
  readonly #random: Random;
  readonly #codec: string;

  constructor(random: Random, codec: string) {
    this.#random = random;
    this.#codec = codec;
  }

  next(): string | Uint8Array {
    const random = this.#random;
    if (random.chance(0.1)) return this.#garbage();
    let bytes = this.#frame();
    for (let count = random.below(4); count > 0; count--) bytes = this.#mutate(bytes);
    return this.#codec === "json" ? bytes.toString() : bytes;
  }

  #garbage(): string | Uint8Array {
    const bytes = Buffer.from(Array.from({ length: this.#random.below(200) }, () => this.#random.below(256)));
    return this.#codec === "json" ? bytes.toString("latin1") : bytes;
  }

  /** A frame of the table, some of its fields left out or with a value of another. */
  #frame(): Buffer {
    const [type, { fields }] = this.#random.pick(table);
    const values = valuesOf(fields);
    if ("room" in values) values["room"] = `fuzz:${this.#random.below(20)}`;
    for (const name of Object.keys(values)) {
      const roll = this.#random.below(10);
      if (roll === 0) delete values[name];
      if (roll === 1) values[name] = this.#random.pick(Object.values(right));
      if (roll === 2) values[name] = this.#random.pick(Object.values(wrong).flat());
    }
    return Buffer.from(encode(this.#codec, type, values));
  }

  #mutate(bytes: Buffer): Buffer {
    const random = this.#random;
    const at = random.below(bytes.length + 1);
    const end = at + random.below(Math.min(40, bytes.length - at) + 1);
    switch (random.below(6)) {
      case 0: {
        const changed = Buffer.from(bytes);
        if (at < changed.length) changed[at] = random.below(256);
        return changed;
      }
      case 1:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
      case 2:
        return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
      case 3:
        return Buffer.concat([bytes.subarray(0, at), this.#frame(), bytes.subarray(at)]);
      case 4:
        return bytes.subarray(0, at);
      default: {
        const small = this.#codec === "json" ? '{}[]":,\\u0-e9tfn' : "\x90\x80\xdd\xdf\xc4\xdb\xc7\xd4\xc1\xca\xff";
        const one = Buffer.from(random.pick([...small]), this.#codec === "json" ? "utf8" : "latin1");
        return Buffer.concat([bytes.subarray(0, at), one, bytes.subarray(at)]);
      }
    }
  }
}
