/** A room's members, as this node knows them: its own, and what the other nodes say. */
import type { ServerCodec } from "../../protocol/codec.js";
import type { Presence as PresenceEngine, Register } from "../engine/presence.js";
import { membersRoom, shownName } from "../room/names.js";
import type { Fanout } from "../room/room.js";
import type { PresenceRules } from "../room/rules.js";
import type { MembersList, MembersQuery, Roster as RosterOfSession, Seat, View, Who } from "../session/presence.js";
import { Changes } from "./changes.js";
import type { Clock } from "./clock.js";
import { type Changed, Crowd } from "./crowd.js";
import type { Leases } from "./leases.js";
import type { Note } from "./register.js";
import { Seats } from "./seats.js";
import { Sources } from "./sources.js";
import { Writer } from "./writer.js";

/** What a roster counts, together with all others of the node. */
export type RosterCounts = { frames: number; writes: number; reads: number };

/** What a roster needs of its node. */
export interface RosterPort {
  readonly clock: Clock;
  readonly engine: PresenceEngine;
  readonly leases: Leases;
  readonly fanout: Fanout;
  readonly counts: RosterCounts;
  /** How often registers are compared with what is known, in milliseconds; more seldom where they are large. */
  readonly checkMs: number;
  /** See `SourcesOptions`. */
  readonly keepMs: number;
  newLife(): number;
  subscribe(room: string): Promise<void>;
  unsubscribe(room: string): Promise<void>;
  tell(room: string, note: Note): Promise<void>;
  heard(roster: Roster, node: string, isHere: boolean): void;
  /** Nobody needs the roster now. */
  idle(roster: Roster): void;
}

/** How long changes are gathered that come in one burst, in milliseconds. */
const BURST_MS = 20;
/** The longest that a reader's join waits until it is known who is there, in milliseconds. */
const READY_MS = 2000;
/** The pause before registers are read again that could not be, in milliseconds, with jitter. */
const RETRY_MS = 500;
/** Registers of so many bytes are compared as often as `checkMs` says, larger ones more seldom in proportion. */
const CHECK_BYTES = 64 * 1024;
/** Within how long a node that goes by another name writes its registers anew, in milliseconds. */
const AGAIN_MS = 500;

export class Roster implements RosterOfSession {
  /** The room's full name. */
  readonly room: string;
  readonly topic: string;
  readonly #rules: PresenceRules;
  readonly #port: RosterPort;
  readonly #crowd: Crowd;
  readonly #seats: Seats;
  readonly #sources: Sources;
  readonly #writer: Writer;
  readonly #changes: Changes;
  readonly #readers = new Map<ServerCodec, number>();
  holds = 0;
  #isWatching = false;
  #isKnown = false;
  #ready: Promise<void> | undefined;
  #reading: Promise<void> | undefined;
  #readAgain = false;
  #checkAt = 0;
  #frameAt = Number.NEGATIVE_INFINITY;
  #cancelFrame: (() => void) | undefined;
  #cancelRead: (() => void) | undefined;
  #closed = false;

