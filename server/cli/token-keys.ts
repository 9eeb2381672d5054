/** Private keys for tokens: making one, and reading the one that signs. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { describe } from "../../protocol/fields.js";
import { algorithmOf, type PublicAlgorithm } from "../access/tokens/key-sources.js";
import { ConfigError } from "../config.js";

const makers: { readonly [type: string]: () => { readonly privateKey: KeyObject; readonly publicKey: KeyObject } } = {
  ed25519: () => generateKeyPairSync("ed25519"),
  ec: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  rsa: () => generateKeyPairSync("rsa", { modulusLength: 3072 }),
};

/**
 * Writes a new private key where `--key` says, for its owner alone, and answers with the public one. Nothing that is there
 * is written over. Throws `ConfigError`.
 */
export function newKey(options: ReadonlyMap<string, readonly string[]>): string {
  const [type = ""] = options.get("new-key") ?? [];
  const [path] = options.get("key") ?? [];
  const make = Object.hasOwn(makers, type) ? makers[type] : undefined;
  const lines: string[] = [];
  if (make === undefined) {
    lines.push(`--new-key: expected one of ${Object.keys(makers).join(", ")}, got ${describe(type)}`);
  }
  if (path === undefined) lines.push("--key: expected the file to write the private key to, got nothing");
  if (make === undefined || path === undefined) throw new ConfigError(lines);
  const { privateKey, publicKey } = make();
  try {
    writeFileSync(path, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600, flag: "wx" });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const got = code === "EEXIST" ? "one that is there already" : code;
    throw new ConfigError([`--key: expected a new file that can be written, got ${got}`]);
  }
  return publicKey.export({ type: "spki", format: "pem" }).toString().trimEnd();
}

export type SigningKey = { readonly key: KeyObject; readonly algorithm: PublicAlgorithm | "HS256" };

const KINDS = "a private key in PEM without a passphrase: RSA of 2048 bits or more, EC on P-256, or Ed25519";

/** Reads a file with a private key in PEM. Throws `ConfigError`, without anything that is in the file. */
export function readPrivateKey(path: string): SigningKey {
  const pem = readText("--key", path);
  let key: KeyObject;
  let algorithm: PublicAlgorithm | undefined;
  try {
    key = createPrivateKey(pem);
    algorithm = algorithmOf(createPublicKey(key));
  } catch {
    throw new ConfigError([`--key: expected a file with ${KINDS}`]);
  }
  if (algorithm === undefined) throw new ConfigError([`--key: expected a file with ${KINDS}`]);
  return { key, algorithm };
}

/** The text in a file, without the end of its last line. Throws `ConfigError`. */
export function readText(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw new ConfigError([`${flag}: expected a file that can be read, got ${(error as NodeJS.ErrnoException).code}`]);
  }
}
