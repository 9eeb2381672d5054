import type { RoomEvent } from "../../protocol/event.js";
import { kindOf } from "../../protocol/names.js";
import { type Broker, type Deliver, type OpenBroker, RESERVED } from "../engine/engine.js";
import { FirstNames, type FirstPage } from "./first-names.js";
import { LogReads } from "./log-reads.js";
import { OWN, roomOf, shownName } from "./names.js";
import { type Fanout, type Occupied, Room } from "./room.js";
import type { KindRules } from "./rules.js";
import { walk } from "./walk.js";

/** Whoever listens in the server's own rooms. */
export interface Reserved {
  deliver(room: string, events: readonly RoomEvent[]): void;
  suspect(room: string): void;
}

export type RoomsOptions = {
  readonly openBroker: OpenBroker;
  readonly fanout: Fanout;
  readonly rulesFor: (kind: string) => KindRules;
  /** How long a room stays open after its last member left, in milliseconds: those who come back find it warm. */
  readonly lingerMs: number;
  /** How often each tail is compared with its log's end, in milliseconds; 0: never, where nothing can be lost. */
  readonly checkMs: number;
  readonly occupied?: Occupied | undefined;
  /** Where events of the server's own rooms go, and that some may not have come. */
  readonly reserved?: Reserved;
};

type Wanted = {
  readonly tenant: string;
  readonly prefix: string;
  readonly after?: string | undefined;
  readonly limit: number;
};

/** The most rooms that linger at once; beyond it the one that has lingered longest is closed. */
const MAX_LINGERING = 10_000;
/** How many rooms are compared with their logs at the same time. */
const LOOKS_AT_ONCE = 64;
/** The most rooms compared in a second: with very many open a round takes longer than `checkMs`. */
const MOST_CHECKS = 4000;
/** In how many parts a round of checks is cut, so that the reads are spread over it. */
const CHECK_SLICES = 20;

const isOwn = (name: string): boolean => name.startsWith(RESERVED) || name.startsWith(OWN);

/** The rooms with someone here, and those that had someone a moment ago. */
export class Rooms {
  readonly broker: Broker;
  readonly reads: LogReads;
  readonly #options: RoomsOptions;
  readonly #rooms = new Map<string, Room>();
  /** One promise for all who open the same room. */
  readonly #opening = new Map<string, Promise<Room>>();
  /** Rooms without a hold, and when they are closed, in the order they were left. */
  readonly #lingering = new Map<Room, number>();
  readonly #timers: NodeJS.Timeout[] = [];
  /** Rooms to be compared with their logs. */
  readonly #doubtful = new Set<Room>();
  /** Where among them the looking is. */
  #doubts: IterableIterator<Room> | undefined;
  #looking = 0;
  /** How many deliveries came for rooms that are not open here: a few for rooms just left, or the engine is at fault. */
  strays = 0;

  constructor(options: RoomsOptions) {
    this.#options = options;
    const { reserved } = options;
    const deliver: Deliver = (name, epoch, events, previous) => {
      const room = this.#rooms.get(name);
      if (room !== undefined) room.deliver(epoch, events, previous);
      else if (isOwn(name)) reserved?.deliver(name, events);
      else this.strays++;
    };
    this.broker = options.openBroker(deliver, (name) => this.#suspect(name));
    this.reads = new LogReads(this.broker);
    this.#every(Math.max(10, Math.min(1000, options.lingerMs / 4)), () => this.#sweep());
    if (options.checkMs > 0) this.#startChecks(options.checkMs);
  }

  get size(): number {
    return this.#rooms.size;
  }

  /** How many times events were read from logs; the slow look at all tails reads none. */
  get logReads(): number {
    return this.reads.count;
  }

  rulesFor(room: string): KindRules {
    return this.#options.rulesFor(kindOf(shownName(room)));
  }

  /** Opens the room, or finds it open, and keeps it so until `release`. Rejects with what the engine says. */
  async hold(name: string): Promise<Room> {
    const open = this.find(name);
    if (open !== undefined) {
      this.take(open);
      return open;
    }
    let opening = this.#opening.get(name);
    if (opening === undefined) {
      opening = this.#open(name).finally(() => this.#opening.delete(name));
      this.#opening.set(name, opening);
    }
    // Everyone who waits takes it in the turn in which it is open: nothing closes it before.
    const room = await opening;
    this.take(room);
    return room;
  }

  /** The room where it is open already, else `undefined`. */
  find(name: string): Room | undefined {
    return this.#opening.has(name) ? undefined : this.#rooms.get(name);
  }

  /**
   * The first rooms of a tenant with clients here, by the names that its clients know, and how many are in each: those that
   * begin with `prefix` and come after `after`. However many there are, the loop is not held.
   */
  async list({ tenant, prefix, after, limit }: Wanted): Promise<FirstPage<number>> {
    const first = new FirstNames<number>(after, limit);
    await walk(this.#rooms, ([full, room]) => {
      const name = roomOf(tenant, full);
      if (name === undefined || !name.startsWith(prefix) || !first.wants(name)) return;
      const { size } = room;
      if (size > 0) first.set(name, size);
    });
    return first.page();
  }

