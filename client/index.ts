/** The client SDK: `connect`, and the types around it. */
import type { ClientCodec } from "../protocol/client-codec.js";
import { json } from "../protocol/json.js";
import { Client } from "./client.js";
import type { Transport, WebSocketConstructor } from "./transport.js";
import { webSocketTransport } from "./websockets.js";

export type { ClientCodec, Wire } from "../protocol/client-codec.js";
export type { Member } from "../protocol/frames.js";
export type { Position } from "../protocol/positions.js";
export type { Client } from "./client.js";
export { type FailureCode, RoomcastError } from "./errors.js";
export type { Members, MembersOptions, MembersPage, MembersSnapshot } from "./members.js";
export type {
  AnyEvent,
  EventMap,
  HistoryOptions,
  HistoryPage,
  PublishOptions,
  Reset,
  Room,
  RoomEvent,
  RoomOptions,
  RoomState,
} from "./room.js";
export type { ClientState } from "./state.js";
export type { Connection, ConnectionEvents, Transport, WebSocketConstructor, WebSocketLike } from "./transport.js";

export type ConnectOptions = {
  /** Says who you are. A function is asked anew for every connection, and when the server says the token ends soon. */
  readonly token?: string | (() => string | Promise<string>);
  /** JSON if left out; `msgpack` from `roomcast/protocol` for MessagePack. */
  readonly codec?: ClientCodec;
  /** Where the platform has none, as Node 20: the class of the `ws` package. */
  readonly WebSocket?: WebSocketConstructor;
  /** In place of WebSockets: for tests, see `roomcast/client/testing`. */
  readonly transport?: Transport;
  /**
   * Whether to go on with HTTP (server-sent events and POST) where WebSockets are blocked on the way; true. With JSON only, and
   * where `fetch` can read an answer as it comes.
   */
  readonly fallback?: boolean;
  /**
   * Answers what the application's side asks this client (`server.call`); what it throws is the answer too, with the code of
   * a `RoomcastError`, else `internal`. Without it the answer is `unknown_method`.
   */
  readonly onCall?: (method: string, data: unknown) => unknown;
  /** The bound of the first delay before another attempt, in milliseconds; 500 if left out. It grows by 10 % with each. */
  readonly minDelayMs?: number;
  /** Where the bound stops growing; 30,000. */
  readonly maxDelayMs?: number;
  /** How long an attempt may take, from the token to the server's welcome; 10,000 ms. */
  readonly connectTimeoutMs?: number;
  /** How long an answer to a request may take; 10,000 ms. */
  readonly requestTimeoutMs?: number;
  /**
   * How long after it was first sent a publish may be sent again, before it is rejected with `timeout`; 240,000 ms. Keep
   * it below the room's `keyWindowMs` on the server, after which the same key counts as another publish.
   */
  readonly publishTimeoutMs?: number;
  /** How many publishes may wait at once; 1000. */
  readonly queueSize?: number;
  /**
   * How many publishes of one room may wait for their answers at once; 1, which keeps their order whatever happens. With
   * more, one that the server refuses for the moment may end up behind those that were sent after it.
   */
  readonly inFlight?: number;
  /** How many events one iteration may be behind; 1000. */
  readonly bufferSize?: number;
  /** For tests: a number from 0 up to 1. */
  readonly random?: () => number;
};

/** A URL whose path may be left out. Taken apart by hand, since React Native's `URL` cannot. */
const URL_PATTERN = /^(?:http|ws)(s?:\/\/[^/?#\s]+)(\/[^?#\s]*)?(\?[^#\s]*)?$/i;

function socketUrl(url: string): string {
  const [, origin, path = "/", query = ""] = URL_PATTERN.exec(url) ?? [];
  if (origin === undefined) throw new TypeError(`url: expected http(s):// or ws(s)://, got ${JSON.stringify(url)}`);
  return `ws${origin}${path === "/" ? "/v1/socket" : path}${query}`;
}

/**
 * Starts to connect, and stays connected until `close()`. `url` is the server's, `http(s)` or `ws(s)`; without a path it
 * is completed with `/v1/socket`. Throws `TypeError` for a wrong URL and where there is no WebSocket.
 */
export function connect(url: string, options: ConnectOptions = {}): Client {
  return new Client({
    minDelayMs: 500,
    maxDelayMs: 30_000,
    connectTimeoutMs: 10_000,
    requestTimeoutMs: 10_000,
    publishTimeoutMs: 240_000,
    queueSize: 1000,
    inFlight: 1,
    bufferSize: 1000,
    random: Math.random,
    codec: json,
    ...options,
    url: socketUrl(url),
    transport: options.transport ?? webSocketTransport(options.WebSocket, options.fallback),
  });
}
