import type { ClientCodec } from "../protocol/client-codec.js";
import { afterClose, type closeCodes } from "../protocol/codes.js";
import type { ServerFrame } from "../protocol/frames.js";
import { RoomcastError } from "./errors.js";
import { randomPrefix } from "./keys.js";
import { type Answer, Link, type LinkOwner, NEVER_MS, type Question, type Token } from "./link.js";
import { Listeners } from "./listeners.js";
import { type EndState, LiveRoom, type RoomPort } from "./live-room.js";
import { Move } from "./move.js";
import { type Patience, Queue } from "./queue.js";
import { Backoff } from "./reconnect.js";
import type { EventMap, Room, RoomOptions } from "./room.js";
import type { ClientState } from "./state.js";
import type { Transport } from "./transport.js";
import { watchWake } from "./wake.js";

export type ClientSettings = {
  readonly url: string;
  readonly transport: Transport;
  readonly codec: ClientCodec;
  readonly token?: Token;
  readonly onCall?: (method: string, data: unknown) => unknown;
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly publishTimeoutMs: number;
  readonly queueSize: number;
  readonly inFlight: number;
  readonly bufferSize: number;
  readonly random: () => number;
};

/** How long a connection must have held for the next attempt to count as the first, in milliseconds. */
const STABLE_MS = 5000;
// Written out, since a bundle would hold all of them.
const TOO_MANY_REQUESTS: typeof closeCodes.tooManyRequests = 4029;
const EXPIRED: typeof closeCodes.expired = 4203;
/** What the least delay grows by with each attempt where it is not to be at once, in milliseconds. */
const LATER_MS = 1000;

