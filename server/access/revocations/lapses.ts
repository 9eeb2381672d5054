/**
 * Things in the order in which they lapse: a binary heap. What was replaced stays in it until its turn, or until there is more of
 * that than of the others.
 */
export class Lapses<T extends { readonly until: number }> {
  readonly #holds: (one: T) => boolean;
  #heap: T[] = [];

  /** `holds`: whether it was neither replaced nor removed. */
  constructor(holds: (one: T) => boolean) {
    this.#holds = holds;
  }

  /** `count`: how many hold now, this one included. */
  push(one: T, count: number): void {
    this.#heap.push(one);
    if (this.#heap.length > 2 * count + 64) {
      // A sorted list is a heap.
      this.#heap = this.#heap.filter(this.#holds).sort((a, b) => a.until - b.until);
    } else this.#rise();
  }

  /** Takes out the first one that holds and lapses by then; `undefined` where there is none. */
  take(by: number): T | undefined {
    for (let first = this.#heap[0]; first !== undefined && first.until <= by; first = this.#heap[0]) {
      const last = this.#heap.pop() as T;
      if (last !== first) this.#sink(last);
      if (this.#holds(first)) return first;
    }
    return undefined;
  }

  /** Brings the last one to its place. */
  #rise(): void {
    const heap = this.#heap;
    let at = heap.length - 1;
    const one = heap[at] as T;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const other = heap[above] as T;
      if (other.until <= one.until) break;
      heap[at] = other;
      at = above;
    }
    heap[at] = one;
  }

  /** Puts it in the place of the first one, and from there to its own. */
  #sink(one: T): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && (heap[below + 1] as T).until < (heap[below] as T).until) below++;
      const other = heap[below] as T;
      if (one.until <= other.until) break;
      heap[at] = other;
      at = below;
    }
    heap[at] = one;
  }
}
