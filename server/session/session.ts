import type { EventsHead, PlainServerFrame, ReceivedFrame, Wire } from "../../protocol/codec.js";
import { afterClose, type CloseCode, closeCodes, type ErrorCode, ProtocolError } from "../../protocol/codes.js";
import type { RoomEvent } from "../../protocol/event.js";
import { requestId } from "../../protocol/fields.js";
import { type Access, ANONYMOUS } from "../access/access.js";
import type { RoomAction } from "../access/actions.js";
import { type Beyond, type LimitName, Pace, type SessionLimits, type Usage } from "../access/limits/limits.js";
import type { UserUse } from "../access/limits/shares.js";
import type { Permissions, RoomGrant, Verdict } from "../access/permissions.js";
import type { TicketSeal } from "../access/ticket.js";
import { EngineError } from "../engine/engine.js";
import { type Hooks, Refusal } from "../hooks/hooks.js";
import { PAGE_BYTES, type Room } from "../room/room.js";
import type { Rooms } from "../room/rooms.js";
import type { Answers } from "./answers.js";
import type { Attendance, Going } from "./attendance.js";
import type { Identities } from "./identity.js";
import type { Link } from "./link.js";
import type { Presences } from "./presence.js";
import type { Slices } from "./slices.js";
import { SmallMap } from "./small-map.js";

/** A frame that has an answer, or is a publish without one. */
export type Request = Exclude<ReceivedFrame, { type: "answer" }>;

/** What anyone may ask. `greet` answers the hello, `act` everything after it. */
export interface Verbs {
  greet(session: Session, frame: ReceivedFrame & { type: "hello" }): void | Promise<void>;
  act(session: Session, frame: Request): void | Promise<void>;
}

/** Where a session says what it did: for whoever runs the server. */
export interface SessionLog {
  debug(message: string, fields: { readonly [name: string]: unknown }): void;
  error(message: string, fields: { readonly [name: string]: unknown }): void;
}

/** What all sessions of a node share. */
export type SessionContext = {
  readonly node: string;
  readonly verbs: Verbs;
  readonly rooms: Rooms;
  readonly presences: Presences;
  readonly hooks: Hooks;
  readonly identities: Identities;
  readonly permissions: Permissions;
  readonly limits: SessionLimits;
  /** What all sessions together use of the limits. */
  readonly usage: Usage;
  readonly heartbeatMs: number;
  readonly tickets: TicketSeal;
  readonly log: SessionLog;
  /** Where work that comes in storms waits for its turn. */
  readonly slices: Slices;
  /** The number of the event loop's present turn, and when it began, in milliseconds of a clock that never goes back. */
  turn(): number;
  now(): number;
};

/** This node's sessions, as far as one of them needs to know. */
export interface Registry {
  readonly context: SessionContext;
  /** How many requests of all sessions wait for the application or the engine. */
  pending: number;
  /** The session has its id now. */
  opened(session: Session): void;
  /** Something of the session ends at a time: `dueAt` says when. */
  timed(session: Session): void;
  remove(session: Session): void;
}

/** A session's part in a room. */
export type Membership = {
  readonly room: Room;
  /** `joining` until the cut; `skipping` while the client is too slow for it: it gets nothing, and is told later. */
  state: "joining" | "joined" | "skipping";
  /** Whether it was the application that let it in. */
  readonly byHook: boolean;
  /** Where it is a member, or told of them. Most memberships are without: what is missing costs no memory. */
  readonly attendance?: Attendance;
};

/** What a client is told that asks too fast. */
const beyondWords: Readonly<Record<"requestRate" | "byteRate", string>> = {
  requestRate: "requests a second in one session",
  byteRate: "bytes a second from one session",
};

/** How a client closes a WebSocket that has finished (RFC 6455, 7.4.1). */
const NORMAL = 1000;

