import type { RoomEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import type { Broker, History, LogRules, Range } from "../engine/engine.js";

/** How many events are read from the log at once. */
export const PAGE_EVENTS = 500;
/** How long what was read is kept for others who come back at the same time, in milliseconds. */
const KEEP_MS = 1000;
/** The most that is kept of all rooms, in bytes (by `RoomEvent.size`, and something for each read). */
const KEEP_BYTES = 16 << 20;
const READ_BYTES = 200;
/** The most reads that are kept of one room: what is looked through for every joiner. */
const KEEP_READS = 8;

/** What the log had after `since`; `undefined`: it does not reach back to there. */
type Read = {
  readonly room: string;
  readonly since: Position;
  readonly events: readonly RoomEvent[] | undefined;
  readonly bytes: number;
  readonly until: number;
};
type UnderWay = { readonly since: Position; readonly reading: Promise<readonly RoomEvent[] | undefined> };

/**
 * A node's reads of its rooms' logs. In a storm many joiners ask for the same stretch of a log: they share one read, also
 * those who come a moment after it. What was in a log at an offset stays true of that offset, so a page that is a
 * moment old is only shorter than a new one, and who gets it reads on from its end.
 */
export class LogReads {
  readonly #broker: Broker;
  readonly #underWay = new Map<string, UnderWay[]>();
  readonly #byRoom = new Map<string, Read[]>();
  /** All that is kept, oldest first. */
  readonly #kept = new Set<Read>();
  /** What is kept now, in bytes. */
  bytes = 0;
  /** How many times events were asked of the engine. */
  count = 0;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** Asks the engine, for the caller alone. */
  read(room: string, range: Range, limit: number, rules: LogRules): Promise<History> {
    this.count++;
    return this.#broker.history(room, range, limit, rules);
  }

  /**
   * The first events after `since`, not necessarily as many as there are; `undefined` or none where the log cannot be
   * read on from there.
   */
  async after(room: string, since: Position, rules: LogRules): Promise<readonly RoomEvent[] | undefined> {
    // It may well bring what is asked for. It is waited for once: others may begin ever new ones.
    const earlier = this.#underWay.get(room)?.find((read) => isAtOrBefore(read.since, since));
    if (earlier !== undefined) {
      const sharing = isAt(earlier.since, since);
      if (sharing) return earlier.reading;
      await earlier.reading.catch(() => undefined);
    }
    const kept = this.#find(room, since);
    if (kept !== undefined) return kept.events;
    const same = this.#underWay.get(room)?.find((read) => isAt(read.since, since));
    return (same ?? this.#start(room, since, rules)).reading;
  }

  #start(room: string, since: Position, rules: LogRules): UnderWay {
    const underWay = { since, reading: this.#readAfter(room, since, rules) };
    const list = this.#underWay.get(room);
    if (list === undefined) this.#underWay.set(room, [underWay]);
    else list.push(underWay);
    const ended = (): void => {
      const left = this.#underWay.get(room)?.filter((read) => read !== underWay) ?? [];
      if (left.length > 0) this.#underWay.set(room, left);
      else this.#underWay.delete(room);
    };
    underWay.reading.then(ended, ended);
    return underWay;
  }

  async #readAfter(room: string, since: Position, rules: LogRules): Promise<readonly RoomEvent[] | undefined> {
    const { events } = await this.read(room, { since }, PAGE_EVENTS, rules);
    // That there is nothing yet does not stay true.
    if (events?.length !== 0) this.#keep(room, since, events);
    return events;
  }

  #keep(room: string, since: Position, events: readonly RoomEvent[] | undefined): void {
    let bytes = READ_BYTES;
    for (const event of events ?? []) bytes += event.size;
    const read = { room, since, events, bytes, until: performance.now() + KEEP_MS };
    this.#kept.add(read);
    this.bytes += bytes;
    const list = this.#byRoom.get(room);
    if (list === undefined) this.#byRoom.set(room, [read]);
    else if (list.push(read) > KEEP_READS) this.#drop(list[0] as Read);
    while (this.bytes > KEEP_BYTES) {
      const [oldest] = this.#kept;
      this.#drop(oldest as Read);
    }
  }

  #drop(read: Read): void {
    this.#kept.delete(read);
    this.bytes -= read.bytes;
    const left = this.#byRoom.get(read.room)?.filter((other) => other !== read) ?? [];
    if (left.length > 0) this.#byRoom.set(read.room, left);
    else this.#byRoom.delete(read.room);
  }

  /** What is kept and tells what comes after `since`: a read from there, or one that has an event there and goes on. */
  #find(room: string, since: Position): Pick<Read, "events"> | undefined {
    const now = performance.now();
    for (const read of this.#byRoom.get(room) ?? []) {
      if (read.until <= now || !isAtOrBefore(read.since, since)) continue;
      if (isAt(read.since, since)) return read;
      const at = read.events?.findIndex((event) => event.offset >= since.offset) ?? -1;
      if (read.events?.[at]?.offset !== since.offset || at === read.events.length - 1) continue;
      return { events: read.events.slice(at + 1) };
    }
    return undefined;
  }

  /** Keeps nothing of the room any longer: its log may have lost events. */
  forget(room: string): void {
    for (const read of this.#byRoom.get(room) ?? []) this.#drop(read);
  }

  /** Lets go of what is too old; called now and then. */
  sweep(now: number): void {
    for (const read of this.#kept) {
      if (read.until > now) return;
      this.#drop(read);
    }
  }
}

const isAt = (one: Position, other: Position): boolean => one.offset === other.offset && one.epoch === other.epoch;
const isAtOrBefore = (one: Position, other: Position): boolean =>
  one.offset <= other.offset && one.epoch === other.epoch;
