/** Presence without services. Several nodes on one `MemoryRegisters` are one cluster. */
import { EngineError } from "./engine.js";
import type { Beat, Presence, Register } from "./presence.js";

/** By room, and by node and part within it. */
type Rooms = Map<string, Map<string, Map<number, Buffer>>>;

/** What nodes have written, and their leases. */
export class MemoryRegisters {
  readonly #rooms: Rooms = new Map();
  /** Which rooms each node has written of. */
  readonly #byNode = new Map<string, Set<string>>();
  readonly #leases = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How many rooms somebody has written of. */
  get size(): number {
    return this.#rooms.size;
  }

  write(room: string, node: string, part: number, value: Buffer | undefined): void {
    const nodes = this.#rooms.get(room) ?? new Map<string, Map<number, Buffer>>();
    const parts = nodes.get(node) ?? new Map<number, Buffer>();
    if (value === undefined) parts.delete(part);
    else parts.set(part, Buffer.from(value));
    const rooms = this.#byNode.get(node) ?? new Set();
    if (parts.size > 0) {
      nodes.set(node, parts);
      rooms.add(room);
    } else {
      nodes.delete(node);
      rooms.delete(room);
    }
    if (nodes.size > 0) this.#rooms.set(room, nodes);
    else this.#rooms.delete(room);
    if (rooms.size > 0) this.#byNode.set(node, rooms);
    else this.#byNode.delete(node);
  }

  read(room: string): Register[] {
    const registers: Register[] = [];
    for (const [node, parts] of this.#rooms.get(room) ?? []) {
      for (const [part, value] of parts) registers.push({ node, part, value: Buffer.from(value) });
    }
    return registers;
  }

  beat(node: string, leaseMs: number): Beat {
    const now = this.#now();
    const isNew = (this.#leases.get(node) ?? Number.NEGATIVE_INFINITY) <= now;
    this.#leases.set(node, now + leaseMs);
    return { isNew, leases: [...this.#leases].map(([name, until]) => ({ node: name, leftMs: until - now })) };
  }

  clear(node: string): boolean {
    if ((this.#leases.get(node) ?? Number.NEGATIVE_INFINITY) > this.#now()) return false;
    for (const room of this.#byNode.get(node) ?? []) {
      const nodes = this.#rooms.get(room);
      nodes?.delete(node);
      if (nodes?.size === 0) this.#rooms.delete(room);
    }
    this.#byNode.delete(node);
    this.#leases.delete(node);
    return true;
  }
}

export class MemoryPresence implements Presence {
  readonly #registers: MemoryRegisters;
  #closed = false;

  constructor(registers: MemoryRegisters) {
    this.#registers = registers;
  }

  async write(room: string, node: string, part: number, value: Buffer | undefined): Promise<void> {
    this.#checkOpen();
    this.#registers.write(room, node, part, value);
  }

  async read(room: string): Promise<readonly Register[]> {
    this.#checkOpen();
    return this.#registers.read(room);
  }

  async beat(node: string, leaseMs: number): Promise<Beat> {
    this.#checkOpen();
    return this.#registers.beat(node, leaseMs);
  }

  async clear(node: string): Promise<boolean> {
    this.#checkOpen();
    return this.#registers.clear(node);
  }

  problems(): readonly string[] {
    return [];
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #checkOpen(): void {
    if (this.#closed) throw new EngineError("unavailable", "the memory engine is closed", 0);
  }
}
