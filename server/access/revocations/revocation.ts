/** What can be taken back before a token ends by itself: as the application asks for it, and as nodes write it down. */
import { ProtocolError } from "../../../protocol/codes.js";
import { describe, isUser, MAX_USER_LENGTH } from "../../../protocol/fields.js";
import { isTenantOrNone, TENANT_TEXT } from "../../../protocol/names.js";
import { isTokenId, MAX_TOKEN_ID_LENGTH } from "../access.js";
import { type Actions, ALL_ACTIONS, NO_ACTIONS, parseActions, roomActions, wordsOf } from "../actions.js";
import { GrantError, parsePattern } from "../grants.js";

/** How much longer it is remembered than a token may be good for: clocks differ, and tokens are honoured a little past their end. */
const MARGIN_MS = 180_000;
/** How far ahead the clock of whoever asks may be, in milliseconds. */
const AHEAD_MS = 60_000;
/** Unix seconds would be below it: taken for milliseconds they would revoke nothing. */
const LEAST_TIME = 100_000_000_000;

/** How long a node whose tokens are good for `maxLifeMs` remembers what was taken back, in milliseconds. */
export const keptMs = (maxLifeMs: number): number => maxLifeMs + MARGIN_MS;

/** What `Server.revoke` takes. All times are Unix milliseconds. */
export type Revoke =
  /** One token, by its `jti`; `expiresAt` is its end, by default as far off as a token's may be. */
  | { readonly token: string; readonly expiresAt?: number | undefined }
  /** All tokens of the user that were signed before a time, by default now. */
  | { readonly user: string; readonly tenant?: string | undefined; readonly before?: number | undefined }
  /** The user, whatever it shows, until a time; one that is past ends it. */
  | { readonly user: string; readonly tenant?: string | undefined; readonly blockedUntil: number }
  /** Actions in rooms, whatever allows them; none gives back what was taken by this pattern. */
  | {
      readonly user: string;
      readonly tenant?: string | undefined;
      readonly room: string;
      readonly actions: string | readonly string[];
      readonly until?: number | undefined;
    };

/**
 * Something that was taken back. `until` is when it may be forgotten. Of two with the same `subjectOf` one holds: of
 * `tokens` what both say, of the last two the one said later (`at`), whatever the order in which they come. All times are Unix milliseconds.
 */
export type Revocation =
  | { readonly kind: "token"; readonly token: string; readonly until: number }
  | {
      readonly kind: "tokens";
      readonly tenant: string;
      readonly user: string;
      readonly before: number;
      readonly until: number;
    }
  | {
      readonly kind: "block";
      readonly tenant: string;
      readonly user: string;
      readonly at: number;
      /** Until when the user is out. */
      readonly ends: number;
      readonly until: number;
    }
  | {
      readonly kind: "room";
      readonly tenant: string;
      readonly user: string;
      readonly room: string;
      readonly actions: Actions;
      readonly at: number;
      /** Until when the actions are not allowed. */
      readonly ends: number;
      readonly until: number;
    };

/** What it is about: a later one about the same takes its place. */
export function subjectOf(one: Revocation): string {
  if (one.kind === "token") return `token ${one.token}`;
  return `${one.kind} ${one.tenant}|${one.kind === "room" ? `${one.room} ` : ""}${one.user}`;
}

type Fields = { readonly [name: string]: unknown };

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const timeOf = (name: string, given: unknown, latest: number, latestWords: string): number => {
  if (!isCount(given) || (given < LEAST_TIME && given !== 0)) {
    throw new ProtocolError(name, "a time in Unix milliseconds", describe(given));
  }
  if (given <= latest) return given;
  throw new ProtocolError(
    name,
    `a time no later than ${latestWords}`,
    new Date(Math.min(given, 8.64e15)).toISOString(),
  );
};

const FORMS = [
  ["token", "expiresAt"],
  ["user", "tenant", "blockedUntil"],
  ["user", "tenant", "room", "actions", "until"],
  ["user", "tenant", "before"],
] as const;

/** Which of the forms it is. One misspelt field, and it would be another: so what no form has is refused. */
function checkForm(given: Fields): void {
  const names = Object.keys(given).filter((name) => given[name] !== undefined);
  const form = FORMS.find((fields) =>
    fields.some((field) => field !== "user" && field !== "tenant" && names.includes(field)),
  );
  const allowed: readonly string[] = form ?? ["user", "tenant"];
  const odd = names.find((name) => !allowed.includes(name));
  if (odd !== undefined) throw new ProtocolError(odd, `one of ${allowed.join(", ")}`, describe(given[odd]));
}

