import { setImmediate as turn } from "node:timers/promises";

/** What does itself again at once would never end. */
const MOST_TASKS = 200_000;

type Task = { readonly at: number; readonly order: number; readonly run: () => void; readonly owner: Clock };

/**
 * Time that passes only when it is told to, for several nodes in one process: each has a `Clock` of it. Tasks run in the
 * order of their times, and all that follows from one at once runs before the next.
 */
export class VirtualTime {
  now = 0;
  /** The latest first, so that the next one is popped. */
  readonly #tasks: Task[] = [];
  #order = 0;

  clock(): Clock {
    return new Clock(this);
  }

  /** Adds a task; what is called undoes it. */
  add(owner: Clock, ms: number, run: () => void): () => void {
    const task = { at: this.now + Math.max(0, ms), order: this.#order++, run, owner };
    let low = 0;
    let high = this.#tasks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#tasks[middle] as Task;
      if (other.at > task.at || (other.at === task.at && other.order > task.order)) low = middle + 1;
      else high = middle;
    }
    this.#tasks.splice(low, 0, task);
    return () => {
      const index = this.#tasks.indexOf(task);
      if (index >= 0) this.#tasks.splice(index, 1);
    };
  }

  /** How many tasks of a clock wait. */
  waiting(owner: Clock): number {
    return this.#tasks.filter((task) => task.owner === owner).length;
  }

  drop(owner: Clock): void {
    for (let index = this.#tasks.length - 1; index >= 0; index--) {
      if ((this.#tasks[index] as Task).owner === owner) this.#tasks.splice(index, 1);
    }
  }

  /** All that follows from what was done: a turn of the loop comes after every promise that is to be kept. */
  async settle(): Promise<void> {
    await turn();
  }

  /** Lets so much time pass, and does all that is due in it. */
  async pass(ms: number): Promise<void> {
    const until = this.now + ms;
    await this.settle();
    let done = 0;
    for (let next = this.#tasks.at(-1); next !== undefined && next.at <= until; next = this.#tasks.at(-1)) {
      if (++done > MOST_TASKS) throw new Error(`more than ${MOST_TASKS} things to do within ${ms} ms`);
      this.#tasks.pop();
      this.now = Math.max(this.now, next.at);
      next.run();
      await this.settle();
    }
    this.now = until;
  }
}

/** One node's view of the time, which can be stopped as a killed process stops. */
export class Clock {
  readonly #time: VirtualTime;
  #stopped = false;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  readonly now = (): number => this.#time.now;

  /** Runs it once, after so many milliseconds; what is returned undoes it. */
  readonly after = (ms: number, run: () => void): (() => void) => {
    if (this.#stopped) return () => undefined;
    return this.#time.add(this, ms, run);
  };

  get waiting(): number {
    return this.#time.waiting(this);
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Nothing of it happens any more. */
  stop(): void {
    this.#stopped = true;
    this.#time.drop(this);
  }
}