export class Client {
  readonly #settings: ClientSettings;
  readonly #owner: LinkOwner = {
    // Joins follow hello at once: the server takes them in order, and a round trip is saved. A move has the time.
    opened: (link) => {
      if (link === this.#link) this.#attach(this.#rooms.values());
    },
    welcomed: (link) => {
      this.#session = link.welcome?.session;
      this.#notBefore = 0;
      if (link === this.#link) this.#connected(link);
      else {
        this.#attach(this.#rooms.values());
        this.#port.settled();
      }
    },
    renewed: (session) => {
      this.#session = session ?? this.#session;
    },
    frame: (link, frame) => {
      if (frame.type === "move") {
        if (link === this.#link) this.#startMove(frame.afterMs);
        else if (link === this.#move?.link) link.end("moved");
      } else if ("room" in frame && this.#leaving.get(frame.room) !== link) {
        this.#rooms.get(frame.room)?.receive(link, frame);
      }
    },
    down: (link, code, reason, retryMs) => this.#down(link, code, reason, retryMs),
    report: (error) => this.#errors.emit(error as Error, rethrow),
  };
  readonly #port: RoomPort;
  readonly #states = new Listeners<ClientState>();
  readonly #errors = new Listeners<Error>();
  readonly #rooms = new Map<string, LiveRoom>();
  /** Rooms that the server has not let go of yet, by the link it was asked on: what comes is for nobody. */
  readonly #leaving = new Map<string, Link>();
  readonly #links = new Set<Link>();
  readonly #queue: Queue;
  readonly #brief: Patience;
  readonly #backoff: Backoff;
  readonly #unwatch: () => void;
  #state: ClientState = { status: "connecting", attempt: 1 };
  /** The link in use, or on its way there. A `Move` may have another. */
  #link: Link | undefined;
  #move: Move | undefined;
  #session: string | undefined;
  #lastId = 0;
  #welcomedAt = NEVER_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Before it the server does not want to see us, in Unix milliseconds. */
  #notBefore = 0;
  #isOffline = (globalThis as { navigator?: { onLine?: boolean } }).navigator?.onLine === false;

  /** For `connect`. */
  constructor(settings: ClientSettings) {
    this.#settings = settings;
    this.#queue = new Queue(settings);
    this.#brief = { timeoutMs: settings.requestTimeoutMs, isBrief: true };
    this.#backoff = new Backoff(settings);
    const prefix = randomPrefix(settings.random);
    this.#port = {
      settings,
      report: (error) => this.#report(error),
      tell: this.#owner.report,
      link: () => [this.#move?.link, this.#link].find((link) => link?.isOpen && (link.welcome ?? link === this.#link)),
      settled: () => this.#move?.look(this.#rooms.values()),
      left: ({ name }) => {
        this.#rooms.delete(name);
        for (const link of this.#links) if (link.isOpen) this.#leave(name, link);
      },
      publish: (question, key = `${prefix}${this.#lastId}`) =>
        this.#ask({ ...question, key }, { timeoutMs: settings.publishTimeoutMs }, question.room),
      send: (question) => {
        if (this.#state.status === "connected") this.#link?.tell(question);
      },
      ask: (question) => this.#ask(question),
    };
    this.#unwatch = watchWake({
      awake: () => {
        this.#isOffline = false;
        const waitMs = this.#notBefore - Date.now();
        if (this.#state.status === "connected") this.#link?.probe();
        else if (this.#state.status !== "waiting") return;
        else if (waitMs <= 0) this.#connect();
        else this.#wait(waitMs + this.#backoff.next(), this.#state.code, this.#state.reason);
      },
      offline: () => {
        this.#isOffline = true;
        this.#link?.probe();
        if (this.#state.status === "waiting") this.#wait(this.#state.delayMs, this.#state.code, "offline");
      },
    });
    this.#connect();
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Returns what stops the listening. `error` tells what nobody waits for: a token function or a listener that threw. */
  on(news: "state", listener: (state: ClientState) => unknown): () => void;
  on(news: "error", listener: (error: Error) => unknown): () => void;
  on(news: "state" | "error", listener: (value: never) => unknown): () => void {
    const listeners = (news === "state" ? this.#states : this.#errors) as Listeners<unknown>;
    return listeners.listen(listener as (value: unknown) => unknown);
  }

  /** The room of that name; the same object until it is left, with the options of the first call. */
  room<Events = EventMap>(name: string, options: RoomOptions = {}): Room<Events> {
    const room = this.#rooms.get(name) ?? new LiveRoom(name, options, this.#port);
    this.#rooms.set(name, room);
    if (this.#state.status === "closed") room.end({ status: "left" });
    return room as unknown as Room<Events>;
  }

  /** The application's answer on the server (`onCall`). Never sent twice: it rejects where the answer was lost. */
  async call(method: string, data?: unknown): Promise<unknown> {
    return ((await this.#askOnce({ type: "call", method, data: data ?? null })) as ServerFrame<"result">).data;
  }

  /** The milliseconds to the server and back. */
  async ping(): Promise<number> {
    const startedAt = Date.now();
    await this.#askOnce({ type: "ping" });
    return Date.now() - startedAt;
  }

  /** For good. Whatever waits is rejected with `closed`, rooms are left. */
  close(): void {
    this.#finish(1000, "closed by the application", { status: "left" });
  }

  #connect(): void {
    clearTimeout(this.#timer);
    this.#link = this.#dial();
    this.#connecting();
  }

  #dial(): Link {
    const link = new Link({ ...this.#settings, nextId: () => ++this.#lastId }, this.#owner);
    this.#links.add(link);
    // In a later turn, so that whoever dials knows the link before it tells anything.
    queueMicrotask(() => void link.start(this.#session));
    return link;
  }

  #attach(rooms: Iterable<LiveRoom>): void {
    const link = this.#port.link();
    if (link) for (const room of rooms) room.attach(link);
  }

  #connected(link: Link): void {
    const { session, user, node } = link.welcome as ServerFrame<"welcome">;
    const state: ClientState = { status: "connected", session, ...(user && { user }), node };
    this.#welcomedAt = Date.now();
    // A move from one connection to another is none of the application's business.
    if (this.#state.status === "connected") this.#state = state;
    else this.#setState(state);
    if (link.isOpen) this.#queue.use(link);
  }

  #down(link: Link, code: number, reason: string, retryMs: number | undefined): void {
    this.#links.delete(link);
    const left = [...this.#rooms.values()].filter((room) => room.detach(link));
    const move = this.#move;
    if (link === move?.link) {
      // Refused for good it may still be that the old one lives on.
      if (this.#isFinal(code)) this.#move = undefined;
      else move.dialIn(this.#delay(code, retryMs));
    } else if (link === this.#link) {
      move?.stop();
      this.#move = undefined;
      // The connection that the move was opening, where it was, is all there is.
      this.#link = move?.link;
      if (this.#link?.welcome) this.#connected(this.#link);
      else this.#lost(code, reason, retryMs);
    }
    this.#attach(left);
  }

  #lost(code: number, reason: string, retryMs: number | undefined): void {
    this.#queue.use(undefined);
    if (this.#link) this.#connecting();
    else if (this.#isFinal(code)) {
      this.#finish(code, reason, { status: "failed", code: "closed", message: reason });
    } else {
      if (Date.now() - this.#welcomedAt >= STABLE_MS) this.#backoff.reset();
      this.#welcomedAt = NEVER_MS;
      this.#wait(this.#delay(code, retryMs), code, reason);
    }
    for (const room of this.#rooms.values()) room.lost();
  }

  /** A token that has ended is no reason to stay away for who can get another. */
  #isFinal(code: number): boolean {
    return afterClose(code) === "never" && !(code === EXPIRED && typeof this.#settings.token === "function");
  }

  #delay(code: number, retryMs: number | undefined): number {
    const now = Date.now();
    // Whoever asked too much, or has no better token yet, is not to come back at once.
    const isNow = afterClose(code) === "now" && code !== TOO_MANY_REQUESTS;
    const leastMs = isNow ? 0 : Math.min(LATER_MS * this.#backoff.attempt, this.#settings.maxDelayMs);
    this.#notBefore = Math.max(this.#notBefore, now + (retryMs ?? leastMs));
    return this.#notBefore - now + this.#backoff.next();
  }

  #wait(delayMs: number, code: number, reason: string): void {
    // The device may be wrong about being offline, so it is still tried now and then.
    const waitMs = this.#isOffline ? Math.max(delayMs, this.#settings.maxDelayMs) : delayMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), waitMs);
    this.#setState({ status: "waiting", attempt: this.#backoff.attempt, delayMs: waitMs, code, reason });
  }

  #startMove(afterMs: number): void {
    // A connection that is under way already will do.
    if (this.#move?.link) return;
    this.#move?.stop();
    this.#notBefore = Date.now() + afterMs;
    this.#move = new Move(afterMs, {
      dial: () => this.#dial(),
      moved: (link) => {
        const old = this.#link;
        this.#link = link;
        this.#move = undefined;
        this.#backoff.reset();
        this.#connected(link);
        old?.retire();
      },
    });
  }

  #leave(room: string, link: Link): void {
    if (link === this.#port.link()) this.#leaving.set(room, link);
    link.ask({ type: "leave", room }, (result) => {
      if (this.#leaving.get(room) === link) this.#leaving.delete(room);
      const { retryMs } = result as RoomcastError;
      // The server goes on sending what nobody wants. Unless it is wanted again.
      if (retryMs) setTimeout(() => this.#rooms.has(room) || this.#leave(room, link), retryMs);
    });
  }

  #askOnce(question: Question): Promise<Answer> {
    return this.#ask(question, { ...this.#brief, isOnce: true });
  }

  /** The answer to what waits for nothing else, and for a connection as long as for an answer; else by `lane`. */
  async #ask(question: Question, patience = this.#brief, lane?: string): Promise<Answer> {
    if (this.#state.status === "closed") throw CLOSED();
    const id = ++this.#lastId;
    // No room's name starts with a blank.
    return this.#queue.add(lane ?? ` ${id}`, patience, id, this.#settings.codec.encode({ ...question, id }));
  }

  #finish(code: number, reason: string, roomState: EndState): void {
    if (this.#state.status === "closed") return;
    this.#state = { status: "closed", code, reason };
    this.#unwatch();
    clearTimeout(this.#timer);
    this.#move?.stop();
    this.#queue.rejectAll(CLOSED());
    this.#link = this.#move = undefined;
    for (const link of this.#links) link.end(reason);
    for (const room of this.#rooms.values()) room.end(roomState);
    this.#states.emit(this.#state, this.#owner.report);
  }

  #connecting(): void {
    this.#setState({ status: "connecting", attempt: this.#backoff.attempt });
  }

  #setState(state: ClientState): void {
    this.#state = state;
    this.#states.emit(state, this.#port.report);
  }

  /** Exceptions of the application's own listeners: told to it, or else to whoever looks after lost exceptions. */
  #report(error: unknown): void {
    if (this.#errors.size > 0) this.#owner.report(error);
    else rethrow(error);
  }
}

const CLOSED = () => new RoomcastError("closed", "the client is closed");

/** Out of the way of the client, where the platform reports what nobody caught. */
function rethrow(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
