/** Server-sent events: the routes of streams, and the way from a room to every stream that is in it. */
import type { HttpResponse } from "uWebSockets.js";
import type { ServerCodec, Wire } from "../../protocol/codec.js";
import type { AddressUse } from "../access/limits/address-limits.js";
import { problemOf } from "../api/problems.js";
import type { Sessions } from "../session/sessions.js";
import { forwardedFor } from "./client-address.js";
import { Pages } from "./client-head.js";
import { type Entrance, type Guest, REFUSALS } from "./entrance.js";
import { type Exchange, statusLine, writeHeaders } from "./exchange.js";
import { beatInTurn, slotsWithin } from "./heartbeats.js";
import type { Reply } from "./http.js";
import type { Listener } from "./listener.js";
import { Turns } from "./outflow.js";
import { sseOfMany, sseOfOne } from "./sse-codec.js";
import { SseLink, type Streams } from "./sse-link.js";
import { AWAY_MS, away, jittered, replyTo, type StreamRefusal, streamHeaders } from "./stream-refusals.js";
import { readStreamRequest } from "./stream-request.js";
import type { OriginRules } from "./upgrade.js";

export type StreamOptions = OriginRules & {
  readonly heartbeatMs: number;
  readonly maxRooms: number;
};

/** What a node keeps of a stream beside its link. */
type Place = { readonly use: AddressUse | undefined; readonly shown: Reply["headers"]; slot: number };

export class EventStreams implements Streams {
  readonly turns = new Turns();
  readonly #entrance: Entrance;
  readonly #options: StreamOptions;
  readonly #onError: (error: unknown) => void;
  readonly #pages: Pages;
  readonly #places = new Map<SseLink, Place>();
  /** By how their ids are written, and by room. */
  readonly #rooms = new Map<ServerCodec, Map<string, Set<SseLink>>>([
    [sseOfOne, new Map()],
    [sseOfMany, new Map()],
  ]);
  readonly #slots: Set<SseLink>[];
  #sessions: Sessions | undefined;
  #timer: NodeJS.Timeout | undefined;
  #next = 0;
  /** Bytes of all frames published so far, each counted once, whatever the number of its readers. */
  publishedBytes = 0;

  constructor(listener: Listener, entrance: Entrance, options: StreamOptions, onError: (error: unknown) => void) {
    this.#entrance = entrance;
    this.#options = options;
    this.#onError = onError;
    this.#pages = new Pages(options);
    this.#slots = Array.from({ length: slotsWithin(options.heartbeatMs) }, () => new Set());
    listener.on("get", "/v1/rooms/:room/events", (exchange) => this.#open(exchange, true), onError);
    listener.on("get", "/v1/events", (exchange) => this.#open(exchange, false), onError);
  }

  /** How many streams there are, those included whose head is held back and those that are about to end. */
  get open(): number {
    return this.#places.size;
  }

  start(sessions: Sessions): void {
    this.#sessions = sessions;
    this.#timer = beatInTurn(this.#options.heartbeatMs, this.#slots.length, (slot) => {
      for (const link of this.#slots[slot] ?? []) link.heartbeat();
    });
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** To every stream in the room; the only place where there is work for each reader. */
  publish(room: string, codec: ServerCodec, frame: Wire): void {
    this.publishedBytes += Buffer.byteLength(frame);
    for (const link of this.#rooms.get(codec)?.get(room) ?? []) link.send(frame);
  }

  #open(exchange: Exchange, hasRoom: boolean): void {
    const shown = this.#pages.headersFor(exchange);
    let link: SseLink | undefined;
    try {
      const client = this.#pages.read(exchange, true);
      const room = hasRoom ? exchange.param(0, "room") : undefined;
      const asked = readStreamRequest(exchange, room, this.#options.maxRooms);
      const peer = Buffer.from(exchange.response.getRemoteAddressAsText()).toString();
      const guest = this.#entrance.admit(peer, () => forwardedFor(exchange.native));
      const sessions = this.#sessions;
      if (guest.refused !== undefined || sessions === undefined) {
        exchange.answer(away(refusalOf(guest), shown), this.#onError);
        return;
      }
      const response = exchange.take(() => link?.gone());
      link = new SseLink({ ...client, ...asked, address: guest.address }, response, this);
      this.#places.set(link, { use: this.#entrance.entered(guest.use), shown, slot: -1 });
      link.start(sessions.open(link));
    } catch (error) {
      // It has the response already: nobody else may answer.
      if (link !== undefined) {
        link.gone();
        exchange.response.close();
        throw error;
      }
      const { status, headers, body } = problemOf(error);
      exchange.answer({ status, headers: { ...headers, ...shown }, body }, this.#onError);
    }
  }

  begin(link: SseLink, response: HttpResponse): void {
    const shown = this.#places.get(link)?.shown ?? {};
    response.cork(() => {
      response.writeStatus(statusLine(200));
      writeHeaders(response, { ...streamHeaders, ...shown });
    });
  }

  refuse(link: SseLink, response: HttpResponse, refusal: StreamRefusal): void {
    const { status, headers, body } = replyTo(refusal, this.#places.get(link)?.shown ?? {});
    response.cork(() => {
      response.writeStatus(statusLine(status));
      writeHeaders(response, headers);
      response.end(body);
    });
  }

  enter(room: string, link: SseLink): void {
    const rooms = this.#rooms.get(link.codec);
    const links = rooms?.get(room);
    if (links === undefined) rooms?.set(room, new Set([link]));
    else links.add(link);
  }

  exit(room: string, link: SseLink): void {
    const rooms = this.#rooms.get(link.codec);
    const links = rooms?.get(room);
    links?.delete(link);
    if (links?.size === 0) rooms?.delete(room);
  }

  beat(link: SseLink): void {
    const place = this.#places.get(link);
    if (place === undefined) return;
    this.#next = (this.#next + 1) % this.#slots.length;
    place.slot = this.#next;
    this.#slots[place.slot]?.add(link);
  }

  ended(link: SseLink): void {
    const place = this.#places.get(link);
    if (place === undefined) return;
    this.#places.delete(link);
    this.#slots[place.slot]?.delete(link);
    this.#entrance.left(place.use);
  }
}

function refusalOf({ refused }: Guest): StreamRefusal {
  const { reason, retryMs } = refused ?? { reason: "draining" as const, retryMs: AWAY_MS };
  // Who is told its place in a line comes then; the others not all at once.
  const later = reason === "draining" ? jittered(2 * retryMs) : retryMs;
  return { code: "unavailable", message: REFUSALS[reason], retryMs: later, close: undefined };
}
