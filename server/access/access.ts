/** Who a session is, and what it was given. */
import type { Grants } from "./grants.js";

/** What a session goes by: its token's word, or the application's. Never changed: a renewal puts another in its place. */
export type Access = {
  /** Left out: anonymous. */
  readonly user?: string | undefined;
  /** What the application wants told about the user; any JSON value. */
  readonly info?: unknown;
  /** Whose rooms these are; "" where there are no tenants. */
  readonly tenant: string;
  /** The token's `jti`, by which it can be revoked. */
  readonly tokenId?: string | undefined;
  /** When it was signed, in Unix milliseconds: the token's `iat`, 0 where it has none; or when the application said so. */
  readonly issuedAt: number;
  /** When the right to be connected ends, in Unix milliseconds. */
  readonly expiresAt?: number | undefined;
  /** What the token allows beyond the rules; `undefined`: nothing. */
  readonly grants?: Grants | undefined;
  /** The same as the application gave it, so that a ticket can hold it; not there where a token says it. */
  readonly rooms?: unknown;
};

/** Of whom nothing is known. */
export const ANONYMOUS: Access = { tenant: "", issuedAt: 0 };

/** The longest `jti` of a token, in UTF-16 code units: it is kept for as long as what was revoked is remembered. */
export const MAX_TOKEN_ID_LENGTH = 128;

/** Whether it can be a token's `jti`. */
export const isTokenId = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && value.length <= MAX_TOKEN_ID_LENGTH && !/\p{Surrogate}/u.test(value);
