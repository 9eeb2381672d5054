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
import { MOST_ASKED, type Report, Reports, type ReportsOptions } from "./reports.js";

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
  readonly ask: ReportsOptions["ask"];
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
/** How many questions are under way at once. */
const AT_ONCE = 4;
export class Occupancy {
  readonly #options: OccupancyOptions;
  readonly #lookMs: number;
  readonly #lookout: Lookout;
  readonly #homes: Homes;
  readonly #census: Census;
  readonly #announcing: Announcing;
  readonly #reports: Reports;
  readonly #looking: NodeJS.Timeout;
  /** Rooms of which is to be asked whether anyone is there, and how many such questions are under way. */
  readonly #emptied = new Set<string>();
  #confirming = 0;
  /** When the ledger is to be looked through; after the start it is. */
  #compareAt: number;
  #isComparing = false;
  /** Nodes that do not know yet that they had been given up. */
  readonly #forgotten = new Set<string>();
  #closing = false;
  #closed = false;

  constructor(options: OccupancyOptions) {
    const { graceMs = GRACE_MS, gatherMs = GATHER_MS, lookMs = LOOK_MS, unknownMs = UNKNOWN_MS } = options;
    this.#options = options;
    this.#lookMs = lookMs;
    this.#lookout = new Lookout({ ...options, lookMs, unknownMs });
    this.#homes = new Homes(options.ring);
    const occupied = (room: string) => this.#announcing.want(room, true);
    const emptied = (rooms: readonly string[]) => {
      for (const room of rooms) this.#emptied.add(room);
      this.#confirmNext();
    };
    this.#census = new Census({ occupied, emptied, graceMs, gatherMs });
    const homeOf = (room: string) => this.#homes.of(room);
    const takeOwn = (reports: readonly string[]) => this.#takeOwn(reports);
    this.#reports = new Reports({ ...options, homeOf, takeOwn, gatherMs, lookMs });
    const isThere = (id: string) => this.#lookout.isThere(id);
    this.#announcing = new Announcing({ ...options, isThere, againMs: lookMs });
    this.#compareAt = performance.now() + this.#lookout.settleMs;
    this.#looking = setInterval(() => this.#look(), lookMs).unref();
  }

  /** How many rooms have clients here, or are still to be reported. */
  get size(): number {
    return this.#reports.size;
  }

  /** How many rooms this node keeps count of. */
  get counted(): number {
    return this.#census.size;
  }

  /** Of how many rooms nothing is told yet, since too many are told. */
  get held(): number {
    return this.#announcing.held;
  }

  /** Whether nothing is left to be reported, nor to be told. */
  get isQuiet(): boolean {
    const isCompared = this.#compareAt === Number.POSITIVE_INFINITY && !this.#isComparing && this.#forgotten.size === 0;
    const isCounted = this.#reports.isQuiet && this.#census.isQuiet && this.#confirming + this.#emptied.size === 0;
    return isCompared && isCounted && this.#announcing.isQuiet;
  }

