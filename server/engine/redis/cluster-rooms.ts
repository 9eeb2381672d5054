import { EngineError } from "../engine.js";
import type { ClusterMap } from "./cluster-map.js";
import { Refused } from "./connection.js";
import type { Member } from "./members.js";
import { slotOf } from "./slots.js";

export type RoomsOptions = {
  readonly map: ClusterMap;
  readonly timeoutMs: number;
  readonly nameOf: (room: string) => string;
  readonly suspect: (room: string) => void;
};

/** A room that is wanted. */
type Entry = {
  readonly room: string;
  readonly slot: number;
  /** Whose Primary knows of it. */
  member: Member | undefined;
  /** Whether it stays wanted when it cannot be subscribed. */
  isKept: boolean;
  /** Whether somebody is at it who looks again where it belongs. */
  isPlacing: boolean;
  subscribed: Promise<void>;
};

/** How many rooms are suspected, or looked at, in one turn. */
const SUSPECTS = 250;
const LOOKS = 2000;
/** The first pause before another attempt, and the longest one, in milliseconds. */
const PAUSE_MS = [10, 500] as const;

/** Where more rooms than this are being placed, each waits longer. */
const MANY = 2000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());
const backoff = (attempt: number): number =>
  Math.min(PAUSE_MS[1], PAUSE_MS[0] * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random() / 2);

/**
 * The rooms that this node wants of a Redis Cluster: each is subscribed at the server that holds its slot. Where that
 * becomes another one, it is subscribed there and suspected.
 */
export class ClusterRooms {
  readonly #options: RoomsOptions;
  readonly #rooms = new Map<string, Entry>();
  readonly #bySlot = new Map<number, Set<Entry>>();
  #suspects: string[] = [];
  /** How many rooms are being placed. */
  #placing = 0;
  #isClosed = false;

  constructor(options: RoomsOptions) {
    this.#options = options;
  }

  subscribe(room: string, isKept: boolean): Promise<void> {
    const known = this.#rooms.get(room);
    if (known !== undefined) return known.subscribed;
    const slot = slotOf(this.#options.nameOf(room));
    const entry: Entry = { room, slot, member: undefined, isKept, isPlacing: false, subscribed: Promise.resolve() };
    this.#rooms.set(room, entry);
    const others = this.#bySlot.get(slot);
    if (others === undefined) this.#bySlot.set(slot, new Set([entry]));
    else others.add(entry);
    entry.subscribed = this.#begin(entry);
    return entry.subscribed;
  }

  async #begin(entry: Entry): Promise<void> {
    const error = await this.#place(entry, performance.now() + this.#options.timeoutMs);
    if (error === undefined) entry.isKept = true;
    else {
      if (!entry.isKept) this.#forget(entry);
      else if (entry.member === undefined) this.#placeAgain(entry);
      throw error;
    }
  }

  unsubscribe(room: string): void {
    const entry = this.#rooms.get(room);
    if (entry === undefined) return;
    this.#forget(entry);
    entry.member?.primary.unsubscribe(room);
  }

  #forget(entry: Entry): void {
    if (this.#rooms.get(entry.room) !== entry) return;
    this.#rooms.delete(entry.room);
    const others = this.#bySlot.get(entry.slot);
    others?.delete(entry);
    if (others?.size === 0) this.#bySlot.delete(entry.slot);
  }

