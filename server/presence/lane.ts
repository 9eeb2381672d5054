/**
 * Works that are done one after the other. Each may walk over very much, a little in each turn of the event loop: many at
 * once would take all of it.
 */
export class Lane {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#last.then(act);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
