/**
 * Tells that rooms are occupied, and vacated: that the first client on any node has come, that the last has left.
 *
 * One node keeps count of a room, its home (`homes.ts`). A node reports to it that its own first client has come, and that
 * its last one has left, until it is acknowledged; many rooms in one question to all nodes, of which each takes those that
 * are its own to count. As nodes come and go, rooms have other homes: they are reported again, as known.
 *
 * While nodes do not come or go each is told once. Otherwise it may be told twice; and it is not told that a room is
 * vacated whose home was killed together with the last node that had clients there.
 */
import type { Log } from "../log.js";
import { Census, type Report } from "./census.js";
import { Homes, type RingOf } from "./homes.js";

/** What this node has to report of a room. */
type Place = {
  /** Whether anyone is here. */
  isHere: boolean;
  /** Whether someone has taken it that anyone was: then it was told. */
  isKnown: boolean;
  /** Who has taken what was reported last; `undefined`: nobody yet. */
  home: string | undefined;
  /** What was taken. */
  taken: boolean | undefined;
  isAsked: boolean;
};

export type OccupancyOptions = {
  /** This node's instance. */
  readonly id: () => string;
  /** The instances of all nodes that are there, this one among them; one that drains is no room's home where there are others. */
  readonly nodes: () => readonly { readonly id: string; readonly draining: boolean }[];
  /** Which of the nodes has a room. */
  readonly ring: RingOf;
  /** Whether the other nodes cannot be heard now, so that nobody is missed who gives no sign of life. */
  readonly isCutOff: () => boolean;
  /**
   * Reports to the other nodes, at most `MOST_ASKED` at once: which of them have taken what. Resolves when all have answered,
   * and it is known who is there; rejects where they cannot be asked now.
   */
  readonly ask: (reports: readonly string[]) => Promise<readonly (readonly unknown[])[]>;
  readonly tell: (type: "occupied" | "vacated", room: string) => void;
  readonly log: Log;
  /** How long after the last has left someone may come back and nothing is told, in milliseconds; 2000 by default. */
  readonly graceMs?: number;
  /** How long rooms are gathered before they are reported, in milliseconds; 100 by default. */
  readonly gatherMs?: number;
  /** How often it is looked who is there, and how long after a failure it is tried again, in milliseconds; 1000 by default. */
  readonly lookMs?: number;
};

const GRACE_MS = 2000;
const GATHER_MS = 100;
const LOOK_MS = 1000;
/** So many times `lookMs` after the others can be heard again, all of them have been. */
const SETTLE_LOOKS = 3;
/** After so many times `lookMs` without a look this process stood still: others may have given its rooms up. */
const STILL_LOOKS = 5;
/** The most rooms in one question. */
export const MOST_ASKED = 150;
/** How many questions are under way at once. */
const AT_ONCE = 4;
/** How many rooms are looked at in one turn of the loop. */
const SLICE = 5000;

export class Occupancy {
  readonly #options: OccupancyOptions;
  readonly #homes: Homes;
  readonly #census: Census;
  /** When it was looked last, and when the others could not be heard last. */
  #lookedAt = performance.now();
  #cutOffAt = Number.NEGATIVE_INFINITY;
  #isToReport = false;
  #there: ReadonlySet<string> = new Set();
  /** Rooms with clients here, or of which it is still to be reported that they have none. */
  readonly #places = new Map<string, Place>();
  /** Those that are to be reported. */
  readonly #unasked = new Set<string>();
  #gathering: NodeJS.Timeout | undefined;
  readonly #looking: NodeJS.Timeout;
  #asking = 0;
  /** How many pauses before another try there are. */
  #waiting = 0;
  #closing = false;
  #closed = false;

  constructor(options: OccupancyOptions) {
    this.#options = options;
    this.#homes = new Homes(options.ring);
    this.#census = new Census({ tell: options.tell, graceMs: options.graceMs ?? GRACE_MS });
    this.#looking = setInterval(() => this.#look(), options.lookMs ?? LOOK_MS).unref();
  }

  /** How many rooms have clients here, or are still to be reported. */
  get size(): number {
    return this.#places.size;
  }

  /** How many rooms this node keeps count of. */
  get counted(): number {
    return this.#census.size;
  }

  /** Whether nothing is left to be reported, nor to be told. */
  get isQuiet(): boolean {
    return this.#asking === 0 && this.#unasked.size === 0 && this.#waiting === 0 && this.#census.isQuiet;
  }

