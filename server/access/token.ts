/** Clients' tokens: JWTs that the application signs with the secret it shares with the server. */
import { errors, type JWTPayload, jwtVerify } from "jose";
import { isUser, MAX_USER_LENGTH } from "../../protocol/fields.js";

/** How far the clocks of the application and the server may be apart, in seconds. */
const TOLERANCE_S = 30;
/** The longest token that is looked at, in UTF-16 code units. */
const MAX_TOKEN_LENGTH = 16_384;

/** What a valid token says. */
export type TokenClaims = {
  /** The claim `sub`. */
  readonly user?: string;
  /** The claim `info`, any JSON value. */
  readonly info?: unknown;
  /** Until when the token is honoured, in Unix milliseconds: its claim `exp`, and what clocks may be apart. */
  readonly expiresAt: number;
};

/** The token is not honoured. Its text never holds anything of the token. */
export class TokenError extends Error {
  override readonly name = "TokenError";
  readonly code: "unauthorized" | "expired";

  constructor(code: "unauthorized" | "expired", message: string) {
    super(message);
    this.code = code;
  }
}

const refused = (expected: string): TokenError => new TokenError("unauthorized", `token: expected ${expected}`);

/** Jose's errors in our words; what it says of its own may quote the token. */
function tokenError(error: unknown): TokenError {
  if (error instanceof errors.JWTExpired) return new TokenError("expired", "token: it is past its end (exp)");
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "nbf") return refused("one that is valid already (nbf)");
    return refused(error.claim === "exp" ? "an end, the claim exp, as a number" : "claims of the right types");
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return refused("one signed with this server's secret");
  if (error instanceof errors.JOSEAlgNotAllowed) return refused("one signed with HS256");
  return refused("a signed JWT (HS256)");
}

function claimsOf(payload: JWTPayload): TokenClaims {
  const { sub, exp } = payload;
  // What a token really holds there is its signer's doing.
  const user: unknown = sub;
  if (user !== undefined && !isUser(user))
    throw refused(`a user, the claim sub, of 1 to ${MAX_USER_LENGTH} characters`);
  const expiresAt = Math.min(Math.floor(((exp as number) + TOLERANCE_S) * 1000), Number.MAX_SAFE_INTEGER);
  const info = payload["info"];
  return { ...(user === undefined ? {} : { user }), ...(info === undefined ? {} : { info }), expiresAt };
}

/**
 * Checks tokens against `secret`: a JWT signed with HS256 and no other algorithm, with an end (`exp`) that is not past.
 * Rejects with `TokenError` and nothing else, whatever the token.
 */
export function verifyToken(secret: string): (token: string) => Promise<TokenClaims> {
  const key = new TextEncoder().encode(secret);
  const options = { algorithms: ["HS256"], requiredClaims: ["exp"], clockTolerance: TOLERANCE_S };
  return async (token) => {
    if (token.length > MAX_TOKEN_LENGTH) throw refused(`at most ${MAX_TOKEN_LENGTH} characters`);
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(token, key, options));
    } catch (error) {
      throw tokenError(error);
    }
    return claimsOf(payload);
  };
}
