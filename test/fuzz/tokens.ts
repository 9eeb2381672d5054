/** Tokens that are nearly right: signed as they should be, and refused for what they say; or not even that. */
import { createHmac } from "node:crypto";
import type { Random } from "../support/random.js";
import { mutated } from "./bytes.js";

/** What the server that is fuzzed has; its clients may do everything without a token, so that most attacks get on. */
export const SECRET = "the secret of a server that is fuzzed";
export const ALLOWED: { anonymous: ("join" | "publish" | "history" | "members")[] } = {
  anonymous: ["join", "publish", "history", "members"],
};

const HEADERS: readonly unknown[] = [
  { alg: "HS256" },
  { alg: "HS256", typ: "JWT", kid: "x" },
  ...[
    { alg: "none" },
    { alg: "HS512" },
    { alg: ["HS256"] },
    { alg: "HS256", crit: ["exp"] },
    { alg: "RS256" },
    {},
    null,
    1,
  ],
];
/** Not good at any time: what follows from a seed is always the same. */
const ENDS: readonly unknown[] = [1, 1_700_000_000, 4_102_444_800, 1e300, -1, 1.5, "1", null, [], undefined];
const CLAIMS: readonly { readonly [claim: string]: unknown }[] = [
  { sub: "ann", rooms: { "fuzz:*": "join publish" } },
  { sub: "a:b", rooms: { "user:{sub}:*": ["join"] } },
  { rooms: { "*": ["join", "fly"] } },
  { rooms: { "**": 1, "": "join", "a|b": "join" } },
  { rooms: [] },
  { room: "fuzz:1", may: "join" },
  { room: "fuzz:*", may: [] },
  { tenant: "a|b" },
  { tenant: "acme", sub: 1 },
  { iss: {}, aud: 1, nbf: "x", iat: -1, jti: {} },
  { info: { a: ["x".repeat(5000)] } },
  JSON.parse('{"__proto__":{"sub":"root"},"constructor":1}') as { [claim: string]: unknown },
];

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token that no server honours. */
export function oddToken(random: Random): string {
  const claims = { exp: random.pick(ENDS), ...random.pick(CLAIMS) };
  const body = `${part(random.pick(HEADERS))}.${part(random.chance(0.95) ? claims : random.pick([null, [], 1, "x"]))}`;
  const key = random.chance(0.9) ? SECRET : "";
  const token = `${body}.${createHmac("sha256", key).update(body).digest("base64url")}`;
  return random.chance(0.3) ? mutated(Buffer.from(token), random).toString("latin1") : token;
}
