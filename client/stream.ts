import { RoomcastError } from "./errors.js";

type Waiting<T> = [resolve: (result: IteratorResult<T, undefined>) => void, reject: (error: unknown) => void];

/** One `for await` over a room. */
export interface EventStream<T> extends AsyncIterableIterator<T, undefined> {
  /** An error is thrown when the loop has come so far; who iterates the same stream again goes on behind it. */
  push(item: T | RoomcastError): void;
  end(): void;
}

/**
 * Holds what the loop has not taken yet, up to `size` events; a loop that falls further behind gets what is held and then an
 * `overflow` error, never a silent gap.
 */
export function eventStream<T extends object>(size: number, onEnd: (stream: EventStream<T>) => void): EventStream<T> {
  const held: (T | RoomcastError)[] = [];
  const waiting: Waiting<T>[] = [];
  let isEnded = false;
  /** Gives what is held to who waits, and the end to who waits for more. */
  const match = (): void => {
    while (waiting.length > 0 && (held.length > 0 || isEnded)) {
      const [resolve, reject] = waiting.shift() as Waiting<T>;
      const item = held.shift();
      if (item instanceof RoomcastError) reject(item);
      else resolve({ done: !item, value: item } as IteratorResult<T, undefined>);
    }
  };
  const stream: EventStream<T> = {
    push(item) {
      if (isEnded) return;
      const isOver = held.length >= size && !(item instanceof RoomcastError);
      held.push(isOver ? new RoomcastError("overflow", `more than bufferSize (${size}) events behind`) : item);
      if (isOver) stream.end();
      else match();
    },
    end() {
      if (isEnded) return;
      isEnded = true;
      onEnd(stream);
      match();
    },
    next: () =>
      new Promise((...waiter) => {
        waiting.push(waiter);
        match();
      }),
    return() {
      held.length = 0;
      stream.end();
      return stream.next();
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return stream;
}