  /** `hold` for a room that `find` has given. */
  take(room: Room): void {
    room.holds++;
    this.#lingering.delete(room);
  }

  async #open(name: string): Promise<Room> {
    const { fanout, occupied } = this.#options;
    const room = new Room(name, this.rulesFor(name), this.broker, this.reads, fanout, occupied);
    // It takes deliveries from here on: what comes before its tail is noted as heard of.
    this.#rooms.set(name, room);
    try {
      await room.open();
    } catch (error) {
      this.#rooms.delete(name);
      await room.close().catch(() => undefined);
      throw error;
    }
    return room;
  }

  /** Gives back one hold. */
  release(room: Room): void {
    room.holds--;
    if (room.holds === 0) this.#linger(room);
  }

  #linger(room: Room): void {
    this.#lingering.set(room, performance.now() + this.#options.lingerMs);
    if (this.#lingering.size > MAX_LINGERING) {
      const [oldest] = this.#lingering.keys();
      if (oldest !== undefined) this.#close(oldest);
    }
  }

  #sweep(): void {
    const now = performance.now();
    this.reads.sweep(now);
    for (const [room, until] of this.#lingering) {
      if (until > now) return;
      this.#close(room);
    }
  }

  #close(room: Room): void {
    this.#lingering.delete(room);
    this.#rooms.delete(room.name);
    // What the broker cannot be told now it will not deliver either: its connection is gone.
    room.close().catch(() => undefined);
  }

  /** The engine says that this room's events may not have reached this node. */
  #suspect(name: string): void {
    const room = this.#rooms.get(name);
    if (room === undefined && isOwn(name)) this.#options.reserved?.suspect(name);
    if (room?.hasHistory !== true) return;
    this.#doubtful.add(room);
    this.#lookAtDoubtful();
  }

  /** Looks at doubtful rooms, a few at a time: after an outage all rooms are in doubt at once. */
  #lookAtDoubtful(): void {
    while (this.#looking < LOOKS_AT_ONCE) {
      // Going on where it was: from the start, a set would be walked over all that has been deleted there.
      this.#doubts ??= this.#doubtful.values();
      const { value: room, done } = this.#doubts.next();
      if (done) {
        this.#doubts = undefined;
        return;
      }
      this.#doubtful.delete(room);
      if (this.#rooms.get(room.name) !== room) continue;
      this.#looking++;
      void room.check().finally(() => {
        this.#looking--;
        this.#lookAtDoubtful();
      });
    }
  }

  /** Looks at every tail once a round, a slice at a time, with jitter so that nodes do not keep step. */
  #startChecks(checkMs: number): void {
    let round: IterableIterator<Room> = this.#rooms.values();
    const sliceMs = checkMs / CHECK_SLICES;
    const slice = (): void => {
      const most = Math.ceil((MOST_CHECKS * sliceMs) / 1000);
      // An iterator that stands still holds on to the rooms that were there when it began.
      if (this.#rooms.size === 0) round = this.#rooms.values();
      let left = Math.min(most, Math.ceil(this.#rooms.size / CHECK_SLICES));
      for (; left > 0; left--) {
        const { value: room, done } = round.next();
        if (done) {
          round = this.#rooms.values();
          break;
        }
        if (room.hasHistory) this.#doubtful.add(room);
      }
      this.#lookAtDoubtful();
    };
    this.#every(sliceMs * (0.8 + 0.2 * Math.random()), slice);
  }

  #every(ms: number, act: () => void): void {
    const timer = setInterval(act, ms);
    timer.unref();
    this.#timers.push(timer);
  }

  /** Sends what waits in every room. */
  flush(): void {
    for (const room of this.#rooms.values()) room.flush();
  }

  /** Closes every room, without sending what waits, and then the broker. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const rooms = [...this.#rooms.values()];
    this.#rooms.clear();
    this.#lingering.clear();
    this.#doubtful.clear();
    await Promise.allSettled(rooms.map((room) => room.close()));
    await this.broker.close();
  }
}
