/**
 * Tells of rooms what is to be told, each change once however many nodes want it told: who tells it has noted before that it
 * does, in a ledger that all nodes share.
 *
 * A room's entry is `o`, `O`, `v`, and none again: it is being told to be occupied, it was; it is being told to be vacated, it
 * was. With `o` and `v` stands who tells it. Where that node is gone, another one tells the same again, under the same id.
 */
import { randomUUID } from "node:crypto";
import { type Ledger, MOST_SWAPS, type Swap } from "../engine/ledger.js";
import type { Log } from "../log.js";

/** What is told of a room. */
export type Announcement = {
  readonly type: "occupied" | "vacated";
  readonly room: string;
  /** The same one however often, and by whichever node, it is told. */
  readonly id: string;
  /** When it was found out, in Unix milliseconds. */
  readonly at: number;
  /** To be called once it was told, or was given up. */
  readonly ended: () => void;
};

export type AnnouncingOptions = {
  readonly ledger: Ledger;
  /** This node's instance. */
  readonly id: () => string;
  /** Whether another node is there; `undefined`: it was never seen, and may be about to come. */
  readonly isThere: (id: string) => boolean | undefined;
  readonly tell: (announcement: Announcement) => void;
  readonly log: Log;
  /** How long after a failure it is tried again, and how often it is looked whether others have done, in milliseconds. */
  readonly againMs: number;
  /** The most that are being told at once: the rest is told as it is when its turn comes. 5000 by default. */
  readonly most?: number | undefined;
};

/** An entry, read; `node` tells it, or has told it. */
type Entry = { readonly state: string; readonly id: string; readonly at: number; readonly node: string };

type Room = {
  /** What is to be told last; `undefined`: others decide it. */
  goal: boolean | undefined;
  /** The entry as it was last known to be; `null`: it is not known. */
  entry: string | undefined | null;
  /** What the ledger has lost, and is to have again. */
  lost: string | undefined;
  /** The ids of what this node is telling, and of what it told last. */
  telling: string | undefined;
  told: string | undefined;
  /** Whether a swap of it is under way. */
  isBusy: boolean;
  /** In which scan it was seen last. */
  scan: number;
};

/** How many swaps are under way at once. */
const AT_ONCE = 4;
const MOST = 5000;
/** How many rooms are looked at in one turn of the loop. */
const SLICE = 5000;
/** No room's name. Its entry tells a ledger from another that came in its place when everything in it was lost. */
const WHICH = "$which";

function parse(text: string | undefined): Entry | undefined {
  const [, state, id, at, node] = /^([oOv]) (\S+) (\d{1,16}) (.+)$/.exec(text ?? "") ?? [];
  if (state === undefined || id === undefined || node === undefined) return undefined;
  return { state, id, at: Number(at), node };
}

const write = ({ state, id, at, node }: Entry): string => `${state} ${id} ${at} ${node}`;
const isTold = (entry: string | undefined | null): boolean => entry?.startsWith("O") === true;

export class Announcing {
  readonly #options: AnnouncingOptions;
  readonly #rooms = new Map<string, Room>();
  /** Rooms to be looked at; those for which a failure, or another node, is waited for; those that would be too many at once. */
  readonly #due = new Set<string>();
  readonly #later = new Set<string>();
  readonly #held = new Set<string>();
  #turn: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #swaps = 0;
  #telling = 0;
  #which: string | undefined;
  #scan = 0;
  #closed = false;

  constructor(options: AnnouncingOptions) {
    this.#options = options;
  }

  /** Whether nothing is left to be told, nor to be noted. */
  get isQuiet(): boolean {
    return this.#due.size + this.#later.size + this.#held.size + this.#swaps + this.#telling === 0;
  }

  /** Of how many rooms nothing is told yet, since too many are told. */
  get held(): number {
    return this.#held.size;
  }

