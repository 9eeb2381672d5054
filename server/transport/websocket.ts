import type { HttpRequest, HttpResponse, TemplatedApp, us_socket_context_t, WebSocket } from "uWebSockets.js";
import type { ServerCodec, Wire } from "../../protocol/codec.js";
import { type CloseCode, closeCodes } from "../../protocol/codes.js";
import type { AddressUse } from "../access/limits/address-limits.js";
import type { Link } from "../session/link.js";
import type { Session } from "../session/session.js";
import type { Sessions } from "../session/sessions.js";
import { forwardedFor } from "./client-address.js";
import { Entrance, type EntranceOptions, REFUSALS } from "./entrance.js";
import { Farewells } from "./farewells.js";
import { beatInTurn, HEARTBEAT_SLOTS, slotsWithin } from "./heartbeats.js";
import { refuse } from "./listener.js";
import { CODECS, decideUpgrade, type OriginRules } from "./upgrade.js";

export type WebSocketOptions = OriginRules &
  EntranceOptions & {
    readonly maxFrameBytes: number;
    readonly maxBackpressureBytes: number;
    readonly idleTimeoutMs: number;
    readonly heartbeatMs: number;
  };

/** Frames beyond the limit are answered up to this many times it; beyond that the native code closes the connection. */
const OVERSIZE = 4;
/** uWebSockets.js drops without a word at its own limit, the close frame too: ours holds well below it. */
const NATIVE_BACKPRESSURE = 4;
/** 125 bytes, what a control frame holds, without the code (RFC 6455, 5.5). */
const MAX_REASON_BYTES = 123;
/** What uWebSockets.js answers to a send that it could not pass to the kernel at once, or not at all. */
const SENT = 1;

const topicOf = (room: string, codec: ServerCodec): string => (codec.binary ? `m${room}` : `j${room}`);
const heartbeatTopic = (slot: number, codec: ServerCodec): string => (codec.binary ? `hm${slot}` : `hj${slot}`);

/** What the native code keeps with a socket: it copies the object's own properties, so the link itself would not do. */
type UserData = { readonly link: WebSocketLink };

/** A WebSocket, as a session sees it. */
class WebSocketLink implements Link {
  readonly codec: ServerCodec;
  readonly origin: string | undefined;
  readonly address: string;
  readonly #slot: number;
  readonly #farewells: Farewells<UserData>;
  /** Gone once it is closed, from either side: any use of a socket that is gone would throw. */
  ws: WebSocket<UserData> | undefined;
  /** None where the connection is refused. */
  session: Session | undefined;
  /** After how many milliseconds a client that is refused may come back; `undefined` for one that is taken. */
  retryMs: number | undefined;
  /** Where it counts among its address's; nowhere if it is refused, or a balancer's. */
  use: AddressUse | undefined;
  #looking = false;

  constructor(
    codec: ServerCodec,
    origin: string | undefined,
    address: string,
    slot: number,
    farewells: Farewells<UserData>,
  ) {
    this.codec = codec;
    this.origin = origin;
    this.address = address;
    this.#slot = slot;
    this.#farewells = farewells;
  }

  send(frame: Wire): void {
    if (this.ws?.send(frame, this.codec.binary) !== SENT) this.look();
  }

