import type { EventsHead, ServerCodec, Wire } from "../../protocol/codec.js";
import type { RoomEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import type { Broker, History } from "../engine/engine.js";
import { type LogReads, PAGE_EVENTS } from "./log-reads.js";
import { shownName } from "./names.js";
import type { KindRules } from "./rules.js";
import { Tail } from "./tail.js";

/** Where a room's frames go: to everyone in it who reads a codec, in one call. */
export interface Fanout {
  publish(room: string, codec: ServerCodec, frame: Wire): void;
}

/** Hears that the first of this node's clients has come into a room, or the last has left it. It throws nothing. */
export type Occupied = (room: string, isHere: boolean) => void;

/** The most bytes of events in one frame; one event alone may be more. */
export const PAGE_BYTES = 256 * 1024;
/** The most events a tail keeps: a bound for kinds that keep very long histories. */
const MAX_TAIL_EVENTS = 1000;
/** The pause before a log that could not be read is read again, in milliseconds: doubled up to the second, with jitter. */
const RETRY_MS = [100, 1000] as const;

/** How many of `events` make a page: at least one, then as many as stay within `maxBytes`. */
export function pageLength(events: readonly RoomEvent[], from = 0, maxBytes = PAGE_BYTES): number {
  let bytes = 0;
  for (let index = from; index < events.length; index++) {
    bytes += (events[index] as RoomEvent).size;
    if (bytes > maxBytes && index > from) return index - from;
  }
  return events.length - from;
}

/** How many of this node's clients in a room read each codec; a codec that nobody reads is not encoded. */
type Readers = Map<ServerCodec, number>;

/**
 * A room that someone on this node is in: its tail, and the furthest offset heard of.
 *
 * `deliver` appends what follows on the tail, passes over what is known, and on anything else notes a hole and reads the
 * log from the tail's end until the hole is closed. Whatever is appended is fanned out, in order, once: so events that
 * arrive while the room is being opened, a broker that loses some, a node that lags, a reconnect and the race of a
 * resume with live delivery are all one case. When the log cannot close a hole, everyone here is told `reset`.
 *
 * A room without history has no tail: what comes goes on, at most once.
 */
export class Room {
  /** Its name inside the server, see `names.ts`. */
  readonly name: string;
  /** What its clients know it as. */
  readonly shown: string;
  readonly rules: KindRules;
  readonly #broker: Broker;
  readonly #reads: LogReads;
  readonly #fanout: Fanout;
  readonly #occupied: Occupied | undefined;
  readonly #readers: Readers = new Map();
  #tail: Tail | undefined;
  /** The furthest offset that was heard of, in `#heardEpoch`. */
  #heard = 0;
  #heardEpoch = "";
  #repairing: Promise<void> | undefined;
  #findingLatest: Promise<void> | undefined;
  /** Set when the log must be read even though nothing was heard of that the tail does not have. */
  #suspect = false;
  #closed = false;
  #pending: RoomEvent[] = [];
  #pendingBytes = 0;
  #pendingPrevious = 0;
  #flushedAt = Number.NEGATIVE_INFINITY;
  #flushTimer: NodeJS.Timeout | undefined;
  /** How many events were handed to it since it was opened. */
  delivered = 0;
  /** Links here, and joins under way: what keeps the room open. */
  holds = 0;

  constructor(name: string, rules: KindRules, broker: Broker, reads: LogReads, fanout: Fanout, occupied?: Occupied) {
    this.name = name;
    this.shown = shownName(name);
    this.rules = rules;
    this.#broker = broker;
    this.#reads = reads;
    this.#fanout = fanout;
    this.#occupied = occupied;
  }

  get hasHistory(): boolean {
    return this.rules.history.size > 0;
  }

  /** How many of this node's clients are in. */
  get size(): number {
    let size = 0;
    for (const count of this.#readers.values()) size += count;
    return size;
  }

  /** Where the room is on this node; `undefined` in a room without history. */
  get position(): Position | undefined {
    return this.#tail && { epoch: this.#tail.epoch, offset: this.#tail.end };
  }

  /** Subscribes, and reads the log's latest events once, for all who come back at the same time. */
  async open(): Promise<void> {
    await this.#broker.subscribe(this.name, this.rules);
    if (!this.hasHistory) return;
    const warm = Math.min(this.rules.history.size, PAGE_EVENTS);
    this.#begin(await this.#reads.read(this.name, {}, warm, this.rules));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#dropPending();
    await this.#broker.unsubscribe(this.name);
  }

  #tailAt({ epoch, offset }: Position): Tail {
    return new Tail(epoch, offset, Math.min(this.rules.history.size, MAX_TAIL_EVENTS));
  }

  /** Starts the tail at the log's end, with what was read of its latest events. */
  #begin(read: History): void {
    const tail = this.#tailAt(read.position);
    const events = read.events ?? [];
    const first = events[0];
    // What stands before the first event read is not known, only that it is at least one less.
    if (first !== undefined) tail.warm(events, first.offset - 1);
    else tail.foundLatest(undefined);
    this.#tail = tail;
    if (this.#hasHole()) void this.#repair();
  }

  /** Takes what the broker hands on: see `Deliver`. */
  deliver(epoch: string, events: readonly RoomEvent[], previous: number): void {
    this.delivered += events.length;
    if (!this.hasHistory) {
      this.#enqueue(events, 0);
      return;
    }
    const tail = this.#tail;
    const last = events[events.length - 1];
    if (last === undefined) return;
    const isLate = tail !== undefined && previous < tail.last;
    if (tail?.epoch !== epoch || !this.#append(tail, events, previous)) {
      if (this.#heardEpoch !== epoch) this.#heard = 0;
      this.#heardEpoch = epoch;
      this.#heard = Math.max(this.#heard, last.offset);
      if (tail !== undefined) void this.#repair();
      return;
    }
    if (isLate) this.#lookForPassedOver(tail, events);
  }

  /**
   * Events came late: an engine that swaps two may also have said that there was nothing between them. If the log has what
   * the tail lacks, those who are here have been led past it, and are told.
   */
  #lookForPassedOver(tail: Tail, events: readonly RoomEvent[]): void {
    const before = tail.lacks(events);
    if (before === undefined) return;
    const since = { epoch: tail.epoch, offset: before };
    const look = (inLog: readonly RoomEvent[] | undefined): void => {
      if (this.#closed || this.#tail !== tail) return;
      // What the log does not know (any more) cannot be ruled out.
      const isThere = inLog?.some(({ offset }) => events.some((event) => event.offset === offset)) ?? true;
      if (!isThere || tail.lacks(events) === undefined) return;
      this.#reads.forget(this.name);
      this.#restart({ epoch: tail.epoch, offset: tail.end });
    };
    this.#reads.read(this.name, { since }, PAGE_EVENTS, this.rules).then(
      ({ events: inLog }) => look(inLog),
      () => look(undefined),
    );
  }

  /** Appends and fans out what of a run the tail does not have. False: the run does not follow on it. */
  #append(tail: Tail, events: readonly RoomEvent[], previous: number): boolean {
    const { last } = tail;
    const fresh = tail.fresh(events, previous);
    if (fresh === undefined) return false;
    if (fresh.length === 0) return true;
    tail.append(fresh);
    this.#enqueue(fresh, last);
    return true;
  }

  #hasHole(): boolean {
    const tail = this.#tail;
    if (tail === undefined) return false;
    if (this.#suspect) return true;
    return this.#heardEpoch !== "" && (this.#heardEpoch !== tail.epoch || this.#heard > tail.end);
  }

  /**
   * Reads the log from the tail's end whatever was heard, and resolves when the tail is as far as the log was. For a
   * broker that was away, for a look whether the last event before a silence was lost, and for a reader who is ahead.
   */
  refresh(): Promise<void> {
    this.#suspect = true;
    this.#reads.forget(this.name);
    return this.#tail === undefined ? Promise.resolve() : this.#repair();
  }

  /**
   * Compares the log's end with the tail's, which costs the engine little, and repairs where they differ. A log that
   * cannot be asked is left for the next look: an engine that was away says so itself when it is back.
   */
  async check(): Promise<void> {
    const tail = this.#tail;
    if (tail === undefined || this.#closed || this.#repairing !== undefined) return;
    const since = { epoch: tail.epoch, offset: tail.end };
    let read: History;
    try {
      read = await this.#broker.history(this.name, { since }, 0, this.rules);
    } catch {
      return;
    }
    // What there is more of may have come meanwhile.
    const isWhole = read.events !== undefined && (!read.more || read.position.offset <= tail.end);
    if (!isWhole && this.#tail === tail) await this.refresh();
  }

  /** Never rejects: a read that fails is tried again until the room is closed. */
  #repair(): Promise<void> {
    if (this.#closed || !this.#hasHole()) return Promise.resolve();
    this.#repairing ??= this.#closeHole();
    return this.#repairing;
  }

  async #closeHole(): Promise<void> {
    let retryMs: number = RETRY_MS[0];
    while (!this.#closed && this.#hasHole()) {
      const tail = this.#tail as Tail;
      this.#suspect = false;
      try {
        const since = { epoch: tail.epoch, offset: tail.end };
        const heard = this.#heard;
        const heardEpoch = this.#heardEpoch;
        const read = await this.#reads.read(this.name, { since }, PAGE_EVENTS, this.rules);
        this.#apply(since, read);
        // The log is the truth: what was heard of before this read and is not in it is not there to wait for (an
        // event of an epoch that has passed, say). What was heard of during the read may well be.
        if (read.more) this.#suspect = true;
        else if (heard === this.#heard && heardEpoch === this.#heardEpoch) this.#heardEpoch = "";
        retryMs = RETRY_MS[0];
      } catch {
        this.#suspect = true;
        await new Promise((resolve) => setTimeout(resolve, retryMs * (0.5 + Math.random())).unref());
        retryMs = Math.min(retryMs * 2, RETRY_MS[1]);
      }
    }
    // In the turn of the last look: a hole that shows a moment later finds nobody at it, and begins anew.
    this.#repairing = undefined;
  }

  /** Takes what the log has after `since`, read while deliveries may have gone on. */
  #apply(since: Position, read: History): void {
    if (this.#closed) return;
    const tail = this.#tail as Tail;
    if (read.events === undefined) {
      // What came meanwhile moved the tail: it may be that the log can be read on from there.
      if (tail.end === since.offset) this.#restart(read.position);
      else this.#suspect = true;
    } else if (!this.#append(tail, read.events, since.offset)) {
      // The log has lost what came meanwhile.
      this.#suspect = true;
    } else if (!read.more && read.position.epoch === tail.epoch) {
      tail.advance(read.position.offset);
    }
  }

  /** Continuity is lost: goes on from the log's end, and tells everyone here. */
  #restart(position: Position): void {
    this.flush();
    this.#tail = this.#tailAt(position);
    for (const codec of this.#readers.keys()) {
      const frame = codec.encode({ type: "reset", room: this.shown, position, reason: "history_lost" });
      this.#fanout.publish(this.name, codec, frame);
    }
  }

  /** See `Tail.after`; `undefined` too where `since` is of another epoch. */
  after(since: Position): readonly RoomEvent[] | undefined {
    return this.#tail?.epoch === since.epoch ? this.#tail.after(since.offset) : undefined;
  }

  /** Whether who resumes nothing is given the latest event. */
  get givesLatest(): boolean {
    return this.rules.lastValue && this.hasHistory;
  }

  /** Whether it is known which event is the latest; `findLatest` finds out. */
  get knowsLatest(): boolean {
    return this.#tail?.knowsLatest === true;
  }

  /** The latest event up to `position`, as long as the log would keep it; `undefined` where there is none. */
  get latest(): RoomEvent | undefined {
    const latest = this.#tail?.latest;
    return latest !== undefined && Date.now() - latest.at < this.rules.history.ageMs ? latest : undefined;
  }

  /** Asks the log for its latest event, once for all who wait for it. Rejects with what the engine says. */
  findLatest(): Promise<void> {
    this.#findingLatest ??= this.#findLatest().finally(() => {
      this.#findingLatest = undefined;
    });
    return this.#findingLatest;
  }

  async #findLatest(): Promise<void> {
    const tail = this.#tail;
    const { position, events = [] } = await this.#reads.read(this.name, {}, 1, this.rules);
    if (tail === undefined || this.#tail !== tail || tail.knowsLatest) return;
    const latest = events[events.length - 1];
    const isKnown = latest === undefined || latest.offset <= tail.end;
    if (position.epoch === tail.epoch && isKnown) tail.foundLatest(latest);
    // The log is ahead: what comes next, or a new start, is what is asked for.
    else await this.refresh();
  }

  /** What the log has next after `since`, in one read for all who ask at about the same time. See `LogReads.after`. */
  read(since: Position): Promise<readonly RoomEvent[] | undefined> {
    return this.#reads.after(this.name, since, this.rules);
  }

  /** Counts a reader in. The caller has just flushed, and puts the reader's link into the room in the same turn. */
  enter(codec: ServerCodec): void {
    const isFirst = this.#readers.size === 0;
    this.#readers.set(codec, (this.#readers.get(codec) ?? 0) + 1);
    if (isFirst) this.#occupied?.(this.name, true);
  }

  /** Counts a reader out. */
  exit(codec: ServerCodec): void {
    const left = (this.#readers.get(codec) ?? 1) - 1;
    if (left > 0) this.#readers.set(codec, left);
    else if (this.#readers.delete(codec) && this.#readers.size === 0) this.#occupied?.(this.name, false);
  }

  /** At once when the room was quiet, else together with what else comes within `batchMs` of the last frame. */
  #enqueue(events: readonly RoomEvent[], previous: number): void {
    if (this.#readers.size === 0) return;
    if (this.#pending.length === 0) this.#pendingPrevious = previous;
    for (const event of events) {
      this.#pending.push(event);
      this.#pendingBytes += event.size;
    }
    if (this.#pendingBytes >= PAGE_BYTES) {
      this.flush();
    } else if (this.#flushTimer === undefined) {
      const waitMs = this.#flushedAt + this.rules.batchMs - performance.now();
      if (waitMs <= 0) this.flush();
      else this.#flushTimer = setTimeout(() => this.flush(), waitMs);
    }
  }

  #dropPending(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  /** Sends what waits to everyone here. Before any join's cut, so that the newcomer gets none of it twice. */
  flush(): void {
    const events = this.#pending;
    if (events.length === 0) return;
    let previous = this.#pendingPrevious;
    this.#dropPending();
    this.#flushedAt = performance.now();
    for (let from = 0; from < events.length; ) {
      const count = pageLength(events, from);
      const page = from === 0 && count === events.length ? events : events.slice(from, from + count);
      const head: EventsHead = this.hasHistory
        ? { type: "events", room: this.shown, previous, epoch: this.#tail?.epoch }
        : { type: "events", room: this.shown };
      for (const codec of this.#readers.keys()) {
        this.#fanout.publish(this.name, codec, codec.encodeEvents(head, page));
      }
      previous = (page[page.length - 1] as RoomEvent).offset;
      from += count;
    }
  }
}