/** What clients are told of an engine that fails. */
const engineWords = {
  unavailable: "the engine cannot do it now; try again",
  timeout: "the engine did not answer in time; with the same key it can be tried again",
} as const;

/**
 * One connected client, whatever carries it. It lives as long as its link: a client that comes back is a new session
 * object, under the same id where it shows its ticket.
 *
 * `receive` is called by the transport, once for every frame, and returns in the same turn whatever the frame needs.
 */
export class Session {
  readonly link: Link;
  readonly registry: Registry;
  /** "" until the hello was answered. */
  id = "";
  /** Who it is, and what it was given. */
  access: Access = ANONYMOUS;
  /** Where it counts among its user's sessions; nowhere where it is nobody's. */
  use: UserUse | undefined;
  /** When the client is to be asked for a newer token, in Unix milliseconds; `undefined`: it was, or never. */
  renewAt: number | undefined;
  /** What room tokens allow in the rooms that were joined with one; most sessions have none. */
  grants: Map<string, RoomGrant> | undefined;
  /** Whether it was told to go on another connection: until the client is there, this one still serves it. */
  toldToMove = false;
  /** Whether it was this side that closed it. */
  wasClosed = false;
  /** What its connection was closed with, from either side; `undefined` where nothing is known of it. */
  endCode: number | undefined;
  /** Whether it goes on with what it was before, by its ticket. */
  wasResumed = false;
  state: "new" | "greeting" | "open" | "closed" = "new";
  readonly rooms = new SmallMap<Membership>();
  /** The joins that wait for the application or the engine; a leave in between takes them out. */
  readonly opening = new SmallMap<ReceivedFrame>();
  /** What the application has asked this session and waits for; most sessions are never asked. */
  answers: Answers | undefined;
  /** The publishes that wait for the application, one behind the other. */
  publishing: Promise<void> | undefined;
  #waiting = 0;
  /** What came behind a hello that still waits for the application. */
  #early: { readonly frames: ReceivedFrame[]; bytes: number } | undefined;
  readonly #pace = new Pace();
  #drained: (() => void)[] | undefined;
  /** How many bytes waited when the client was last taken out of rooms for being slow; 0 once it has read them. */
  #skippedAt = 0;

  constructor(link: Link, registry: Registry) {
    this.link = link;
    this.registry = registry;
  }

  get context(): SessionContext {
    return this.registry.context;
  }

  get user(): string | undefined {
    return this.access.user;
  }

  /** When something of it ends next, in Unix milliseconds. */
  get dueAt(): number | undefined {
    let due = this.renewAt ?? this.access.expiresAt;
    for (const { expiresAt } of this.grants?.values() ?? []) due = Math.min(due ?? expiresAt, expiresAt);
    return due;
  }

  /** Who asks, as the application is told. */
  get asker() {
    const { user, info, tenant } = this.access;
    return { user, info, ...(tenant === "" ? {} : { tenant }), session: this.id };
  }

