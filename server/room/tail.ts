import type { RoomEvent } from "../../protocol/event.js";

/** How much a tail keeps at the most, in bytes (by `RoomEvent.size`), whatever its count allows. */
const MAX_BYTES = 1 << 20;

/**
 * A room's last events as this node saw them, without a hole: every event of the log after `start` and up to `end`.
 * Offsets rise, but need not be consecutive: an event follows another because the log said so.
 */
export class Tail {
  readonly epoch: string;
  readonly #maxEvents: number;
  /** The events, oldest first, from `#first` on; what is before it was dropped and waits to be cut off. */
  #events: RoomEvent[] = [];
  #first = 0;
  #bytes = 0;
  #start: number;
  #end: number;
  /** The last event's offset; where there has been none, where the tail began. */
  #last: number;
  #latest: RoomEvent | undefined;
  #knowsLatest = false;

  /** An empty tail at the log's position `end`. */
  constructor(epoch: string, end: number, maxEvents: number) {
    this.epoch = epoch;
    this.#maxEvents = maxEvents;
    this.#start = end;
    this.#end = end;
    this.#last = end;
  }

  /** The offset before the oldest event: what a reader there has not seen is all here. */
  get start(): number {
    return this.#start;
  }

  /** How far the log is known: the last event's offset, or above it. */
  get end(): number {
    return this.#end;
  }

  /** Where every reader of this tail is, or above it: what an event that comes next follows on. */
  get last(): number {
    return this.#last;
  }

  /** The last event of the log up to `end`, also where the tail does not hold it; `undefined` where there is none. */
  get latest(): RoomEvent | undefined {
    return this.#latest;
  }

  /** Whether `latest` is known: a tail that began at the log's end does not know what is before it. */
  get knowsLatest(): boolean {
    return this.#knowsLatest;
  }

  /** The log was asked for its last event, while the tail was where it is. */
  foundLatest(event: RoomEvent | undefined): void {
    this.#latest = event;
    this.#knowsLatest = true;
  }

  /** The log was read up to `end`, and has nothing more. */
  advance(end: number): void {
    this.#end = Math.max(this.#end, end);
  }

  /** Puts events in front that are known to stand right before the tail's end, when it is still empty. */
  warm(events: readonly RoomEvent[], start: number): void {
    const end = this.#end;
    this.#start = start;
    this.append(events);
    this.#end = end;
    this.#last = end;
  }

  /**
   * What the tail does not have of a run of the log that begins after `previous`; `undefined` where the run does not
   * follow on the tail: events are missing between them, or the log has lost the tail's last one since.
   */
  fresh(events: readonly RoomEvent[], previous: number): readonly RoomEvent[] | undefined {
    if (previous > this.#end) return undefined;
    if (previous >= this.#last) return events;
    const known = events.findLastIndex((event) => event.offset <= this.#last);
    if (known === events.length - 1) return [];
    return events[known]?.offset === this.#last ? events.slice(known + 1) : undefined;
  }

  /**
   * The offset before an event that should be in the tail and is not: it came after its successors, which said that
   * nothing was between them. `undefined` where all are known, or older than the tail.
   */
  lacks(events: readonly RoomEvent[]): number | undefined {
    for (const { offset } of events) {
      if (offset <= this.#start || offset > this.#last) continue;
      const at = this.#after(offset);
      const before = this.#events[at - 1];
      if (at === this.#first) return this.#start;
      if (before !== undefined && before.offset !== offset) return before.offset;
    }
    return undefined;
  }

  /** Appends a run that follows on it. */
  append(events: readonly RoomEvent[]): void {
    for (const event of events) {
      this.#events.push(event);
      this.#bytes += event.size;
      this.#end = event.offset;
      this.#last = event.offset;
      this.foundLatest(event);
    }
    while (this.#events.length - this.#first > this.#maxEvents || this.#bytes > MAX_BYTES) {
      const dropped = this.#events[this.#first++] as RoomEvent;
      this.#bytes -= dropped.size;
      this.#start = dropped.offset;
    }
    // Cut off once as much is dropped as is kept: each event is moved about once in its life.
    if (this.#first > 64 && this.#first * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#first);
      this.#first = 0;
    }
  }

  /**
   * What a reader at `offset` has not seen. `undefined` where the tail does not reach back that far, or not on; and where
   * it knows of no event at `offset`: a reader may be there who has seen one that the log has lost since. The log knows.
   */
  after(offset: number): readonly RoomEvent[] | undefined {
    if (offset < this.#start || offset > this.#end) return undefined;
    if (offset >= this.#last) return [];
    const at = this.#after(offset);
    const known = offset === this.#start || this.#events[at - 1]?.offset === offset;
    return known ? this.#events.slice(at) : undefined;
  }

  /** Where the first event after `offset` is kept. */
  #after(offset: number): number {
    let low = this.#first;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle] as RoomEvent).offset <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
