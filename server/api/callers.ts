/** Who asks, by the key that a request shows. */
import { type ApiKey, type ApiKeys, KEY_PREFIX, type Scope, scopes } from "../access/api-keys.js";
import { Refusal } from "../hooks/hooks.js";

const BEARER = /^bearer +(\S+) *$/i;

/** Anyone, where the API is open: in development, on this machine alone. */
const ANYONE: ApiKey = { name: "", scopes: new Set(scopes), tenant: "" };

/** Whether a request's credentials are a key of the API, good or not. */
export const showsKey = (authorization: string): boolean =>
  BEARER.exec(authorization)?.[1]?.startsWith(KEY_PREFIX) === true;

export class Callers {
  readonly #keys: ApiKeys;
  /** Whether nobody is asked for a key. */
  readonly isOpen: boolean;

  constructor(keys: ApiKeys, isOpen: boolean) {
    this.#keys = keys;
    this.isOpen = isOpen;
  }

  /** Whose key it is. Throws `Refusal` of code `unauthorized`, with which the key itself is not told. */
  of(authorization: string): ApiKey {
    if (this.isOpen) return ANYONE;
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
