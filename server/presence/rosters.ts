/** Who is in the rooms, on all nodes: this node's part of it. */
import type { RoomEvent } from "../../protocol/event.js";
import { type Broker, EngineError, type EngineName } from "../engine/engine.js";
import type { OpenPresence } from "../engine/presence.js";
import type { Log } from "../log.js";
import { roomOfMembers } from "../room/names.js";
import type { Fanout } from "../room/room.js";
import type { KindRules } from "../room/rules.js";
import { walk } from "../room/walk.js";
import type { MembersList, MembersQuery, Presences } from "../session/presence.js";
import { type Clock, realClock } from "./clock.js";
import { Crowd } from "./crowd.js";
import { Ground } from "./ground.js";
import { Lane } from "./lane.js";
import type { Leases } from "./leases.js";
import { type Note, readNote } from "./register.js";
import { Roster, type RosterCounts } from "./roster.js";
import { Sources } from "./sources.js";

export type RostersOptions = {
  /** This node's instance: no other process has the same, and it has no dot. */
  readonly instance: string;
  /** By which nodes tell each other of changes: the log-less rooms of `membersRoom`. */
  readonly broker: Pick<Broker, "publish" | "subscribe" | "unsubscribe" | "problems">;
  readonly engines: ReadonlyMap<EngineName, OpenPresence>;
  readonly fanout: Fanout;
  /** How long a node that gives no sign of life is believed to be there, in milliseconds. */
  readonly leaseMs: number;
  /** How often what is known is compared with the registers, in milliseconds. */
  readonly checkMs: number;
  readonly log: Log;
  readonly clock?: Clock;
};

export type PresenceNumbers = {
  /** Rosters that are kept, and places taken here. */
  readonly rosters: number;
  readonly members: number;
  /** Since the start: frames told, registers written and rooms' registers read, leases renewed. */
  readonly frames: number;
  readonly writes: number;
  readonly reads: number;
  readonly beats: number;
  /** Since the start: other nodes whose lease has lapsed, and own leases that were lost. */
  readonly nodesGone: number;
  readonly leasesLost: number;
};

/**
 * The part of a node's lease that is a lease of its members: one that is killed is found out, and its members are gone,
 * before the whole of it has passed.
 */
const LEASE_PART = 0.7;
/** How long a roster is kept that nobody needs, in milliseconds. */
const LINGER_MS = 10_000;
/** How often rosters are looked after, in milliseconds. */
const LOOK_MS = 1000;
/** How often it is looked whether all is written, in milliseconds. */
const WRITTEN_MS = 10;
/** The most pages that are read at once of rooms that nobody here watches. */
const MOST_PAGES = 64;
/** When a page may be asked for again that could not be read, in milliseconds. */
const RETRY_MS = 1000;

