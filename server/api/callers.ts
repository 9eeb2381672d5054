/** Who asks, by the key that a request shows. */
import { type ApiKey, type ApiKeys, KEY_PREFIX, type Scope, scopes } from "../access/api-keys.js";
import { Refusal } from "../hooks/hooks.js";

/** How a key is nearly always shown. */
const USUAL = `Bearer ${KEY_PREFIX}`;
const BEARER = /^bearer +(\S+) *$/i;

/** Anyone, where the API is open: in development, on this machine alone. */
const ANYONE: ApiKey = { name: "", scopes: new Set(scopes), tenant: "" };

/** Whether a request's credentials are a key of the API, good or not. */
export const showsKey = (authorization: string): boolean =>
  authorization.startsWith(USUAL) || (BEARER.exec(authorization)?.[1] ?? "").startsWith(KEY_PREFIX);

/** The most credentials that are remembered: more than there are keys, since a key can be shown in several ways. */
const MOST_REMEMBERED = 200;

export class Callers {
  readonly #keys: ApiKeys;
  /**
   * Whose key it is, by the whole header, for those that were found good: to digest a key takes as long as much else of a
   * request. How long a look-up takes says nothing of the keys in it, since it goes by a hash with a seed of this process.
   */
  readonly #found = new Map<string, ApiKey>();
  /** Whether nobody is asked for a key. */
  readonly isOpen: boolean;

  constructor(keys: ApiKeys, isOpen: boolean) {
    this.#keys = keys;
    this.isOpen = isOpen;
  }

  /** Whose key it is. Throws `Refusal` of code `unauthorized`, with which the key itself is not told. */
  of(authorization: string): ApiKey {
    if (this.isOpen) return ANYONE;
    return this.#found.get(authorization) ?? this.#find(authorization);
  }

  #find(authorization: string): ApiKey {
    if (this.#keys.size === 0) {
      throw new Refusal("unauthorized", "no API key is configured here: expected some in the setting apiKeys");
    }
    if (authorization === "")
      throw new Refusal("unauthorized", "authorization: expected Bearer and an API key, got nothing");
    const key = BEARER.exec(authorization)?.[1];
    if (key === undefined || !key.startsWith(KEY_PREFIX)) {
      throw new Refusal(
        "unauthorized",
        `authorization: expected Bearer and an API key (${KEY_PREFIX}…), got something else`,
      );
    }
    const found = this.#keys.find(key);
    if (found === undefined) throw new Refusal("unauthorized", "authorization: expected a key that is configured here");
    if (this.#found.size >= MOST_REMEMBERED) this.#found.clear();
    this.#found.set(authorization, found);
    return found;
  }
}

/** Throws `Refusal` where the key is not good for it. */
export function checkScope({ name, scopes }: ApiKey, scope: Scope): void {
  if (scopes.has(scope)) return;
  throw new Refusal(
    "forbidden",
    `the key ${name} has the scopes ${[...scopes].join(", ")}: expected ${scope} among them`,
  );
}
