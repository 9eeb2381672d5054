/** Which nodes have clients in the rooms that this node keeps count of; tells as the first has, and as none has any more. */

export type CensusOptions = {
  readonly tell: (type: "occupied" | "vacated", room: string) => void;
  /** How long after the last has left someone may come back and nothing is told, in milliseconds. */
  readonly graceMs: number;
};

/**
 * What a node reports of a room, one character before its name: someone has come (`+`), or is there and that was told
 * before (`*`); nobody is there any more (`-`), where it was told that someone was (`~`).
 */
export type Report = "+" | "*" | "-" | "~";

const MAX_VACATED = 10_000;

export class Census {
  readonly #options: CensusOptions;
  /** The instances with clients in each room; of all that are here it was told that they are occupied. */
  readonly #rooms = new Map<string, Set<string>>();
  /** Rooms where nobody is, and until when someone may come back; in that order, since all have the same time. */
  readonly #empty = new Map<string, number>();
  /** Rooms of which it was told last that they are vacated, the oldest first. */
  readonly #vacated = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CensusOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#rooms.size;
  }

  /** Whether nobody is waited for to come back. */
  get isQuiet(): boolean {
    return this.#empty.size === 0;
  }

  take(report: Report, room: string, id: string): void {
    let nodes = this.#rooms.get(room);
    if (nodes === undefined) {
      if (report === "-") return;
      if (report === "~" && this.#vacated.has(room)) return;
      nodes = new Set();
      this.#rooms.set(room, nodes);
      // A node whose report came too late takes its room to be known as occupied.
      if (this.#vacated.delete(room) || report === "+") this.#options.tell("occupied", room);
    }
    if (report === "+" || report === "*") {
      nodes.add(id);
      this.#empty.delete(room);
    } else {
      nodes.delete(id);
      this.#look(room, nodes);
    }
  }

  /** These instances have gone, without a word. */
  gone(ids: readonly string[]): void {
    if (ids.length === 0) return;
    for (const [room, nodes] of this.#rooms) {
      for (const id of ids) nodes.delete(id);
      this.#look(room, nodes);
    }
  }

  #look(room: string, nodes: ReadonlySet<string>): void {
    if (nodes.size > 0 || this.#empty.has(room)) return;
    this.#empty.set(room, performance.now() + this.#options.graceMs);
    this.#timer ??= setTimeout(() => this.#sweep(), this.#options.graceMs).unref();
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [room, until] of this.#empty) {
      if (until > now) {
        this.#timer = setTimeout(() => this.#sweep(), Math.ceil(until - now)).unref();
        return;
      }
      this.#vacate(room);
    }
  }

  #vacate(room: string): void {
    this.#empty.delete(room);
    if (!this.#rooms.delete(room)) return;
    this.#options.tell("vacated", room);
    this.#vacated.add(room);
    if (this.#vacated.size <= MAX_VACATED) return;
    for (const oldest of this.#vacated) {
      this.#vacated.delete(oldest);
      return;
    }
  }

  /** Gives up the rooms that others keep count of now; those of them where nobody is, of which no node will report. */
  release(isOwn: (room: string) => boolean): string[] {
    const left: string[] = [];
    for (const [room, nodes] of this.#rooms) {
      if (isOwn(room)) continue;
      if (nodes.size === 0) left.push(room);
      this.#rooms.delete(room);
      this.#empty.delete(room);
    }
    return left;
  }

  /** There is nobody any more, anywhere. */
  vacateAll(): void {
    for (const room of [...this.#rooms.keys()]) this.#vacate(room);
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