export class Rosters implements Presences {
  readonly #options: RostersOptions;
  readonly #clock: Clock;
  readonly #rosters = new Map<string, Roster>();
  /** Those that nobody needs, and until when they are kept. */
  readonly #idle = new Map<Roster, number>();
  readonly #grounds = new Map<EngineName, Ground>();
  readonly #counts: RosterCounts = { frames: 0, writes: 0, reads: 0 };
  #life = 0;
  /** Pages are made one after the other. */
  readonly #walks = new Lane();
  /** How many rooms are read now that nobody here watches. */
  #pages = 0;
  #wasAway = false;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(options: RostersOptions) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
  }

  get numbers(): PresenceNumbers {
    const leases = [...this.#grounds.values()].map((ground) => ground.leases);
    const sum = (of: (one: Leases) => number): number => leases.reduce((total, one) => total + of(one), 0);
    return {
      rosters: this.#rosters.size,
      members: [...this.#rosters.values()].reduce((total, { size }) => total + size, 0),
      ...this.#counts,
      beats: sum(({ beats }) => beats),
      nodesGone: sum(({ others }) => others),
      leasesLost: sum(({ lost }) => lost),
    };
  }

  hold(room: string, rules: KindRules): Roster {
    let roster = this.#rosters.get(room);
    if (roster === undefined) {
      const ground = this.#ground(rules.engine);
      roster = new Roster(room, rules.presence, ground.port);
      this.#rosters.set(room, roster);
      ground.rosters.add(roster);
      if (this.#cancel === undefined) this.#lookLater();
    }
    roster.holds++;
    this.#idle.delete(roster);
    return roster;
  }

  #ground(name: EngineName): Ground {
    const known = this.#grounds.get(name);
    if (known !== undefined) return known;
    const { engines, instance, broker, fanout, leaseMs, checkMs, log } = this.#options;
    const open = engines.get(name);
    if (open === undefined) throw new EngineError("unavailable", `${name}: it keeps no members here`);
    const ground = new Ground({
      ...{ engine: open(), instance, broker, fanout, checkMs, log, clock: this.#clock, counts: this.#counts },
      leaseMs: Math.round(leaseMs * LEASE_PART),
      newLife: () => ++this.#life,
      idle: (roster) => void this.#idle.set(roster, this.#clock.now() + LINGER_MS),
    });
    this.#grounds.set(name, ground);
    return ground;
  }

  /** Takes what other nodes say, in one of the rooms of `membersRoom`; whether it is one. */
  deliver(room: string, events: readonly RoomEvent[]): boolean {
    const full = roomOfMembers(room);
    if (full === undefined) return false;
    const roster = this.#rosters.get(full);
    const own = `${this.#options.instance}.`;
    for (const event of events) {
      if (roster === undefined || event.from?.startsWith(own)) continue;
      const note = noteIn(event);
      if (note !== undefined) roster.take(note);
    }
    return true;
  }

  /** Notes may not have come in one of those rooms; whether it is one. */
  suspect(room: string): boolean {
    const full = roomOfMembers(room);
    if (full === undefined) return false;
    this.#rosters.get(full)?.suspect();
    return true;
  }

  async page(room: string, rules: KindRules, query: MembersQuery): Promise<MembersList> {
    const roster = this.#rosters.get(room);
    if (roster?.isKnown === true) return this.#walks.run(() => roster.page(query));
    if (this.#pages >= MOST_PAGES) throw new EngineError("unavailable", "too many rooms are being read", RETRY_MS);
    this.#pages++;
    try {
      return await this.#readPage(room, rules, query);
    } finally {
      this.#pages--;
    }
  }

  /** What nodes say of a room that nobody here watches. */
  async #readPage(room: string, rules: KindRules, query: MembersQuery): Promise<MembersList> {
    const { engine, leases } = this.#ground(rules.engine);
    await leases.beaten();
    this.#counts.reads++;
    const crowd = new Crowd();
    const ignore = () => undefined;
    const sources = new Sources({ crowd, keepMs: 0, heard: ignore, seen: ignore });
    const began = this.#clock.now();
    const registers = await engine.read(room);
    return this.#walks.run(async () => {
      await sources.read(registers, began, (node) => leases.isGone(node));
      return crowd.page(query);
    });
  }

  #lookLater(): void {
    this.#cancel = this.#clock.after(LOOK_MS, () => {
      this.#cancel = undefined;
      if (this.#closed) return;
      this.#look();
      if (this.#rosters.size > 0) this.#lookLater();
    });
  }

  /** Lets go of rosters that nobody needs, and looks whether the others have something to compare. */
  #look(): void {
    const now = this.#clock.now();
    for (const [roster, until] of this.#idle) {
      if (until > now) break;
      this.#idle.delete(roster);
      if (roster.isIdle) this.#drop(roster);
    }
    const isAway = this.#options.broker.problems().length > 0;
    if (this.#wasAway && !isAway) for (const ground of this.#grounds.values()) ground.refresh();
    this.#wasAway = isAway;
    if (!isAway) void walk([...this.#rosters.values()], (roster) => roster.check(now));
  }

  #drop(roster: Roster): void {
    this.#rosters.delete(roster.room);
    for (const { rosters } of this.#grounds.values()) rosters.delete(roster);
    roster.close();
  }

  /** What of the engines cannot be reached, a line each. */
  problems(): readonly string[] {
    return [...this.#grounds.values()].flatMap(({ engine }) => engine.problems());
  }

  /**
   * Hands over: what this node says of sessions that have gone on elsewhere is taken back, and the others' places are
   * good for the rest of their grace. After the last session has ended, before the broker is closed; within so long, in
   * milliseconds. Never rejects.
   */
  async close(withinMs: number): Promise<void> {
    // The clock keeps no process alive, and nothing else may be left that does.
    const alive = setInterval(() => undefined, withinMs + 1000);
    try {
      await this.#close(withinMs);
    } finally {
      clearInterval(alive);
    }
  }

  async #close(withinMs: number): Promise<void> {
    const until = this.#clock.now() + withinMs;
    const isWritten = () => [...this.#rosters.values()].every((roster) => roster.isWritten);
    while (!isWritten() && this.#clock.now() < until) {
      await new Promise<void>((resolve) => void this.#clock.after(WRITTEN_MS, resolve));
    }
    this.#closed = true;
    this.#cancel?.();
    const ends = [...this.#grounds.values()].map(async ({ rosters, leases, engine }) => {
      const leftMs = [...rosters].reduce((most, { lostForMs }) => Math.max(most, lostForMs), 0);
      for (const roster of rosters) roster.close();
      await leases.close(Math.ceil(leftMs));
      await engine.close().catch(() => undefined);
    });
    await Promise.all(ends);
    this.#rosters.clear();
    this.#idle.clear();
  }
}

/** `undefined`: damaged, or in a form that this version does not know. */
function noteIn(event: RoomEvent): Note | undefined {
  try {
    return readNote(event.data.json);
  } catch {
    return undefined;
  }
}