  /** The first client has come into the room here, or the last has left it. */
  changed(room: string, isHere: boolean): void {
    if (!this.#closed && this.#options.covers(room)) this.#reports.changed(room, isHere);
  }

  /** Another node reports: what this one takes of it, and answers. What it reports itself `#takeOwn` takes. */
  take(reports: readonly string[], from: string | undefined): (readonly [report: string, ...said: unknown[]])[] {
    if (from === undefined || this.#closed) return [];
    this.#look();
    const id = this.#options.id();
    const said: [string, string][] = [];
    for (const report of reports) {
      const room = report.slice(1);
      if (report === "!") this.#reports.again(from);
      else if (report[0] === "^") {
        if (room === id) this.#doubtAll();
      } else if (report[0] === "?") {
        if (this.#reports.isHere(room)) said.push([report, id]);
        // The other one takes itself for its home.
        this.#doubt(room);
      } else if (!this.#closing && this.#homes.of(room) === id) {
        this.#census.take(room, from, report[0] === "+");
        said.push([report, id]);
      }
    }
    return said;
  }

  #takeOwn(reports: readonly string[]): string[] {
    this.#look();
    const id = this.#options.id();
    const own = reports.filter((report) => this.#homes.of(report.slice(1)) === id);
    for (const report of own) this.#census.take(report.slice(1), id, report[0] === "+");
    return own;
  }

  /** Looks who is there; where that has changed, rooms have other homes. */
  #look(): void {
    if (this.#closed) return;
    const seen = this.#lookout.look(this.#closing);
    if (seen === undefined) return;
    if (seen.wasDeaf) {
      this.#reports.again(undefined);
      this.#doubtAll();
    }
    this.#census.gone(seen.gone);
    if (seen.back.length > 0 || seen.gone.length > 0) this.#compareSoon();
    if (seen.back.length > 0 || this.#forgotten.size > 0) void this.#forgot(seen.back);
    this.#rehome(seen);
    if (performance.now() >= this.#compareAt && !this.#isComparing && !this.#closing) void this.#compare();
  }

  #compareSoon(): void {
    if (this.#compareAt === Number.POSITIVE_INFINITY) this.#compareAt = performance.now() + this.#lookout.settleMs;
  }

  #rehome({ homes }: Seen): void {
    if (!this.#homes.update(homes)) return;
    const id = this.#options.id();
    for (const [room, isEmpty] of this.#census.release((each) => this.#homes.of(each) === id)) {
      this.#announcing.drop(room);
      if (isEmpty) this.#reports.emptied(room);
    }
    this.#reports.rehome();
  }

  /** Another node may have decided about the room: it is counted anew, and what was told of it is read again. */
  #doubt(room: string): void {
    this.#announcing.doubt(room);
    this.#census.doubt(room);
  }

  #doubtAll(): void {
    for (const room of this.#census.rooms) this.#doubt(room);
    this.#compareSoon();
  }

  /** These are back, which this node had given up: tells them, and asks what they had reported, until all have heard it. */
  async #forgot(back: readonly string[]): Promise<void> {
    const all = [...this.#forgotten, ...back].slice(-MOST_ASKED + 1);
    this.#forgotten.clear();
    this.#confirming++;
    let isHeard = false;
    try {
      isHeard = (await this.#options.ask(["!" satisfies Report, ...all.map((id) => `^${id}`)])).isWhole;
    } catch (error) {
      this.#options.log.debug("nodes that are back cannot be told so now", { error: String(error) });
    } finally {
      this.#confirming--;
      if (!isHeard) for (const id of all) this.#forgotten.add(id);
    }
  }

  /** Looks through the ledger for rooms of this node's of which nobody reports. */
  async #compare(): Promise<void> {
    this.#isComparing = true;
    this.#compareAt = Number.POSITIVE_INFINITY;
    const id = this.#options.id();
    try {
      const expect = (room: string) => {
        if (this.#homes.of(room) === id && !this.#closing) this.#census.expect(room);
      };
      await this.#announcing.compare(expect, (room) => this.#doubt(room));
    } catch (error) {
      this.#options.log.debug("what was told of rooms cannot be read now", { error: String(error) });
      this.#compareAt = performance.now() + this.#lookMs;
    } finally {
      this.#isComparing = false;
    }
  }

  #confirmNext(): void {
    while (this.#emptied.size > 0 && this.#confirming < AT_ONCE && !this.#closed) {
      const rooms: string[] = [];
      for (const room of this.#emptied) {
        if (rooms.length === MOST_ASKED) break;
        this.#emptied.delete(room);
        rooms.push(room);
      }
      void this.#confirm(rooms);
    }
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
      for (const room of rooms) if (this.#reports.isHere(room)) this.#found(room, id);
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
    this.#confirmNext();
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
    const isDone = () => this.#reports.size === 0 && this.#announcing.isQuiet;
    while (!isDone() && performance.now() < until) await new Promise((next) => setTimeout(next, 10));
    this.#closed = true;
    this.#reports.close();
    this.#census.close();
    this.#announcing.close();
    await this.#options.ledger.close();
  }

  #vacateAll(): void {
    for (const [room] of this.#census.release(() => false)) this.#announcing.want(room, false);
    for (const room of this.#reports.clear()) this.#announcing.want(room, false);
  }
}