  /** The first client has come into the room here, or the last has left it. */
  changed(room: string, isHere: boolean): void {
    if (this.#closed) return;
    const place = this.#places.get(room);
    if (place !== undefined) place.isHere = isHere;
    else this.#places.set(room, { isHere, isKnown: false, home: undefined, taken: undefined, isAsked: false });
    this.#gather(room);
  }

  /** Another node reports: takes what is this node's to count, and says what that was. What it reports itself is for `#ask`. */
  take(reports: readonly string[], from: string | undefined): [report: string][] {
    if (from === undefined || this.#closing) return [];
    this.#look();
    const id = this.#options.id();
    const own = reports.filter((report) => this.#homes.of(report.slice(1)) === id);
    for (const report of own) this.#census.take(report[0] as Report, report.slice(1), from);
    return own.map((report) => [report]);
  }

  /** Whether it is known who is there: not while the others cannot be heard, and for a moment after it. */
  #isHeard(): boolean {
    const lookMs = this.#options.lookMs ?? LOOK_MS;
    const now = performance.now();
    if (now - this.#lookedAt > STILL_LOOKS * lookMs) this.#isToReport = true;
    this.#lookedAt = now;
    if (this.#options.isCutOff()) {
      this.#isToReport = true;
      this.#cutOffAt = now;
    }
    return now - this.#cutOffAt > SETTLE_LOOKS * lookMs;
  }

  /** Looks who is there; where that has changed, rooms have other homes. */
  #look(): void {
    if (this.#closed || !(this.#isHeard() || this.#closing)) return;
    if (this.#isToReport) {
      this.#isToReport = false;
      for (const place of this.#places.values()) place.home = undefined;
      this.#lookAtPlaces(this.#places.entries());
    }
    const id = this.#options.id();
    const nodes = this.#options.nodes();
    const there = new Set(nodes.map((node) => node.id));
    this.#census.gone([...this.#there].filter((node) => node !== id && !there.has(node)));
    this.#there = there;
    const others = nodes.filter((node) => node.id !== id || !this.#closing);
    const staying = others.filter(({ draining }) => !draining);
    const changed = this.#homes.update((staying.length > 0 ? staying : others).map((node) => node.id));
    if (!changed) return;
    // Nobody else has these to report.
    for (const room of this.#census.release((each) => this.#homes.of(each) === id)) {
      if (this.#places.has(room)) continue;
      this.#places.set(room, { isHere: false, isKnown: true, home: undefined, taken: undefined, isAsked: false });
    }
    this.#lookAtPlaces(this.#places.entries());
  }

  #lookAtPlaces(places: IterableIterator<[string, Place]>): void {
    let left = SLICE;
    for (const [room, { home }] of places) {
      if (home !== this.#homes.of(room)) this.#gather(room);
      if (--left > 0) continue;
      const rest = places;
      setImmediate(() => this.#lookAtPlaces(rest)).unref();
      return;
    }
  }

  #gather(room: string): void {
    this.#unasked.add(room);
    this.#gathering ??= setTimeout(() => this.#askNext(), this.#options.gatherMs ?? GATHER_MS).unref();
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
    if (place.taken === place.isHere && place.home === this.#homes.of(room)) return undefined;
    place.isAsked = true;
    if (place.isHere) return place.isKnown ? "*" : "+";
    return place.isKnown ? "~" : "-";
  }

  async #ask(reports: readonly string[]): Promise<void> {
    this.#asking++;
    const left = new Set(reports);
    try {
      const taken = await this.#options.ask(reports);
      if (this.#closed) return;
      for (const [report] of taken) if (typeof report === "string" && left.delete(report)) this.#taken(report);
      this.#look();
      const id = this.#options.id();
      for (const report of left) {
        const room = report.slice(1);
        if (this.#homes.of(room) !== id) continue;
        left.delete(report);
        this.#census.take(report[0] as Report, room, id);
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
    place.taken = report[0] === "+" || report[0] === "*";
    place.home = this.#homes.of(room);
    place.isKnown = place.taken;
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
    setTimeout(again, (this.#options.lookMs ?? LOOK_MS) * (0.5 + Math.random() / 2)).unref();
  }

  /**
   * Nobody is here any more, and this node is about to go: others are given what it keeps count of. Where there are none,
   * all rooms are vacated. Resolves once that is done, or after so long.
   */
  async close(withinMs: number): Promise<void> {
    this.#closing = true;
    clearInterval(this.#looking);
    const id = this.#options.id();
    const until = performance.now() + withinMs;
    if (this.#options.nodes().every((node) => node.id === id)) this.#vacateAll();
    else this.#look();
    while (this.#places.size > 0 && performance.now() < until) await new Promise((next) => setTimeout(next, 10));
    this.#closed = true;
    clearTimeout(this.#gathering);
    this.#census.close();
  }

  #vacateAll(): void {
    const id = this.#options.id();
    for (const [room, { isKnown }] of this.#places) if (isKnown) this.#census.take("~", room, id);
    this.#places.clear();
    this.#census.vacateAll();
  }
}
