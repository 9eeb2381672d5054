/** One stream of server-sent events, as a session sees it: what a client with a WebSocket would send, it asks itself. */
import type { HttpResponse } from "uWebSockets.js";
import type { ServerCodec, Wire } from "../../protocol/codec.js";
import { afterClose, type CloseCode, closeCodes, type ErrorCode } from "../../protocol/codes.js";
import { retryMsIn, wordOf } from "../session/brief.js";
import type { Link } from "../session/link.js";
import type { Session } from "../session/session.js";
import type { ClientHead } from "./client-head.js";
import { type Filling, Outflow, type Turns } from "./outflow.js";
import { positionText } from "./positions.js";
import { COMMENT, frameIn, frameText, retryText, sseOfMany, sseOfOne, withIds } from "./sse-codec.js";
import { isForGood, jittered, type StreamRefusal } from "./stream-refusals.js";
import type { Asked } from "./stream-request.js";

/** What a stream is asked for, and by whom. */
export type StreamRequest = ClientHead & Asked & { readonly address: string };

/** Where a stream lives. */
export interface Streams {
  readonly turns: Turns;
  enter(room: string, link: SseLink): void;
  exit(room: string, link: SseLink): void;
  beat(link: SseLink): void;
  /** Writes the head of a stream that begins. */
  begin(link: SseLink, response: HttpResponse): void;
  /** Answers that there will be none. */
  refuse(link: SseLink, response: HttpResponse, refusal: StreamRefusal): void;
  /** It has ended, in whichever way; once. */
  ended(link: SseLink): void;
}

const HELLO = 1;
const FIRST_JOIN = 2;
/** How many joins of a stream are under way at the most. */
const JOINS_AT_ONCE = 16;
/** What part of what may wait for a client is held back at the most. */
const HELD_SHARE = 8;
/** So long a client that is closed has for what waits for it, in milliseconds. */
const FAREWELL_MS = 15_000;
/** After which time clients come back, in milliseconds: half of it for all, half by chance. */
const RETRY_MS = 2000;
/** The same for those who were told to move, each at a time of its own. */
const MOVE_RETRY_MS = 200;
/** The same for those who had better not come back. */
const NEVER_RETRY_MS = 60_000;

/** So long a stream that was replaced goes on, until its reader has the other; in milliseconds. */
const RELIEF_MS = 10_000;

/**
 * It says hello and joins as a client would, in frames of JSON that the session takes apart: so every rule, token, hook
 * and limit, and the exact cut of a join, hold by themselves. The answer's head waits until all joins are answered, or
 * so much has come that it must go on: so a refusal has a status of its own.
 */
