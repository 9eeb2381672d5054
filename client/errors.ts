import type { ErrorCode } from "../protocol/codes.js";

/**
 * Why something failed: a word of the protocol where the server refused, else one of the client's own.
 *
 * - `closed`: the client was closed, or the room left
 * - `disconnected`: the connection went away before the answer came; the request may have had its effect
 * - `queue_full`: more publishes wait than `queueSize` allows
 * - `overflow`: an iteration fell further behind than `bufferSize` allows
 * - `reset`: an iteration has come to a place where events may be missing
 */
export type FailureCode = ErrorCode | "closed" | "disconnected" | "queue_full" | "overflow" | "reset" | (string & {});

/** What every promise of the client rejects with. */
export class RoomcastError extends Error {
  override readonly name: string = "RoomcastError";
  declare readonly code: FailureCode;
  /** Where it is set, the same may succeed after so many milliseconds. */
  declare readonly retryMs: number | undefined;

  constructor(code: FailureCode, message: string, retryMs?: number) {
    super(message);
    this.code = code;
    this.retryMs = retryMs;
  }
}
