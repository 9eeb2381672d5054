/** A log that every node reads in full, and whose events say the same in whatever order they are taken. */
import type { NewEvent, RoomEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import { type Broker, EngineError, type LogRules } from "../engine/engine.js";

/** How often it is looked whether there is something that was not delivered, in milliseconds, on the average. */
const PULL_MS = 1000;
/** How often, until it was read for the first time: an engine that is away refuses at once. */
const UNREAD_MS = 100;
/** The most events that are read, or appended, at a time. */
const PAGE = 1000;
const APPENDS = 64;

/** An event of such a log has a key: made of what it says, so that two nodes that append the same make one event. */
export type KeyedEvent = NewEvent & { readonly key: string };

/** A log on its way from its end to its beginning. */
export interface Reading {
  take(events: readonly RoomEvent[]): void;
  /** It was read in full: what this node knows, and the log does not say. */
  lacking(): Iterable<KeyedEvent>;
}

export type SharedLogOptions = {
  readonly room: string;
  readonly broker: Broker;
  readonly rules: LogRules;
  /** Takes what is new in the log, in any order, some of it twice. It throws nothing. */
  readonly take: (events: readonly RoomEvent[]) => void;
  /** Called each time the log is read in full: at first, and where this node's place in it was lost. */
  readonly read: () => Reading;
  /** `PULL_MS` by default. */
  readonly pullMs?: number | undefined;
};

/**
 * Follows the log. What is delivered is taken at once; what was lost on the way is found by a look at the log's end, which
 * costs little and comes about once a second. A log that has lost something gets from every node what that one knows: so
 * it is whole again as long as one of them lives.
 */
export class SharedLog {
  readonly #options: SharedLogOptions;
  /** Up to where this node has read; `undefined`: it has to read everything. */
  #position: Position | undefined;
  /** What is to be appended, by its key, until the engine has taken it. */
  readonly #owed = new Map<string, KeyedEvent>();
  #isSubscribed = false;
  #isRead = false;
  /** Whether something has come since the last look: there is something to read, then. */
  #isHinted = false;
  #pulling: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** How many times the log was read in full. */
  fullReads = 0;

  constructor(options: SharedLogOptions) {
    this.#options = options;
  }

  /** Whether it was read in full at least once. */
  get isRead(): boolean {
    return this.#isRead;
  }

  /** How many events the engine has yet to take. */
  get owed(): number {
    return this.#owed.size;
  }

  /** Begins to follow. Resolves after the first attempt to read it; never rejects: an engine that is away is tried again. */
  async start(): Promise<void> {
    await this.pull();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    const everyMs = this.#isRead ? (this.#options.pullMs ?? PULL_MS) : UNREAD_MS;
    const ms = everyMs * (0.75 + 0.5 * Math.random());
    this.#timer = setTimeout(() => void this.pull().then(() => this.#schedule()), ms).unref();
  }

  /** Takes what the engine delivers in the room. */
  deliver(events: readonly RoomEvent[]): void {
    if (this.#isClosed) return;
    // Where it is in the log is for the next look to find out: deliveries may be lost, and come in another order.
    this.#isHinted = true;
    for (const { key } of events) if (key !== undefined) this.#owed.delete(key);
    this.#options.take(events);
  }

  /** Something may not have been delivered. */
  suspect(): void {
    this.#isHinted = true;
    void this.pull();
  }

  /** Reads what is new, and appends what is owed. One at a time; never rejects. */
  pull(): Promise<void> {
    this.#pulling ??= this.#pull()
      .catch(() => {
        // An engine that was away may have lost what was before the place this node has read up to.
        this.#isHinted = true;
      })
      .finally(() => {
        this.#pulling = undefined;
      });
    return this.#pulling;
  }

  async #pull(): Promise<void> {
    if (this.#isClosed) return;
    const { broker, room, rules } = this.#options;
    if (!this.#isSubscribed) await broker.subscribe(room, rules);
    this.#isSubscribed = true;
    if (this.#position === undefined || !(await this.#readOn(this.#position))) await this.#readAll();
    await this.#appendOwed();
  }

  /** Reads from there to the end; `false` where the log does not reach back to it. */
  async #readOn(from: Position): Promise<boolean> {
    const { broker, room, rules, take } = this.#options;
    let since = from;
    if (!this.#isHinted) {
      const { events, more, position } = await broker.history(room, { since }, 0, rules);
      if (events === undefined) return false;
      if (!more) this.#position = position;
      if (!more) return true;
    }
    for (;;) {
      const { events, more, position } = await broker.history(room, { since }, PAGE, rules);
      const last = events?.at(-1);
      if (events === undefined || (more && last === undefined)) return false;
      take(events);
      since = more && last !== undefined ? { epoch: position.epoch, offset: last.offset } : position;
      this.#position = since;
      if (more) continue;
      this.#isHinted = false;
      return true;
    }
  }

  /** From the end to the beginning, since the beginning is not known. */
  async #readAll(): Promise<void> {
    const { broker, room, rules } = this.#options;
    this.fullReads++;
    this.#position = undefined;
    const reading = this.#options.read();
    let end: Position | undefined;
    let before: Position | undefined;
    for (;;) {
      const page = await broker.history(room, before === undefined ? {} : { before }, PAGE, rules);
      if (page.events === undefined) throw new EngineError("unavailable", "the log was lost while it was read");
      end ??= page.position;
      reading.take(page.events);
      const [first] = page.events;
      if (!page.more || first === undefined) break;
      before = { epoch: end.epoch, offset: first.offset };
    }
    // Where the engine knows keys again whose events it has lost, those of the first time would append nothing.
    const place = `${end.epoch}:${end.offset}`;
    for (const event of reading.lacking()) {
      const key = `${event.key}@${place}`;
      if (!this.#owed.has(event.key)) this.#owed.set(key, { ...event, key });
    }
    this.#position = end;
    this.#isRead = true;
  }

  async #appendOwed(): Promise<void> {
    while (this.#owed.size > 0 && !this.#isClosed) {
      const some = [...this.#owed.values()].slice(0, APPENDS);
      await Promise.all(some.map((event) => this.#publish(event)));
    }
  }

  async #publish(event: KeyedEvent): Promise<void> {
    const { broker, room, rules } = this.#options;
    await broker.publish(room, event, rules);
    this.#owed.delete(event.key);
  }

  /**
   * Appends an event. Resolves once it is in the log; rejects with `EngineError` where the engine has not taken it now: it is
   * tried again until it has, for as long as this node lives.
   */
  async append(event: KeyedEvent): Promise<void> {
    this.#owed.set(event.key, event);
    await this.#publish(event);
  }

  /** Ends it. Before the broker is closed; never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#pulling;
    if (this.#isSubscribed) await this.#options.broker.unsubscribe(this.#options.room).catch(() => undefined);
  }
}
