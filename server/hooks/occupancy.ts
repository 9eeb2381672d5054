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
export class Occupancy {
  readonly #options: OccupancyOptions;
  readonly #lookMs: number;
  readonly #lookout: Lookout;
  readonly #homes: Homes;
  readonly #census: Census;
  readonly #announcing: Announcing;
  readonly #reports: Reports;
  readonly #looking: NodeJS.Timeout;
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

  /** Whether nothing is left to be reported, nor to be told. */
  get isQuiet(): boolean {
    const isCompared = this.#compareAt === Number.POSITIVE_INFINITY && !this.#isComparing;
    const isCounted = this.#reports.isQuiet && this.#census.isQuiet && this.#confirming === 0;
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
      else if (report[0] === "?") {
        if (this.#reports.isHere(room)) said.push([report, id]);
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
    if (seen.wasDeaf) this.#reports.again(undefined);
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
      if (isEmpty) this.#reports.emptied(room);
    }
    this.#reports.rehome();
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