  constructor(room: string, rules: PresenceRules, port: RosterPort) {
    this.room = room;
    this.topic = membersRoom(room);
    this.#rules = rules;
    this.#port = port;
    const { clock, engine, leases, keepMs } = port;
    const crowd = new Crowd({
      user: (user, changed) => this.#changed(user, changed),
      anonymous: () => this.#scheduleFrame(),
    });
    this.#crowd = crowd;
    this.#changes = new Changes(crowd, rules.maxListed);
    this.#seats = new Seats({ crowd, clock, graceMs: rules.graceMs, changed: (part) => this.#writer.changed(part) });
    this.#sources = new Sources({
      ...{ crowd, keepMs },
      heard: (node, isHere) => port.heard(this, node, isHere),
      seen: (entry) => this.#seats.seenElsewhere(entry),
    });
    this.#writer = new Writer({
      ...{ clock, node: () => leases.node, newLife: () => port.newLife(), leased: () => leases.leased() },
      entriesOf: (part) => this.#seats.entriesOf(part),
      write: (node, part, value) => {
        port.counts.writes++;
        return engine.write(room, node, part, value);
      },
      tell: (note) => port.tell(room, note),
      idle: () => this.#lookIfIdle(),
    });
  }

  /** How many places are taken here, those included whose session is waited for. */
  get size(): number {
    return this.#seats.size;
  }

  /** How long sessions are waited for yet, in milliseconds. */
  get lostForMs(): number {
    return this.#seats.lostForMs;
  }

  get isWritten(): boolean {
    return this.#writer.isIdle;
  }

  /** Whether it is known who is there, also on the other nodes. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  get isIdle(): boolean {
    return this.holds === 0 && this.#seats.size === 0 && this.#writer.isIdle;
  }

  ready(): Promise<void> | undefined {
    if (this.#isKnown || this.#closed) return undefined;
    this.#ready ??= new Promise((resolve) => {
      const cancel = this.#port.clock.after(READY_MS, resolve);
      void this.#watch().then(() => {
        cancel();
        resolve();
      });
    });
    return this.#ready;
  }

  /** Resolves once it is known who is there, or the roster is closed. Never rejects. */
  async #watch(): Promise<void> {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const { leases, clock } = this.#port;
    while (!this.#closed) {
      try {
        await leases.leased();
        await this.#port.subscribe(this.topic);
        if (this.#closed) await this.#port.unsubscribe(this.topic);
        else await this.#read();
        return;
      } catch {
        await new Promise<void>((resolve) => clock.after(RETRY_MS * (0.5 + Math.random()), resolve));
      }
    }
  }

  /** Reads the registers, once for all who ask at the same time. Rejects with what the engine says. */
  #read(): Promise<void> {
    if (this.#reading !== undefined) {
      this.#readAgain = true;
      return this.#reading;
    }
    this.#readAgain = false;
    this.#reading = this.#readOnce().finally(() => {
      this.#reading = undefined;
      if (this.#readAgain) this.refresh();
    });
    return this.#reading;
  }

  async #readOnce(): Promise<void> {
    const { clock, engine, leases, counts, checkMs, keepMs } = this.#port;
    const began = clock.now();
    const written = this.#writer.written();
    const node = leases.node;
    counts.reads++;
    const registers = await engine.read(this.room);
    if (this.#closed) return;
    const others = registers.filter((register) => !leases.isOwn(register.node));
    await this.#sources.read(others, began, (each) => leases.isGone(each));
    if (this.#closed) return;
    if (node === leases.node) this.#verify(registers, node, written);
    const bytes = registers.reduce((sum, { value }) => sum + value.length, 0);
    this.#checkAt = clock.now() + checkMs * Math.max(1, bytes / CHECK_BYTES);
    if (this.#sources.isDoubtful()) this.#checkAt = Math.min(this.#checkAt, clock.now() + keepMs);
    if (this.#isKnown) return;
    this.#isKnown = true;
    this.#scheduleFrame();
  }

  #verify(registers: readonly Register[], node: string, written: ReadonlyMap<number, number>): void {
    const own = registers.filter((register) => register.node === node);
    this.#writer.verify(own, written);
  }

  /**
   * Something that others have said may not have come, or what this node has written may be lost: reads the registers, now
   * or as soon as it can be. Where nobody here wants to know what others say, they are written once more.
   */
  refresh(): void {
    if (this.#closed || this.#cancelRead !== undefined) return;
    if (!this.#isWatching) {
      this.#writer.again(this.#seats.parts, AGAIN_MS);
      return;
    }
    this.#read().catch(() => {
      this.#sources.believe();
      if (this.#closed || this.#cancelRead !== undefined) return;
      this.#cancelRead = this.#port.clock.after(RETRY_MS * (0.5 + Math.random()), () => {
        this.#cancelRead = undefined;
        this.refresh();
      });
    });
  }

  /** The engine was away, or has lost what it had. */
  suspect(): void {
    this.#sources.believe();
    this.refresh();
  }

  /** Reads the registers where it is time to. */
  check(now: number): void {
    if (this.#isKnown && now >= this.#checkAt) this.refresh();
  }

  /** Takes what another node says. */
  take({ node, part, said }: Note): void {
    const { leases, clock } = this.#port;
    if (leases.isGone(node)) return;
    if (this.#sources.take(node, part, said, clock.now())) this.refresh();
  }

  /** The node has gone. */
  gone(node: string): void {
    this.#sources.gone(node);
  }

  /** This node goes by another name: all that it said is to be said again. */
  renamed(): void {
    this.#sources.believe();
    this.#writer.again(this.#seats.parts, AGAIN_MS);
  }

  enter(who: Who): Seat {
    const seat = this.#seats.enter(who);
    return {
      update: (info) => seat.update(info),
      leave: () => {
        seat.leave();
        this.#lookIfIdle();
      },
      lose: () => {
        seat.lose();
        this.#lookIfIdle();
      },
    };
  }

  view(): View {
    return this.#isKnown ? this.#changes.view() : { members: undefined, count: undefined };
  }

  /** A page of who is there, as far as it is known. */
  page(query: MembersQuery): Promise<MembersList> {
    return this.#crowd.page(query);
  }

  addReader(codec: ServerCodec): void {
    const isFirst = this.#readers.size === 0;
    this.#readers.set(codec, (this.#readers.get(codec) ?? 0) + 1);
    if (!isFirst) return;
    if (this.#isKnown) this.#changes.begin();
    else this.#changes.forget();
  }

  removeReader(codec: ServerCodec): void {
    const left = (this.#readers.get(codec) ?? 1) - 1;
    if (left > 0) this.#readers.set(codec, left);
    else this.#readers.delete(codec);
    if (this.#readers.size > 0) return;
    this.#changes.forget();
    this.#cancelFrame?.();
    this.#cancelFrame = undefined;
  }

  release(): void {
    this.holds--;
    this.#lookIfIdle();
  }

  #lookIfIdle(): void {
    if (this.isIdle && !this.#closed) this.#port.idle(this);
  }

  #changed(user: string, changed: Changed): void {
    if (this.#readers.size === 0 || !this.#isKnown) return;
    this.#changes.note(user, changed);
    this.#scheduleFrame();
  }

  #scheduleFrame(): void {
    if (this.#readers.size === 0 || !this.#isKnown || this.#cancelFrame !== undefined || this.#closed) return;
    const { clock } = this.#port;
    const ms = Math.max(BURST_MS, this.#frameAt + this.#rules.intervalMs - clock.now());
    this.#cancelFrame = clock.after(ms, () => this.#sendFrame());
  }

  /** One frame for all who read: encoded once for each codec. */
  #sendFrame(): void {
    this.#cancelFrame = undefined;
    const frame = this.#changes.frame(shownName(this.room));
    if (frame === undefined) return;
    const { clock, fanout, counts } = this.#port;
    this.#frameAt = clock.now();
    counts.frames++;
    for (const codec of this.#readers.keys()) fanout.publish(this.topic, codec, codec.encode(frame));
  }

  /** Nothing more happens to it, and nobody is told. */
  close(): void {
    this.#closed = true;
    this.#cancelFrame?.();
    this.#cancelRead?.();
    this.#seats.close();
    this.#writer.close();
    this.#sources.clear();
    if (this.#isWatching) this.#port.unsubscribe(this.topic).catch(() => undefined);
  }
}
