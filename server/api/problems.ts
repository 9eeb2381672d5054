/** What an answer says of a failure: problem details as in RFC 9457, with the protocol's words. */
import { type ErrorCode, ProtocolError } from "../../protocol/codes.js";
import { EngineError } from "../engine/engine.js";
import { Refusal } from "../hooks/hooks.js";

/** One field that was wrong: `items[3].event`. */
export type FieldError = { readonly field: string; readonly expected: string; readonly got?: string };

/** The media type of problem details. */
export const PROBLEM_TYPE = "application/problem+json";

export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  /** The fields that were wrong, the first 20 of them. */
  readonly errors?: readonly FieldError[];
  readonly retryMs?: number;
};

/** An answer over HTTP. */
export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

const statuses: { readonly [Code in ErrorCode]: number } = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_joined: 409,
  too_large: 413,
  too_many: 429,
  rate_limited: 429,
  unavailable: 503,
  timeout: 504,
  expired: 401,
  unknown_method: 404,
  internal: 500,
};

const titles: { readonly [Code in ErrorCode]: string } = {
  bad_request: "The request is not of this API",
  unauthorized: "Who asks could not be established",
  forbidden: "This may not be done with this key",
  not_joined: "The room has not been joined",
  too_large: "More than the server takes",
  too_many: "Too many at once",
  rate_limited: "Too much in too short a time",
  unavailable: "It cannot be done now",
  timeout: "No answer came in time",
  expired: "The token is past its end",
  unknown_method: "There is no such method",
  internal: "The server failed at this",
};

/** Fields that are wrong. */
export class InputError extends Error {
  override readonly name = "InputError";
  readonly errors: readonly FieldError[];

  constructor(errors: readonly FieldError[]) {
    const [first] = errors;
    const more = errors.length > 1 ? `; and ${errors.length - 1} more` : "";
    super(first === undefined ? "the request is wrong" : `${lineOf(first)}${more}`);
    this.errors = errors;
  }
}

const lineOf = ({ field, expected, got }: FieldError): string =>
  `${field}: expected ${expected}${got === undefined ? "" : `, got ${got}`}`;

/** What is wrong with a request, apart from its fields: `status` where the code alone does not say which. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly code: ErrorCode;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ErrorCode,
    message: string,
    status = statuses[code],
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.code = code;
    this.status = status;
    this.headers = headers;
  }
}

/** What an error says of itself; `undefined` for one that nobody meant. */
export type Told = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly errors?: readonly FieldError[];
  readonly retryMs?: number | undefined;
};

export function toldBy(error: unknown): Told | undefined {
  if (error instanceof InputError) return { code: "bad_request", message: error.message, errors: error.errors };
  if (error instanceof ProtocolError) {
    const { field, expected, message } = error;
    const got = message.slice(`${field}: expected ${expected}, got `.length);
    return { code: "bad_request", ...byStatus[statusOf(error) ?? 400], message, errors: [{ field, expected, got }] };
  }
  if (error instanceof EngineError || error instanceof Refusal) {
    const { code, message, retryMs } = error;
    return { code, message, retryMs };
  }
  return error instanceof RequestError ? { code: error.code, message: error.message } : undefined;
}

const FAILED: Told = { code: "internal", message: "the server failed at this; its log says more" };

/** A problem with its headers. What an error that nobody meant has to say is for the log alone. */
export function problemOf(error: unknown): Answer {
  const { code, message, errors, retryMs } = toldBy(error) ?? FAILED;
  const status = statusOf(error) ?? statuses[code];
  const problem: Problem = {
    type: `urn:roomcast:error:${code}`,
    title: titles[code],
    status,
    detail: message,
    code,
    ...(errors === undefined ? {} : { errors }),
    ...(retryMs === undefined ? {} : { retryMs }),
  };
  const headers: Record<string, string> = { "content-type": PROBLEM_TYPE };
  if (status === 401) headers["www-authenticate"] = "Bearer";
  if (retryMs !== undefined) headers["retry-after"] = String(Math.ceil(retryMs / 1000));
  if (error instanceof RequestError) Object.assign(headers, error.headers);
  return { status, headers, body: JSON.stringify(problem) };
}

/** Some errors know their status themselves: that of a body that is too long does. */
function statusOf(error: unknown): number | undefined {
  if (!(error instanceof RequestError || error instanceof ProtocolError)) return undefined;
  const { status } = error as { readonly status?: number };
  return status;
}

/** What a status says beside `bad_request`. */
const byStatus: { readonly [status: number]: { readonly code: ErrorCode; readonly retryMs?: number } } = {
  408: { code: "timeout" },
  413: { code: "too_large" },
  503: { code: "unavailable", retryMs: 1000 },
};
