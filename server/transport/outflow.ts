/** The bytes of one answer over HTTP that has no end yet, on their way to a client that may read slowly. */
import type { HttpResponse } from "uWebSockets.js";
import { COMMENT } from "./sse-codec.js";

/** The most that is handed over at once: what the kernel does not take of it is copied, and counts as waiting in whole. */
const PIECE_BYTES = 65_536;
/** How long the answers of all clients may be written in one turn of the event loop, in milliseconds. */
const BUDGET_MS = 5;
/** How many are written between two looks at the clock. */
const STEP = 32;

/**
 * Writes what was pushed in a turn of the event loop after that turn: so that all of it is one write, and nobody who pushes
 * is in the middle of another socket's callback. With very many clients it takes turns.
 */
export class Turns {
  readonly #due = new Set<Outflow>();
  #isArmed = false;

  soon(outflow: Outflow): void {
    this.#due.add(outflow);
    this.#arm();
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    setImmediate(() => {
      this.#isArmed = false;
      this.#go();
    });
  }

  #go(): void {
    const began = performance.now();
    let steps = 0;
    for (const outflow of this.#due) {
      this.#due.delete(outflow);
      outflow.turn();
      if (++steps % STEP === 0 && performance.now() - began > BUDGET_MS) break;
    }
    if (this.#due.size > 0) this.#arm();
  }
}

/** What whoever fills it does about its state, in a turn of its own: nothing is under way then. */
export interface Filling {
  /** Some of what waited has gone. */
  drained(): void;
  /** Something waits that the client has not read yet. */
  lags(): void;
}

/**
 * uWebSockets.js keeps what the kernel does not take, without a bound, and does not say how much that is. So nothing is
 * handed to it while it keeps anything: what waits, waits here, as views of bytes that all readers share.
 *
 * It says that it keeps something by the answer to a write, and that the kernel takes more by `onWritable`, after which it
 * waits to be written to: a comment does, where there is nothing else. A client that reads nothing for 10 to 12 s while
 * something waits is cut by it.
 */
export class Outflow {
  #response: HttpResponse | undefined;
  readonly #turns: Turns;
  readonly #filling: Filling;
  #queue: Uint8Array[] = [];
  #at = 0;
  #queued = 0;
  /** What of the last piece may still be kept by the native code, in bytes. */
  #kept = 0;
  #waitedLast = 0;
  #ends = false;
  #ended: (() => void) | undefined;

  /** `response` has its head; `ended` is called once, when all of it was written after `end`. */
  constructor(response: HttpResponse, turns: Turns, filling: Filling, ended: () => void) {
    this.#response = response;
    this.#turns = turns;
    this.#filling = filling;
    this.#ended = ended;
    response.onWritable(() => {
      this.#writable();
      return true;
    });
  }

  /** How many bytes the client has not been sent. */
  get waiting(): number {
    this.#write();
    return this.#queued + this.#kept;
  }

  /** Whether there is nothing that waits here. */
  get isIdle(): boolean {
    return this.#queued === 0 && this.#kept === 0;
  }

  push(bytes: Uint8Array): void {
    if (this.#response === undefined || this.#ends || bytes.length === 0) return;
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    this.#turns.soon(this);
  }

  /** Ends the answer once everything is written. */
  end(): void {
    if (this.#ends) return;
    this.#ends = true;
    this.#turns.soon(this);
  }

  /** Cuts the connection. Its `onAborted` is called before this returns. */
  cut(): void {
    const response = this.#response;
    this.gone();
    response?.close();
  }

  /** The other side has gone: the response may not be touched any more. */
  gone(): void {
    this.#response = undefined;
    this.#queue = [];
    this.#at = 0;
    this.#queued = 0;
    this.#kept = 0;
  }

  /** Its turn: see `Turns`. */
  turn(): void {
    const before = Math.max(this.#waitedLast, this.#queued + this.#kept);
    this.#write();
    this.#waitedLast = this.#queued + this.#kept;
    if (this.#response === undefined) return;
    if (this.#waitedLast < before) this.#filling.drained();
    if (this.#waitedLast > 0) this.#filling.lags();
  }

  #write(): void {
    const response = this.#response;
    if (response === undefined || this.#kept > 0) return;
    if (this.#at < this.#queue.length) response.cork(() => this.#hand(response));
    if (this.#ends && this.#queued === 0 && this.#kept === 0) this.#finish();
  }

  #hand(response: HttpResponse): void {
    while (this.#kept === 0 && this.#at < this.#queue.length) {
      const piece = this.#take();
      this.#queued -= piece.length;
      if (!response.write(piece)) this.#kept = piece.length;
    }
  }

  /** The next piece: small ones together, a long one in parts. */
  #take(): Uint8Array {
    const queue = this.#queue;
    const first = queue[this.#at] as Uint8Array;
    if (first.length > PIECE_BYTES) {
      queue[this.#at] = first.subarray(PIECE_BYTES);
      return first.subarray(0, PIECE_BYTES);
    }
    let bytes = 0;
    let end = this.#at;
    while (end < queue.length && bytes + (queue[end] as Uint8Array).length <= PIECE_BYTES) {
      bytes += (queue[end++] as Uint8Array).length;
    }
    const piece = end === this.#at + 1 ? first : Buffer.concat(queue.slice(this.#at, end), bytes);
    this.#at = end;
    if (end === queue.length || end > 1024) {
      this.#queue = queue.slice(end);
      this.#at = 0;
    }
    return piece;
  }

  #writable(): void {
    const response = this.#response;
    if (response === undefined || this.#kept === 0) return;
    response.cork(() => {
      if (this.#at < this.#queue.length) {
        const piece = this.#take();
        this.#queued -= piece.length;
        this.#kept = response.write(piece) ? 0 : piece.length;
      } else if (response.write(COMMENT)) this.#kept = 0;
    });
    // The rest, and whoever waits for it, in a turn of their own.
    this.#turns.soon(this);
  }

  /** With `true` as its second argument `end` would write a header into the middle of the body. */
  #finish(): void {
    const response = this.#response;
    const ended = this.#ended;
    this.#ended = undefined;
    this.gone();
    response?.cork(() => response.end());
    ended?.();
  }
}
