/**
 * Tells that rooms are occupied, and vacated: that the first client on any node has come, that the last has left.
 *
 * Each node asks the others about the rooms that its own first client came into, or its own last one left, and one of
 * those concerned tells. A question speaks for the moment in which it arrives: who had not asked by then itself is not
 * waited for, and goes by having heard it. Two whose questions cross go by their ids.
 *
 * It is told at least once, save where the node that was to tell ended before; a node that is killed tells of none of its
 * rooms that they are vacated.
 */
import type { Log } from "../log.js";

/**
 * `entering`: someone came, it is asked whether that was told; `in`: it was; `grace`: nobody is here, someone may come
 * back; `leaving`: it is asked whether anyone is elsewhere.
 */
type Phase = "entering" | "in" | "grace" | "leaving";

type Place = {
  phase: Phase;
  /** Whether anyone is here. */
  isHere: boolean;
  /** Whether the others have been asked. */
  isAsked: boolean;
  /** Who asked before this node did. */
  heard: Set<string> | undefined;
  /** Who is left to tell it. */
  reliesOn: string | undefined;
};

/** What another node says of a room: which it is, who says it, and how the room is there. */
export type Said = readonly [room: string, id: string, phase: string];

export type OccupancyOptions = {
  /** This node's instance. */
  readonly id: () => string;
  /** What the other nodes say of these rooms, at most `MOST_ASKED`; rejects where they cannot be asked now. */
  readonly ask: (rooms: readonly string[]) => Promise<readonly (readonly unknown[])[]>;
  readonly tell: (type: "occupied" | "vacated", room: string) => void;
  readonly log: Log;
  /** How long after the last has left someone may come back and nothing is told, in milliseconds; 2000 by default. */
  readonly graceMs?: number;
  /** How long rooms are gathered before the others are asked, in milliseconds; 100 by default. */
  readonly gatherMs?: number;
};

const GRACE_MS = 2000;
const GATHER_MS = 100;
/** The most rooms in one question. */
export const MOST_ASKED = 150;
/** How many questions are under way at once. */
const AT_ONCE = 4;
/** How long after they could not be asked the others are asked again, in milliseconds, with jitter. */
const AGAIN_MS = 1000;
/** How long it is known who asked about rooms that nobody was in, in milliseconds: longer than a question takes. */
const CLAIM_MS = 5000;
const MAX_CLAIMS = 10_000;

const isSaid = (entry: readonly unknown[]): entry is Said =>
  typeof entry[0] === "string" && typeof entry[1] === "string" && typeof entry[2] === "string";

export class Occupancy {
  readonly #options: OccupancyOptions;
  readonly #places = new Map<string, Place>();
  /** Rooms in grace, and until when; in that order, since all have the same time. */
  readonly #grace = new Map<string, number>();
  #graceTimer: NodeJS.Timeout | undefined;
  /** Rooms that the others are still to be asked about. */
  readonly #unasked = new Set<string>();
  #gathering: NodeJS.Timeout | undefined;
  #asking = 0;
  /** Who asked about rooms that are nothing to this node, and until when that counts. */
  readonly #claims = new Map<string, { readonly ids: Set<string>; readonly until: number }>();
  #closing = false;
  #closed = false;

  constructor(options: OccupancyOptions) {
    this.#options = options;
  }

  /** How many rooms are followed. */
  get size(): number {
    return this.#places.size;
  }

  /** The first client has come into the room here, or the last has left it. */
  changed(room: string, isHere: boolean): void {
    if (this.#closed) return;
    const place = this.#places.get(room);
    if (place !== undefined) {
      place.isHere = isHere;
      if (isHere && place.phase === "grace") {
        this.#grace.delete(room);
        place.phase = "in";
      } else if (!isHere && place.phase === "in") this.#wait(room, place);
    } else if (isHere) {
      const heard = this.#heardOf(room);
      this.#places.set(room, { phase: "entering", isHere, isAsked: false, heard, reliesOn: undefined });
      this.#gather(room);
    }
  }

  /** What this node says of the rooms to another one that asks; to itself nothing. */
  said(rooms: readonly string[], asker: string | undefined): Said[] {
    if (asker === undefined) return [];
    const id = this.#options.id();
    return rooms.flatMap((room) => {
      const place = this.#places.get(room);
      if (place === undefined) {
        this.#claim(room, asker);
        return [];
      }
      const { phase } = place;
      if (!place.isAsked && phase !== "in") {
        place.heard ??= new Set();
        place.heard.add(asker);
      }
      // Nobody goes by a question that is still to be asked: this one goes by theirs.
      if (phase === "entering" && !place.isAsked) return [];
      return [[room, id, place.reliesOn === asker ? "entering" : phase]];
    });
  }

  #claim(room: string, asker: string): void {
    const claim = this.#claims.get(room) ?? { ids: new Set<string>() };
    claim.ids.add(asker);
    this.#claims.delete(room);
    this.#claims.set(room, { ids: claim.ids, until: performance.now() + CLAIM_MS });
    const now = performance.now();
    for (const [oldest, { until }] of this.#claims) {
      if (until > now && this.#claims.size <= MAX_CLAIMS) break;
      this.#claims.delete(oldest);
    }
  }

  #heardOf(room: string): Set<string> | undefined {
    const claim = this.#claims.get(room);
    this.#claims.delete(room);
    return claim !== undefined && claim.until > performance.now() ? claim.ids : undefined;
  }

