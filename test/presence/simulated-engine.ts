/** An engine between the nodes of one process, in virtual time: late, cut off, away, or without its data. */
import type { NewEvent } from "../../protocol/event.js";
import { RoomEvent } from "../../protocol/event.js";
import {
  type Broker,
  type Deliver,
  EngineError,
  noHistory,
  type Range,
  type Suspect,
} from "../../server/engine/engine.js";
import { MemoryRegisters } from "../../server/engine/memory-presence.js";
import type { Beat, Presence, Register } from "../../server/engine/presence.js";
import type { Random } from "../support/random.js";
import type { Clock, VirtualTime } from "../support/virtual-time.js";

/** The longest that anything is under way, one way, in milliseconds. */
export const MOST_DELAY_MS = 60;
/** How long it takes until a call finds out that the engine is away, at the most. */
const FOUND_MS = 800;

const away = () => new EngineError("unavailable", "the simulated engine is away", 200);

export class SimulatedEngine {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly links = new Set<EngineLink>();
  registers: MemoryRegisters;
  /** The share of deliveries that are lost without a word. */
  loss = 0;
  /** How long things are under way: in most runs, and where a test wants no time between. */
  mostDelayMs = MOST_DELAY_MS;
  readonly #clock: Clock;

  constructor(time: VirtualTime, random: Random) {
    this.time = time;
    this.random = random;
    this.#clock = time.clock();
    this.registers = new MemoryRegisters(() => time.now);
  }

  link(clock: Clock): EngineLink {
    const link = new EngineLink(this, clock);
    this.links.add(link);
    return link;
  }

  /** All that was kept is gone. */
  loseData(): void {
    this.registers = new MemoryRegisters(() => this.time.now);
  }

  /** Who has left something in which room. */
  left(): string[] {
    return ["chat:a", "chat:b"].flatMap((room) => this.registers.read(room).map(({ node }) => `${room} ${node}`));
  }

  /** What no lease is known of is cleared after a while, as engines do it that can lose their data. */
  sweep(): void {
    const { leases } = this.registers.beat("sweeper", 0);
    const leased = new Set(leases.map(({ node }) => node));
    for (const node of new Set(this.left().map((words) => words.split(" ")[1] ?? ""))) {
      if (!leased.has(node)) this.registers.clear(node);
    }
    this.registers.clear("sweeper");
  }

  delay(): number {
    return this.random.next() * this.mostDelayMs;
  }

  /** What is on its way inside the engine goes on whatever becomes of the nodes. */
  later(ms: number, run: () => void): void {
    this.#clock.after(ms, run);
  }

  tell(from: EngineLink, room: string, event: RoomEvent): void {
    for (const link of this.links) link.told(from, room, event);
  }
}

/** A node's way to the engine: a broker of rooms without a log, and a presence. */
export class EngineLink {
  readonly engine: SimulatedEngine;
  readonly clock: Clock;
  /** Counts of what the node asked for: calls, of which each is a write of an engine or a read. */
  readonly counts = { writes: 0, notices: 0, beats: 0, reads: 0, clears: 0, bytes: 0 };
  /** The bytes of the registers it wrote. */
  largest = 0;
  #cutAt: number | undefined;
  #deliver: Deliver = () => undefined;
  #suspect: Suspect = () => undefined;
  readonly #rooms = new Set<string>();
  /** When the last call gets there, and when what comes from each other node does: nothing overtakes its own kind. */
  #arriveAt = 0;
  readonly #heardAt = new Map<EngineLink, number>();

  constructor(engine: SimulatedEngine, clock: Clock) {
    this.engine = engine;
    this.clock = clock;
  }

  get isCut(): boolean {
    return this.#cutAt !== undefined;
  }

  get subscribed(): number {
    return this.#rooms.size;
  }

  cut(): void {
    this.#cutAt ??= this.engine.time.now;
  }

  /** The connection is there again: rooms are subscribed again, and what was missed in them is suspected. */
  heal(): void {
    if (this.#cutAt === undefined) return;
    this.#cutAt = undefined;
    for (const room of this.#rooms)
      this.clock.after(this.engine.delay(), () => this.#rooms.has(room) && this.#suspect(room));
  }

  /** One call: it takes effect after a while, and is answered after another; lost on the way where the node is cut off. */
  #call<T>(act: () => T): Promise<T> {
    const { engine, clock } = this;
    return new Promise((resolve, reject) => {
      const refuse = () => reject(away());
      if (this.#cutAt !== undefined) {
        const found = engine.time.now - this.#cutAt > FOUND_MS;
        clock.after(found ? 0 : engine.random.next() * FOUND_MS, refuse);
        return;
      }
      this.#arriveAt = Math.max(this.#arriveAt, engine.time.now + engine.delay());
      engine.later(this.#arriveAt - engine.time.now, () => {
        if (this.isCut && engine.random.chance(0.5)) {
          clock.after(engine.random.next() * FOUND_MS, refuse);
          return;
        }
        const result = act();
        const cutAtOnce = this.isCut;
        engine.later(engine.delay(), () => {
          if (clock.stopped) return;
          if (cutAtOnce || this.isCut) clock.after(engine.random.next() * FOUND_MS, refuse);
          else resolve(result);
        });
      });
    });
  }

  told(from: EngineLink, room: string, event: RoomEvent): void {
    const { engine } = this;
    if (this.isCut || engine.random.chance(engine.loss)) return;
    const at = Math.max(this.#heardAt.get(from) ?? 0, engine.time.now + engine.delay());
    this.#heardAt.set(from, at);
    engine.later(at - engine.time.now, () => {
      if (this.isCut || this.clock.stopped || !this.#rooms.has(room)) return;
      this.#deliver(room, "", [event], 0);
    });
  }

  broker(deliver: Deliver, suspect: Suspect): Broker {
    this.#deliver = deliver;
    this.#suspect = suspect;
    return {
      publish: (room: string, event: NewEvent) => {
        this.counts.notices++;
        return this.#call(() => this.engine.tell(this, room, new RoomEvent(0, event))).then(() => undefined);
      },
      subscribe: (room: string) => this.#call(() => void this.#rooms.add(room)),
      unsubscribe: async (room: string) => void this.#rooms.delete(room),
      history: async (_room: string, range: Range) => noHistory(range),
      problems: () => [],
      close: async () => undefined,
    };
  }

  presence(): Presence {
    const { counts, engine } = this;
    return {
      write: (room: string, node: string, part: number, value: Buffer | undefined) => {
        counts.writes++;
        counts.bytes += value?.length ?? 0;
        this.largest = Math.max(this.largest, value?.length ?? 0);
        const copy = value === undefined ? undefined : Buffer.from(value);
        return this.#call(() => engine.registers.write(room, node, part, copy));
      },
      read: (room: string) => {
        counts.reads++;
        return this.#call((): readonly Register[] => engine.registers.read(room));
      },
      beat: (node: string, leaseMs: number) => {
        counts.beats++;
        return this.#call((): Beat => engine.registers.beat(node, leaseMs));
      },
      clear: (node: string) => {
        counts.clears++;
        return this.#call(() => engine.registers.clear(node));
      },
      problems: () => [],
      close: async () => undefined,
    };
  }

  /** All that was asked of the engine. */
  get calls(): number {
    const { writes, notices, beats, reads, clears } = this.counts;
    return writes + notices + beats + reads + clears;
  }

  /** Nothing is told to it any more. */
  close(): void {
    this.engine.links.delete(this);
  }

  /** The process is gone. */
  kill(): void {
    this.engine.links.delete(this);
    this.clock.stop();
  }
}
