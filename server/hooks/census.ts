/** Which nodes have clients in the rooms that this node keeps count of, and in which of them nobody is any more. */

export type CensusOptions = {
  /** Somebody is in the room, where nobody was known to be. */
  readonly occupied: (room: string) => void;
  /** Nobody is known to be in these any more, and the grace is over. Each is to be given to `vacate` or to `wait`. */
  readonly emptied: (rooms: readonly string[]) => void;
  /** How long after the last has left someone may come back and nothing is told, in milliseconds. */
  readonly graceMs: number;
  /** How long rooms are gathered at the least, in milliseconds. */
  readonly gatherMs: number;
};

export class Census {
  readonly #options: CensusOptions;
  /** The instances with clients in each room. */
  readonly #rooms = new Map<string, Set<string>>();
  /** Rooms where nobody is, and until when someone may come back; in that order, since all have the same time. */
  readonly #empty = new Map<string, number>();
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

  /** A node says whether anyone is in the room there. */
  take(room: string, id: string, isHere: boolean): void {
    let nodes = this.#rooms.get(room);
    if (nodes === undefined) {
      nodes = new Set();
      this.#rooms.set(room, nodes);
    }
    if (!isHere) {
      // It was another node's to count meanwhile, which knows better.
      if (!nodes.delete(id)) nodes.clear();
      this.#look(room, nodes);
      return;
    }
    if (nodes.size === 0) this.#options.occupied(room);
    nodes.add(id);
    this.#empty.delete(room);
  }

  /** Somebody was in the room, whoever may be there now. */
  expect(room: string): void {
    if (!this.#rooms.has(room)) this.take(room, "", false);
  }

  /** Who is in the room is not known any more, where it is counted at all. */
  doubt(room: string): void {
    const nodes = this.#rooms.get(room);
    if (nodes === undefined) return;
    nodes.clear();
    this.#look(room, nodes);
  }

  get rooms(): IterableIterator<string> {
    return this.#rooms.keys();
  }

  /** These instances have gone, without a word. */
  gone(ids: readonly string[]): void {
    if (ids.length === 0) return;
    for (const [room, nodes] of this.#rooms) {
      if (nodes.size === 0) continue;
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
    const emptied: string[] = [];
    for (const [room, until] of this.#empty) {
      if (until > now) {
        const ms = Math.max(this.#options.gatherMs, Math.ceil(until - now));
        this.#timer = setTimeout(() => this.#sweep(), ms).unref();
        break;
      }
      this.#empty.delete(room);
      emptied.push(room);
    }
    if (emptied.length > 0) this.#options.emptied(emptied);
  }

  /** Where nobody has come back meanwhile it is counted no longer; whether that is so. */
  vacate(room: string): boolean {
    if (this.#rooms.get(room)?.size !== 0 || this.#empty.has(room)) return false;
    return this.#rooms.delete(room);
  }

  /** Where nobody has come back meanwhile, it is waited once more. */
  wait(room: string): void {
    const nodes = this.#rooms.get(room);
    if (nodes !== undefined) this.#look(room, nodes);
  }

  /** Gives up the rooms that others keep count of now; of each, whether nobody was there: no node will report those. */
  release(isOwn: (room: string) => boolean): [room: string, isEmpty: boolean][] {
    const released: [string, boolean][] = [];
    for (const [room, nodes] of this.#rooms) {
      if (isOwn(room)) continue;
      released.push([room, nodes.size === 0]);
      this.#rooms.delete(room);
      this.#empty.delete(room);
    }
    return released;
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
