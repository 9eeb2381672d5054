import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SettingsInput } from "../../../server/server.js";
import { JwksServer } from "../../support/jwks-server.js";
import type { Scope } from "../../support/services/scope.js";
import { inSeconds, SigningKey, withSecret } from "../../support/tokens.js";

export const ISSUER = "https://issuer.example";
export const AUDIENCE = "roomcast";
export type Claims = { readonly [name: string]: unknown };

/** What a good token says; `room` makes it one for joining that room. */
export function goodClaims(user: string, room?: string): Claims {
  const who = { iss: ISSUER, aud: [AUDIENCE, "others"], sub: user, jti: `token of ${user}` };
  return { ...who, iat: inSeconds(-60), exp: inSeconds(600), ...(room === undefined ? {} : { room }) };
}

/** Whoever signs tokens in a row, by every way that the server knows: secrets, keys in files, keys at an address. */
export class Issuer {
  readonly secret = "the secret of this issuer, 32 characters or more";
  readonly nextSecret = "the secret that comes after it, as long as it was";
  readonly files = {
    RS256: new SigningKey("RS256"),
    ES256: new SigningKey("ES256"),
    EdDSA: new SigningKey("EdDSA"),
  };
  /** Listed at the address, the last of them new. */
  listed: readonly SigningKey[] = [new SigningKey("ES256", "key 1"), new SigningKey("RS256", "rsa")];
  readonly jwks: JwksServer;
  readonly #folder: string;

  private constructor(jwks: JwksServer, folder: string) {
    this.jwks = jwks;
    this.#folder = folder;
    jwks.list(...this.listed);
  }

  static async start(scope: Scope): Promise<Issuer> {
    const folder = await mkdtemp(join(tmpdir(), "roomcast-issuer-"));
    scope.after(() => rm(folder, { recursive: true, force: true }));
    const issuer = new Issuer(await JwksServer.start(scope), folder);
    for (const [name, key] of Object.entries(issuer.files)) await writeFile(join(folder, `${name}.pem`), key.pem);
    return issuer;
  }

  /** What a node needs to honour its tokens. */
  get settings(): SettingsInput {
    const tokenKeys = Object.keys(this.files).map((name) => join(this.#folder, `${name}.pem`));
    const parties = { tokenIssuer: [ISSUER], tokenAudience: [AUDIENCE] };
    return { secret: this.secret, tokenKeys, jwksUrl: this.jwks.url, ...parties };
  }

  /** Lists a new key in the place of what is listed, or beside it, and signs with it from now on. */
  rotate(keys: readonly SigningKey[]): void {
    this.listed = keys;
    this.jwks.list(...keys);
  }

  /** A good token by each way, each with its name. */
  goodTokens(claims: Claims): readonly (readonly [string, string])[] {
    return [
      ["a secret", withSecret(this.secret, claims)],
      ...Object.values(this.files).map((key) => [`a file's key, ${key.algorithm}`, key.token(claims)] as const),
      ["a file's key, Ed25519", this.files.EdDSA.token(claims, { alg: "Ed25519" })],
      ...this.listed.map((key) => [`a listed key, ${key.algorithm}`, key.token(claims)] as const),
    ];
  }
}