  /** From now on this is to be what is told of the room last. */
  want(room: string, isOccupied: boolean): void {
    let known = this.#rooms.get(room);
    if (known === undefined) {
      const nothing = { goal: undefined, lost: undefined, telling: undefined, told: undefined };
      known = { ...nothing, entry: null, isBusy: false, scan: this.#scan };
      this.#rooms.set(room, known);
    }
    if (known.goal === isOccupied && known.entry !== null) return;
    known.goal = isOccupied;
    this.#look(room);
  }

  /** What is known of the room's entry may not be so any more: it is read where something is wanted again. */
  doubt(room: string): void {
    const known = this.#rooms.get(room);
    if (known !== undefined && !known.isBusy && isTold(known.entry)) known.entry = null;
  }

  /** Others decide it from now on. What was begun is brought to its end. */
  drop(room: string): void {
    const known = this.#rooms.get(room);
    if (known === undefined) return;
    known.goal = undefined;
    this.#look(room);
  }

  /**
   * Compares what is known with the whole ledger, where another node may have changed it that took a room for its own, or
   * which may have been lost. `take` is given every room that has an entry, `miss` those of which it is not known why they
   * have none. Rejects as the ledger does.
   */
  async compare(take: (room: string) => void, miss: (room: string) => void): Promise<void> {
    await this.#check();
    const scan = ++this.#scan;
    const before = [...this.#rooms.keys()];
    for await (const page of this.#options.ledger.scan()) {
      if (this.#closed) return;
      for (const [room, entry] of page) {
        if (room === WHICH) continue;
        this.#seen(room, entry);
        take(room);
      }
    }
    for (const room of before) {
      const known = this.#rooms.get(room);
      if (known !== undefined && known.scan < scan && isTold(known.entry)) miss(room);
    }
  }

  #seen(room: string, entry: string): void {
    const known = this.#rooms.get(room);
    if (known === undefined) return;
    known.scan = this.#scan;
    if (known.isBusy || known.telling !== undefined || known.entry === entry) return;
    // It may be older than what is known: then the next swap says so.
    known.entry = entry;
    this.#look(room);
  }

  /** Whether the ledger is another one than it was; what is known to have been told is noted anew then. */
  async #check(): Promise<boolean> {
    const [which] = await this.#options.ledger.swap([{ room: WHICH, from: undefined, to: randomUUID() }]);
    const isOther = this.#which !== undefined && which !== this.#which;
    this.#which = which;
    if (!isOther) return false;
    this.#options.log.warn("what was noted of rooms in the engine was lost: it is noted again");
    for (const [room, known] of this.#rooms) {
      if (!isTold(known.entry)) continue;
      known.lost = known.entry as string;
      known.entry = undefined;
      this.#look(room);
    }
    return true;
  }

  #look(room: string): void {
    if (this.#closed) return;
    this.#held.delete(room);
    this.#due.add(room);
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      this.#step();
    });
  }

  #again(room: string): void {
    if (this.#closed) return;
    this.#later.add(room);
    const again = () => {
      this.#timer = undefined;
      for (const each of this.#later) this.#look(each);
      this.#later.clear();
    };
    this.#timer ??= setTimeout(again, this.#options.againMs * (0.5 + Math.random() / 2)).unref();
  }

  #step(): void {
    let left = SLICE;
    while (this.#due.size > 0 && this.#swaps < AT_ONCE && !this.#closed) {
      const swaps: Swap[] = [];
      for (const room of this.#due) {
        if (swaps.length === MOST_SWAPS) break;
        if (left-- === 0) this.#look(room);
        if (left < 0) break;
        this.#due.delete(room);
        const known = this.#rooms.get(room);
        const swap = known?.isBusy === false ? this.#next(room, known) : undefined;
        if (known === undefined || swap === undefined) continue;
        known.isBusy = true;
        swaps.push(swap);
      }
      if (swaps.length > 0) void this.#swap(swaps);
      if (left < 0) return;
    }
  }

  async #swap(swaps: readonly Swap[]): Promise<void> {
    this.#swaps++;
    const rooms = swaps.map(({ room }) => this.#rooms.get(room) as Room);
    try {
      if (this.#which === undefined) await this.#check();
      const now = await this.#options.ledger.swap(swaps);
      // Another node has told that they are vacated; unless they are what the ledger has lost.
      const isGone = rooms.map(({ entry }, index) => isTold(entry) && now[index] === undefined);
      const isLost = isGone.includes(true) && (await this.#check());
      for (const [index, known] of rooms.entries()) if (!(isLost && isGone[index])) known.entry = now[index];
      // At once, before more is begun than may be told.
      for (const [index, { room }] of swaps.entries()) this.#tellBegun(room, rooms[index] as Room);
      for (const { room } of swaps) this.#look(room);
    } catch (error) {
      this.#options.log.debug("what is told of rooms cannot be noted now", { error: String(error) });
      for (const { room } of swaps) this.#again(room);
    } finally {
      for (const known of rooms) known.isBusy = false;
      this.#swaps--;
      this.#step();
    }
  }

  /** What is to be changed of the entry now; `undefined` where nothing is, or something else has to end before. */
  #next(room: string, known: Room): Swap | undefined {
    const { entry: text, goal, lost } = known;
    if (text === null && goal !== true) return { room, from: undefined, to: undefined };
    const entry = parse(text ?? undefined);
    // Somebody else wrote it.
    if (entry === undefined && typeof text === "string") return { room, from: text, to: undefined };
    if (entry !== undefined && entry.state !== "O") return this.#nextOfTelling(room, known, entry);
    if (lost !== undefined) {
      known.lost = undefined;
      return { room, from: undefined, to: lost };
    }
    const isOccupied = entry !== undefined;
    if (goal === undefined || (goal === false && !isOccupied)) this.#rooms.delete(room);
    if (goal === undefined || goal === isOccupied) {
      this.#free();
      return undefined;
    }
    if (this.#telling >= (this.#options.most ?? MOST)) {
      this.#held.add(room);
      return undefined;
    }
    const at = Math.max(Date.now(), (entry?.at ?? 0) + 1);
    const to = write({ state: goal ? "o" : "v", id: randomUUID(), at, node: this.#options.id() });
    return { room, from: text ?? undefined, to };
  }

  /** Where fewer are told than may be at once, one that waits has its turn. */
  #free(): void {
    const [next] = this.#held;
    if (next === undefined || this.#telling >= (this.#options.most ?? MOST)) return;
    this.#held.delete(next);
    this.#look(next);
  }

  /** Somebody has begun to tell it. */
  #nextOfTelling(room: string, known: Room, entry: Entry): Swap | undefined {
    const from = write(entry);
    const node = this.#options.id();
    if (entry.node !== node) {
      const isThere = this.#options.isThere(entry.node);
      if (isThere === false) return { room, from, to: write({ ...entry, node }) };
      if (isThere === true && known.goal === undefined) {
        this.#rooms.delete(room);
        return undefined;
      }
      known.entry = null;
      this.#again(room);
      return undefined;
    }
    if (known.told === entry.id)
      return { room, from, to: entry.state === "v" ? undefined : write({ ...entry, state: "O" }) };
    this.#tellBegun(room, known);
    return undefined;
  }

  /** Tells what this node has begun to tell, where it does not yet. */
  #tellBegun(room: string, known: Room): void {
    const entry = parse(known.entry ?? undefined);
    if (entry === undefined || entry.state === "O" || entry.node !== this.#options.id()) return;
    if (known.told !== entry.id && known.telling !== entry.id) this.#tell(room, known, entry);
  }

  #tell(room: string, known: Room, { state, id, at }: Entry): void {
    known.telling = id;
    this.#telling++;
    const ended = () => {
      this.#telling--;
      if (known.telling === id) known.telling = undefined;
      known.told = id;
      this.#look(room);
      this.#free();
    };
    this.#options.tell({ type: state === "o" ? "occupied" : "vacated", room, id, at, ended });
  }

  /** Nothing more is told, nor noted: what was begun is left to other nodes. */
  close(): void {
    this.#closed = true;
    clearImmediate(this.#turn);
    clearTimeout(this.#timer);
  }
}