  /** Has the session look at its backlog, once the native code is done with what it is doing. */
  look(): void {
    if (this.#looking || this.ws === undefined) return;
    this.#looking = true;
    setImmediate(() => {
      this.#looking = false;
      this.session?.checkBacklog();
    });
  }

  join(room: string): void {
    this.ws?.subscribe(topicOf(room, this.codec));
  }

  leave(room: string): void {
    this.ws?.unsubscribe(topicOf(room, this.codec));
  }

  buffered(): number {
    return this.ws?.getBufferedAmount() ?? 0;
  }

  beat(): void {
    this.ws?.subscribe(heartbeatTopic(this.#slot, this.codec));
  }

  close(code: CloseCode, reason = ""): void {
    const ws = this.ws;
    this.ws = undefined;
    if (ws !== undefined) this.#farewells.begin(ws, code, fitting(reason));
  }
}

/** What of a reason fits a close frame, in whole characters: a longer frame is none, and the client would see no code. */
function fitting(reason: string): string {
  const { read } = new TextEncoder().encodeInto(reason, new Uint8Array(MAX_REASON_BYTES));
  return read === reason.length ? reason : reason.slice(0, read);
}

/** The WebSocket route, and the way from a room to everyone in it. */
export class WebSockets {
  readonly #app: TemplatedApp;
  readonly #options: WebSocketOptions;
  readonly #entrance: Entrance;
  readonly #onError: (error: unknown) => void;
  readonly #farewells = new Farewells<UserData>();
  #sessions: Sessions | undefined;
  #timer: NodeJS.Timeout | undefined;
  #next = 0;
  /** Sockets that are open, those included whose close is under way. */
  open = 0;
  /** Bytes of all frames published so far, each counted once, whatever the number of its readers. */
  publishedBytes = 0;
  #lookAtBytes = 0;

  /**
   * Registers the route, so that `publish` may be called from here on (before the first route it would crash). Where others
   * come in by the same entrance, it is given, and started by whoever made it.
   */
  constructor(
    app: TemplatedApp,
    options: WebSocketOptions,
    onError: (error: unknown) => void,
    entrance = new Entrance(options),
  ) {
    this.#app = app;
    this.#options = options;
    this.#entrance = entrance;
    this.#onError = onError;
    app.ws<UserData>("/v1/socket", {
      maxPayloadLength: options.maxFrameBytes * OVERSIZE,
      maxBackpressure: options.maxBackpressureBytes * NATIVE_BACKPRESSURE,
      idleTimeout: Math.ceil(options.idleTimeoutMs / 1000),
      sendPingsAutomatically: true,
      compression: 0,
      upgrade: (response, request, context) => this.#guard(() => this.#answer(response, request, context)),
      open: (ws) => this.#guard(() => this.#opened(ws)),
      message: (ws, data, isBinary) => this.#guard(() => this.#received(ws, data, isBinary)),
      ping: (ws, data) => this.#guard(() => this.#receivedSign(ws, data)),
      pong: (ws, data) => this.#guard(() => this.#receivedSign(ws, data)),
      drain: (ws) => this.#guard(() => this.#drained(ws)),
      // The native code does not stand any act in here, not even a close.
      dropped: (ws) => this.#guard(() => ws.getUserData().link.look()),
      close: (ws, code) => this.#guard(() => this.#closed(ws, code)),
    });
  }

  /** Begins to take connections. */
  start(sessions: Sessions): void {
    this.#sessions = sessions;
    const { heartbeatMs } = this.#options;
    const slots = slotsWithin(heartbeatMs);
    this.#timer = beatInTurn(heartbeatMs, slots, (slot) => this.#beat(slot, slots));
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** To everyone in the room who reads the codec, in one call; what rooms know as their fan-out. */
  publish(room: string, codec: ServerCodec, frame: Wire): void {
    this.publishedBytes += Buffer.byteLength(frame);
    this.#app.publish(topicOf(room, codec), frame, codec.binary);
    // So often that nobody's backlog gets from our limit to the native one, where a close frame no longer fits.
    if (this.publishedBytes < this.#lookAtBytes) return;
    this.#lookAtBytes = this.publishedBytes + this.#options.maxBackpressureBytes;
    setImmediate(() => this.#sessions?.checkBacklogs());
  }

  #beat(slot: number, slots: number): void {
    this.#entrance.sweep();
    for (const codec of CODECS) {
      for (let at = slot; at < HEARTBEAT_SLOTS; at += slots) {
        this.#app.publish(heartbeatTopic(at, codec), codec.encode({ type: "heartbeat" }), codec.binary);
      }
    }
  }

  /** An exception must not reach the native code, which would end the process. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#onError(error);
    }
  }

  /** To return without an answer would end the process, too. */
  #answer(response: HttpResponse, request: HttpRequest, context: us_socket_context_t): void {
    try {
      this.#upgrade(response, request, context);
    } catch (error) {
      response.close();
      throw error;
    }
  }

  /** In one turn, and always with an answer. */
  #upgrade(response: HttpResponse, request: HttpRequest, context: us_socket_context_t): void {
    const key = request.getHeader("sec-websocket-key");
    const origin = request.getHeader("origin");
    const verdict = decideUpgrade(
      {
        upgrade: request.getHeader("upgrade"),
        connection: request.getHeader("connection"),
        version: request.getHeader("sec-websocket-version"),
        key,
        protocols: request.getHeader("sec-websocket-protocol"),
        origin,
        host: request.getHeader("host"),
      },
      this.#options,
    );
    if ("status" in verdict) {
      const isOldVersion = verdict.status.startsWith("426");
      refuse(response, verdict.status, verdict.reason, isOldVersion ? { "sec-websocket-version": "13" } : {});
      return;
    }
    const peer = Buffer.from(response.getRemoteAddressAsText()).toString();
    const { address, refused, use } = this.#entrance.admit(peer, () => forwardedFor(request));
    if (refused?.accept === false) {
      unavailable(response, refused.retryMs, REFUSALS[refused.reason]);
      return;
    }
    this.#next = (this.#next + 1) % HEARTBEAT_SLOTS;
    const link = new WebSocketLink(
      verdict.codec,
      origin === "" ? undefined : origin,
      address,
      this.#next,
      this.#farewells,
    );
    link.retryMs = refused?.retryMs;
    link.use = use;
    // No extension is offered: compression would cost memory for every connection.
    response.upgrade({ link }, key, verdict.subprotocol ?? "", "", context);
  }

  #opened(ws: WebSocket<UserData>): void {
    this.open++;
    const { link } = ws.getUserData();
    link.ws = ws;
    link.use = this.#entrance.entered(link.use);
    // A browser cannot read the headers of an HTTP answer, so it is let in to be told when to come back.
    if (link.retryMs === undefined) link.session = this.#sessions?.open(link);
    else link.close(closeCodes.overloaded, JSON.stringify({ retryMs: link.retryMs }));
  }

  #received(ws: WebSocket<UserData>, data: ArrayBuffer, isBinary: boolean): void {
    const { link } = ws.getUserData();
    if (link.ws === undefined) this.#farewells.received(ws);
    // Text is a copy, bytes are a view that ends with this call: a codec copies what it keeps.
    else link.session?.receive(isBinary ? new Uint8Array(data) : Buffer.from(data).toString());
  }

  #receivedSign(ws: WebSocket<UserData>, data: ArrayBuffer): void {
    const { link } = ws.getUserData();
    if (link.ws === undefined) this.#farewells.received(ws);
    else link.session?.receiveSign(data.byteLength);
  }

  #drained(ws: WebSocket<UserData>): void {
    const { link } = ws.getUserData();
    if (link.ws === undefined) this.#farewells.drained(ws);
    else link.session?.drained();
  }

  #closed(ws: WebSocket<UserData>, code: number): void {
    this.open--;
    this.#farewells.ended(ws);
    const { link } = ws.getUserData();
    this.#entrance.left(link.use);
    link.ws = undefined;
    link.session?.ended(code);
  }
}

function unavailable(response: HttpResponse, retryMs: number, reason: string): void {
  refuse(response, "503 Service Unavailable", reason, { "retry-after": String(Math.ceil(retryMs / 1000)) });
}
