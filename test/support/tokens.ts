/** Tokens made by hand, so that they can be such as no library makes, and the keys that sign them. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { PublicAlgorithm, PublicKey } from "../../server/access/tokens/key-sources.js";

type Json = { readonly [name: string]: unknown };

/** Base64url of JSON, or of text or bytes as they are. */
export function encode(value: unknown): string {
  const isRaw = typeof value === "string" || value instanceof Uint8Array;
  return Buffer.from(isRaw ? (value as string) : JSON.stringify(value)).toString("base64url");
}

/** Now, and so many seconds, as tokens write it. */
export const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

/** A token signed with a secret. */
export function withSecret(
  secret: string | Buffer,
  payload: unknown,
  header: unknown = { alg: "HS256" },
  hash = "sha256",
) {
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${createHmac(hash, secret).update(signed).digest("base64url")}`;
}

/** A key that signs tokens: the issuer's side. */
export class SigningKey implements PublicKey {
  readonly algorithm: PublicAlgorithm;
  readonly key: KeyObject;
  readonly privateKey: KeyObject;
  readonly keyId: string | undefined;

  constructor(algorithm: PublicAlgorithm, keyId?: string, rsaBits = 2048) {
    const pairs = {
      RS256: () => generateKeyPairSync("rsa", { modulusLength: rsaBits }),
      ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
      EdDSA: () => generateKeyPairSync("ed25519"),
    };
    const { publicKey, privateKey } = pairs[algorithm]();
    this.algorithm = algorithm;
    this.key = publicKey;
    this.privateKey = privateKey;
    this.keyId = keyId;
  }

  get pem(): string {
    return this.key.export({ type: "spki", format: "pem" }).toString();
  }

  /** As it stands in a JWKS. */
  jwk(more: Json = {}): Json {
    const kid = this.keyId === undefined ? {} : { kid: this.keyId };
    return { ...this.key.export({ format: "jwk" }), ...kid, alg: this.algorithm, use: "sig", ...more };
  }

  /** A token signed with it, whatever its header says. */
  token(payload: unknown, header: Json = {}): string {
    const kid = this.keyId === undefined ? {} : { kid: this.keyId };
    const signed = `${encode({ alg: this.algorithm, ...kid, ...header })}.${encode(payload)}`;
    const key = { key: this.privateKey, dsaEncoding: "ieee-p1363" as const };
    const hash = this.algorithm === "EdDSA" ? null : "sha256";
    return `${signed}.${sign(hash, Buffer.from(signed), key).toString("base64url")}`;
  }
}
