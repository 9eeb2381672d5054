/** A page of names, in the order of their UTF-16 code units, each with what belongs to it. */
export type FirstPage<V> = {
  readonly entries: readonly (readonly [name: string, value: V])[];
  /** Whether there are names behind the last one. */
  readonly more: boolean;
};

/**
 * The first names after one, of any number of names that come in any order: never more than twice as many as are wanted
 * are kept. A name that was passed over once is passed over from then on, so what is counted for a name that stays is whole.
 */
export class FirstNames<V> {
  readonly #after: string | undefined;
  readonly #limit: number;
  readonly #kept = new Map<string, V>();
  /** The first name that is known not to be among them. */
  #end: string | undefined;

  /** `after`: names at or before it are none of them; `limit`: how many, from 1. */
  constructor(after: string | undefined, limit: number) {
    this.#after = after;
    this.#limit = limit;
  }

  /** Whether the name may still be one of them. */
  wants(name: string): boolean {
    return (this.#after === undefined || name > this.#after) && (this.#end === undefined || name < this.#end);
  }

  get(name: string): V | undefined {
    return this.#kept.get(name);
  }

  /** For a name that is wanted. */
  set(name: string, value: V): void {
    this.#kept.set(name, value);
    if (this.#kept.size >= 2 * this.#limit + 2) this.#cut();
  }

  #cut(): void {
    const names = [...this.#kept.keys()].sort();
    const beyond = names.slice(this.#limit);
    if (beyond.length === 0) return;
    this.#end = beyond[0];
    for (const name of beyond) this.#kept.delete(name);
  }

  page(): FirstPage<V> {
    this.#cut();
    const names = [...this.#kept.keys()].sort();
    return { entries: names.map((name) => [name, this.#kept.get(name) as V]), more: this.#end !== undefined };
  }
}
