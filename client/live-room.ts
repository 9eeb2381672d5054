import type { ClientFrame, Member, ServerFrame, WireEvent } from "../protocol/frames.js";
import type { Position } from "../protocol/positions.js";
import { RoomcastError } from "./errors.js";
import { type Answer, type Link, NEVER_MS, type Question } from "./link.js";
import { Listeners, type Report } from "./listeners.js";
import { LiveMembers } from "./members.js";
import { Overlap } from "./overlap.js";
import type { Said } from "./presence.js";
import { Backoff, type BackoffOptions } from "./reconnect.js";
import type {
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
import { type EventStream, eventStream } from "./stream.js";

/** What a room needs of its client. */
export interface RoomPort {
  readonly settings: BackoffOptions & { readonly bufferSize: number };
  readonly report: Report;
  /** Tells what went wrong to who listens for it, and to nobody else. */
  readonly tell: Report;
  /** The link that a join goes to now; `undefined` while there is none. */
  link(): Link | undefined;
  /** The room is joined, failed or left: a move may have waited for it. */
  settled(): void;
  left(room: LiveRoom): void;
  publish(question: Publish, key: string | undefined): Promise<Answer>;
  send(question: Publish): void;
  ask(question: Question): Promise<Answer>;
}

type Publish = Omit<ClientFrame<"publish">, "id" | "key">;
export type EndState = RoomState & { status: "left" | "failed" };

export class LiveRoom implements Room {
  readonly name: string;
  readonly members = new LiveMembers();
  readonly #port: RoomPort;
  readonly #options: RoomOptions;
  readonly #backoff: Backoff;
  readonly #byEvent = new Map<string, Listeners<WireEvent>>();
  readonly #any = new Listeners<WireEvent>();
  readonly #states = new Listeners<RoomState>();
  readonly #resets = new Listeners<Reset>();
  readonly #streams = new Set<EventStream<WireEvent>>();
  #state: RoomState = { status: "idle" };
  #position: Position | undefined;
  /** Where the room is joined: its events come from here. */
  #live: Link | undefined;
  /** Where a join is under way, which may be the same link, and what it was asked for. */
  #trying: Link | undefined;
  #asked: Position | undefined;
  /** The number of the join under way, or of the last one. */
  #attempt = 0;
  /** An event was missed on the live link while a join was under way elsewhere. */
  #hole = false;
  /** The link to be left, once a move has switched over. */
  #old: Link | undefined;
  #overlap: Overlap | undefined;
  /** What changes the members, once it is loaded. */
  #change: ((said?: Said) => void) | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(name: string, options: RoomOptions, port: RoomPort) {
    this.name = name;
    this.#position = options.since;
    this.#options = options;
    this.#port = port;
    this.#backoff = new Backoff(port.settings);
    this.members.page = (options) =>
      port.ask({ type: "members", room: name, ...options }) as Promise<ServerFrame<"members">>;
  }

  get state(): RoomState {
    return this.#state;
  }

  get position(): Position | undefined {
    return this.#position;
  }

  get joined(): Promise<void> {
    return this.join();
  }

  join(): Promise<void> {
    this.#start();
    const joined = new Promise<void>((resolve, reject) => {
      const look = (state: RoomState): void => {
        if (state.status === "joining") return;
        stop();
        if (state.status === "joined") resolve();
        else reject(errorOf(state as EndState));
      };
      const stop = this.#states.listen(look);
      look(this.#state);
    });
    joined.catch(() => {});
    return joined;
  }

  leave(): void {
    if (this.#state.status === "left") return;
    this.#port.left(this);
    this.end({ status: "left" });
  }

  on(event: string, listener: (event: never) => unknown): () => void {
    const listeners = this.#byEvent.get(event) ?? new Listeners<WireEvent>();
    this.#byEvent.set(event, listeners);
    this.#start();
    return listeners.listen(listener as (event: WireEvent) => unknown);
  }

  onAny(listener: (event: RoomEvent) => unknown): () => void {
    this.#start();
    return this.#any.listen(listener);
  }

  onState(listener: (state: RoomState) => unknown): () => void {
    return this.#states.listen(listener);
  }

  onReset(listener: (reset: Reset) => unknown): () => void {
    return this.#resets.listen(listener);
  }

  onEnter(listener: (member: Member) => unknown): () => void {
    this.#start();
    return this.members.entered.listen(listener);
  }

  onLeave(listener: (member: Member) => unknown): () => void {
    this.#start();
    return this.members.left.listen(listener);
  }

  publish(event: string, data: unknown, options: PublishOptions = {}): Promise<Position | undefined> {
    const answered = this.#port.publish({ type: "publish", room: this.name, event, data }, options.key);
    const published = answered.then((answer) => (answer as ServerFrame<"published">).position);
    published.catch(() => {});
    return published;
  }

  send(event: string, data: unknown): void {
    this.#port.send({ type: "publish", room: this.name, event, data });
  }

  history(options?: HistoryOptions): Promise<HistoryPage<EventMap>> {
    return this.#port.ask({ type: "history", room: this.name, ...options }) as Promise<ServerFrame<"history">>;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<RoomEvent, undefined> {
    const stream = eventStream<WireEvent>(this.#port.settings.bufferSize, (ended) => this.#streams.delete(ended));
    this.#streams.add(stream);
    this.#start();
    if (!this.wanted) stream.end();
    return stream;
  }

  /** Whether the application wants to be in. */
  get wanted(): boolean {
    return this.#state.status === "joining" || this.#state.status === "joined";
  }

  /** Whether nothing is left to wait for on this link. A room that is joined nowhere holds nobody up. */
  settledOn(link: Link): boolean {
    return !this.wanted || (!this.#trying && (this.#live ?? link) === link);
  }

  /** Joins on this link, from where the room is. Where a join is under way it is awaited first, whichever link it is on. */
  attach(link: Link): void {
    if (!this.wanted || this.#trying) return;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#trying = link;
    void this.#ask(link, ++this.#attempt);
  }

  /** Without a function to be asked for the token, the join goes out in the same turn. */
  async #ask(link: Link, attempt: number): Promise<void> {
    const isOver = () => this.#attempt !== attempt || this.#trying !== link;
    const { presence, token: source } = this.#options;
    try {
      // Without it the room's events come all the same.
      if (presence && !this.#change) {
        const loaded = await import("./presence.js").catch(this.#port.tell);
        this.#change = loaded?.keep(this.members, this.#port.report);
      }
      const token = typeof source === "function" ? await source() : source;
      if (isOver()) return;
      if (this.#live && this.#live !== link) {
        this.#overlap = new Overlap(this.#live);
        this.#old = undefined;
      }
      const since = this.#position;
      this.#asked = since;
      // What is undefined no codec writes.
      const join = { type: "join", room: this.name, since, presence, token: token || undefined } as Question;
      const joined = (result: Answer | RoomcastError): void => {
        if (isOver()) return;
        if (!(result instanceof RoomcastError)) this.#onJoined(link, result as ServerFrame<"joined">);
        // Its owner looks after a link that is lost.
        else if (result.code !== "disconnected") this.#onRefused(result);
      };
      // It may take as long as its pages do: it ends with the connection alone.
      link.ask(join, joined, NEVER_MS);
    } catch (error) {
      if (!isOver()) this.#later(LATER_MS, error);
    }
  }

  /** The link is gone. Whether another join is needed on the one that remains. */
  detach(link: Link): boolean {
    if (this.#live === link) this.#live = undefined;
    if (this.#old === link) this.#old = undefined;
    if (this.#trying === link) this.#trying = undefined;
    return this.wanted && !this.#isTrying && (!this.#live || this.#hole);
  }

  /** No link is left: what the application sees of it. */
  lost(): void {
    if (this.#state.status === "joined") this.#setState({ status: "joining" });
  }

  /** Ends in `left` or `failed`. */
  end(state: EndState): void {
    if (this.#state.status === "left") return;
    clearTimeout(this.#retry);
    this.#live = this.#trying = this.#old = undefined;
    this.#setState(state);
    this.#change?.();
    // A listener may have joined it again.
    if (!this.wanted)
      for (const stream of this.#streams) {
        if (state.status === "failed") stream.push(errorOf(state));
        stream.end();
      }
    this.#port.settled();
  }

  receive(link: Link, frame: ServerFrame): void {
    if (frame.type === "events") this.#receiveEvents(link, frame);
    else if (frame.type === "reset") this.#receiveReset(link, frame);
    else if (link === this.#live && frame.type === "presence") this.#change?.(frame);
    else if (frame.type === "removed" && (link === this.#live || link === this.#trying)) {
      if (this.#isTemporary(frame.code)) {
        // The application is told if there is no other token at once.
        if (link === this.#live) this.#live = undefined;
        this.#attachToCurrent();
      } else this.end({ status: "failed", code: frame.code, message: "the server took you out of the room" });
    }
  }

  /** Whether a join is under way, or about to be. */
  get #isTrying(): unknown {
    return this.#trying || this.#retry;
  }

  #start(): void {
    if (this.wanted || this.#state.status === "left") return;
    this.#setState({ status: "joining" });
    // So that listeners added in the same turn miss nothing.
    queueMicrotask(() => this.#attachToCurrent());
  }

  #attachToCurrent(): void {
    const link = this.#port.link();
    if (link) this.attach(link);
  }

  #onJoined(link: Link, joined: ServerFrame<"joined">): void {
    const { position, recovered } = joined;
    this.#hole = false;
    this.#trying = undefined;
    this.#backoff.reset();
    if (this.#live !== link) {
      this.#old = this.#live;
      this.#live = link;
    }
    const was = this.#position;
    const isLost = was && !(recovered && this.#asked && position?.epoch === was.epoch);
    if (isLost) this.#reset(position, "history_lost");
    // Who resumes nothing may get the latest event all the same.
    if (position && !recovered) this.#position = { ...position, offset: 0 };
    this.#apply(joined.events);
    if (position && position.offset >= (this.#position?.offset ?? 0)) this.#position = position;
    if (this.wanted) this.#change?.(joined);
    // A listener may have left it.
    if (!this.wanted) return;
    const state: RoomState = { status: "joined", ...(position && { position }), recovered: !isLost };
    // A hole that was closed and a move are none of the application's business.
    if (this.#state.status === "joined" && !isLost) this.#state = state;
    else this.#setState(state);
    this.#port.settled();
    // A move may have come to where the room is to be joined next.
    if (this.#port.link() !== link) this.#attachToCurrent();
  }

  #onRefused(error: RoomcastError): void {
    const { code, message, retryMs } = error;
    if (retryMs !== undefined) this.#later(retryMs);
    else if (this.#isTemporary(code)) this.#later(LATER_MS, error);
    else this.end({ status: "failed", code, message });
  }

  /** Joins again, not before `retryMs`; the application is told of what it has to do with. */
  #later(retryMs: number, toTell?: unknown): void {
    this.#trying = undefined;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#attachToCurrent();
    }, retryMs + this.#backoff.next());
    if (!this.#live) this.lost();
    if (toTell) this.#port.tell(toTell);
    this.#port.settled();
  }

  /** Whether a join with another token may succeed; or it was under way when the token before ended. */
  #isTemporary(code: string): boolean {
    return typeof this.#options.token === "function" && (code === "expired" || code === "not_joined");
  }

  #receiveEvents(link: Link, { previous, events }: ServerFrame<"events">): void {
    if (events[0]?.offset === undefined) {
      if (link === this.#live || link === this.#old) this.#applyUnnumbered(link, events);
      return;
    }
    // Pages of a join are taken as they come, if they can only be of the log that the position is of.
    const isPage = link === this.#trying && this.#asked?.epoch === this.#position?.epoch;
    if (!this.#position || !(link === this.#live || isPage)) return;
    if (previous === undefined || previous <= this.#position.offset) this.#apply(events);
    else if (this.#isTrying) this.#hole = true;
    else this.attach(link);
  }

  #receiveReset(link: Link, { position, reason }: ServerFrame<"reset">): void {
    if (link === this.#live) this.#reset(position, reason);
    // In the middle of a join: its answer will not be the whole of what was missed.
    else if (link === this.#trying) this.#asked = undefined;
  }

  #reset(position: Position | undefined, reason: string): void {
    this.#position = position;
    this.#resets.emit({ position, reason }, this.#port.report);
    const error = new RoomcastError("reset", `events may be missing: ${reason}`);
    for (const stream of this.#streams) stream.push(error);
  }

  /** Applies what lies beyond the position, in order, unless a listener leaves the room. */
  #apply(events: readonly WireEvent[]): void {
    const epoch = this.#position?.epoch;
    for (const event of events) {
      const position = this.#position;
      if (!this.wanted || !position || position.epoch !== epoch) return;
      if (event.offset === undefined || event.offset <= position.offset) continue;
      this.#position = { ...position, offset: event.offset };
      this.#emit(event);
    }
  }

  #applyUnnumbered(link: Link, events: readonly WireEvent[]): void {
    const isMoving = !!(this.#trying || this.#old);
    for (const event of events) {
      if (this.wanted && this.#overlap?.isNews(event, link, isMoving) !== false) this.#emit(event);
    }
  }

  #emit(event: WireEvent): void {
    const { report } = this.#port;
    this.#byEvent.get(event.event)?.emit(event, report);
    this.#any.emit(event, report);
    for (const stream of this.#streams) stream.push(event);
  }

  #setState(state: RoomState): void {
    this.#state = state;
    this.#states.emit(state, this.#port.report);
  }
}

/** The least delay before another join where the server names none, in milliseconds. */
const LATER_MS = 1000;

function errorOf(state: EndState): RoomcastError {
  const { code = "closed", message = "the room was left" } = state as { code?: string; message?: string };
  return new RoomcastError(code, message);
}
