import { EngineError } from "../engine.js";

/** What is done in a lane; it is to settle soon after `deadline`, on the clock of `performance.now()`. */
type Work<T> = (deadline: number) => Promise<T>;

type Waiting = {
  readonly run: () => Promise<void>;
  readonly refuse: (error: EngineError) => void;
  readonly since: number;
};

/** The most that waits in one lane. */
const MAX_WAITING = 10_000;

/** A lane for each room that has something to do: one thing after the other. A lane that is empty is gone. */
export class Lanes {
  readonly #timeoutMs: number;
  readonly #lanes = new Map<string, Waiting[]>();

  /** What waited longer than `timeoutMs` is refused instead of begun. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  has(room: string): boolean {
    return this.#lanes.has(room);
  }

  add<T>(room: string, work: Work<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = (): Promise<void> => work(performance.now() + this.#timeoutMs).then(resolve, reject);
      const lane = this.#lanes.get(room);
      if (lane === undefined) {
        const made: Waiting[] = [];
        this.#lanes.set(room, made);
        void this.#drive(room, made, run);
      } else if (lane.length >= MAX_WAITING) {
        reject(new EngineError("unavailable", "NATS: too many publishes wait in this room"));
      } else {
        lane.push({ run, refuse: reject, since: performance.now() });
      }
    });
  }

  /** Refuses all that has not begun. */
  refuse(error: EngineError): void {
    for (const lane of this.#lanes.values()) {
      for (const { refuse } of lane.splice(0)) refuse(error);
    }
  }

  async #drive(room: string, lane: Waiting[], first: () => Promise<void>): Promise<void> {
    await first();
    // Taken from a copy turned round: shifting a long list takes its length each time.
    while (lane.length > 0) {
      const batch = lane.splice(0).reverse();
      for (let next = batch.pop(); next !== undefined; next = batch.pop()) {
        if (performance.now() - next.since > this.#timeoutMs) {
          next.refuse(new EngineError("unavailable", "NATS: the room has too much to publish", this.#timeoutMs));
        } else {
          await next.run();
        }
      }
    }
    this.#lanes.delete(room);
  }
}
