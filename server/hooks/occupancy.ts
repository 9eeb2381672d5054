/**
 * Tells that rooms are occupied, and vacated: that the first client on any node has come, that the last has left.
 *
 * One node keeps count of a room, its home (`homes.ts`). A node reports to it that its own first client has come, and that
 * its last one has left, until it is acknowledged; many rooms in one question to all nodes, of which each takes those that
 * are its own to count. As nodes come and go, rooms have other homes: they are reported again.
 *
 * The count is a hint. Before a room is vacated all nodes are asked whether anyone is there; and two nodes that both take
 * themselves for a room's home do not both tell it, since what is told is noted in a ledger before (`announcing.ts`). Where
 * nodes have gone, the others look through the ledger for rooms of which nobody reports.
 */
import type { Ledger } from "../engine/ledger.js";
import type { Log } from "../log.js";
import { type Announcement, Announcing } from "./announcing.js";
import { Census } from "./census.js";
import { Homes, type RingOf } from "./homes.js";
import { Lookout, type Seen } from "./lookout.js";

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

/** What other nodes say to reports. */
export type Said = {
  /** Of each node the reports that it takes, and those that it answers, with its instance behind them. */
  readonly said: readonly (readonly unknown[])[];
  /** Whether every node that is there has answered. */
  readonly isWhole: boolean;
};

/**
 * What a node says to others of a room, one character before its name: someone is there (`+`), nobody is any more (`-`); it
 * asks whether anyone is there (`?`). Alone, `!` asks for all reports again: they were forgotten.
 */
type Report = "+" | "-" | "?" | "!";

export type OccupancyOptions = {
  /** This node's instance. */
  readonly id: () => string;
  /** The instances of all nodes that are there, this one among them; one that drains is no room's home where there are others. */
  readonly nodes: () => readonly { readonly id: string; readonly draining: boolean }[];
  /** Which of the nodes has a room. */
  readonly ring: RingOf;
  /** Whether the other nodes cannot be heard now, so that nobody is missed who gives no sign of life. */
  readonly isCutOff: () => boolean;
  /** Reports to the other nodes, at most `MOST_ASKED` at once. Rejects where they cannot be asked now. */
  readonly ask: (reports: readonly string[]) => Promise<Said>;
  /** What was told; closed with this. */
  readonly ledger: Ledger;
  /** Whether anyone wants to know of the room. */
  readonly covers: (room: string) => boolean;
  readonly tell: (announcement: Announcement) => void;
  readonly log: Log;
  /** How long after the last has left someone may come back and nothing is told, in milliseconds; 2000 by default. */
  readonly graceMs?: number;
  /** How long rooms are gathered before they are reported, in milliseconds; 100 by default. */
  readonly gatherMs?: number;
  /** How often it is looked who is there, and how long after a failure it is tried again, in milliseconds; 1000 by default. */
  readonly lookMs?: number;
  /** How long a node of which nothing was ever heard is taken to be about to come, in milliseconds; 15000 by default. */
  readonly unknownMs?: number;
};

const GRACE_MS = 2000;
const GATHER_MS = 100;
const LOOK_MS = 1000;
const UNKNOWN_MS = 15_000;
/** The most rooms in one question. */
export const MOST_ASKED = 150;
/** How many questions are under way at once. */
const AT_ONCE = 4;
/** How many rooms are looked at in one turn of the loop. */
const SLICE = 5000;

export class Occupancy {
  readonly #options: OccupancyOptions;
  readonly #lookMs: number;
  readonly #lookout: Lookout;
  readonly #homes: Homes;
  readonly #census: Census;
  readonly #announcing: Announcing;
  /** Rooms with clients here, or of which it is still to be reported that they have none. */
  readonly #places = new Map<string, Place>();
  /** Those that are to be reported. */
  readonly #unasked = new Set<string>();
  #gathering: NodeJS.Timeout | undefined;
  readonly #looking: NodeJS.Timeout;
  #asking = 0;
  /** How many pauses before another try there are. */
  #waiting = 0;
  /** How many questions are under way whether anyone is in rooms. */
  #confirming = 0;
  /** When the ledger is to be looked through; after the start it is. */
  #compareAt: number;
  #isComparing = false;
  #closing = false;
  #closed = false;

