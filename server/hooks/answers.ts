/** What the application answers over HTTP, looked at as what it is. Whatever is wrong throws `TypeError`, naming the field. */
import { type ErrorCode, errorCodes } from "../../protocol/codes.js";
import { describe } from "../../protocol/fields.js";
import type { Identity } from "./hooks.js";
import type { Answered } from "./post.js";
import type { HookName } from "./settings.js";

type Fields = { readonly [name: string]: unknown };

/** Why not, in the words that the client gets. */
export type Refused = { readonly code: ErrorCode; readonly reason?: string };

/** A refusal, or what else it is; how long either may be remembered, where the answer says so, in milliseconds. */
export type Judged<T> = { readonly cacheMs: number | undefined } & (
  | { readonly refused: Refused }
  | { readonly refused?: undefined; readonly given: T }
);

export type CallAnswer =
  | { readonly data: unknown; readonly error?: undefined }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly retryMs?: number } };

/** Longer words of the application are cut. */
const MAX_REASON_LENGTH = 300;

const wrong = (hook: HookName, field: string, expected: string, got: unknown): TypeError =>
  new TypeError(`hook ${hook}: ${field}: expected ${expected}, got ${describe(got)}`);

function fieldsOf(hook: HookName, { status, json }: Answered): Fields {
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Fields;
  if (status >= 400) return {};
  throw wrong(hook, "the answer", "a JSON object", json);
}

/** A field that is not there, or is null, is left out. */
const fieldOf = (fields: Fields, name: string): unknown =>
  Object.hasOwn(fields, name) ? (fields[name] ?? undefined) : undefined;

function textOf(hook: HookName, fields: Fields, name: string): string | undefined {
  const text = fieldOf(fields, name);
  if (text === undefined) return undefined;
  if (typeof text !== "string") throw wrong(hook, name, "a string", text);
  return text.slice(0, MAX_REASON_LENGTH).replace(/\p{Surrogate}/gu, "\ufffd");
}

function msOf(hook: HookName, fields: Fields, name: string): number | undefined {
  const ms = fieldOf(fields, name);
  if (ms === undefined) return undefined;
  if (typeof ms !== "number" || !(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER))
    throw wrong(hook, name, "milliseconds", ms);
  return ms;
}

function codeOf(hook: HookName, fields: Fields): ErrorCode | undefined {
  const code = fieldOf(fields, "code");
  if (code === undefined) return undefined;
  if (typeof code === "string" && Object.hasOwn(errorCodes, code)) return code as ErrorCode;
  throw wrong(hook, "code", `one of ${Object.keys(errorCodes).join(", ")}`, code);
}

/** Statuses from 400 on are answers only where they refuse. */
function codeByStatus(hook: HookName, status: number): ErrorCode | undefined {
  if (status < 400) return undefined;
  if (status === 403) return "forbidden";
  if (status === 401) return hook === "connect" || hook === "renew" ? "unauthorized" : "forbidden";
  throw new TypeError(`hook ${hook}: expected status 200, 401 or 403, got ${status}`);
}

function judged<T>(hook: HookName, answered: Answered, asks: boolean, take: (fields: Fields) => T): Judged<T> {
  const byStatus = codeByStatus(hook, answered.status);
  const fields = fieldsOf(hook, answered);
  const allow = byStatus === undefined ? fieldOf(fields, "allow") : false;
  if (allow !== true && allow !== false && !(allow === undefined && !asks)) {
    throw wrong(hook, "allow", "true or false", allow);
  }
  const cacheMs = msOf(hook, fields, "cacheMs");
  if (allow !== false) return { cacheMs, given: take(fields) };
  const usual = hook === "connect" || hook === "renew" ? "unauthorized" : "forbidden";
  const reason = textOf(hook, fields, "reason");
  const code = codeOf(hook, fields) ?? byStatus ?? usual;
  return { cacheMs, refused: reason === undefined ? { code } : { code, reason } };
}

/** Of `connect` and `renew`. What the identity holds is looked at by those who know what one is. */
export function identityOf(hook: "connect" | "renew", answered: Answered): Judged<Identity> {
  return judged(hook, answered, false, (fields) => {
    const names = ["user", "info", "expiresAt", "tenant", "rooms"] as const;
    const given = names.map((name) => [name, fieldOf(fields, name)] as const);
    return Object.fromEntries(given.filter(([, value]) => value !== undefined)) as Identity;
  });
}

/** Of `join`. */
export function leaveOf(answered: Answered): Judged<true> {
  return judged("join", answered, true, () => true as const);
}

/** Of `publish`: what takes the place of the event's data, where the answer has any. */
export function eventOf(answered: Answered): Judged<{ readonly data?: unknown }> {
  return judged("publish", answered, true, (fields) => (Object.hasOwn(fields, "data") ? { data: fields["data"] } : {}));
}

/** Of `call`. */
export function resultOf(answered: Answered): CallAnswer {
  const { status } = answered;
  const fields = fieldsOf("call", answered);
  const error = fieldOf(fields, "error");
  if (error === undefined) {
    const code = codeByStatus("call", status);
    if (code !== undefined)
      return { error: { code, message: textOf("call", fields, "reason") ?? "you may not call it" } };
    if (!Object.hasOwn(fields, "data")) throw wrong("call", "data", "the result, or error", undefined);
    return { data: fields["data"] };
  }
  if (typeof error !== "object" || Array.isArray(error)) throw wrong("call", "error", "an object", error);
  const code = codeOf("call", error as Fields);
  if (code === undefined) throw wrong("call", "error.code", "one of the protocol's codes", undefined);
  const message = textOf("call", error as Fields, "message") ?? errorCodes[code];
  const retryMs = msOf("call", error as Fields, "retryMs");
  return { error: retryMs === undefined ? { code, message } : { code, message, retryMs } };
}
