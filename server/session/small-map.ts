/** Up to how many entries a walk over them is as fast as a look-up by hash. */
const FEW = 8;

/**
 * A map that takes next to no memory while it holds nothing or little: most sessions are in one room, and a `Map` of
 * its own for each would be a quarter of what an idle connection costs. Beyond a few entries it is a `Map`.
 * Entries may be deleted during a walk over it.
 */
export class SmallMap<V> {
  #few: (readonly [string, V])[] | undefined;
  #many: Map<string, V> | undefined;

  get size(): number {
    return this.#many?.size ?? this.#few?.length ?? 0;
  }

  get(key: string): V | undefined {
    if (this.#many !== undefined) return this.#many.get(key);
    return this.#few?.find((entry) => entry[0] === key)?.[1];
  }

  has(key: string): boolean {
    return this.#many?.has(key) ?? this.#few?.some((entry) => entry[0] === key) ?? false;
  }

  set(key: string, value: V): void {
    if (this.#many === undefined && this.size >= FEW && !this.has(key)) {
      this.#many = new Map(this.#few);
      this.#few = undefined;
    }
    if (this.#many !== undefined) {
      this.#many.set(key, value);
      return;
    }
    const entry = [key, value] as const;
    const index = this.#few?.findIndex((one) => one[0] === key) ?? -1;
    if (this.#few === undefined) this.#few = [entry];
    else if (index < 0) this.#few.push(entry);
    else this.#few[index] = entry;
  }

  delete(key: string): boolean {
    if (this.#many !== undefined) return this.#many.delete(key);
    if (!this.has(key)) return false;
    const left = this.#few?.filter((entry) => entry[0] !== key);
    this.#few = left?.length === 0 ? undefined : left;
    return true;
  }

  clear(): void {
    this.#few = undefined;
    this.#many = undefined;
  }

  [Symbol.iterator](): IterableIterator<readonly [string, V]> {
    return this.#many === undefined ? (this.#few ?? []).values() : this.#many.entries();
  }
}
