/** A log as Redis and NATS keep it: offsets with gaps between them, an end beyond the last event, a tail that gets lost. */
import assert from "node:assert/strict";
import { type NewEvent, RoomEvent } from "../../protocol/event.js";
import type { WireEvent } from "../../protocol/frames.js";
import type { Position } from "../../protocol/positions.js";
import type { Broker, Deliver, History, Range } from "../../server/engine/engine.js";
import type { KindRules } from "../../server/room/rules.js";
import type { Random } from "./random.js";
import { Truth } from "./simulated-cluster.js";

const EPOCH = "e";
/** How far offsets jump where a tail was lost: further than any lost event can be. */
const JUMP = 1000;

type Gap = { readonly survived: number; readonly base: number };

/** One room's log; the nodes on it are told of every event. */
export class SparseLog {
  readonly #random: Random;
  readonly #nodes = new Set<Deliver>();
  /** Whether other rooms use the same offsets: NATS, where Redis counts each room by itself. */
  readonly #isShared: boolean;
  readonly #events: { readonly event: RoomEvent; readonly previous: number }[] = [];
  /** The offset before the first event that is kept. */
  #start = 0;
  #last = 0;
  /** How far the offsets are: beyond the last event where other rooms use them too. */
  #end = 0;
  #jumpTo: number | undefined;
  readonly gaps: Gap[] = [];

  constructor(random: Random, isShared: boolean) {
    this.#random = random;
    this.#isShared = isShared;
  }

  broker(deliver: Deliver): Broker {
    return {
      publish: async (room, event, rules) => this.#publish(room, event, (rules as KindRules).history.size),
      subscribe: async () => void this.#nodes.add(deliver),
      unsubscribe: async () => void this.#nodes.delete(deliver),
      history: async (_room, range, limit) => this.#history(range, limit),
      problems: () => [],
      close: async () => void this.#nodes.delete(deliver),
    };
  }

  #publish(room: string, given: NewEvent, size: number): Position {
    const previous = this.#jumpTo ?? this.#last;
    const from = this.#jumpTo ?? this.#end;
    this.#jumpTo = undefined;
    const offset = from + 1 + (this.#isShared ? this.#random.below(3) : 0);
    const event = new RoomEvent(offset, given);
    this.#events.push({ event, previous });
    this.#last = offset;
    this.#end = offset;
    while (this.#events.length > size) this.#start = this.#events.shift()?.event.offset ?? 0;
    for (const deliver of this.#nodes) deliver(room, EPOCH, [event], previous);
    return { epoch: EPOCH, offset };
  }

  /** Other rooms are published in. */
  pass(): void {
    if (this.#isShared) this.#end += 1 + this.#random.below(3);
  }

  /** Loses the last events, as a failover to a replica does that was behind. */
  lose(count: number): void {
    if (this.#isShared) return;
    this.#events.splice(Math.max(0, this.#events.length - count));
    const survived = this.#events.at(-1)?.event.offset ?? this.#start;
    const base = Math.max(this.#jumpTo ?? 0, (Math.floor(this.#end / JUMP) + 1) * JUMP);
    if (this.#jumpTo !== undefined) this.gaps.pop();
    this.gaps.push({ survived, base });
    this.#jumpTo = base;
    this.#last = survived;
    this.#end = survived;
  }

  #history({ since }: Range, limit: number): History {
    const position = { epoch: EPOCH, offset: this.#isShared ? this.#end : this.#last };
    if (since === undefined) {
      const events = limit === 0 ? [] : this.#events.slice(-limit).map(({ event }) => event);
      return { position, events, more: this.#events.length > limit };
    }
    const unreadable = { position, events: undefined, more: false };
    const gap = this.gaps.find(({ survived, base }) => since.offset > survived && since.offset < base);
    if (gap !== undefined && gap.survived >= this.#start) {
      return { position: { epoch: EPOCH, offset: gap.survived }, events: undefined, more: true };
    }
    if (gap !== undefined || since.offset > position.offset || since.offset < this.#start) return unreadable;
    const after = this.#events.filter(({ event }) => event.offset > since.offset).map(({ event }) => event);
    return { position, events: after.slice(0, limit), more: after.length > limit };
  }
}

/** What a reader of such a log may see: every event that is there, and none as if nothing had been lost that was seen. */
export class SparseTruth extends Truth {
  readonly #log: SparseLog;
  /** Every offset that was ever given. */
  readonly #offsets: number[] = [];

  constructor(log: SparseLog) {
    super();
    this.#log = log;
  }

  protected override placed({ offset }: Position): void {
    this.#offsets.push(offset);
  }

  override follows(end: number, { offset = 0 }: WireEvent): void {
    assert.ok(offset > end, "no repeat, and the order of the log");
    const isLost = (at: number) => this.#log.gaps.some(({ survived, base }) => at > survived && at < base);
    const between = this.#offsets.filter((at) => at > end && at < offset && !isLost(at));
    assert.deepEqual(between, [], "no hole");
    // Who has seen what was lost since is told so before anything of the time after it.
    const gap = this.#log.gaps.find(({ survived, base }) => end > survived && end < base && offset > base);
    assert.equal(gap, undefined, "a loss is told");
  }

  override goesOn(previous: number | undefined, end: number): void {
    assert.ok(previous !== undefined && previous <= end, "the run follows on what was seen");
  }

  override isAt(position: Position | undefined, end: number): void {
    assert.ok(position !== undefined && position.offset >= end, "the answer's position is not before its last event");
  }
}
