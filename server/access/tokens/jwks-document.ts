/** Reads a JWKS (RFC 7517): the keys of it that can check tokens. */
import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { algorithmOf, type PublicKey } from "./key-sources.js";
import type { JsonObject } from "./token.js";

/** The most keys of a list that are looked at. */
export const MAX_JWKS_KEYS = 100;
/** The longest name of a key, in UTF-16 code units. */
const MAX_KEY_ID_LENGTH = 512;

/** A key of the list. */
export type ListedKey = PublicKey & {
  /** What tokens call it. */
  readonly keyId: string | undefined;
  /** The same for the same key with the same name, and for no other. */
  readonly identity: string;
};

/** Why keys were passed over, each by where it stands in the list; nothing of the keys themselves. */
export type Document = { readonly keys: readonly ListedKey[]; readonly passedOver: readonly string[] };

/** Reads the list. Throws `Error` where it is none; keys that are of no use are passed over. */
export function readJwks(text: string): Document {
  let given: unknown;
  try {
    given = (JSON.parse(text) as { keys?: unknown } | null)?.keys;
  } catch {
    throw new Error("it is not JSON");
  }
  if (!Array.isArray(given)) throw new Error("it has no list, keys");
  const keys: ListedKey[] = [];
  const passedOver: string[] = [];
  for (const [index, one] of given.slice(0, MAX_JWKS_KEYS).entries()) {
    const key = readKey(one);
    if (typeof key === "string") passedOver.push(`keys[${index}]: ${key}`);
    else if (!keys.some(({ identity }) => identity === key.identity)) keys.push(key);
  }
  if (given.length > MAX_JWKS_KEYS) passedOver.push(`keys[${MAX_JWKS_KEYS}] and after: too many`);
  return { keys, passedOver };
}

/** One key, or why it is of no use. */
function readKey(given: unknown): ListedKey | string {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return "expected an object";
  const { kty, use, key_ops: operations, alg, kid } = given as JsonObject;
  if (kty === "oct") return "a secret has no place in a public list";
  if ("d" in given) return "a private key has no place in a public list";
  if (use !== undefined && use !== "sig") return "not for signatures (use)";
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) {
    return "not for checking signatures (key_ops)";
  }
  if (kid !== undefined && (typeof kid !== "string" || kid.length > MAX_KEY_ID_LENGTH)) {
    return `kid: expected at most ${MAX_KEY_ID_LENGTH} characters`;
  }
  let key: KeyObject;
  try {
    key = createPublicKey({ key: given as JsonWebKey, format: "jwk" });
  } catch {
    return "it cannot be read";
  }
  const algorithm = algorithmOf(key);
  if (algorithm === undefined) return "expected RSA of 2048 bits or more, EC on P-256, or Ed25519";
  if (alg !== undefined && alg !== algorithm && !(alg === "Ed25519" && algorithm === "EdDSA")) {
    return `it is for another algorithm than ${algorithm} (alg)`;
  }
  return { key, algorithm, keyId: kid, identity: identityOf(key, kid) };
}

function identityOf(key: KeyObject, kid: string | undefined): string {
  const bytes = key.export({ type: "spki", format: "der" });
  return `${createHash("sha256").update(bytes).digest("base64url")} ${kid === undefined ? "" : `=${kid}`}`;
}
