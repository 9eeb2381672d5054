/** The protocol's codes: words that answer a request, numbers that close a connection. */

/** Every word an `error` or `removed` frame may carry, and what it tells the developer. */
export const errorCodes = {
  bad_request: "The frame is not of this protocol; the message names the field and what was expected.",
  unauthorized: "Who you are could not be established.",
  forbidden: "You are known, and may not do this.",
  not_joined: "The request needs a room that this session has not joined.",
  too_large: "The event or frame is larger than the server takes.",
  too_many:
    "A limit on how many at once is reached: rooms, requests without an answer yet, a user's sessions, a room's members.",
  rate_limited: "Too much in too short a time; try again after retryMs.",
  unavailable: "The engine or a hook cannot be reached, or the server does not offer this.",
  timeout: "The engine or a hook did not answer in time; the request may have had its effect.",
  expired: "The token is past its end.",
  unknown_method: "The application knows no such method.",
  internal: "The server failed at this; its log says more.",
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** Why a connection was closed, as the WebSocket close code tells it. */
export const closeCodes = {
  replaced: 4001,
  tooSlow: 4008,
  helloTimeout: 4010,
  tooManyRequests: 4029,
  moving: 4100,
  overloaded: 4101,
  unauthorized: 4200,
  disconnected: 4201,
  protocolError: 4202,
  expired: 4203,
} as const;

export type CloseCode = (typeof closeCodes)[keyof typeof closeCodes];

/** What a client does after a close: come back at once (with jitter), after the delay it was given, or not at all. */
export type AfterClose = "now" | "later" | "never";

/**
 * What a close code asks of a client. It goes by ranges, so that an old client does right by a code it has never
 * heard of: 41xx later, 42xx never, all else (a lost network, 1006, a proxy's 1012) now.
 */
export function afterClose(code: number): AfterClose {
  return code >= 4300 || code < 4100 ? "now" : code < 4200 ? "later" : "never";
}

/**
 * Bytes or a frame that are not of this protocol. Decoders throw nothing else.
 *
 * `message` is for a developer and names the field; `id` is the request's, where it could still be read; `fatal` says
 * that the frame could not be parsed at all, so that what follows on the connection cannot be trusted either.
 */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  declare readonly field: string;
  declare readonly expected: string;
  declare readonly fatal: boolean;
  declare id: number | undefined;

  constructor(field: string, expected: string, got: string, fatal = false) {
    super(`${field}: expected ${expected}, got ${got}`);
    this.field = field;
    this.expected = expected;
    this.fatal = fatal;
  }
}
