/** Whether a token is signed with a key that is honoured, by the algorithm which that key is for. */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { compactVerify } from "jose";
import type { PublicAlgorithm, PublicKey } from "./key-sources.js";
import type { TokenParts } from "./token.js";

/** What tokens call algorithms of public keys. `Ed25519` is what RFC 9864 calls EdDSA with such a key. */
const ALGORITHMS: ReadonlyMap<string, PublicAlgorithm> = new Map([
  ["RS256", "RS256"],
  ["ES256", "ES256"],
  ["EdDSA", "EdDSA"],
  ["Ed25519", "EdDSA"],
]);

export const publicAlgorithmOf = ({ algorithm }: TokenParts): PublicAlgorithm | undefined => ALGORITHMS.get(algorithm);

/**
 * The secrets that sign tokens with HS256. They are compared here and at once: by jose, whose work goes through the thread
 * pool, a check took 45 to 90 µs of processor time on the machine of our benchmarks, and so takes 8; a connection and its
 * hello take 40 without. See `bench/token-hello.ts`.
 */
export class Secrets {
  readonly #keys: readonly KeyObject[];

  constructor(secrets: readonly string[]) {
    this.#keys = secrets.map((secret) => createSecretKey(Buffer.from(secret)));
  }

  get size(): number {
    return this.#keys.length;
  }

  /** Whether one of them signed it. The signature has one spelling: base64url that decodes to the same is refused. */
  signed({ signed, signature }: TokenParts): boolean {
    const given = Buffer.from(signature);
    return this.#keys.some((key) => {
      const own = Buffer.from(createHmac("sha256", key).update(signed).digest("base64url"));
      return own.length === given.length && timingSafeEqual(own, given);
    });
  }
}

/** Whether one of the keys signed the token; those for another algorithm than it names are passed over. */
export async function signedByOne(token: string, parts: TokenParts, keys: readonly PublicKey[]): Promise<boolean> {
  const wanted = publicAlgorithmOf(parts);
  for (const { key, algorithm } of keys) {
    if (algorithm !== wanted) continue;
    try {
      await compactVerify(token, key, { algorithms: [parts.algorithm] });
      return true;
    } catch {
      // The next one, then. What jose says may quote the token.
    }
  }
  return false;
}
