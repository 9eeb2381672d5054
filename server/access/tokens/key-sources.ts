/** Where the keys that check tokens come from, as settings name it. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";

/** An algorithm of signatures that is made with a private key and checked with a public one (RFC 7518, RFC 8037). */
export type PublicAlgorithm = "RS256" | "ES256" | "EdDSA";

/** A public key, and the only algorithm it is good for: a token does not get to choose. */
export type PublicKey = { readonly key: KeyObject; readonly algorithm: PublicAlgorithm };

const MIN_RSA_BITS = 2048;
const KINDS = "a public key in PEM: RSA of 2048 bits or more, EC on P-256, or Ed25519";

/** Which algorithm a key is for; `undefined` for a key that none of ours takes. */
export function algorithmOf(key: KeyObject): PublicAlgorithm | undefined {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "rsa") return (details?.modulusLength ?? 0) >= MIN_RSA_BITS ? "RS256" : undefined;
  if (type === "ec") return details?.namedCurve === "prime256v1" ? "ES256" : undefined;
  return type === "ed25519" ? "EdDSA" : undefined;
}

/** Reads a file with a public key in PEM. Throws `Error` with what was expected. */
export function readPublicKey(path: string): PublicKey {
  let pem: string;
  try {
    pem = readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`expected a file that can be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (pem.includes("PRIVATE KEY")) throw new Error("expected a file with a public key, not with a private one");
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new Error(`expected a file with ${KINDS}`);
  }
  const algorithm = algorithmOf(key);
  if (algorithm === undefined) throw new Error(`expected a file with ${KINDS}`);
  return { key, algorithm };
}

const isLocal = (host: string): boolean => host === "localhost" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);

/** An address of a JWKS. Whoever can change what comes from there can sign tokens: so it is https, or this machine. */
export function parseJwksUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isSafe = url?.protocol === "https:" || (url?.protocol === "http:" && isLocal(url.hostname));
  if (url === undefined || !isSafe || url.username !== "" || url.password !== "") {
    throw new Error("expected an address, https://… or http://localhost…, without a name or password");
  }
  return url;
}
