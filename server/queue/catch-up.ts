/** Brings rooms' records up to their logs. */
import type { RoomEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import { type Broker, EngineError, type LogRules } from "../engine/engine.js";
import type { Recorded, RecordLog } from "../engine/queue.js";
import { gap, published, type RoomName } from "./entries.js";

export type CatchUpOptions = {
  readonly broker: Pick<Broker, "history">;
  readonly log: Pick<RecordLog, "last" | "appendAfter">;
  readonly rulesFor: (room: string) => LogRules;
  readonly nameOf: (room: string) => RoomName;
  /** Something failed that trying again does not mend. */
  readonly failed: (error: unknown) => void;
};

/** What is known here of a room that something was published in a moment ago. */
type Due = {
  /** The furthest of this node's publishes; `undefined` where one may have come into the log without an answer. */
  upTo: Position | undefined;
  /** Not before this time, as `performance.now()` counts. */
  from: number;
};

/** How many events are read, and recorded, at once. */
const PAGE = 500;
/** How many rooms are brought up to date at the same time. */
const ROOMS_AT_ONCE = 32;
/** How long what is published in a room gathers before it is recorded, in milliseconds. */
const GATHER_MS = 20;
/** The pause before a room is tried again, in milliseconds, with jitter. */
const AGAIN_MS = 1000;
/** The most rooms that wait: of others the marks tell, later. */
const MOST_WAITING = 20_000;
/** How many rooms are remembered that were recorded a moment ago, with up to where. */
const MOST_KNOWN = 10_000;
/** How often another node may be first before the room is left for later. */
const MOST_LOSSES = 100;

const covers = (recorded: Recorded | undefined, upTo: Position): boolean =>
  recorded?.position.epoch === upTo.epoch && recorded.position.offset >= upTo.offset;

/**
 * Several nodes may do this for one room at the same time. Each reads up to where the room is recorded, and what its log
 * has after it; the records are appended only where nobody else was first. So they stand in the order of the log, each
 * once, whichever node published.
 */
export class CatchUp {
  readonly #options: CatchUpOptions;
  readonly #due = new Map<string, Due>();
  readonly #running = new Map<string, Promise<Recorded | undefined>>();
  /** Up to where rooms are recorded, as last seen here: others may have gone on. */
  readonly #known = new Map<string, Recorded>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** How many events were recorded by this node, and how many gaps it told of, since the start. */
  recorded = 0;
  gaps = 0;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** How many rooms wait, or are under way. */
  get behind(): number {
    return this.#due.size + this.#running.size;
  }

  /** Something was published in the room, up to there; `undefined`: something may have been. */
  touch(room: string, upTo: Position | undefined): void {
    if (this.#isClosed) return;
    const due = this.#due.get(room);
    if (due !== undefined) {
      if (upTo === undefined) due.upTo = undefined;
      else if (due.upTo !== undefined && isAfter(upTo, due.upTo)) due.upTo = upTo;
      return;
    }
    if (this.#due.size >= MOST_WAITING) return;
    this.#due.set(room, { upTo, from: performance.now() + GATHER_MS });
    this.#startLater();
  }

  #startLater(): void {
    if (this.#isClosed) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#start();
    }, GATHER_MS).unref();
  }

  #start(): void {
    const now = performance.now();
    for (const [room, due] of this.#due) {
      if (this.#running.size >= ROOMS_AT_ONCE) break;
      if (due.from > now || this.#running.has(room)) continue;
      this.#due.delete(room);
      this.#run(room, due.upTo).catch((error: unknown) => this.#again(room, error));
    }
    if (this.#due.size > 0) this.#startLater();
  }

  #again(room: string, error: unknown): void {
    if (!(error instanceof EngineError)) this.#options.failed(error);
    if (this.#isClosed || this.#due.size >= MOST_WAITING) return;
    const { upTo } = this.#due.get(room) ?? {};
    this.#due.set(room, { upTo, from: performance.now() + AGAIN_MS * (0.2 + 0.8 * Math.random()) });
    this.#startLater();
  }

  /** Records the room's log up to its end of now. Resolves with up to where that is; rejects with what the engines say. */
  async bringUp(room: string): Promise<Recorded | undefined> {
    await this.#running.get(room)?.catch(() => undefined);
    return this.#running.get(room) ?? this.#run(room, undefined);
  }

  #run(room: string, upTo: Position | undefined): Promise<Recorded | undefined> {
    const running = this.#record(room, upTo).finally(() => {
      if (this.#running.get(room) === running) this.#running.delete(room);
    });
    this.#running.set(room, running);
    return running;
  }

  async #record(room: string, upTo: Position | undefined): Promise<Recorded | undefined> {
    let recorded = this.#known.get(room);
    let isFresh = false;
    this.#known.delete(room);
    for (let losses = 0; losses < MOST_LOSSES; ) {
      if (recorded === undefined && !isFresh) {
        recorded = await this.#options.log.last(room);
        isFresh = true;
      }
      if (upTo !== undefined && covers(recorded, upTo)) break;
      const part = await this.#next(room, recorded);
      if (part.entries.length === 0) {
        if (!part.more) break;
        losses++;
        continue;
      }
      const now = await this.#options.log.appendAfter(room, recorded, part.entries);
      if (now === undefined) {
        // Another node was first: what it has written need not be written again.
        losses++;
        recorded = undefined;
        isFresh = false;
        continue;
      }
      recorded = now;
      if (part.isGap) this.gaps++;
      else this.recorded += part.entries.length;
      if (!part.more) break;
    }
    if (recorded !== undefined) this.#remember(room, recorded);
    return recorded;
  }

  #remember(room: string, recorded: Recorded): void {
    this.#known.set(room, recorded);
    if (this.#known.size <= MOST_KNOWN) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }

  /** What stands in the log after `recorded`: a part, or that there is a gap. */
  async #next(room: string, recorded: Recorded | undefined) {
    const { broker, rulesFor, nameOf } = this.#options;
    const rules = rulesFor(room);
    const name = nameOf(room);
    const entryOf = (epoch: string, event: RoomEvent) => {
      const position = { epoch, offset: event.offset };
      return { position, bytes: published(name, event, position) };
    };
    const from = recorded?.position ?? (await this.#startOf(room, rules));
    if (from === undefined) return { entries: [], more: false, isGap: false };
    const { position, events, more } = await broker.history(room, { since: from }, PAGE, rules);
    if (events !== undefined) {
      return { entries: events.map((event) => entryOf(position.epoch, event)), more, isGap: false };
    }
    // Where nothing was recorded the log has only moved on while its start was looked for.
    if (recorded === undefined) return { entries: [], more: true, isGap: false };
    const to = (more ? undefined : await this.#startOf(room, rules)) ?? position;
    return { entries: [{ position: to, bytes: gap(name, from, to) }], more: true, isGap: true };
  }

  /** The place before the first event that the log still has; `undefined` where it has none. */
  async #startOf(room: string, rules: LogRules): Promise<Position | undefined> {
    const { broker } = this.#options;
    let first: Position | undefined;
    for (;;) {
      const range = first === undefined ? {} : { before: first };
      const { position, events, more } = await broker.history(room, range, PAGE, rules);
      const [event] = events ?? [];
      if (event === undefined) break;
      first = { epoch: position.epoch, offset: event.offset };
      if (!more) break;
    }
    return first && { ...first, offset: first.offset - 1 };
  }

  /** What waits is not to wait any longer, since this node ends. */
  hurry(): void {
    for (const due of this.#due.values()) due.from = 0;
    this.#start();
  }

  /** Takes nothing more. What is under way ends with its engines. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#due.clear();
  }
}

const isAfter = (one: Position, other: Position): boolean => one.epoch !== other.epoch || one.offset > other.offset;
