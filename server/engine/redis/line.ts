import type { Connection } from "./connection.js";

/** The first pause before another attempt and the longest one, in milliseconds; each is cut by full jitter. */
const PAUSE_MS = [50, 1000] as const;

export type LineEvents = {
  up(connection: Connection): void;
  /** The connection was lost, or an attempt failed, for this reason. */
  down(reason: string): void;
};

/** Keeps one connection up: opens it again for ever. */
export class Line {
  readonly #open: (attempt: number, closed: (reason: string) => void) => Promise<Connection>;
  readonly #events: LineEvents;
  #connection: Connection | undefined;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(open: (attempt: number, closed: (reason: string) => void) => Promise<Connection>, events: LineEvents) {
    this.#open = open;
    this.#events = events;
    void this.#connect(0);
  }

  /** The connection; `undefined` while there is none. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  async #connect(attempt: number): Promise<void> {
    let isLost = false;
    let own: Connection | undefined;
    try {
      const connection = await this.#open(attempt, (reason) => {
        isLost = true;
        // That of an attempt that was given up may come late, when there is another connection.
        if (own === undefined || this.#connection !== own || this.#isClosed) return;
        this.#connection = undefined;
        this.#retry(0, reason);
      });
      if (isLost) throw new Error("the connection was closed");
      if (this.#isClosed) return connection.destroy("closed");
      own = connection;
      this.#connection = connection;
      this.#events.up(connection);
    } catch (error) {
      if (!this.#isClosed) this.#retry(attempt + 1, (error as Error).message);
    }
  }

  #retry(attempt: number, reason: string): void {
    const pauseMs = Math.random() * Math.min(PAUSE_MS[1], PAUSE_MS[0] * 2 ** Math.min(attempt, 10));
    // Not unref'd: a process that waits for its broker to come back has nothing else to live for.
    this.#timer = setTimeout(() => void this.#connect(attempt), pauseMs);
    this.#events.down(reason);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.destroy("closed");
  }
}
