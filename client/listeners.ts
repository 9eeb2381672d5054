/** Where an exception goes that an application's listener throws: the client goes on. */
export type Report = (error: unknown) => void;

/** The listeners of one kind of news. */
export class Listeners<T> {
  readonly #all = new Set<(value: T) => unknown>();

  get size(): number {
    return this.#all.size;
  }

  /** Returns what takes the listener away again. The same function twice counts once. */
  add(listener: (value: T) => unknown): () => void {
    this.#all.add(listener);
    return () => {
      this.#all.delete(listener);
    };
  }

  emit(value: T, report: Report): void {
    for (const listener of this.#all) {
      try {
        listener(value);
      } catch (error) {
        report(error);
      }
    }
  }
}
