/** Tokens that no server may honour, each with what is wrong with it. */
import { encode, inSeconds, SigningKey, withSecret } from "../../support/tokens.js";
import type { Claims, Issuer } from "./issuer.js";

export type BadToken = {
  readonly what: string;
  /** From claims that would be good. */
  make(claims: Claims): string;
  readonly code: "unauthorized" | "expired";
};

type Maker = BadToken["make"];

const without = (claims: Claims, name: string): Claims =>
  Object.fromEntries(Object.entries(claims).filter(([one]) => one !== name));

/** The payload is another than was signed. */
function swapped(token: string, claims: Claims): string {
  const [head, , signature] = token.split(".");
  return `${head}.${encode({ ...claims, sub: "root" })}.${signature}`;
}

/** What forgers try who have none of the keys, or only the public ones. */
function forged({ secret, files, listed, nextSecret }: Issuer): { readonly [what: string]: Maker } {
  const stranger = new SigningKey("RS256", "key 1");
  const other = new SigningKey("ES256", "key 1");
  const unknown = new SigningKey("ES256", "key of nobody");
  const [ec, rsa] = listed as readonly [SigningKey, SigningKey];
  const der = files.RS256.key.export({ type: "spki", format: "der" });
  return {
    "nothing but dots": () => "..",
    garbage: () => "this-is-no-token",
    "without a signature, alg none": (claims) => `${encode({ alg: "none" })}.${encode(claims)}.`,
    "alg none with a signature": (claims) => withSecret(secret, claims, { alg: "none" }),
    "alg nOnE": (claims) => withSecret(secret, claims, { alg: "nOnE" }),
    "no alg": (claims) => withSecret(secret, claims, { typ: "JWT" }),
    "the signature cut off": (claims) => withSecret(secret, claims).replace(/[^.]*$/, ""),
    "half of the signature": (claims) => withSecret(secret, claims).slice(0, -20),
    "another payload, HS256": (claims) => swapped(withSecret(secret, claims), claims),
    "another payload, RS256": (claims) => swapped(files.RS256.token(claims), claims),
    "another payload, ES256": (claims) => swapped(ec.token(claims), claims),
    "another payload, EdDSA": (claims) => swapped(files.EdDSA.token(claims), claims),
    "another secret": (claims) => withSecret(nextSecret, claims),
    "an empty secret": (claims) => withSecret("", claims),
    "HS512 with the right secret": (claims) => withSecret(secret, claims, { alg: "HS512" }, "sha512"),
    "HS256 with a file's public key in PEM": (claims) => withSecret(files.RS256.pem, claims),
    "HS256 with a file's public key in DER": (claims) => withSecret(der, claims),
    "HS256 with a listed key": (claims) => withSecret(JSON.stringify(ec.jwk()), claims, { alg: "HS256", kid: "key 1" }),
    "says HS256, signed with RSA": (claims) => rsa.token(claims, { alg: "HS256" }),
    "says RS256, HMACed with its public key": (claims) => withSecret(files.RS256.pem, claims, { alg: "RS256" }),
    "says RS256, signed with EC": (claims) => ec.token(claims, { alg: "RS256" }),
    "says ES256, signed with RSA": (claims) => rsa.token(claims, { alg: "ES256" }),
    "says EdDSA, signed with EC": (claims) => files.ES256.token(claims, { alg: "EdDSA" }),
    "PS256 with the right key": (claims) => files.RS256.token(claims, { alg: "PS256" }),
    "another RSA key by a listed name": (claims) => stranger.token(claims),
    "another EC key by a listed name": (claims) => other.token(claims),
    "a key of nobody": (claims) => unknown.token(claims),
    "a key that another has signed for": (claims) => ec.token(claims, { kid: "rsa" }),
    "its own key in jwk": (claims) => stranger.token(claims, { jwk: stranger.jwk() }),
    "its own key at jku": (claims) => unknown.token(claims, { jku: "http://127.0.0.1:9/keys" }),
    "its own key in x5c": (claims) => stranger.token(claims, { x5c: [stranger.pem] }),
    "its own key at x5u": (claims) => stranger.token(claims, { x5u: "http://127.0.0.1:9/key" }),
    "a signature of zeros": (claims) => `${encode({ alg: "ES256" })}.${encode(claims)}.${encode(Buffer.alloc(64))}`,
    "an unknown extension that is critical": (claims) =>
      withSecret(secret, claims, { alg: "HS256", crit: ["x"], x: true }),
  };
}

/** Signed as it should be, and saying what it should not. */
const claimed: { readonly [what: string]: (claims: Claims) => unknown } = {
  "no end": (claims) => without(claims, "exp"),
  "an end as text": (claims) => ({ ...claims, exp: `${inSeconds(600)}` }),
  "no end in sight": (claims) => ({ ...claims, exp: inSeconds(10 * 86_400) }),
  "an end in milliseconds": (claims) => ({ ...claims, exp: inSeconds(600) * 1000 }),
  "not valid yet": (claims) => ({ ...claims, nbf: inSeconds(30) }),
  "signed in the future": (claims) => ({ ...claims, iat: inSeconds(30) }),
  "no issuer": (claims) => without(claims, "iss"),
  "another issuer": (claims) => ({ ...claims, iss: "https://issuer.example.evil" }),
  "no audience": (claims) => without(claims, "aud"),
  "another audience": (claims) => ({ ...claims, aud: ["others", "roomcast2"] }),
  "a user that is a number": (claims) => ({ ...claims, sub: 1 }),
  "an empty user": (claims) => ({ ...claims, sub: "" }),
  "an id that is a list": (claims) => ({ ...claims, jti: ["a"] }),
  "a tenant of the server's own": (claims) => ({ ...claims, tenant: "acme|chat" }),
  "claims in a list": (claims) => [claims],
};

const past: { readonly [what: string]: (claims: Claims) => unknown } = {
  "past its end, by more than clocks may differ": (claims) => ({ ...claims, exp: inSeconds(-5) }),
  "past its end since 1970": (claims) => ({ ...claims, exp: 0 }),
};

export function badTokens(issuer: Issuer): readonly BadToken[] {
  const signed = (table: typeof claimed, code: BadToken["code"]): BadToken[] =>
    Object.entries(table).map(([what, claims]) => ({
      what,
      make: (good) => withSecret(issuer.secret, claims(good)),
      code,
    }));
  return [
    ...Object.entries(forged(issuer)).map(([what, make]) => ({ what, make, code: "unauthorized" as const })),
    ...signed(claimed, "unauthorized"),
    ...signed(past, "expired"),
  ];
}
