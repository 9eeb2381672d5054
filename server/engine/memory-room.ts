import type { RoomEvent } from "../../protocol/event.js";
import type { Deliver, LogRules } from "./engine.js";

/** A node of the log, as a room sees it. */
export type Node = { readonly deliver: Deliver };

/**
 * One room of a `MemoryLog`: its last events, in a ring, and the nodes that have it subscribed.
 *
 * Offsets are consecutive, so that an event's place in the ring follows from its offset. When it came is kept beside it:
 * its `at` is the publisher's.
 */
export class MemoryRoom {
  readonly name: string;
  /** The nodes that are told of its events. */
  readonly nodes = new Set<Node>();
  /** The log's end: the offset of the last event. */
  last: number;
  /** What the kept events weigh, in bytes. */
  bytes = 0;
  /** How long an event is kept, in milliseconds, by the rules of the last publish. */
  ageMs = 0;
  /** Its neighbours among the rooms with events, in the order of their last publish. Set by `MemoryLog` alone. */
  older: MemoryRoom | undefined = undefined;
  newer: MemoryRoom | undefined = undefined;

  /** How many events are kept. */
  count = 0;
  #head = 0;
  // Both of one length, a power of two: the event at `(#head + n) & (length - 1)` is the n-th one kept.
  #events: (RoomEvent | undefined)[] = [];
  #times: number[] = [];

  constructor(name: string, last: number) {
    this.name = name;
    this.last = last;
  }

  /** The offset before the first event kept: no position before it can be read on from. */
  get start(): number {
    return this.last - this.count;
  }

  /** Appends, and trims to the rules' number of events. */
  append(event: RoomEvent, now: number, rules: LogRules): void {
    if (this.count === this.#events.length) this.#grow();
    const slot = (this.#head + this.count) & (this.#events.length - 1);
    this.#events[slot] = event;
    this.#times[slot] = now;
    this.count++;
    this.bytes += event.size;
    this.last = event.offset;
    this.ageMs = rules.history.ageMs;
    while (this.count > rules.history.size) this.shift();
  }

  /** Forgets the oldest event. */
  shift(): void {
    this.bytes -= (this.#events[this.#head] as RoomEvent).size;
    this.#events[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#events.length - 1);
    this.count--;
  }

  /** Forgets what has been kept for `ageMs`. */
  expire(now: number, ageMs: number): void {
    while (this.count > 0 && (this.#times[this.#head] as number) + ageMs <= now) this.shift();
  }

  /** Forgets all events, and gives back the ring's memory. Offsets go on. */
  clear(): void {
    this.count = 0;
    this.bytes = 0;
    this.#head = 0;
    this.#events = [];
    this.#times = [];
  }

  /** The events with offsets above `after` and up to `until`, which lie within what is kept. */
  between(after: number, until: number): RoomEvent[] {
    const events = new Array<RoomEvent>(until - after);
    const first = this.#head + after - this.start;
    for (let index = 0; index < events.length; index++) {
      events[index] = this.#events[(first + index) & (this.#events.length - 1)] as RoomEvent;
    }
    return events;
  }

  #grow(): void {
    const length = Math.max(4, this.#events.length * 2);
    const turned = <T>(ring: T[]): T[] => [...ring.slice(this.#head), ...ring.slice(0, this.#head)];
    this.#events = turned(this.#events);
    this.#times = turned(this.#times);
    this.#head = 0;
    for (let slot = this.#events.length; slot < length; slot++) {
      this.#events.push(undefined);
      this.#times.push(0);
    }
  }
}