export class SseLink implements Link, Filling {
  readonly codec: ServerCodec;
  readonly address: string;
  readonly origin: string | undefined;
  readonly isOneWay = true;
  readonly request: StreamRequest;
  readonly #streams: Streams;
  readonly #outflow: Outflow;
  readonly #positions: Map<string, string>;
  /** The rooms it is in, as they are called inside the server. */
  readonly #rooms = new Set<string>();
  #response: HttpResponse | undefined;
  #session: Session | undefined;
  #state: "held" | "open" | "ending" | "ended" = "held";
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** How many rooms it has asked to join, and is in by now. */
  #asked = 0;
  #answered = 0;
  #isJoining = false;
  #refusal: StreamRefusal | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(request: StreamRequest, response: HttpResponse, streams: Streams) {
    this.request = request;
    this.codec = request.rooms.length === 1 ? sseOfOne : sseOfMany;
    this.address = request.address;
    this.origin = request.origin;
    this.#positions = new Map([...request.since].map(([room, position]) => [room, positionText(position)]));
    this.#response = response;
    this.#streams = streams;
    this.#outflow = new Outflow(response, streams.turns, this, () => this.#end());
  }

  /** The session of this link has begun. */
  start(session: Session): void {
    this.#session = session;
    const { token, session: ticket } = this.request;
    session.receive(JSON.stringify({ type: "hello", id: HELLO, token, session: ticket }));
  }

  /**
   * Asks for the next rooms. In a turn of its own, since a session that answers is in the middle of something; and so many in
   * one turn only, since a join that is answered at once still counts as under way until its turn is over.
   */
  #joinNext(): void {
    if (this.#isJoining) return;
    this.#isJoining = true;
    setImmediate(() => {
      this.#isJoining = false;
      const { rooms, since, presence } = this.request;
      const { maxRequests = 1, maxFramesPerTurn = 1 } = this.#session?.context.limits ?? {};
      const most = Math.min(JOINS_AT_ONCE, maxRequests, maxFramesPerTurn) - (this.#asked - this.#answered);
      const next = rooms.slice(this.#asked, this.#asked + Math.max(0, most));
      for (const room of next) {
        if (this.#state === "ended") return;
        const asked = { room, since: since.get(room), presence: presence.has(room) };
        const frame = { type: "join", id: FIRST_JOIN + this.#asked++, ...asked };
        this.#session?.receive(JSON.stringify(frame));
      }
    });
  }

  send(frame: Wire): void {
    if (this.#state === "ending" || this.#state === "ended") return;
    // Bytes are events, the same for all streams of the room.
    if (typeof frame !== "string") this.#put(frame);
    else {
      const own = frameIn(frame);
      if (own === undefined) this.#put(this.#encoded(frame));
      else this.#take(frame, own.type, own.json);
    }
  }

  #encoded(text: string): Uint8Array {
    if (this.codec === sseOfOne) return Buffer.from(text);
    const own = withIds(text, (room, position) => {
      this.#positions.set(room, position);
      return [...this.#positions].map(([name, at]) => `${name}=${at}`).join(",");
    });
    return Buffer.from(own);
  }

  /** A frame, which may say something to this link, too. */
  #take(text: string, type: string, json: string): void {
    const frame = JSON.parse(json) as { id?: number; room?: string; code?: ErrorCode; message?: string };
    const { retryMs, afterMs } = frame as { retryMs?: number; afterMs?: number };
    if (type === "error" && this.#failed(frame.id, frame.code ?? "internal", frame.message ?? "", retryMs)) return;
    if (type === "move" && !this.request.each) this.#move(text, afterMs ?? 0);
    else this.#put(this.#encoded(text));
    if (type === "removed" && frame.room !== undefined) this.#positions.delete(frame.room);
    if (type === "welcome") {
      if (this.request.each) this.#release();
      this.#joinNext();
    }
    if (type === "joined") this.#joined();
  }

  #joined(): void {
    this.#answered++;
    if (this.#answered < this.request.rooms.length) this.#joinNext();
    else this.#release();
  }

  /** A request of this link was refused: whether that is the end of it. */
  #failed(id: number | undefined, code: ErrorCode, message: string, retryMs: number | undefined): boolean {
    // Whoever gets no reason why has asked for nothing.
    if (id === undefined) return false;
    if (this.request.each && id !== HELLO) {
      const room = this.request.rooms[id - FIRST_JOIN];
      this.#put(Buffer.from(frameText("error", { type: "error", room, code, message, retryMs })));
      this.#joined();
      return true;
    }
    const ends = isForGood(code);
    this.#refusal ??= {
      code,
      message,
      retryMs: ends ? undefined : (retryMs ?? jittered(RETRY_MS)),
      close: undefined,
    };
    // A hello that is refused is closed: that says when to come back.
    if (id === HELLO) return true;
    if (this.#state === "held") this.#refuse(this.#refusal);
    else {
      this.#put(Buffer.from(frameText("error", { code, message })));
      this.close(ends ? closeCodes.unauthorized : closeCodes.overloaded, JSON.stringify({ retryMs }));
    }
    this.#session?.ended();
    return true;
  }

  #put(bytes: Uint8Array): void {
    if (this.#state === "open") {
      this.#outflow.push(bytes);
      return;
    }
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    const { maxBackpressureBytes = 0 } = this.#session?.context.limits ?? {};
    // Who comes back to much waits to be read before more comes: nothing would, behind a head that is held back.
    if (this.#heldBytes > maxBackpressureBytes / HELD_SHARE) this.#release();
  }

  /** The stream is granted: its head, and what came so far. */
  #release(): void {
    const response = this.#response;
    if (this.#state !== "held" || response === undefined) return;
    this.#state = "open";
    this.#streams.begin(this, response);
    this.#outflow.push(Buffer.from(retryText(jittered(RETRY_MS))));
    for (const bytes of this.#held) this.#outflow.push(bytes);
    this.#held = [];
    this.#heldBytes = 0;
  }

  #refuse(refusal: StreamRefusal): void {
    const response = this.#response;
    if (this.#state !== "held" || response === undefined) return;
    this.#response = undefined;
    this.#outflow.gone();
    this.#streams.refuse(this, response, refusal);
    this.#end();
  }

  /** A reader that cannot be told to open another connection first is let go in its slot, and comes back to another node. */
  #move(text: string, afterMs: number): void {
    this.#timer ??= setTimeout(() => {
      const retryMs = jittered(MOVE_RETRY_MS);
      if (this.#state === "held") {
        this.#refuse({ code: "unavailable", message: "this node is ending", retryMs, close: closeCodes.moving });
      } else this.#endWith(retryText(retryMs) + text);
      this.#session?.ended();
    }, afterMs).unref();
  }

  close(code: CloseCode, reason = ""): void {
    const after = afterClose(code);
    const told = retryMsIn(reason);
    if (this.#state === "held") {
      const { code: word, message } = this.#refusal ?? { code: wordOf(code), message: reason };
      const retryMs = after === "never" ? undefined : (told ?? jittered(RETRY_MS));
      this.#refuse({ code: word, message, retryMs, close: code });
      return;
    }
    // With a newer token it may come back at once; and without one it is told in words that it may not.
    const never = code === closeCodes.expired ? RETRY_MS : NEVER_RETRY_MS;
    const retryMs = Math.round(told ?? jittered(after === "never" ? never : RETRY_MS));
    const again = after === "never" ? {} : { retryMs };
    this.#endWith(retryText(retryMs) + frameText("close", { code, reason, ...again }), code === closeCodes.tooSlow);
  }

  /** The last that is sent. Who has not read what is before it has some time to. */
  #endWith(last: string, now = false): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    this.#leaveAll();
    clearTimeout(this.#timer);
    if (now) {
      this.#cut();
      return;
    }
    this.#outflow.push(Buffer.from(last));
    this.#outflow.end();
    this.#timer = setTimeout(() => this.#cut(), FAREWELL_MS).unref();
  }

  #cut(): void {
    this.#outflow.cut();
    this.#end();
  }

  /** The other side has gone. */
  gone(): void {
    this.#outflow.gone();
    this.#response = undefined;
    this.#end();
  }

  #end(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#response = undefined;
    this.#held = [];
    this.#heldBytes = 0;
    clearTimeout(this.#timer);
    this.#leaveAll();
    this.#streams.ended(this);
    this.#session?.ended();
  }

  join(room: string): void {
    if (this.#state === "ending" || this.#state === "ended") return;
    this.#rooms.add(room);
    this.#streams.enter(room, this);
  }

  leave(room: string): void {
    this.#rooms.delete(room);
    this.#streams.exit(room, this);
  }

  #leaveAll(): void {
    for (const room of this.#rooms) this.#streams.exit(room, this);
    this.#rooms.clear();
  }

  buffered(): number {
    return this.#heldBytes + this.#outflow.waiting;
  }

  beat(): void {
    this.#streams.beat(this);
  }

  relieved(): boolean {
    if (!this.request.each) return false;
    this.#timer ??= setTimeout(
      () => this.#session?.close(closeCodes.replaced, "another stream took its place"),
      RELIEF_MS,
    );
    this.#timer.unref();
    return true;
  }

  /** A sign of life, where there is no other. */
  heartbeat(): void {
    if (this.#state === "open" && this.#outflow.isIdle) this.#outflow.push(HEARTBEAT);
  }

  drained(): void {
    this.#session?.drained();
  }

  lags(): void {
    this.#session?.checkBacklog();
  }
}

const HEARTBEAT = Buffer.from(COMMENT);
