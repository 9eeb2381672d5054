/** What a call was sent as, until it is answered. */
export class Call<T> {
  readonly #resolve: (reply: T) => void;
  readonly #reject: (error: Error) => void;
  /** When it is given up, in the milliseconds of `performance.now()`. */
  readonly deadline: number;
  /** Whether its caller has been told something. */
  isSettled = false;
  /** Whether the server owes nothing for it any more. */
  isAnswered = false;

  constructor(deadline: number, resolve: (reply: T) => void, reject: (error: Error) => void) {
    this.deadline = deadline;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  resolve(reply: T): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.#resolve(reply);
  }

  reject(error: Error): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.#reject(error);
  }
}

/**
 * The calls under way on one connection, in the order they were sent, which is the order they are answered in. One
 * sweeping timer gives up those that are late: a timer for each would cost more than the call. A call that was given up
 * still counts as under way until its answer comes or the connection closes.
 */
export class Calls<T> {
  readonly #timeoutMs: number;
  readonly #late: () => Error;
  #calls: Call<T>[] = [];
  /** Where the oldest that is under way stands. */
  #head = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `late` makes what the caller of a late call is told; it is called for each of them. */
  constructor(timeoutMs: number, late: () => Error) {
    this.#timeoutMs = timeoutMs;
    this.#late = late;
  }

  get size(): number {
    return this.#calls.length - this.#head;
  }

  add(resolve: (reply: T) => void, reject: (error: Error) => void): Call<T> {
    const call = new Call(performance.now() + this.#timeoutMs, resolve, reject);
    this.#calls.push(call);
    this.#timer ??= this.#sweepLater();
    return call;
  }

  /** The server's answer to the call has come. */
  answered(call: Call<T>): void {
    call.isAnswered = true;
    const calls = this.#calls;
    while (this.#head < calls.length && (calls[this.#head] as Call<T>).isAnswered) this.#head++;
    if (this.#head === calls.length) {
      calls.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > calls.length) {
      this.#calls = calls.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Rejects all that is under way. */
  abort(error: () => Error): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const calls = this.#calls.slice(this.#head);
    this.#calls = [];
    this.#head = 0;
    for (const call of calls) if (!call.isSettled) call.reject(error());
  }

  #sweepLater(): NodeJS.Timeout {
    return setTimeout(() => this.#sweep(), Math.max(5, this.#timeoutMs / 8)).unref();
  }

  #sweep(): void {
    const now = performance.now();
    const late: Call<T>[] = [];
    for (let index = this.#head; index < this.#calls.length; index++) {
      const call = this.#calls[index] as Call<T>;
      if (call.deadline > now) break;
      if (!call.isSettled) late.push(call);
    }
    this.#timer = this.size > 0 ? this.#sweepLater() : undefined;
    for (const call of late) call.reject(this.#late());
  }
}
