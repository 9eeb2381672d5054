/** How often a run may be sent again because the server has forgotten its scripts. */
const MOST_RELOADS = 3;

type Run<T> = {
  readonly words: readonly unknown[];
  readonly resolve: (reply: T) => void;
  readonly reject: (error: Error) => void;
  reloads: number;
};

export type RunsOptions<T> = {
  /** Sends a run. It is answered in the order it was sent. */
  readonly send: (words: readonly unknown[], resolve: (reply: T) => void, reject: (error: Error) => void) => void;
  /** Sends the scripts again. */
  readonly reload: () => void;
  /** Whether the server has said that it does not know the script: the run had no effect. */
  readonly isUnknown: (error: Error) => boolean;
};

/**
 * Runs of scripts on one connection, in their order also where the server has forgotten its scripts, by `SCRIPT FLUSH`. From
 * the first run that it did not know the script of, what comes is held until all that were sent have their answers. Then
 * the scripts are sent again, behind them the runs that were unknown, and behind those what was held.
 */
export class Runs<T> {
  readonly #options: RunsOptions<T>;
  /** How many wait for an answer. */
  #underWay = 0;
  #unknown: Run<T>[] = [];
  #held: Run<T>[] = [];
  /** Whether a run had its effect that was sent after one in `#unknown`: another node loaded the scripts in between. */
  #isOvertaken = false;
  /** What the server said of the last one in `#unknown`. */
  #refusal = new Error("nothing yet");

  constructor(options: RunsOptions<T>) {
    this.#options = options;
  }

  /** How many are held. */
  get held(): number {
    return this.#held.length;
  }

  run(words: readonly unknown[], resolve: (reply: T) => void, reject: (error: Error) => void): void {
    const run = { words, resolve, reject, reloads: 0 };
    if (this.#unknown.length > 0) this.#held.push(run);
    else this.#send(run);
  }

  #send(run: Run<T>): void {
    this.#underWay++;
    const { isUnknown } = this.#options;
    this.#options.send(
      run.words,
      (reply) => {
        if (this.#unknown.length > 0) this.#isOvertaken = true;
        run.resolve(reply);
        this.#answered();
      },
      (error) => {
        if (isUnknown(error) && run.reloads < MOST_RELOADS) {
          this.#unknown.push(run);
          this.#refusal = error;
        } else run.reject(error);
        this.#answered();
      },
    );
  }

  #answered(): void {
    if (--this.#underWay > 0 || this.#unknown.length === 0) return;
    const [unknown, held, isOvertaken] = [this.#unknown, this.#held, this.#isOvertaken];
    this.#unknown = [];
    this.#held = [];
    this.#isOvertaken = false;
    this.#options.reload();
    // What was overtaken had no effect, and is not to have it late.
    if (isOvertaken) for (const run of unknown) run.reject(this.#refusal);
    for (const run of isOvertaken ? held : [...unknown, ...held]) {
      run.reloads++;
      this.#send(run);
    }
  }

  /** The connection is gone. What was sent is rejected by it. */
  abort(error: () => Error): void {
    const waiting = [...this.#unknown, ...this.#held];
    this.#unknown = [];
    this.#held = [];
    for (const run of waiting) run.reject(error());
  }
}
