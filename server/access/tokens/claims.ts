/** What tokens say, once it is known who signed them. */
import { isUser, MAX_USER_LENGTH } from "../../../protocol/fields.js";
import { isRoomName, isTenant, TENANT_TEXT } from "../../../protocol/names.js";
import { plain } from "../../../protocol/plain.js";
import { type Access, isTokenId, MAX_TOKEN_ID_LENGTH } from "../access.js";
import { type Actions, actionsOf, parseActions, roomActions } from "../actions.js";
import { GrantError, type Grants, MAX_PATTERNS } from "../grants.js";
import { sharedGrants } from "./shared-grants.js";
import { type JsonObject, refused, TokenError } from "./token.js";

/** What a room token allows that does not say. */
const ROOM_ACTIONS: Actions = actionsOf(["join", "history", "members"]);
const ACTIONS = roomActions.join(", ");

/** What is asked of a token's claims. */
export type ClaimRules = {
  /** Whose tokens are honoured; of nobody in particular, where it is empty. */
  readonly issuers: readonly string[];
  /** One of these a token has to be for; where it is empty, it is not looked at. */
  readonly audiences: readonly string[];
  /** How far the signer's clock may be off, in milliseconds. */
  readonly skewMs: number;
  /** How far off a token's end may be, in milliseconds. */
  readonly maxLifeMs: number;
};

/** What a token for one room says. */
export type RoomToken = {
  /** The room's name as its clients know it. */
  readonly room: string;
  readonly actions: Actions;
  /** Whose token it is; anybody's, where it is left out. */
  readonly user?: string | undefined;
  /** "" where there are no tenants. */
  readonly tenant: string;
  /** The token's `jti`, by which it can be revoked. */
  readonly tokenId?: string | undefined;
  /** The token's `iat` in Unix milliseconds, 0 where it has none. */
  readonly issuedAt: number;
  /** Until when it holds, in Unix milliseconds: its `exp`, and what clocks may be apart. */
  readonly expiresAt: number;
};

/** A time in a claim, in Unix milliseconds; `undefined` where there is none. */
function timeIn(claims: JsonObject, name: string): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value !== "number") throw refused(`the claim ${name} as a number`);
  return value * 1000;
}

function timesIn(claims: JsonObject, { skewMs, maxLifeMs }: ClaimRules, now: number) {
  const end = timeIn(claims, "exp");
  if (end === undefined) throw refused("an end, the claim exp");
  if (end + skewMs <= now) throw new TokenError("expired", "token: it is past its end (exp)");
  if (end > now + maxLifeMs + skewMs) throw refused(`an end (exp) within maxTokenLifeMs, ${maxLifeMs} ms from now`);
  const start = timeIn(claims, "nbf");
  if (start !== undefined && start > now + skewMs) throw refused("one that is valid already (nbf)");
  const issued = timeIn(claims, "iat") ?? 0;
  if (issued > now + skewMs) throw refused("one that was signed already (iat)");
  // Refused today and taken next week, it would outlive what was remembered of its revocation.
  if (issued > 0 && end > issued + maxLifeMs + skewMs) {
    throw refused(`an end (exp) within maxTokenLifeMs, ${maxLifeMs} ms from when it was signed (iat)`);
  }
  return { issuedAt: Math.max(0, Math.floor(issued)), expiresAt: Math.floor(end + skewMs) };
}

function checkParties({ iss, aud }: JsonObject, { issuers, audiences }: ClaimRules): void {
  if (issuers.length > 0 && !(typeof iss === "string" && issuers.includes(iss))) {
    throw refused("one of an issuer (iss) that is trusted here");
  }
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (audiences.length > 0 && !named.some((one) => typeof one === "string" && audiences.includes(one))) {
    throw refused("one that is for this server (aud)");
  }
}

/** What tokens of both sorts say alike. */
function checkCommon(claims: JsonObject, rules: ClaimRules): asserts claims is Common {
  checkParties(claims, rules);
  const { sub, jti, tenant } = claims;
  if (sub !== undefined && !isUser(sub)) throw refused(`a user, the claim sub, of 1 to ${MAX_USER_LENGTH} characters`);
  if (jti !== undefined && !isTokenId(jti))
    throw refused(`an id, the claim jti, of 1 to ${MAX_TOKEN_ID_LENGTH} characters`);
  if (tenant !== undefined && !isTenant(tenant)) throw refused(`a tenant of ${TENANT_TEXT}`);
}

type Common = JsonObject & { readonly sub?: string; readonly jti?: string; readonly tenant?: string };

/** What is wrong with grants is not told with their text: it is the token's. */
function grantsIn(rooms: unknown, user: string | undefined): Grants {
  try {
    return sharedGrants(rooms, user);
  } catch (error) {
    if (!(error instanceof GrantError)) throw error;
    if (error.isOfUser) {
      throw refused("a user (sub) of A-Z a-z 0-9 _ - . @ / to stand for {sub} in the claim rooms");
    }
    throw refused(`the claim rooms as at most ${MAX_PATTERNS} patterns of names, each with some of ${ACTIONS}`);
  }
}

function infoIn(info: unknown): unknown {
  try {
    return plain(info, "info");
  } catch {
    throw refused("the claim info of well-formed JSON, at most 64 levels deep, without the key __proto__");
  }
}

/** Reads the claims of a session's token at a time, in Unix milliseconds. Throws `TokenError`. */
export function readAccess(claims: JsonObject, rules: ClaimRules, now: number): Access {
  const { issuedAt, expiresAt } = timesIn(claims, rules, now);
  checkCommon(claims, rules);
  const { sub, jti, tenant, info, rooms, room } = claims;
  if (room !== undefined) throw refused("one for a session: with a claim room it is for joining that room");
  return {
    user: sub,
    info: info === undefined ? undefined : infoIn(info),
    tenant: tenant ?? "",
    tokenId: jti,
    issuedAt,
    expiresAt,
    grants: rooms === undefined ? undefined : grantsIn(rooms, sub),
  };
}

/** Reads the claims of a room's token at a time, in Unix milliseconds. Throws `TokenError`. */
export function readRoomToken(claims: JsonObject, rules: ClaimRules, now: number): RoomToken {
  const { issuedAt, expiresAt } = timesIn(claims, rules, now);
  checkCommon(claims, rules);
  const { sub, jti, tenant, room, may, rooms } = claims;
  if (room === undefined) throw refused("one for a room, with the claim room");
  if (typeof room !== "string" || !isRoomName(room)) throw refused("the claim room as one room's name");
  if (rooms !== undefined) throw refused("one without the claim rooms, which is for a session");
  const actions = may === undefined ? ROOM_ACTIONS : parseActions(may);
  if (actions === undefined) throw refused(`the claim may as some of ${ACTIONS}`);
  return { room, actions, user: sub, tenant: tenant ?? "", tokenId: jti, issuedAt, expiresAt };
}
