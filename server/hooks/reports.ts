/** What a node reports of the rooms in which it has clients, to the nodes that keep count of them. */
import type { Log } from "../log.js";

/**
 * What a node says to others of a room, one character before its name: someone is there (`+`), nobody is any more (`-`); it
 * asks whether anyone is there (`?`). Alone, `!` asks for all reports again, since they were forgotten; before an instance, `^`
 * says that it had been given up, so that others have counted its rooms.
 */
export type Report = "+" | "-" | "?" | "!" | "^";

/** What other nodes say to reports. */
export type Said = {
  /** Of each node the reports that it takes, and those that it answers, with its instance behind them. */
  readonly said: readonly (readonly unknown[])[];
  /** Whether every node that is there has answered. */
  readonly isWhole: boolean;
};

/** What this node has to report of a room. */
type Place = {
  /** Whether anyone is here. */
  isHere: boolean;
  /** Whether it was ever reported that someone was: if not, nobody knows of it. */
  wasReported: boolean;
  /** Who has taken what was reported last; `undefined`: nobody yet. */
  home: string | undefined;
  /** What was taken. */
  taken: boolean | undefined;
  isAsked: boolean;
};

export type ReportsOptions = {
  /** Which node keeps count of the room; `undefined`: nobody is there. */
  readonly homeOf: (room: string) => string | undefined;
  /** Reports to the other nodes, at most `MOST_ASKED` at once. Rejects where they cannot be asked now. */
  readonly ask: (reports: readonly string[]) => Promise<Said>;
  /** Takes those that are this node's own to count, and says which. */
  readonly takeOwn: (reports: readonly string[]) => readonly string[];
  readonly log: Log;
  /** How long rooms are gathered before they are reported, in milliseconds. */
  readonly gatherMs: number;
  /** How long after a failure it is tried again, in milliseconds. */
  readonly lookMs: number;
};

/** The most rooms in one question. */
export const MOST_ASKED = 150;
/** How many questions are under way at once. */
const AT_ONCE = 4;
/** How many rooms are looked at in one turn of the loop. */
const SLICE = 5000;

export class Reports {
  readonly #options: ReportsOptions;
  /** Rooms with clients here, or of which it is still to be reported that they have none. */
  readonly #places = new Map<string, Place>();
  /** Those that are to be reported. */
  readonly #unasked = new Set<string>();
  #gathering: NodeJS.Timeout | undefined;
  #asking = 0;
  /** How many pauses before another try there are. */
  #waiting = 0;
  #closed = false;

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  /** How many rooms have clients here, or are still to be reported. */
  get size(): number {
    return this.#places.size;
  }

  /** Whether nothing is left to be reported. */
  get isQuiet(): boolean {
    return this.#asking + this.#unasked.size + this.#waiting === 0;
  }

  isHere(room: string): boolean {
    return this.#places.get(room)?.isHere === true;
  }

  /** The first client has come into the room here, or the last has left it. */
  changed(room: string, isHere: boolean): void {
    const place = this.#places.get(room);
    if (place !== undefined) place.isHere = isHere;
    else this.#places.set(room, { isHere, wasReported: false, home: undefined, taken: undefined, isAsked: false });
    this.#gather(room);
  }

  /** Somebody was in the room, and is no more; nobody else has it to report. Where somebody is here now it is reported anyway. */
  emptied(room: string): void {
    if (this.#places.has(room)) return;
    this.#places.set(room, { isHere: false, wasReported: true, home: undefined, taken: undefined, isAsked: false });
    this.#gather(room);
  }

  /** Rooms may have other homes. */
  rehome(): void {
    this.#gatherFrom(this.#places.entries());
  }

  /** A node may have forgotten what was reported to it; `undefined`: any may. */
  again(from: string | undefined): void {
    for (const place of this.#places.values()) {
      if (from === undefined || place.home === from) place.home = undefined;
    }
    this.rehome();
  }

  /** Reports nothing more; the rooms of which somebody may know. */
  clear(): string[] {
    const rooms = [...this.#places].flatMap(([room, { wasReported }]) => (wasReported ? [room] : []));
    this.#places.clear();
    return rooms;
  }

  #gatherFrom(places: IterableIterator<[string, Place]>): void {
    let left = SLICE;
    for (const [room, { home }] of places) {
      if (home !== this.#options.homeOf(room)) this.#gather(room);
      if (--left > 0) continue;
      const rest = places;
      setImmediate(() => this.#gatherFrom(rest)).unref();
      return;
    }
  }

  #gather(room: string): void {
    this.#unasked.add(room);
    this.#gathering ??= setTimeout(() => this.#askNext(), this.#options.gatherMs).unref();
  }

  #askNext(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    while (this.#unasked.size > 0 && this.#asking < AT_ONCE && !this.#closed) {
      const reports: string[] = [];
      for (const room of this.#unasked) {
        if (reports.length === MOST_ASKED) break;
        this.#unasked.delete(room);
        const report = this.#reportOf(room);
        if (report !== undefined) reports.push(report + room);
      }
      if (reports.length > 0) void this.#ask(reports);
    }
  }

  /** One at a time is under way for a room; what comes meanwhile is reported after it. */
  #reportOf(room: string): Report | undefined {
    const place = this.#places.get(room);
    if (place === undefined || place.isAsked) return undefined;
    if (place.taken === place.isHere && place.home === this.#options.homeOf(room)) return undefined;
    // Come and gone again before anyone knew.
    if (!place.isHere && !place.wasReported) this.#places.delete(room);
    if (!place.isHere && !place.wasReported) return undefined;
    place.isAsked = true;
    place.wasReported = true;
    return place.isHere ? "+" : "-";
  }

  async #ask(reports: readonly string[]): Promise<void> {
    this.#asking++;
    const left = new Set(reports);
    try {
      const { said } = await this.#options.ask(reports);
      if (this.#closed) return;
      for (const [report] of said) if (typeof report === "string" && left.delete(report)) this.#taken(report);
      for (const report of this.#options.takeOwn([...left])) {
        left.delete(report);
        this.#taken(report);
      }
    } catch (error) {
      this.#options.log.debug("rooms cannot be reported to other nodes now", { error: String(error) });
    } finally {
      this.#asking--;
      if (!this.#closed) {
        if (left.size > 0) this.#again([...left].map((report) => report.slice(1)));
        this.#askNext();
      }
    }
  }

  #taken(report: string): void {
    const room = report.slice(1);
    const place = this.#places.get(room);
    if (place === undefined) return;
    place.isAsked = false;
    place.taken = report[0] === "+";
    place.home = this.#options.homeOf(room);
    if (place.isHere !== place.taken) this.#gather(room);
    else if (!place.isHere) this.#places.delete(room);
  }

  /** Nobody has taken it: the nodes do not agree yet on who is there, or could not be asked. */
  #again(rooms: readonly string[]): void {
    this.#waiting++;
    const again = () => {
      this.#waiting--;
      for (const room of rooms) {
        const place = this.#places.get(room);
        if (place !== undefined) place.isAsked = false;
        this.#gather(room);
      }
    };
    setTimeout(again, this.#options.lookMs * (0.5 + Math.random() / 2)).unref();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#gathering);
  }
}
