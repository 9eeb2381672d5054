import { createHmac } from "node:crypto";

/** The secret of tests that need no particular one. */
export const SECRET = "a secret that every test may know, long enough";

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token (HS256) with these claims; good for an hour from now on where they do not say. */
export function signed(claims: { readonly [claim: string]: unknown } = {}, secret = SECRET): string {
  const now = Math.floor(Date.now() / 1000);
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ iat: now, exp: now + 3600, ...claims })}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}
