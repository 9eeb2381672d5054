/** How many numbers back a repeat is still told from something new. */
const WINDOW = 256;

/**
 * Which numbers of one sender have come, in constant memory. An engine of several shards delivers a note once for each
 * of them, in any order: each number is new once. What is `WINDOW` or more behind the newest counts as a repeat.
 */
export class Repeats {
  readonly #seen = new Float64Array(WINDOW);

  /** Whether this number, 1 or above, has not come before; from here on it has. */
  isNew(sequence: number): boolean {
    const slot = sequence % WINDOW;
    if ((this.#seen[slot] as number) >= sequence) return false;
    this.#seen[slot] = sequence;
    return true;
  }
}
