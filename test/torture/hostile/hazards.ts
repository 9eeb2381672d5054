/** `test/vectors/hazards.json`: frames that have brought down, slowed or misled decoders elsewhere. */
import { readFileSync } from "node:fs";
import { OPCODE } from "../../support/raw-socket.js";

/**
 * What becomes of a frame: `taken` as a publish; `refused` with `bad_request`, or with `too_large`, and the connection
 * stays; `closed` with 4202; `cut` by the WebSocket layer.
 */
export type Fate = "taken" | "refused" | "too_large" | "closed" | "cut";

export type Hazard = {
  readonly name: string;
  readonly codec: "json" | "msgpack";
  readonly then: Fate;
  readonly bytes: Buffer;
};

type Kept = Omit<Hazard, "bytes"> & { readonly parts: readonly (readonly [string, number])[]; readonly hex?: boolean };

const file = new URL("../../../../test/vectors/hazards.json", import.meta.url);

export const opcodeOf = ({ codec }: Hazard): number => (codec === "json" ? OPCODE.text : OPCODE.binary);

/** All of them, put together from their parts. */
export function readHazards(): Hazard[] {
  const kept = JSON.parse(readFileSync(file, "utf8")) as readonly Kept[];
  return kept.map(({ name, codec, then, parts, hex }) => {
    const encoding = codec === "msgpack" || hex === true ? "hex" : "utf8";
    const pieces = parts.map(([piece, count]) => {
      const bytes = Buffer.from(piece, encoding);
      return Buffer.alloc(bytes.length * count, bytes);
    });
    return { name, codec, then, bytes: Buffer.concat(pieces) };
  });
}