  #wait(room: string, place: Place): void {
    place.phase = "grace";
    place.isAsked = false;
    place.heard = undefined;
    place.reliesOn = undefined;
    this.#grace.set(room, this.#closing ? 0 : performance.now() + (this.#options.graceMs ?? GRACE_MS));
    if (this.#closing) this.#endGrace();
    else this.#graceTimer ??= setTimeout(() => this.#endGrace(), this.#options.graceMs ?? GRACE_MS).unref();
  }

  /** Takes up those whose time is over. */
  #endGrace(): void {
    clearTimeout(this.#graceTimer);
    this.#graceTimer = undefined;
    const now = performance.now();
    for (const [room, until] of this.#grace) {
      // Timers may be early by a fraction.
      if (until > now + 1 && !this.#closing) {
        this.#graceTimer = setTimeout(() => this.#endGrace(), until - now).unref();
        return;
      }
      this.#grace.delete(room);
      this.#gather(room);
    }
  }

  #gather(room: string): void {
    this.#unasked.add(room);
    if (this.#closing) this.#askNext();
    else this.#gathering ??= setTimeout(() => this.#askNext(), this.#options.gatherMs ?? GATHER_MS).unref();
  }

  #askNext(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    while (this.#unasked.size > 0 && this.#asking < AT_ONCE && !this.#closed) {
      const rooms: string[] = [];
      for (const room of this.#unasked) {
        if (rooms.length === MOST_ASKED) break;
        this.#unasked.delete(room);
        const place = this.#places.get(room);
        if (place === undefined || place.phase === "in") continue;
        if (place.phase === "grace" && place.isHere) {
          place.phase = "in";
          continue;
        }
        if (place.phase === "grace") place.phase = "leaving";
        place.isAsked = true;
        rooms.push(room);
      }
      if (rooms.length > 0) void this.#ask(rooms);
    }
  }

  async #ask(rooms: readonly string[]): Promise<void> {
    this.#asking++;
    try {
      const answers = await this.#options.ask(rooms);
      if (this.#closed) return;
      const byRoom = new Map<string, Said[]>();
      for (const entry of answers) {
        if (!isSaid(entry)) continue;
        const said = byRoom.get(entry[0]) ?? [];
        said.push(entry);
        byRoom.set(entry[0], said);
      }
      for (const room of rooms) this.#decide(room, byRoom.get(room) ?? []);
    } catch (error) {
      this.#options.log.debug("other nodes cannot be asked who is in rooms", { error: String(error) });
      if (!this.#closing) this.#again(rooms);
      // Alone, for all that is known: told twice is better than not at all.
      else for (const room of rooms) this.#decide(room, []);
    } finally {
      this.#asking--;
      this.#askNext();
    }
  }

  #again(rooms: readonly string[]): void {
    const again = () => {
      for (const room of rooms) if (this.#places.has(room)) this.#gather(room);
    };
    setTimeout(again, AGAIN_MS * (0.5 + Math.random())).unref();
  }

  #decide(room: string, said: readonly Said[]): void {
    const place = this.#places.get(room);
    if (place?.phase === "entering") this.#decideEntering(room, place, said);
    else if (place?.phase === "leaving") this.#decideLeaving(room, place, said);
  }

  #decideEntering(room: string, place: Place, said: readonly Said[]): void {
    const id = this.#options.id();
    // A node that asked before anyone was here told what it was about, whatever came after.
    const knows = said.find(([, by, phase]) => {
      const before = place.heard?.has(by) === true;
      if (phase === "entering") return before || by < id;
      return phase === "leaving" ? !before : true;
    });
    if (knows === undefined) this.#options.tell("occupied", room);
    else if (knows[2] === "entering") place.reliesOn = knows[1];
    place.phase = "in";
    place.heard = undefined;
    if (!place.isHere) this.#wait(room, place);
  }

  #decideLeaving(room: string, place: Place, said: readonly Said[]): void {
    if (place.isHere) {
      place.phase = "in";
      return;
    }
    const id = this.#options.id();
    const isOthers = said.some(([, by, phase]) => {
      if (phase !== "leaving") return true;
      // It asked while someone could still come back here, and left it to this node.
      return place.heard?.has(by) !== true && by < id;
    });
    this.#places.delete(room);
    if (!isOthers) this.#options.tell("vacated", room);
  }

  /**
   * Everyone has left: tells of all rooms that nobody is in elsewhere, without waiting for who may come back. Resolves
   * once it is decided of all of them, or after so long.
   */
  async close(withinMs: number): Promise<void> {
    this.#closing = true;
    this.#endGrace();
    this.#askNext();
    const until = performance.now() + withinMs;
    const isOver = () => ![...this.#places.values()].some(({ isHere }) => !isHere);
    while (!isOver() && performance.now() < until) await new Promise((next) => setTimeout(next, 10));
    this.#closed = true;
    clearTimeout(this.#graceTimer);
    clearTimeout(this.#gathering);
  }
}
