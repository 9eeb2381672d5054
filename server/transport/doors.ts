/** All ways in to a node: WebSockets, streams, and requests of clients; and the ways out to all who came in. */
import type { ServerCodec, Wire } from "../../protocol/codec.js";
import { problemOf, RequestError } from "../api/problems.js";
import type { Sessions } from "../session/sessions.js";
import { type ClientRequestOptions, ClientRequests } from "./clients.js";
import { Entrance } from "./entrance.js";
import type { Listener } from "./listener.js";
import { EventStreams, type StreamOptions } from "./sse.js";
import { isSse } from "./sse-codec.js";
import { type WebSocketOptions, WebSockets } from "./websocket.js";

export type DoorOptions = WebSocketOptions & StreamOptions & ClientRequestOptions;

export class Doors {
  readonly entrance: Entrance;
  readonly clients: ClientRequests;
  readonly streams: EventStreams;
  readonly #sockets: WebSockets;

  /** Registers the routes of WebSockets and streams, so that `publish` may be called from here on. */
  constructor(listener: Listener, options: DoorOptions, onError: (error: unknown) => void) {
    this.entrance = new Entrance(options);
    this.#sockets = new WebSockets(listener.app, options, onError, this.entrance);
    this.streams = new EventStreams(listener, this.entrance, options, onError);
    this.clients = new ClientRequests(this.entrance, options, onError);
    listener.on("post", "/v1/call", (exchange) => this.clients.call(exchange), onError);
    const ofRooms = ["events", "history", "members"].map((what) => `/v1/rooms/:room/${what}`);
    for (const path of [...ofRooms, "/v1/events", "/v1/call"]) {
      listener.on("options", path, (exchange) => this.clients.preflight(exchange), onError);
    }
    for (const [path, allow] of [
      ["/v1/events", "GET"],
      ["/v1/call", "POST"],
    ] as const) {
      const wrong = problemOf(new RequestError("bad_request", `method: expected ${allow}`, 405, { allow }));
      listener.on("any", path, (exchange) => exchange.answer(wrong, onError), onError);
    }
  }

  /** Begins to let in. */
  start(sessions: Sessions): void {
    this.entrance.start(sessions);
    this.#sockets.start(sessions);
    this.streams.start(sessions);
    this.clients.start(sessions);
  }

  /** Lets nobody in any more. */
  stopTaking(): void {
    this.entrance.stopTaking();
  }

  /** No more heartbeats. */
  stop(): void {
    this.#sockets.stop();
    this.streams.stop();
  }

  /** Bytes of all frames published so far, each counted once, whatever the number of its readers. */
  get publishedBytes(): number {
    return this.#sockets.publishedBytes + this.streams.publishedBytes;
  }

  /** To everyone in the room who reads the codec; what rooms know as their fan-out. */
  publish(room: string, codec: ServerCodec, frame: Wire): void {
    if (isSse(codec)) this.streams.publish(room, codec, frame);
    else this.#sockets.publish(room, codec, frame);
  }
}
