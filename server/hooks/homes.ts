/** Which node keeps count of a room. */

/** Says which of some nodes has a room; all nodes find the same one. */
export type RingOf = (nodes: readonly string[]) => { of(room: string): string };

export class Homes {
  readonly #ringOf: RingOf;
  #nodes = "";
  #ring: ReturnType<RingOf> | undefined;

  constructor(ringOf: RingOf) {
    this.#ringOf = ringOf;
  }

  /** Takes the instances that are there now; whether that is a change. */
  update(ids: readonly string[]): boolean {
    const sorted = [...ids].sort();
    const nodes = sorted.join();
    if (nodes === this.#nodes) return false;
    this.#nodes = nodes;
    this.#ring = sorted.length === 0 ? undefined : this.#ringOf(sorted);
    return true;
  }

  /** `undefined` where nobody is there. */
  of(room: string): string | undefined {
    return this.#ring?.of(room);
  }
}
