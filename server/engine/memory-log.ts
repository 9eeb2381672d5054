import { randomBytes } from "node:crypto";
import { type NewEvent, RoomEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import { type History, type LogRules, noHistory, type Range } from "./engine.js";
import { MAX_KEYS, MemoryKeys } from "./memory-keys.js";
import { MemoryRoom, type Node } from "./memory-room.js";

/** The most rooms without events whose end is remembered. One takes some 100 bytes. */
export const MAX_IDLE_ROOMS = 100_000;

/** How often the log forgets what is past its age, in milliseconds, and how many rooms it looks at each time. */
const SWEEP_MS = 1000;
const SWEEP_ROOMS = 10_000;

export type MemoryLogOptions = {
  /**
   * The most that the events of all rooms may weigh, in bytes: what `RoomEvent.size` says as they come in. An event that
   * is then sent in other codecs takes about as much again for each.
   */
  readonly maxBytes: number;
  /** The clock, in milliseconds. */
  readonly now?: () => number;
  /** The most keys remembered; `MAX_KEYS` by default. */
  readonly maxKeys?: number;
  /** The most rooms without events whose end is remembered; `MAX_IDLE_ROOMS` by default. */
  readonly maxIdleRooms?: number;
};

const newEpoch = (): string => randomBytes(6).toString("base64url");

/**
 * The log of every room, in this process's memory. Its epoch is as old as the object.
 *
 * Memory is bounded. Events: when all of them weigh more than `maxBytes`, the room whose last publish is longest ago
 * loses all of its events. Readers behind it are told that the log does not reach back; none gets a part. Keys: see
 * `MemoryKeys`. Rooms: one without events and subscribers is a name and a number, and of those the oldest are
 * forgotten. What is forgotten may come back, so every room begins above the highest offset ever forgotten: within an
 * epoch no offset of a room is given twice.
 */
export class MemoryLog {
  readonly #maxBytes: number;
  readonly #maxIdleRooms: number;
  readonly #now: () => number;
  readonly #keys: MemoryKeys;
  #epoch = newEpoch();
  /** The rooms with events or subscribers. */
  readonly #rooms = new Map<string, MemoryRoom>();
  /** The ends of other rooms, the longest idle first. */
  readonly #idle = new Map<string, number>();
  /** The highest offset of any room forgotten: where a room that is not known begins. */
  #floor = 0;
  #bytes = 0;
  /** The ends of the list of rooms with events, in the order of their last publish. */
  #oldest: MemoryRoom | undefined;
  #newest: MemoryRoom | undefined;
  /** What waits while something is handed on: set while `deliver` of some node runs. */
  #waiting: (() => void)[] | undefined;
  #nodes = 0;
  #timer: NodeJS.Timeout | undefined;
  #swept: IterableIterator<MemoryRoom> | undefined;

  constructor(options: MemoryLogOptions) {
    this.#maxBytes = options.maxBytes;
    this.#maxIdleRooms = options.maxIdleRooms ?? MAX_IDLE_ROOMS;
    this.#now = options.now ?? Date.now;
    this.#keys = new MemoryKeys(options.maxKeys ?? MAX_KEYS);
  }

  get epoch(): string {
    return this.#epoch;
  }

  /** What the events of all rooms weigh, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How much else is kept: rooms with events or subscribers, ends of idle rooms, keys. */
  get counts(): { readonly rooms: number; readonly idleRooms: number; readonly keys: number } {
    return { rooms: this.#rooms.size, idleRooms: this.#idle.size, keys: this.#keys.size };
  }

  /** Forgets every event and begins a new epoch. Subscriptions stay. Nobody is told: readers find out. */
  reset(): void {
    this.#epoch = newEpoch();
    this.#keys.clear();
    this.#idle.clear();
    this.#floor = 0;
    for (const room of this.#rooms.values()) {
      this.#forgetEvents(room);
      room.last = 0;
      if (room.nodes.size === 0) this.#rooms.delete(room.name);
    }
  }

  /** Forgets what is past its age; called by the log's own timer. It looks at a part of the rooms, then at the next. */
  sweep(): void {
    const now = this.#now();
    this.#keys.expire(now);
    this.#swept ??= this.#rooms.values();
    for (let seen = 0; seen < SWEEP_ROOMS; seen++) {
      const { value: room, done } = this.#swept.next();
      if (done) {
        this.#swept = undefined;
        return;
      }
      this.#expire(room, now, room.ageMs);
    }
  }

  /** Counts a node in. The timer runs while there is one, and does not keep the process alive. */
  attach(): void {
    if (this.#nodes++ > 0) return;
    this.#timer = setInterval(() => this.sweep(), SWEEP_MS);
    this.#timer.unref();
  }

  detach(): void {
    if (--this.#nodes === 0) clearInterval(this.#timer);
  }

  /** Appends and hands on, all of it before it returns; within a `deliver`, right after that one. */
  publish(name: string, event: NewEvent, rules: LogRules): Position | undefined {
    const now = this.#now();
    const kept = rules.history.size > 0;
    const id = event.key === undefined ? undefined : MemoryKeys.id(name, event.from, event.key);
    const known = id === undefined ? undefined : this.#keys.find(id, now);
    if (known !== undefined) return known > 0 ? { epoch: this.#epoch, offset: known } : undefined;
    const room = kept ? this.#open(name) : this.#rooms.get(name);
    const appended = new RoomEvent(kept && room !== undefined ? room.last + 1 : 0, event);
    if (kept && room !== undefined) this.#append(room, appended, now, rules);
    if (id !== undefined) this.#keys.remember(id, appended.offset, now + rules.keyWindowMs);
    if (room !== undefined && room.nodes.size > 0) this.#handOn(room, kept ? this.#epoch : "", appended);
    return kept ? { epoch: this.#epoch, offset: appended.offset } : undefined;
  }

  subscribe(name: string, node: Node): void {
    this.#open(name).nodes.add(node);
  }

  unsubscribe(name: string, node: Node): void {
    const room = this.#rooms.get(name);
    if (room?.nodes.delete(node)) this.#rest(room);
  }

  history(name: string, range: Range, limit: number, rules: LogRules): History {
    if (rules.history.size === 0) return noHistory(range);
    const room = this.#rooms.get(name);
    if (room !== undefined) this.#expire(room, this.#now(), rules.history.ageMs);
    const last = room?.last ?? this.#end(name);
    const start = room?.start ?? last;
    const position = { epoch: this.#epoch, offset: last };
    const { since, before } = range;
    const unreadable = { position, events: undefined, more: false };
    if ((since ?? before) !== undefined && (since ?? before)?.epoch !== this.#epoch) return unreadable;
    if (since !== undefined && (since.offset < start || since.offset > last)) return unreadable;
    let from = since?.offset ?? start;
    let until = since === undefined && before !== undefined ? Math.min(last, before.offset - 1) : last;
    const more = until - from > limit;
    if (more && since !== undefined) until = from + limit;
    else if (more) from = until - limit;
    return { position, events: room === undefined || until <= from ? [] : room.between(from, until), more };
  }

  #end(name: string): number {
    return this.#idle.get(name) ?? this.#floor;
  }

  #open(name: string): MemoryRoom {
    let room = this.#rooms.get(name);
    if (room === undefined) {
      room = new MemoryRoom(name, this.#end(name));
      this.#idle.delete(name);
      this.#rooms.set(name, room);
    }
    return room;
  }

  #append(room: MemoryRoom, event: RoomEvent, now: number, rules: LogRules): void {
    const before = room.bytes;
    room.expire(now, rules.history.ageMs);
    room.append(event, now, rules);
    this.#bytes += room.bytes - before;
    this.#touch(room);
    while (this.#bytes > this.#maxBytes && this.#oldest !== undefined && this.#oldest !== room) {
      const evicted = this.#oldest;
      this.#forgetEvents(evicted);
      this.#rest(evicted);
    }
    // Alone it is still too heavy.
    while (this.#bytes > this.#maxBytes && room.count > 0) {
      const heavy = room.bytes;
      room.shift();
      this.#bytes += room.bytes - heavy;
    }
    // The room stays open even without events: it is about to hand this one on.
  }

  #expire(room: MemoryRoom, now: number, ageMs: number): void {
    const before = room.bytes;
    room.expire(now, ageMs);
    this.#bytes += room.bytes - before;
    if (room.count > 0) return;
    if (before > 0) this.#forgetEvents(room);
    this.#rest(room);
  }

  #forgetEvents(room: MemoryRoom): void {
    this.#bytes -= room.bytes;
    room.clear();
    this.#unlink(room);
  }

  /** Where a room has neither events nor subscribers, keeps nothing of it but its end. */
  #rest(room: MemoryRoom): void {
    if (room.count > 0 || room.nodes.size > 0) return;
    this.#unlink(room);
    this.#rooms.delete(room.name);
    if (room.last === this.#floor) return;
    this.#idle.set(room.name, room.last);
    if (this.#idle.size <= this.#maxIdleRooms) return;
    // In batches, for the reason given in `MemoryKeys`.
    let left = 1 + (this.#maxIdleRooms >> 4);
    for (const [name, last] of this.#idle) {
      if (left-- === 0) return;
      this.#idle.delete(name);
      this.#floor = Math.max(this.#floor, last);
    }
  }

  #touch(room: MemoryRoom): void {
    if (this.#newest === room) return;
    this.#unlink(room);
    room.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = room;
    this.#newest = room;
    this.#oldest ??= room;
  }

  #unlink(room: MemoryRoom): void {
    if (this.#oldest === room) this.#oldest = room.newer;
    if (this.#newest === room) this.#newest = room.older;
    if (room.older !== undefined) room.older.newer = room.newer;
    if (room.newer !== undefined) room.newer.older = room.older;
    room.older = undefined;
    room.newer = undefined;
  }

  /** Calls every node. An event that one of them publishes meanwhile waits, so that all see the order of the log. */
  #handOn(room: MemoryRoom, epoch: string, event: RoomEvent): void {
    if (this.#waiting !== undefined) {
      this.#waiting.push(() => this.#callNodes(room, epoch, event));
      return;
    }
    this.#waiting = [];
    try {
      this.#callNodes(room, epoch, event);
      for (const call of this.#waiting) call();
    } finally {
      this.#waiting = undefined;
    }
  }

  #callNodes(room: MemoryRoom, epoch: string, event: RoomEvent): void {
    const events = [event];
    const previous = epoch === "" ? 0 : event.offset - 1;
    for (const node of room.nodes) node.deliver(room.name, epoch, events, previous);
  }
}
