/** Clients' tokens, and the settings of servers that honour them. */
import { createSecretKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import type { SettingsInput } from "../../server/server.js";
import type { Closing } from "./program.js";

export const algorithms = ["HS256", "RS256", "ES256", "EdDSA"] as const;
export type Algorithm = (typeof algorithms)[number];

/** `more` is how many patterns a token has beside the two that each has. */
export type Signer = { readonly settings: SettingsInput; sign(user: string, more?: number): Promise<string> };

const SECRET = "the secret of this benchmark, of no use elsewhere";

function pairFor(algorithm: Exclude<Algorithm, "HS256">) {
  if (algorithm === "RS256") return generateKeyPairSync("rsa", { modulusLength: 2048 });
  return algorithm === "ES256" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("ed25519");
}

/** Makes a key; its public half is kept in a file until `closing`. */
export function signerOf(algorithm: Algorithm, closing: Closing): Signer {
  if (algorithm === "HS256") {
    const key = createSecretKey(Buffer.from(SECRET));
    return { settings: { secret: SECRET }, sign: (user, more = 0) => sign(algorithm, key, user, more) };
  }
  const { publicKey, privateKey } = pairFor(algorithm);
  const folder = mkdtempSync(join(tmpdir(), "roomcast-bench-"));
  closing.add(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, `${algorithm}.pem`);
  writeFileSync(file, publicKey.export({ type: "spki", format: "pem" }));
  return { settings: { tokenKeys: [file] }, sign: (user, more = 0) => sign(algorithm, privateKey, user, more) };
}

/** What a usual application says: who it is, and its rooms by two patterns, or by so many more and with a name to show. */
function sign(alg: Algorithm, key: KeyObject, user: string, more: number): Promise<string> {
  const others = Array.from({ length: more }, (_, index) => [`team:${index}:*`, "join publish history members"]);
  const rooms = { "chat:*": "join publish history", "user:{sub}:*": "join", ...Object.fromEntries(others) };
  return new SignJWT(more === 0 ? { rooms } : { rooms, info: { name: user } })
    .setProtectedHeader({ alg, typ: "JWT" })
    .setSubject(user)
    .setJti(`token of ${user}`)
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(key);
}