  constructor(options: OccupancyOptions) {
    const { graceMs = GRACE_MS, gatherMs = GATHER_MS, lookMs = LOOK_MS, unknownMs = UNKNOWN_MS } = options;
    this.#options = options;
    this.#lookMs = lookMs;
    this.#lookout = new Lookout({ ...options, lookMs, unknownMs });
    this.#homes = new Homes(options.ring);
    const occupied = (room: string) => this.#announcing.want(room, true);
    this.#census = new Census({ occupied, emptied: (rooms) => this.#confirmAll(rooms), graceMs, gatherMs });
    const isThere = (id: string) => this.#lookout.isThere(id);
    this.#announcing = new Announcing({ ...options, isThere, againMs: lookMs });
    this.#compareAt = performance.now() + this.#lookout.settleMs;
    this.#looking = setInterval(() => this.#look(), lookMs).unref();
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
    const busy = this.#asking + this.#unasked.size + this.#waiting + this.#confirming;
    const isCompared = this.#compareAt === Number.POSITIVE_INFINITY && !this.#isComparing;
    return busy === 0 && isCompared && this.#census.isQuiet && this.#announcing.isQuiet;
  }

  /** The first client has come into the room here, or the last has left it. */
  changed(room: string, isHere: boolean): void {
    if (this.#closed || !this.#options.covers(room)) return;
    const place = this.#places.get(room);
    if (place !== undefined) place.isHere = isHere;
    else this.#places.set(room, { isHere, wasReported: false, home: undefined, taken: undefined, isAsked: false });
    this.#gather(room);
  }

  /** Another node reports: what this one takes of it, and answers. What it reports itself is for `#ask`. */
  take(reports: readonly string[], from: string | undefined): (readonly [report: string, ...said: unknown[]])[] {
    if (from === undefined || this.#closed) return [];
    this.#look();
    const id = this.#options.id();
    const said: [string, string][] = [];
    for (const report of reports) {
      const room = report.slice(1);
      if (report === "!") this.#reportAgain(from);
      else if (report[0] === "?") {
        if (this.#places.get(room)?.isHere === true) said.push([report, id]);
      } else if (!this.#closing && this.#homes.of(room) === id) {
        this.#census.take(room, from, report[0] === "+");
        said.push([report, id]);
      }
    }
    return said;
  }

  /** Looks who is there; where that has changed, rooms have other homes. */
  #look(): void {
    if (this.#closed) return;
    const seen = this.#lookout.look(this.#closing);
    if (seen === undefined) return;
    if (seen.wasDeaf) this.#reportAgain(undefined);
    this.#census.gone(seen.gone);
    if (seen.isBack) this.#forgot();
    if (seen.wasDeaf || seen.isBack || seen.gone.length > 0) {
      this.#compareAt = performance.now() + this.#lookout.settleMs;
    }
    this.#rehome(seen);
    if (performance.now() >= this.#compareAt && !this.#isComparing && !this.#closing) void this.#compare();
  }

  #rehome({ homes }: Seen): void {
    if (!this.#homes.update(homes)) return;
    const id = this.#options.id();
    for (const [room, isEmpty] of this.#census.release((each) => this.#homes.of(each) === id)) {
      this.#announcing.drop(room);
      // Nobody else has these to report.
      if (!isEmpty || this.#places.has(room)) continue;
      this.#places.set(room, { isHere: false, wasReported: true, home: undefined, taken: undefined, isAsked: false });
    }
    this.#lookAtPlaces(this.#places.entries());
  }

  /** A node may have forgotten what it was reported; `undefined`: any may. */
  #reportAgain(from: string | undefined): void {
    for (const place of this.#places.values()) {
      if (from === undefined || place.home === from) place.home = undefined;
    }
    this.#lookAtPlaces(this.#places.entries());
  }

  /** One is back that this node had given up, and does not count on. Where it cannot be asked now, its own looks will tell. */
  #forgot(): void {
    this.#confirming++;
    const done = () => void this.#confirming--;
    this.#options.ask(["!" satisfies Report]).then(done, done);
  }

  /** Looks through the ledger for rooms of this node's of which nobody reports. */
  async #compare(): Promise<void> {
    this.#isComparing = true;
    this.#compareAt = Number.POSITIVE_INFINITY;
    const id = this.#options.id();
    try {
      await this.#announcing.compare((room) => {
        if (this.#homes.of(room) === id && !this.#closing) this.#census.expect(room);
      });
    } catch (error) {
      this.#options.log.debug("what was told of rooms cannot be read now", { error: String(error) });
      this.#compareAt = performance.now() + this.#lookMs;
    } finally {
      this.#isComparing = false;
    }
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
      this.#look();
      const id = this.#options.id();
      for (const report of left) {
        const room = report.slice(1);
        if (this.#homes.of(room) !== id) continue;
        left.delete(report);
        this.#census.take(room, id, report[0] === "+");
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
    place.home = this.#homes.of(room);
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
    setTimeout(again, this.#lookMs * (0.5 + Math.random() / 2)).unref();
  }

  #confirmAll(rooms: readonly string[]): void {
    for (let from = 0; from < rooms.length; from += MOST_ASKED)
      void this.#confirm(rooms.slice(from, from + MOST_ASKED));
  }

  /** Nobody reports anyone in these rooms: asks all nodes, and has those vacated where nobody is. */
  async #confirm(rooms: readonly string[]): Promise<void> {
    this.#confirming++;
    let isKnown = false;
    try {
      const { said, isWhole } = await this.#options.ask(rooms.map((room) => `?${room}`));
      isKnown = isWhole;
      const id = this.#options.id();
      for (const [report, node] of said) {
        if (typeof report === "string" && typeof node === "string") this.#found(report.slice(1), node);
      }
      for (const room of rooms) if (this.#places.get(room)?.isHere === true) this.#found(room, id);
    } catch (error) {
      this.#options.log.debug("other nodes cannot be asked now who is in rooms", { error: String(error) });
    } finally {
      this.#confirming--;
    }
    if (this.#closed) return;
    for (const room of rooms) {
      if (!isKnown) this.#census.wait(room);
      else if (this.#census.vacate(room)) this.#announcing.want(room, false);
    }
  }

  #found(room: string, node: string): void {
    if (this.#homes.of(room) === this.#options.id()) this.#census.take(room, node, true);
  }

  /**
   * Nobody is here any more, and this node is about to go: others are given what it keeps count of. Where there are none,
   * all rooms are vacated. Resolves once that is done and told, or after so long: then others tell it, or this node's
   * successor.
   */
  async close(withinMs: number): Promise<void> {
    this.#closing = true;
    clearInterval(this.#looking);
    const id = this.#options.id();
    const until = performance.now() + withinMs;
    if (this.#options.nodes().every((node) => node.id === id)) this.#vacateAll();
    else this.#look();
    const isDone = () => this.#places.size === 0 && this.#announcing.isQuiet;
    while (!isDone() && performance.now() < until) await new Promise((next) => setTimeout(next, 10));
    this.#closed = true;
    clearTimeout(this.#gathering);
    this.#census.close();
    this.#announcing.close();
    await this.#options.ledger.close();
  }

  #vacateAll(): void {
    for (const [room] of this.#census.release(() => false)) this.#announcing.want(room, false);
    for (const [room, { wasReported }] of this.#places) if (wasReported) this.#announcing.want(room, false);
    this.#places.clear();
  }
}
