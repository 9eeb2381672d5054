import type { WebSocket } from "uWebSockets.js";

/** A client that has read nothing for so long since its close is given up, in milliseconds. */
const STANDSTILL_MS = 15_000;
/** However slowly it reads: so long it has, in milliseconds. */
const MOST_MS = 60_000;
/** How often it is looked how far they are, in milliseconds. */
const LOOK_MS = 1000;
/** So many frames may still come from one: a client does not know at once that it was closed. */
const MOST_FRAMES = 1000;

type Farewell = {
  readonly code: number;
  readonly reason: string;
  /** When it is given up at the latest, as `performance.now()` counts. */
  readonly until: number;
  /** How much waited when it was looked last, and when that had become less. */
  waiting: number;
  readAt: number;
  frames: number;
};

/**
 * Sockets whose session is closed while they have not read all that was sent to them.
 *
 * uWebSockets.js drops a close frame that does not fit its buffer, and takes a socket for closed as soon as it was told to
 * end it, while the socket itself and what waits for it stay for as long as the client reads a little now and then. So a
 * socket is ended only once it has read everything: the close code arrives, and until then the socket is counted, and
 * has an end in time.
 */
export class Farewells<Data> {
  readonly #all = new Map<WebSocket<Data>, Farewell>();
  #timer: NodeJS.Timeout | undefined;

  /** Ends the socket with the code, now or once the client has read what waits for it; it gets nothing else any more. */
  begin(ws: WebSocket<Data>, code: number, reason: string): void {
    const waiting = ws.getBufferedAmount();
    if (waiting === 0) {
      ws.end(code, reason);
      return;
    }
    for (const topic of ws.getTopics()) ws.unsubscribe(topic);
    const now = performance.now();
    this.#all.set(ws, { code, reason, until: now + MOST_MS, waiting, readAt: now, frames: 0 });
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** The client has read some of what waits for it. */
  drained(ws: WebSocket<Data>): void {
    const farewell = this.#all.get(ws);
    if (farewell === undefined || ws.getBufferedAmount() > 0) return;
    this.ended(ws);
    ws.end(farewell.code, farewell.reason);
  }

  /** The client has sent a frame, which nobody reads any more. */
  received(ws: WebSocket<Data>): void {
    const farewell = this.#all.get(ws);
    if (farewell !== undefined && ++farewell.frames > MOST_FRAMES) ws.close();
  }

  /** The socket is gone. */
  ended(ws: WebSocket<Data>): void {
    this.#all.delete(ws);
    if (this.#all.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const now = performance.now();
    for (const [ws, farewell] of this.#all) {
      const waiting = ws.getBufferedAmount();
      if (waiting < farewell.waiting) {
        farewell.waiting = waiting;
        farewell.readAt = now;
      }
      if (now >= farewell.until || now - farewell.readAt >= STANDSTILL_MS) ws.close();
    }
  }
}