  /** Takes one message. */
  receive(wire: Wire): void {
    if (this.state === "closed") return;
    const { usage, limits } = this.context;
    const { maxFrameBytes } = limits;
    const length = typeof wire === "string" ? Buffer.byteLength(wire) : wire.length;
    const now = this.context.now();
    const beyond = this.#pace.take(usage, Math.min(length, maxFrameBytes), this.context.turn(), now);
    if (beyond === "flood" || beyond === "maxFramesPerTurn") {
      this.#endFlood(beyond);
      return;
    }
    const frame = this.#decode(wire);
    if (frame === undefined) return;
    const id = requestId(frame.type, frame.id);
    if (beyond !== undefined) {
      const words = `${beyond}: expected at most ${limits[beyond]} ${beyondWords[beyond]}`;
      this.fail(id, this.limited(beyond, "rate_limited", words, this.#pace.retryMs(now)));
    } else if (length > maxFrameBytes) {
      usage.refused.maxFrameBytes++;
      this.error(id, "too_large", `frame: expected at most ${maxFrameBytes} bytes, got ${length}`);
    } else {
      this.#take(frame, length);
    }
  }

  /** Takes a ping or pong of the transport's own: nobody answers to it here, but thousands of them hold the loop as requests do. */
  receiveSign(length: number): void {
    if (this.state === "closed") return;
    const beyond = this.#pace.take(this.context.usage, length, this.context.turn(), this.context.now());
    if (beyond === "flood" || beyond === "maxFramesPerTurn") this.#endFlood(beyond);
  }

  /** Answers what is no frame, and gives nothing then. */
  #decode(wire: Wire): ReceivedFrame | undefined {
    const { stackTraceLimit } = Error;
    // Where an error comes from would take longer to note than all else about a wrong frame, and nobody asks for it here.
    Error.stackTraceLimit = 0;
    try {
      return this.link.codec.decode(wire);
    } catch (error) {
      this.#refuseFrame(error);
      return undefined;
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }

  /** It goes on asking after it was refused for long, or asks so much at once that the others would wait for it. */
  #endFlood(limit: Beyond): void {
    this.context.usage.refused[limit]++;
    const reason = limit === "flood" ? "too many requests, for too long" : "too many frames at once";
    this.close(closeCodes.tooManyRequests, reason);
  }

  /** Counts that a limit refused something; the answer is `message`. */
  limited(limit: LimitName, code: ErrorCode, message: string, retryMs?: number): Refusal {
    this.context.usage.refused[limit]++;
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    const refusal = new Refusal(code, message, retryMs);
    Error.stackTraceLimit = stackTraceLimit;
    return refusal;
  }

  #refuseFrame(error: unknown): void {
    if (!(error instanceof ProtocolError)) {
      this.fail(undefined, error);
    } else if (error.fatal) {
      this.close(closeCodes.protocolError, error.message);
    } else {
      this.error(error.id, "bad_request", error.message);
    }
  }