  #isWanted(entry: Entry): boolean {
    return !this.#isClosed && this.#rooms.get(entry.room) === entry;
  }

  /**
   * Subscribes it where it belongs, as often as that changes meanwhile. Resolves with an error where it is not subscribed:
   * then either its Primary does it once it is there, or the map has no server for it, or it is past `deadline`.
   */
  async #place(entry: Entry, deadline: number): Promise<Error | undefined> {
    entry.isPlacing = true;
    let error: Error | undefined = closed();
    this.#placing++;
    for (let attempt = 0; this.#isWanted(entry); attempt++) {
      error = await this.#attempt(entry);
      if (!this.#isWanted(entry)) break;
      const { member, isKept } = entry;
      const owner = this.#options.map.owner(entry.slot);
      if (member !== undefined && member !== owner) continue;
      // Where there is no owner, it is placed again when there is one.
      if (error === undefined || owner === undefined) break;
      // Its Primary has been told that it is wanted.
      if (member !== undefined && isKept) break;
      if (performance.now() > deadline || !(isKept || mayComeRight(error, member))) break;
      await pause(backoff(attempt) * (1 + this.#placing / MANY));
    }
    this.#placing--;
    entry.isPlacing = false;
    return error;
  }

  /** Where it fails, `entry.member` is left as it is only where the server is away. */
  async #attempt(entry: Entry): Promise<Error | undefined> {
    const { map } = this.#options;
    const member = map.owner(entry.slot);
    if (entry.member !== member) entry.member?.primary.unsubscribe(entry.room);
    entry.member = member;
    if (member === undefined) return new EngineError("unavailable", "redis: no server holds its slot");
    try {
      await member.primary.subscribe(entry.room, entry.isKept);
      return undefined;
    } catch (error) {
      if (!this.#isWanted(entry)) return error as Error;
      map.redirected(error as Error, member);
      if (member.primary.problem === undefined) {
        member.primary.unsubscribe(entry.room);
        entry.member = undefined;
      }
      return error as Error;
    }
  }

  #placeAgain(entry: Entry): void {
    if (entry.isPlacing) return;
    void this.#place(entry, Number.POSITIVE_INFINITY).then((error) => {
      if (error === undefined) this.#suspect(entry.room);
    });
  }

  /** The slot belongs elsewhere now. */
  turned(slot: number): void {
    const owner = this.#options.map.owner(slot);
    for (const entry of this.#bySlot.get(slot) ?? []) if (entry.member !== owner) this.#placeAgain(entry);
  }

  /** The server does not have these rooms subscribed, though they are wanted of it. */
  lost(member: Member, rooms: readonly string[]): void {
    for (const room of rooms) {
      const entry = this.#rooms.get(room);
      if (entry === undefined || entry.member !== member || entry.isPlacing) continue;
      member.primary.unsubscribe(room);
      entry.member = undefined;
      this.#placeAgain(entry);
    }
  }

  /**
   * Compares what is wanted of the server with what it has subscribed. Resolves with whether that could be done: not
   * while it is away.
   */
  async check(member: Member): Promise<boolean> {
    let subscribed = member.primary.subscribed;
    if (subscribed === undefined) return false;
    const { nameOf } = this.#options;
    const isLacking = (entry: Entry): boolean =>
      entry.member === member && !entry.isPlacing && subscribed?.has(nameOf(entry.room)) === false;
    const lacking: Entry[] = [];
    let looks = 0;
    for (const entry of this.#rooms.values()) {
      if (isLacking(entry)) lacking.push(entry);
      if (++looks % LOOKS === 0) await pause(0);
    }
    if (lacking.length === 0) return true;
    // What was subscribed since is not lost.
    subscribed = member.primary.subscribed;
    if (subscribed === undefined) return false;
    this.lost(
      member,
      lacking.filter(isLacking).map(({ room }) => room),
    );
    return true;
  }

  #suspect(room: string): void {
    this.#suspects.push(room);
    if (this.#suspects.length === 1) setImmediate(() => void this.#suspectAll());
  }

  async #suspectAll(): Promise<void> {
    while (this.#suspects.length > 0 && !this.#isClosed) {
      const rooms = this.#suspects.slice(0, SUSPECTS);
      for (const room of rooms) if (this.#rooms.has(room)) this.#options.suspect(room);
      await pause(1);
      this.#suspects.splice(0, rooms.length);
    }
    this.#suspects = [];
  }

  close(): void {
    this.#isClosed = true;
  }
}

const closed = (): EngineError => new EngineError("unavailable", "redis: closed", 0);

/** Whether another attempt may do, for a room that is not wanted yet. */
function mayComeRight(error: Error, member: Member | undefined): boolean {
  if (error instanceof Refused) return /^(MOVED|TRYAGAIN)\b/.test(error.reply);
  return member?.primary.isOpening === true;
}
