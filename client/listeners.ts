/** Where an exception goes that an application's listener throws: the client goes on. */
export type Report = (error: unknown) => void;

/** The listeners of one kind of news. The same function twice counts once. */
export class Listeners<T> extends Set<(value: T) => unknown> {
  /** Returns what takes the listener away again. */
  listen(listener: (value: T) => unknown): () => void {
    this.add(listener);
    return () => this.delete(listener);
  }

  emit(value: T, report: Report): void {
    for (const listener of this) {
      try {
        listener(value);
      } catch (error) {
        report(error);
      }
    }
  }
}
