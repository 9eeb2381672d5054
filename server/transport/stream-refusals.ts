/** Streams that are not to be: for good, with a status that says so; or for now, told in a stream that ends at once. */
import type { CloseCode, ErrorCode } from "../../protocol/codes.js";
import { problemOf, RequestError } from "../api/problems.js";
import type { Reply } from "./http.js";
import { frameText, retryText } from "./sse-codec.js";

/** Why there is no stream. */
export type StreamRefusal = {
  readonly code: ErrorCode;
  readonly message: string;
  /** After how many milliseconds to come back; `undefined`: not at all. */
  readonly retryMs: number | undefined;
  /** The close code, where it was one. */
  readonly close: CloseCode | undefined;
};

/** A node that is not ready sends clients away for so long, in milliseconds. */
export const AWAY_MS = 1000;

export const jittered = (ms: number): number => ms / 2 + (Math.random() * ms) / 2;

/** Codes after which it makes no sense to ask the same again. */
const endings: ReadonlySet<ErrorCode> = new Set(["bad_request", "unauthorized", "expired", "forbidden", "too_large"]);

export const isForGood = (code: ErrorCode): boolean => endings.has(code);

export const streamHeaders = {
  "content-type": "text/event-stream",
  "x-accel-buffering": "no",
  // A stream has its connection for itself, and the next one may be another node's.
  connection: "close",
};

/**
 * `EventSource` gives up at any other status than 200, and so gets it only where it had better. Else it is told in the
 * stream when to come back.
 */
export function replyTo(refusal: StreamRefusal, shown: Reply["headers"]): Reply {
  if (refusal.retryMs !== undefined) return away(refusal, shown);
  const { status, headers, body } = problemOf(
    new RequestError(refusal.code, refusal.message, isForGood(refusal.code) ? undefined : 403),
  );
  return { status, headers: { ...headers, ...shown }, body };
}

export function away({ code, message, retryMs = AWAY_MS, close }: StreamRefusal, shown: Reply["headers"]): Reply {
  const rounded = Math.round(retryMs);
  const body =
    retryText(rounded) +
    frameText("error", { type: "error", code, message, retryMs: rounded }) +
    frameText("close", { code: close ?? 4101, reason: message, retryMs: rounded });
  return { status: 200, headers: { ...streamHeaders, ...shown }, body };
}
