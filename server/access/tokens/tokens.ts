/** Clients' tokens, checked: JWTs that the application, or whoever it trusts, has signed. */
import type { Access } from "../access.js";
import { type ClaimRules, type RoomToken, readAccess, readRoomToken } from "./claims.js";
import type { Jwks } from "./jwks.js";
import type { PublicKey } from "./key-sources.js";
import { publicAlgorithmOf, Secrets, signedByOne } from "./keys.js";
import { type JsonObject, payloadOf, refused, type TokenParts, takeApart } from "./token.js";

export type { RoomToken } from "./claims.js";

export type TokenSources = ClaimRules & {
  /** For HS256. */
  readonly secrets: readonly string[];
  readonly keys: readonly PublicKey[];
  readonly jwks: Jwks | undefined;
  /** The time in Unix milliseconds; the system's, where it is left out. */
  readonly now?: () => number;
};

/**
 * Checks tokens. What it throws, or its promises reject with, is `TokenError` and nothing else, whatever the token.
 *
 * The key says which algorithm it is for, and the token must name the same: HS256 for a secret, and for public keys RS256,
 * ES256 or EdDSA. Tokens of HS256 are answered at once.
 */
export class Tokens {
  readonly #rules: ClaimRules;
  readonly #secrets: Secrets;
  readonly #keys: readonly PublicKey[];
  readonly #jwks: Jwks | undefined;
  readonly #now: () => number;
  readonly #expected: string;

  constructor({ secrets, keys, jwks, now, issuers, audiences, skewMs, maxLifeMs }: TokenSources) {
    this.#rules = { issuers, audiences, skewMs, maxLifeMs };
    this.#secrets = new Secrets(secrets);
    this.#keys = keys;
    this.#jwks = jwks;
    this.#now = now ?? Date.now;
    const algorithms = new Set<string>(jwks === undefined ? [] : ["RS256", "ES256", "EdDSA"]);
    for (const { algorithm } of keys) algorithms.add(algorithm);
    this.#expected = [...(secrets.length > 0 ? ["HS256"] : []), ...algorithms].join(" or ");
  }

  /** Whether there is any key that could have signed a token. */
  get configured(): boolean {
    return this.#expected !== "";
  }

  /** Checks the token of a session. */
  session(token: string): Access | Promise<Access> {
    return this.#checked(token, (claims) => readAccess(claims, this.#rules, this.#now()));
  }

  /** Checks the token of a room. */
  room(token: string): RoomToken | Promise<RoomToken> {
    return this.#checked(token, (claims) => readRoomToken(claims, this.#rules, this.#now()));
  }

  /** Reads a session's token, all but its signature: for one that is known to have been checked before. */
  read(token: string): Access {
    return readAccess(payloadOf(takeApart(token)), this.#rules, this.#now());
  }

  #checked<T>(token: string, read: (claims: JsonObject) => T): T | Promise<T> {
    const parts = takeApart(token);
    if (parts.algorithm === "HS256" && this.#secrets.size > 0) {
      if (!this.#secrets.signed(parts)) throw refused("one signed with this server's secret");
      return read(payloadOf(parts));
    }
    if (publicAlgorithmOf(parts) === undefined || (this.#keys.length === 0 && this.#jwks === undefined)) {
      throw refused(`one signed with ${this.#expected}`);
    }
    return this.#checkedByKey(token, parts, read);
  }

  async #checkedByKey<T>(token: string, parts: TokenParts, read: (claims: JsonObject) => T): Promise<T> {
    if (!(await this.#isSigned(token, parts))) throw refused("one signed with a key that is honoured here");
    return read(payloadOf(parts));
  }

  async #isSigned(token: string, parts: TokenParts): Promise<boolean> {
    const algorithm = publicAlgorithmOf(parts);
    if (algorithm === undefined) return false;
    if (await signedByOne(token, parts, this.#keys)) return true;
    const jwks = this.#jwks;
    if (jwks === undefined) return false;
    const known = jwks.find(algorithm, parts.keyId);
    if (known !== undefined) return signedByOne(token, parts, known);
    const signedAt = payloadOf(parts)["iat"];
    const signedBefore = typeof signedAt === "number" ? signedAt * 1000 + this.#rules.skewMs : undefined;
    return signedByOne(token, parts, await jwks.lookFor(algorithm, parts.keyId, signedBefore));
  }
}
