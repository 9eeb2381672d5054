/** The keys by which other services use the HTTP API: what the settings say of them, and whose a key is. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { isTenant, TENANT_TEXT } from "../../protocol/names.js";

/** What a key may be good for. */
export const scopes = ["publish", "history", "members", "rooms", "users", "call", "cache", "nodes"] as const;
export type Scope = (typeof scopes)[number];
const allScopes = scopes.length;

/** Whose key it is, and what it is good for. */
export type ApiKey = {
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  /** The only tenant whose rooms and users it reaches; "": those of whichever tenant it names, and those of none. */
  readonly tenant: string;
};

type Known = ApiKey & { readonly digest: Buffer };

/** What every key begins with, so that one which was left lying about can be recognised. */
export const KEY_PREFIX = "rck_";
/** How many random bytes a key has: so many that a plain digest of it cannot be turned back. */
const KEY_BYTES = 32;
const NAME = /^[A-Za-z0-9_.-]{1,32}$/;
/** What `isKeyName` expects, for errors. */
export const KEY_NAME_TEXT = "1 to 32 characters of A-Z a-z 0-9 _ - .";
const EXPECTED = "expected name:scopes:sha256:digest, as roomcast key prints it";

/** Whether a key can be called so. */
export const isKeyName = (name: string): boolean => NAME.test(name);
export const isScope = (word: string): word is Scope => (scopes as readonly string[]).includes(word);

const digestOf = (key: string): Buffer => createHash("sha256").update(key).digest();

/**
 * Reads a key's entry in the settings: `name:scope+scope:sha256:digest`, behind it `:tenant` where it is of one; the scope
 * `all` is every one, the digest is 64 hexadecimal digits. Throws `Error` with what was expected.
 */
export function parseApiKey(text: string): Known {
  const [name = "", words = "", algorithm, digest = "", tenant = "", ...rest] = text.split(":");
  if (!isKeyName(name) || algorithm !== "sha256" || !/^[0-9a-f]{64}$/.test(digest) || rest.length > 0) {
    throw new Error(EXPECTED);
  }
  const named = words === "all" ? scopes : words.split("+");
  if (!named.every(isScope)) throw new Error(`expected scopes of ${scopes.join(", ")}, joined by +, or all`);
  if (tenant !== "" && !isTenant(tenant)) throw new Error(`expected a tenant of ${TENANT_TEXT}`);
  return { name, scopes: new Set(named), tenant, digest: Buffer.from(digest, "hex") };
}

/** A new key, and its entry for the settings. The key itself is kept nowhere. */
export function makeApiKey({ name, scopes, tenant }: ApiKey): { readonly key: string; readonly entry: string } {
  const key = KEY_PREFIX + randomBytes(KEY_BYTES).toString("base64url");
  const words = scopes.size === allScopes ? "all" : [...scopes].join("+");
  const entry = `${name}:${words}:sha256:${digestOf(key).toString("hex")}`;
  return { key, entry: tenant === "" ? entry : `${entry}:${tenant}` };
}

/** The keys that are honoured. */
export class ApiKeys {
  readonly #known: readonly Known[];

  constructor(entries: readonly string[]) {
    this.#known = entries.map(parseApiKey);
  }

  get size(): number {
    return this.#known.length;
  }

  /** Whose key it is; `undefined`: nobody's. How long it takes says nothing of the keys there are. */
  find(key: string): ApiKey | undefined {
    const digest = digestOf(key);
    let found: ApiKey | undefined;
    for (const known of this.#known) if (timingSafeEqual(known.digest, digest)) found = known;
    return found;
  }
}