/**
 * Reads what the application asks for. `now` in Unix milliseconds; `maxLifeMs` is how long a token may be good for at the
 * most. Throws `ProtocolError`, naming the field.
 */
export function revocationOf(given: unknown, now: number, maxLifeMs: number): Revocation {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new ProtocolError("revoke", "an object", describe(given));
  }
  const fields = given as Fields;
  checkForm(fields);
  const until = now + keptMs(maxLifeMs);
  if (fields["token"] !== undefined) return tokenOf(fields, now, until);
  const { user, tenant = "", before } = fields;
  if (!isUser(user)) throw new ProtocolError("user", `1 to ${MAX_USER_LENGTH} characters`, describe(user));
  if (!isTenantOrNone(tenant)) {
    throw new ProtocolError("tenant", TENANT_TEXT, describe(tenant));
  }
  const whose = { tenant, user };
  const latest = now + maxLifeMs;
  const latestWords = "maxTokenLifeMs from now";
  if (fields["blockedUntil"] !== undefined) {
    const ends = timeOf("blockedUntil", fields["blockedUntil"], latest, latestWords);
    return { kind: "block", ...whose, at: now, ends, until };
  }
  if (fields["room"] !== undefined || fields["actions"] !== undefined) {
    const room = patternOf(fields["room"], user);
    const actions = parseActions(fields["actions"]);
    if (actions === undefined) {
      throw new ProtocolError("actions", `some of ${roomActions.join(", ")}`, describe(fields["actions"]));
    }
    const ends = fields["until"] === undefined ? latest : timeOf("until", fields["until"], latest, latestWords);
    return { kind: "room", ...whose, room, actions, at: now, ends, until };
  }
  const time = before === undefined ? now : timeOf("before", before, now + AHEAD_MS, "now");
  return { kind: "tokens", ...whose, before: time, until };
}

function tokenOf({ token, expiresAt }: Fields, now: number, until: number): Revocation {
  if (!isTokenId(token)) {
    throw new ProtocolError("token", `a token's jti, 1 to ${MAX_TOKEN_ID_LENGTH} characters`, describe(token));
  }
  if (expiresAt === undefined) return { kind: "token", token, until };
  // One that ends later than a token may is not honoured now, and may be towards its end: so it is kept as long as can be.
  const end = timeOf("expiresAt", expiresAt, Number.MAX_SAFE_INTEGER, "");
  return { kind: "token", token, until: Math.min(Math.max(end, now) + MARGIN_MS, until) };
}

function patternOf(room: unknown, user: string): string {
  try {
    parsePattern(room, user);
  } catch (error) {
    throw error instanceof GrantError ? new ProtocolError("room", "a pattern of rooms' names", describe(room)) : error;
  }
  return room as string;
}

/** As it is written into the log: a JSON object. */
export function writeRevocation(one: Revocation): { readonly [field: string]: unknown } {
  return one.kind === "room" ? { ...one, actions: wordsOf(one.actions) } : one;
}

/**
 * Reads what a node has written, this version or another; `undefined` where it is nothing that this version knows. Of
 * actions that it does not know it takes those that it knows: it can do none of the others. Throws nothing.
 */
export function readRevocation(written: unknown): Revocation | undefined {
  if (typeof written !== "object" || written === null || Array.isArray(written)) return undefined;
  const { kind, token, tenant, user, before, room, actions, at, ends, until } = written as Fields;
  if (!isCount(until)) return undefined;
  if (kind === "token") return isTokenId(token) ? { kind, token, until } : undefined;
  if (!isUser(user) || !isTenantOrNone(tenant)) return undefined;
  if (kind === "tokens") return isCount(before) ? { kind, tenant, user, before, until } : undefined;
  if (!isCount(at) || !isCount(ends)) return undefined;
  if (kind === "block") return { kind, tenant, user, at, ends, until };
  if (kind !== "room" || !isPattern(room, user) || !Array.isArray(actions)) return undefined;
  return { kind, tenant, user, room, actions: knownActions(actions), at, ends, until };
}

function isPattern(room: unknown, user: string): room is string {
  try {
    parsePattern(room, user);
    return true;
  } catch {
    return false;
  }
}

function knownActions(words: readonly unknown[]): Actions {
  let actions = NO_ACTIONS;
  for (const word of words) actions |= parseActions([word]) ?? NO_ACTIONS;
  return actions & ALL_ACTIONS;
}
