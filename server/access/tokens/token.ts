/** Tokens as they are written: JWTs (RFC 7519) in the compact form. */
import { isUtf8 } from "node:buffer";

/** The longest token that is looked at, in UTF-16 code units. */
export const MAX_TOKEN_LENGTH = 16_384;

export type TokenErrorCode = "unauthorized" | "expired" | "unavailable";

/**
 * The token is not honoured; with `unavailable` it may be good, and can be shown again after `retryMs`. The text never holds
 * anything of the token.
 */
export class TokenError extends Error {
  override readonly name = "TokenError";
  readonly code: TokenErrorCode;
  /** Milliseconds; there with `unavailable` only. */
  readonly retryMs: number | undefined;

  constructor(code: TokenErrorCode, message: string, retryMs?: number) {
    super(message);
    this.code = code;
    this.retryMs = retryMs;
  }
}

export const refused = (expected: string): TokenError => new TokenError("unauthorized", `token: expected ${expected}`);

export type JsonObject = { readonly [name: string]: unknown };

/** A token taken apart; nothing of it is to be believed before its signature was checked. */
export type TokenParts = {
  readonly algorithm: string;
  /** Which key has signed it, in its signer's words. */
  readonly keyId: string | undefined;
  /** What is signed: the first two parts, as they stand in the token. */
  readonly signed: string;
  readonly payload: string;
  readonly signature: string;
};

/** Three parts in base64url. `Buffer` would pass over other characters, and the parser of a signer might not. */
const FORM = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

/** An object of JSON in base64url; `undefined` for anything else. */
function objectIn(part: string): JsonObject | undefined {
  const bytes = Buffer.from(part, "base64url");
  // Two texts must not be read as one: replacement characters would make them so.
  if (!isUtf8(bytes)) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

/** The header that was read last: an issuer's tokens all have the same. */
let lastHead: string | undefined;
let lastHeader: JsonObject | undefined;

function headerIn(head: string): JsonObject | undefined {
  if (head !== lastHead) {
    lastHeader = objectIn(head);
    lastHead = head;
  }
  return lastHeader;
}

/**
 * Takes a token apart. Throws `TokenError` where it is no signed JWT, or asks for an extension (`crit`): none is known.
 * Of its header only `alg` and `kid` are read: keys, or addresses of keys, that a token brings along mean nothing.
 */
export function takeApart(token: string): TokenParts {
  if (token.length > MAX_TOKEN_LENGTH) throw refused(`at most ${MAX_TOKEN_LENGTH} characters`);
  const [, head, payload, signature] = FORM.exec(token) ?? [];
  const header = head === undefined ? undefined : headerIn(head);
  if (header === undefined || payload === undefined || signature === undefined) throw refused("a signed JWT");
  const { alg, kid, crit } = header;
  if (crit !== undefined) throw refused("a header without crit");
  if (typeof alg !== "string") throw refused("a header that names its algorithm (alg)");
  if (kid !== undefined && typeof kid !== "string") throw refused("a header whose key (kid), if any, is a string");
  const signed = token.slice(0, token.length - signature.length - 1);
  return { algorithm: alg, keyId: kid, signed, payload, signature };
}

/** What a token says. Throws `TokenError` where that is no object. */
export function payloadOf({ payload }: TokenParts): JsonObject {
  const claims = objectIn(payload);
  if (claims === undefined) throw refused("a JWT whose payload is an object");
  return claims;
}
