import { RoomcastError } from "./errors.js";

type Waiting<T> = [resolve: (result: IteratorResult<T, undefined>) => void, reject: (error: unknown) => void];

/**
 * One `for await` over a room. It holds what the loop has not taken yet, up to `size` events; a loop that falls further
 * behind gets what is held and then an `overflow` error, never a silent gap.
 */
export class EventStream<T extends object> implements AsyncIterableIterator<T, undefined> {
  readonly #size: number;
  readonly #onEnd: (stream: EventStream<T>) => void;
  readonly #held: (T | RoomcastError)[] = [];
  readonly #waiting: Waiting<T>[] = [];
  #ended = false;

  constructor(size: number, onEnd: (stream: EventStream<T>) => void) {
    this.#size = size;
    this.#onEnd = onEnd;
  }

  /** An error is thrown when the loop has come so far; who iterates the same stream again goes on behind it. */
  push(item: T | RoomcastError): void {
    if (this.#ended) return;
    const isOver = this.#held.length >= this.#size && !(item instanceof RoomcastError);
    this.#held.push(
      isOver ? new RoomcastError("overflow", `more than bufferSize (${this.#size}) events behind`) : item,
    );
    if (isOver) this.end();
    else this.#match();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd(this);
    this.#match();
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push([resolve, reject]);
      this.#match();
    });
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.#held.length = 0;
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Gives what is held to who waits, and the end to who waits for more. */
  #match(): void {
    while (this.#waiting.length > 0 && (this.#held.length > 0 || this.#ended)) {
      const [resolve, reject] = this.#waiting.shift() as Waiting<T>;
      const item = this.#held.shift();
      if (item instanceof RoomcastError) reject(item);
      else resolve(item ? { done: false, value: item } : { done: true, value: undefined });
    }
  }
}
