/** This node's own members of a room, and the parts of registers in which it says so. */
import type { Seat, Who } from "../session/presence.js";
import type { Clock } from "./clock.js";
import type { Crowd } from "./crowd.js";
import { type Entry, entryOf } from "./register.js";

/** The most members in a part, and the most bytes: so one that comes or goes has little written anew. */
const PART_SIZE = 64;
const PART_BYTES = 48 * 1024;
/** A part is filled up again once it has so few. */
const SPARSE = PART_SIZE / 2;
/** The largest info that is shown, in bytes of JSON. */
export const MAX_INFO_BYTES = 1024;

type Part = { readonly number: number; readonly taken: Set<Taken>; bytes: number };

/** A place that is taken. */
type Taken = {
  entry: Entry;
  part: Part;
  /** Who holds it; `undefined`: the connection is lost, and it is given up at `until`. */
  holder: object | undefined;
  until: number;
  /**
   * When the session came here last, in Unix milliseconds. Where it stands on another node by an earlier time, it came from
   * there: that node waits for it no more, or has been killed.
   */
  since: number;
};

export type SeatsOptions = {
  readonly crowd: Crowd;
  readonly clock: Clock;
  readonly graceMs: number;
  /** A part is to be written. */
  readonly changed: (part: number) => void;
};

/** What of an info is shown: nothing of one that is too large, or no JSON. */
function shownOf(info: unknown): unknown {
  if (info === undefined || info === null) return undefined;
  try {
    const text = JSON.stringify(info);
    return text !== undefined && Buffer.byteLength(text) <= MAX_INFO_BYTES ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

export class Seats {
  readonly #options: SeatsOptions;
  /** By session. */
  readonly #taken = new Map<string, Taken>();
  /** Those whose connection is lost, in the order in which they are given up. */
  readonly #lost = new Set<Taken>();
  readonly #parts = new Map<number, Part>();
  /** Parts that have room for more. */
  readonly #sparse = new Set<Part>();
  readonly #free: number[] = [];
  #cancel: (() => void) | undefined;

  constructor(options: SeatsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#taken.size;
  }

  /** The numbers of all parts that are not empty. */
  get parts(): IterableIterator<number> {
    return this.#parts.keys();
  }

  /** Who is in the part; nobody where there is no such part. */
  entriesOf(part: number): readonly Entry[] {
    return [...(this.#parts.get(part)?.taken ?? [])].map(({ entry }) => entry);
  }

  /** How long the last of those is waited for whose connection is lost, in milliseconds; 0: there are none. */
  get lostForMs(): number {
    const now = this.#options.clock.now();
    return Math.max(0, ...[...this.#lost].slice(-1).map(({ until }) => until - now));
  }

  enter({ session, user, info }: Who): Seat {
    const entry = entryOf(session, user, shownOf(info), Date.now());
    const holder = this.#seat(session);
    const taken = this.#taken.get(session);
    if (taken !== undefined && taken.entry.user !== user) this.#remove(taken);
    if (taken === undefined || taken.entry.user !== user) {
      this.#add(entry, holder);
      return holder;
    }
    this.#lost.delete(taken);
    taken.holder = holder;
    taken.since = entry.at;
    this.#replace(taken, info);
    return holder;
  }

  #seat(session: string): Seat {
    const held = (act: (taken: Taken) => void): void => {
      const taken = this.#taken.get(session);
      // A newer connection of the session may have it by now.
      if (taken?.holder === seat) act(taken);
    };
    const seat: Seat = {
      update: (info) => held((taken) => this.#replace(taken, info)),
      leave: () => held((taken) => this.#remove(taken)),
      lose: () => held((taken) => this.#lose(taken)),
    };
    return seat;
  }

  /** Other info, in the same place. */
  #replace(taken: Taken, info: unknown): void {
    const shown = shownOf(info);
    if (JSON.stringify(shown) === JSON.stringify(taken.entry.info)) return;
    const { crowd, changed } = this.#options;
    const before = taken.entry;
    const { part } = taken;
    taken.entry = entryOf(before.session, before.user, shown, taken.since);
    part.bytes += taken.entry.bytes - before.bytes;
    crowd.add(taken.entry);
    crowd.remove(before);
    // Told of the new place before the old one, nobody takes the member to have gone.
    if (part.bytes > PART_BYTES && part.taken.size > 1) {
      this.#takeOut(taken);
      this.#sparse.delete(part);
      taken.part = this.#partFor(taken.entry.bytes);
      this.#putIn(taken);
      changed(taken.part.number);
    }
    changed(part.number);
  }

  /** Into the part that it names. */
  #putIn(taken: Taken): void {
    const { part, entry } = taken;
    part.taken.add(taken);
    part.bytes += entry.bytes;
    if (part.taken.size >= PART_SIZE) this.#sparse.delete(part);
  }

  #takeOut(taken: Taken): void {
    const { part, entry } = taken;
    part.taken.delete(taken);
    part.bytes -= entry.bytes;
    if (part.taken.size === 0) {
      this.#parts.delete(part.number);
      this.#sparse.delete(part);
      this.#free.push(part.number);
    } else if (part.taken.size <= SPARSE) {
      this.#sparse.add(part);
    }
  }

  #add(entry: Entry, holder: object): void {
    const { crowd, changed } = this.#options;
    const part = this.#partFor(entry.bytes);
    const taken = { entry, part, holder, until: 0, since: entry.at };
    this.#putIn(taken);
    this.#taken.set(entry.session, taken);
    crowd.add(entry);
    changed(part.number);
  }

  #partFor(bytes: number): Part {
    for (const part of this.#sparse) {
      if (part.bytes + bytes <= PART_BYTES) return part;
      this.#sparse.delete(part);
    }
    const part = { number: this.#free.pop() ?? this.#parts.size, taken: new Set<Taken>(), bytes: 0 };
    this.#parts.set(part.number, part);
    this.#sparse.add(part);
    return part;
  }

  #remove(taken: Taken): void {
    const { part, entry } = taken;
    this.#lost.delete(taken);
    this.#taken.delete(entry.session);
    this.#takeOut(taken);
    this.#options.crowd.remove(entry);
    this.#options.changed(part.number);
  }

  #lose(taken: Taken): void {
    const { crowd, clock, graceMs } = this.#options;
    taken.holder = undefined;
    if (crowd.isElsewhere(taken.entry, taken.since)) {
      this.#remove(taken);
      return;
    }
    taken.until = clock.now() + graceMs;
    this.#lost.add(taken);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#cancel !== undefined) return;
    const [first] = this.#lost;
    if (first === undefined) return;
    const { clock } = this.#options;
    this.#cancel = clock.after(Math.max(1, first.until - clock.now()), () => this.#giveUp());
  }

  #giveUp(): void {
    this.#cancel = undefined;
    const now = this.#options.clock.now();
    for (const taken of this.#lost) {
      if (taken.until > now) break;
      this.#remove(taken);
    }
    this.#schedule();
  }

  /** Another node says that the session is with it: it need not be waited for here. */
  seenElsewhere({ session, user, at }: Entry): void {
    const taken = this.#taken.get(session);
    if (taken === undefined || taken.holder !== undefined || taken.entry.user !== user) return;
    if (at > taken.since) this.#remove(taken);
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
