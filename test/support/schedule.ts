import type { Random } from "./random.js";

/** How many microtasks are let run after a step: more than any chain of awaits in the code under test. */
const SETTLE = 25;

type Task = () => void;

/**
 * What is under way between the parts of a simulated cluster: each thing waits until the schedule picks it, at random. So
 * every order of events that a network could bring about is possible, none takes time, and a seed repeats it.
 */
export class Schedule {
  readonly #random: Random;
  readonly #tasks: Task[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  get size(): number {
    return this.#tasks.length;
  }

  later(task: Task): void {
    this.#tasks.push(task);
  }

  /** Resolves with what `act` gives when the schedule comes to it. */
  call<T>(act: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.later(() => {
        // The answer has a way of its own.
        act().then(
          (value) => this.later(() => resolve(value)),
          (error: unknown) => this.later(() => reject(error as Error)),
        );
      });
    });
  }

  /** Does one of the things that wait, and all that follows from it at once. */
  async step(): Promise<void> {
    const [task] = this.#tasks.splice(this.#random.below(this.#tasks.length), 1);
    task?.();
    await this.settle();
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < SETTLE; turn++) await Promise.resolve();
  }

  /** Goes on until nothing waits. Throws when that takes more than `most` steps. */
  async drain(most: number): Promise<void> {
    await this.settle();
    for (let steps = 0; this.size > 0; steps++) {
      if (steps >= most) throw new Error(`still ${this.size} things under way after ${most} steps`);
      await this.step();
    }
  }
}
