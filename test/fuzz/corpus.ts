/** What once went wrong, or is known to go wrong elsewhere, a file each: `test/vectors/corpus/<target>/<name>.json`. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Finding } from "./target.js";

const folder = new URL("../../../test/vectors/corpus/", import.meta.url);

export type Kept<Input> = { readonly name: string; readonly input: Input };

/** All inputs that are kept for a target, by name. */
export function kept<Input>(target: string): Kept<Input>[] {
  const own = new URL(`${target}/`, folder);
  const names = readdirSync(own).filter((name) => name.endsWith(".json"));
  return names.sort().map((name) => ({ name, input: JSON.parse(readFileSync(new URL(name, own), "utf8")) as Input }));
}

/** Keeps what was found; resolves with the file's name, which follows from its contents. */
export function keep({ target, what, input }: Finding): string {
  const text = JSON.stringify({ note: what, ...(input as object) }, undefined, 2);
  const name = `found-${createHash("sha256").update(JSON.stringify(input)).digest("hex").slice(0, 10)}.json`;
  mkdirSync(new URL(`${target}/`, folder), { recursive: true });
  writeFileSync(new URL(`${target}/${name}`, folder), `${text}\n`);
  return `test/vectors/corpus/${target}/${name}`;
}