  #take(frame: ReceivedFrame, length: number): void {
    if (this.state === "open") {
      this.#act(frame);
    } else if (frame.type === "hello" && this.state === "new") {
      this.state = "greeting";
      this.settle(frame.id, () => this.context.verbs.greet(this, frame));
    } else if (this.state === "greeting" && frame.type !== "hello") {
      const { maxRequests, maxFrameBytes } = this.context.limits;
      this.#early ??= { frames: [], bytes: 0 };
      this.#early.bytes += length;
      // Whoever it is has not said yet who it is: what is kept for it is no more than one frame may be.
      const fits = this.#early.frames.length < maxRequests && this.#early.bytes <= maxFrameBytes;
      if (fits) this.#early.frames.push(frame);
      else {
        const words = "frame: expected fewer requests before the hello is answered";
        this.fail(requestId(frame.type, frame.id), this.limited("maxRequests", "too_many", words, 100));
      }
    } else {
      const expected = this.state === "new" ? "hello as the first frame" : "one hello";
      this.error(requestId(frame.type, frame.id), "bad_request", `type: expected ${expected}, got ${frame.type}`);
    }
  }

  #act(frame: ReceivedFrame): void {
    if (frame.type === "answer") {
      this.answers?.take(frame);
      return;
    }
    if (this.#waiting >= this.context.limits.maxRequests) {
      const limit = this.context.limits.maxRequests;
      const words = `frame: expected at most ${limit} requests without an answer`;
      this.fail(frame.id, this.limited("maxRequests", "too_many", words, 100));
      return;
    }
    this.settle(frame.id, () => this.context.verbs.act(this, frame));
  }

  /** Runs a verb to its end: whatever it throws or rejects with becomes the answer to `id`. */
  settle(id: number | undefined, run: () => void | Promise<void>): void {
    try {
      const running = run();
      if (running === undefined) return;
      this.#waiting++;
      this.registry.pending++;
      running
        .catch((error: unknown) => this.fail(id, error))
        .finally(() => {
          this.#waiting--;
          this.registry.pending--;
        });
    } catch (error) {
      this.fail(id, error);
    }
  }

  /** The hello was answered: what came behind it is taken now. */
  opened(): void {
    this.state = "open";
    this.registry.opened(this);
    const early = this.#early;
    this.#early = undefined;
    for (const frame of early?.frames ?? []) if (this.state === "open") this.#act(frame);
  }

  send(frame: PlainServerFrame): void {
    if (this.state !== "closed") this.link.send(this.link.codec.encode(frame));
  }

  sendEvents(head: EventsHead, events: readonly RoomEvent[]): void {
    if (this.state !== "closed") this.link.send(this.link.codec.encodeEvents(head, events));
  }

  /** Asks the client to open another connection after `afterMs`, and to close this one, which ends in `deadlineMs`. */
  move(afterMs: number, deadlineMs: number): void {
    if (!this.toldToMove && this.use !== undefined) this.context.usage.users.moves(this.use);
    this.toldToMove = true;
    this.send({ type: "move", afterMs, deadlineMs, reason: "draining" });
  }

  error(id: number | undefined, code: ErrorCode, message: string, retryMs?: number): void {
    this.send({
      type: "error",
      ...(id === undefined ? {} : { id }),
      code,
      message,
      ...(retryMs === undefined ? {} : { retryMs }),
    });
  }

  /** Answers with what went wrong: known errors in their own words, others as `internal`, with the words in the log only. */
  fail(id: number | undefined, error: unknown): void {
    if (error instanceof ProtocolError) this.error(id, "bad_request", error.message);
    else if (error instanceof Refusal) this.error(id, error.code, error.message, error.retryMs);
    else if (error instanceof EngineError) {
      // Its own words name servers: they are for whoever runs them.
      this.context.log.debug("the engine refused a request", { session: this.id, error: error.message });
      this.error(id, error.code, engineWords[error.code], error.retryMs);
    } else {
      this.context.log.error("a request failed", { session: this.id, error: String(error) });
      this.error(id, "internal", "the server failed at this");
    }
  }

  /** How many bytes of events one answer may hold: so few that it fits, with what may wait before it. */
  get pageBytes(): number {
    return Math.min(PAGE_BYTES, this.context.limits.maxBackpressureBytes / 2);
  }

  /** Whether so little waits for the client that more may be given to it. */
  get #keepsUp(): boolean {
    return this.link.buffered() <= this.context.limits.maxBackpressureBytes / 4;
  }

  /** Resolves when the client has read so much that another page may follow, or when it has gone. */
  hasRead(): Promise<void> | undefined {
    if (this.state === "closed" || this.#keepsUp) return undefined;
    return new Promise((resolve) => {
      this.#drained ??= [];
      this.#drained.push(resolve);
    });
  }

  /** The transport has sent some of what waited. */
  drained(): void {
    if (this.state === "closed" || !this.#keepsUp) return;
    const waiting = this.#drained;
    this.#drained = undefined;
    for (const resolve of waiting ?? []) resolve();
    this.#goOn();
  }

  /** Looks whether the client keeps up; called now and then while much is being sent. */
  checkBacklog(): void {
    if (this.state === "closed") return;
    const buffered = this.link.buffered();
    if (buffered <= this.#mayHold || this.#skip(buffered)) return;
    this.close(closeCodes.tooSlow, "too slow: come back and resume");
  }

  /** What may wait for the client: what waited when it was taken out of rooms is still there, and answers come on top. */
  get #mayHold(): number {
    return this.context.limits.maxBackpressureBytes + this.#skippedAt;
  }

  /** Takes the client out of the rooms whose rule is to skip a slow reader; whether there were any. */
  #skip(buffered: number): boolean {
    let skipped = false;
    for (const [, membership] of this.rooms) {
      const { room } = membership;
      if (membership.state !== "joined" || room.rules.slow !== "skip") continue;
      this.link.leave(room.name);
      membership.room.exit(this.link.codec);
      membership.attendance?.pause(this.link);
      membership.state = "skipping";
      skipped = true;
    }
    if (skipped) this.#skippedAt = buffered;
    return skipped;
  }

  /** The client has caught up: it is told what it was spared, and is back in those rooms from here on. */
  #goOn(): void {
    this.#skippedAt = 0;
    for (const [name, membership] of this.rooms) {
      if (membership.state !== "skipping") continue;
      const { room } = membership;
      room.flush();
      const position = room.position;
      this.send({ type: "reset", room: name, ...(position === undefined ? {} : { position }), reason: "slow" });
      const told = membership.attendance?.news(name);
      if (told !== undefined) this.send(told);
      this.enter(membership);
    }
  }

  /** Puts the link into the room. In the same turn the room was flushed and the client was told where it stands. */
  enter(membership: Membership): void {
    membership.state = "joined";
    membership.room.enter(this.link.codec);
    this.link.join(membership.room.name);
    membership.attendance?.read(this.link);
  }

  /** Takes the session out of a room, whatever its part in it was; `name` is the one that the client knows, here and below. */
  leave(name: string, how: Going = "leaves"): boolean {
    const membership = this.rooms.get(name);
    if (membership === undefined) return false;
    this.exit(membership);
    membership.attendance?.end(this.link, how);
    return true;
  }

  /** The same, without a word on its place among the members: it may be about to go on in it. */
  exit({ room, state }: Membership): void {
    this.rooms.delete(room.shown);
    if (state === "joined") {
      this.link.leave(room.name);
      room.exit(this.link.codec);
    }
    this.context.rooms.release(room);
  }

  /** Takes the session out of a room it is in or about to be in, and tells the client why; whether there was one. */
  removeFrom(name: string, code: ErrorCode): boolean {
    const wasOpening = this.opening.delete(name);
    this.grants?.delete(name);
    if (!this.leave(name) && !wasOpening) return false;
    this.send({ type: "removed", room: name, code });
    return true;
  }

  /** What the rules, the token and the revocations say; `open` where the application is to be asked. */
  may(action: RoomAction, room: string): Verdict {
    const { permissions, hooks } = this.context;
    const verdict = permissions.may(action, room, this.access, this.grants?.get(room));
    return verdict === "open" && hooks.authorize === undefined ? "no" : verdict;
  }

  close(code: CloseCode, reason?: string): void {
    if (this.state === "closed") return;
    this.wasClosed = true;
    this.endCode = code;
    this.context.log.debug("closing a session", { session: this.id, code });
    // The link ends the session in turn, some transports before this returns.
    this.link.close(code, reason);
    this.ended();
  }

  /**
   * Whether it ends for good: it was sent away, or its client has closed the connection as one does that has finished. Who was
   * told to move is elsewhere by then, and who has a token that ended may have another.
   */
  get #going(): Going {
    const { endCode } = this;
    const isOver = this.wasClosed
      ? endCode !== undefined && endCode !== closeCodes.expired && afterClose(endCode) === "never"
      : endCode === NORMAL && !this.toldToMove;
    return isOver ? "leaves" : "is lost";
  }

  /** The link is gone; `code` where its other side said one. Called once or more. */
  ended(code?: number): void {
    if (this.state === "closed") return;
    this.endCode ??= code;
    this.state = "closed";
    for (const [, { room, state, attendance }] of this.rooms) {
      if (state === "joined") room.exit(this.link.codec);
      this.context.rooms.release(room);
      attendance?.end(this.link, this.#going);
    }
    this.rooms.clear();
    for (const resolve of this.#drained ?? []) resolve();
    this.#drained = undefined;
    this.answers?.close();
    this.registry.remove(this);
  }
}
