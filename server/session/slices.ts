/** How long joins and hellos may take of one turn of the event loop before the next ones wait, in milliseconds. */
const BUDGET_MS = 5;

export type SlicesOptions = {
  readonly budgetMs?: number;
  /** Milliseconds, rising. */
  readonly now?: () => number;
  /** Has `act` done in the loop's next turn, after what the network has brought until then. */
  readonly later?: (act: () => void) => void;
};

/** One session's works that wait. */
type Waiting = { readonly owner: object; readonly turns: (() => void)[] };

/**
 * Shares the event loop in a storm. Work that many clients ask for at once (hellos, joins, pages of a recovery) asks for
 * its turn: it has it at once while this turn of the loop has spent little on such work, else it waits, and a slice of
 * what waits is done in every turn of the loop that follows. In between, publishes, deliveries and heartbeats go on.
 *
 * Sessions take turns, one work each, in the order they came: who asks for a hundred holds up nobody who asks for one. The
 * works of one session keep their order. What waits is bounded by what each session may ask for at once.
 */
export class Slices {
  readonly #budgetMs: number;
  readonly #now: () => number;
  readonly #later: (act: () => void) => void;
  readonly #waiting = new Map<object, Waiting>();
  /** Whose turn is next, from `#at` on; and those after them. */
  #round: Waiting[] = [];
  #at = 0;
  #nextRound: Waiting[] = [];
  /** When this turn of the loop began with such work; `undefined` in one that has had none. */
  #began: number | undefined;
  /** Who has just been given its turn, and may take it. */
  #given: object | undefined;
  /** How many works have had to wait. */
  deferred = 0;

  constructor({ budgetMs = BUDGET_MS, now = () => performance.now(), later = setImmediate }: SlicesOptions = {}) {
    this.#budgetMs = budgetMs;
    this.#now = now;
    this.#later = later;
  }

  /** How many sessions wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * `undefined`: it is the owner's turn, now. Else it is when the promise resolves: it has it in the promise's first
   * reaction, and may ask again there. Never rejects. Who has gone by then does nothing with its turn.
   */
  turn(owner: object): Promise<void> | undefined {
    if (this.#given === owner) {
      this.#given = undefined;
      return undefined;
    }
    if (this.#waiting.size === 0) {
      const now = this.#now();
      if (this.#began === undefined) this.#begin(now);
      if (now - (this.#began ?? now) < this.#budgetMs) return undefined;
    }
    return this.#wait(owner);
  }

  #wait(owner: object): Promise<void> {
    this.deferred++;
    return new Promise((resolve) => {
      const known = this.#waiting.get(owner);
      if (known !== undefined) {
        known.turns.push(resolve);
        return;
      }
      const waiting = { owner, turns: [resolve] };
      this.#waiting.set(owner, waiting);
      this.#nextRound.push(waiting);
      if (this.#began === undefined) this.#begin(this.#now());
    });
  }

  /** The turn of the loop that such work happens in; the next one goes on with what waits. */
  #begin(now: number): void {
    this.#began = now;
    this.#later(() => {
      this.#began = undefined;
      if (this.#waiting.size > 0) void this.#serve();
    });
  }

  /** One slice: at least one work. */
  async #serve(): Promise<void> {
    const began = this.#now();
    this.#begin(began);
    do {
      this.#giveOne();
      // What it does is done by then: its reaction to the promise comes before this one.
      await undefined;
      this.#given = undefined;
    } while (this.#waiting.size > 0 && this.#now() - began < this.#budgetMs);
  }

  #giveOne(): void {
    if (this.#at === this.#round.length) {
      this.#round = this.#nextRound;
      this.#nextRound = [];
      this.#at = 0;
    }
    const next = this.#round[this.#at++] as Waiting;
    const give = next.turns.shift() as () => void;
    if (next.turns.length > 0) this.#nextRound.push(next);
    else this.#waiting.delete(next.owner);
    this.#given = next.owner;
    give();
  }
}
