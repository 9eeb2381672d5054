/** Who a client is: what its token says, or the application, as what sessions go by. */
import { describe, isUser, MAX_USER_LENGTH } from "../../protocol/fields.js";
import { isTenant, TENANT_TEXT } from "../../protocol/names.js";
import { type Access, ANONYMOUS } from "../access/access.js";
import { GrantError, parseGrants } from "../access/grants.js";
import { TokenError } from "../access/tokens/token.js";
import type { RoomToken, Tokens } from "../access/tokens/tokens.js";
import { type AuthenticateQuestion, type Hooks, hasLimit, type Identity, inTime, Refusal } from "../hooks/hooks.js";

type Answer<T> = T | Promise<T>;

/** How it is found out who somebody is. */
export interface Identities {
  /** Whether a token says all there is to know of whoever shows it. */
  readonly areInTokens: boolean;
  /** `undefined` refuses. Throws or rejects with `Refusal`, or with what the application threw. */
  authenticate(question: AuthenticateQuestion): Answer<Access | undefined>;
  /** What a session of the token goes by that was welcomed with it before; `undefined` where it has to be asked anew. */
  recall(token: string | undefined): Access | undefined;
  /** What a room token allows. `undefined`: room tokens are for the application to read. */
  room?(token: string): Answer<RoomToken>;
}

/** A token's refusal in the words of the protocol. */
function refusalOf(error: unknown): unknown {
  return error instanceof TokenError ? new Refusal(error.code, error.message, error.retryMs) : error;
}

/** Goes on with what `verify` answers, in the same turn where it has it at once. */
function refusing<T>(verify: () => Answer<T>): Answer<T> {
  const refuse = (error: unknown): never => {
    throw refusalOf(error);
  };
  try {
    const verified = verify();
    return verified instanceof Promise ? verified.catch(refuse) : verified;
  } catch (error) {
    return refuse(error);
  }
}

/** Clients show tokens. Those without one are let in where there is something that anyone may do. */
export function byTokens(tokens: Tokens, admitsAnonymous: boolean): Identities {
  return {
    areInTokens: true,
    authenticate: ({ token }) => {
      if (token !== undefined) return refusing(() => tokens.session(token));
      return admitsAnonymous ? ANONYMOUS : undefined;
    },
    recall: (token) => {
      try {
        return token === undefined ? undefined : tokens.read(token);
      } catch {
        // What is asked of tokens has changed since: it is looked at as a new one.
        return undefined;
      }
    },
    room: (token) => refusing(() => tokens.room(token)),
  };
}

/** The application says who a client is. */
export function byHook(ask: NonNullable<Hooks["authenticate"]>): Identities {
  return {
    areInTokens: false,
    authenticate: (question) => {
      const answer = inTime(ask(question));
      return answer instanceof Promise ? hasLimit(answer.then(accessOf)) : accessOf(answer);
    },
    recall: () => undefined,
  };
}

/** Nobody is asked who they are. */
export const everyone: Identities = {
  areInTokens: false,
  authenticate: () => ANONYMOUS,
  recall: () => undefined,
};

const wrong = (field: string, expected: string, got: unknown): TypeError =>
  new TypeError(`authenticate: ${field}: expected ${expected}, got ${describe(got)}`);

/**
 * What `authenticate` has answered, looked at as what it is: JavaScript lets it be anything, and nothing but an identity
 * may let a client in. `undefined`, null and false refuse; throws for what is neither, which is the application's fault.
 */
export function accessOf(answer: unknown): Access | undefined {
  if (answer === undefined || answer === null || answer === false) return undefined;
  if (typeof answer !== "object" || Array.isArray(answer)) {
    throw new TypeError(`authenticate: expected an identity or undefined, got ${describe(answer)}`);
  }
  const { user, info, expiresAt, tenant, rooms } = answer as { readonly [field in keyof Identity]?: unknown };
  const given = <T>(value: T): T | undefined => value ?? undefined;
  if (given(user) !== undefined && !isUser(user)) throw wrong("user", `1 to ${MAX_USER_LENGTH} characters`, user);
  if (given(expiresAt) !== undefined && !Number.isFinite(expiresAt)) {
    throw wrong("expiresAt", "Unix milliseconds", expiresAt);
  }
  if (given(tenant) !== undefined && !isTenant(tenant)) {
    throw wrong("tenant", TENANT_TEXT, tenant);
  }
  return restored({
    user: given(user) as string | undefined,
    info,
    expiresAt: given(expiresAt) as number | undefined,
    tenant: (given(tenant) as string | undefined) ?? "",
    rooms: given(rooms),
    issuedAt: Date.now(),
  });
}

/** Reads what was granted; everything else was looked at before. */
export function restored(access: Access): Access {
  if (access.rooms === undefined) return access;
  try {
    return { ...access, grants: parseGrants(access.rooms, access.user) };
  } catch (error) {
    throw error instanceof GrantError ? new TypeError(`authenticate: rooms: ${error.message}`) : error;
  }
}
