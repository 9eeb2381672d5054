/** The body of one request, as it comes. */
import { ProtocolError } from "../../protocol/codes.js";

/** A body longer than may be, one that does not fit beside those that are being read, or one that takes too long. */
export class BodyError extends ProtocolError {
  readonly status: 408 | 413 | 503;

  constructor(status: 408 | 413 | 503, expected: string, got: string) {
    super("body", expected, got);
    this.status = status;
  }
}

/** The most bytes kept of bodies that are being read at once, of all requests together. */
export const MOST_READING = 67_108_864;
const NOTHING = Buffer.alloc(0);

/** What all requests of a node share. */
export type Traffic = {
  /** Bytes kept of bodies that are being read. */
  reading: number;
  /** Requests that have no answer yet. */
  open: number;
  /** How long a body may take from the head of its request to its end, in milliseconds. */
  bodyMs: number;
  /** Whether connections end with their next answer, so that clients come by others. */
  isEnding: boolean;
};

/**
 * Reads one body. A body that comes in one piece, as most do, is handed on without a copy: what `take` gets holds for the
 * call alone. Others are put together in one buffer, which grows as they come: a body that drips takes no more memory
 * than any other.
 */
export class BodyRead {
  readonly #traffic: Traffic;
  readonly #maxBytes: number;
  readonly #take: (bytes: Buffer) => void;
  readonly #failed: (error: Error) => void;
  #buffer = NOTHING;
  #length = 0;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(traffic: Traffic, maxBytes: number, take: (bytes: Buffer) => void, failed: (error: Error) => void) {
    this.#traffic = traffic;
    this.#maxBytes = maxBytes;
    this.#take = take;
    this.#failed = failed;
  }

  /** The next part; its bytes are gone after the call. */
  add(part: ArrayBuffer, isLast: boolean): void {
    if (this.#isOver) return;
    const size = part.byteLength;
    if (this.#length + size > this.#maxBytes) {
      this.fail(new BodyError(413, `at most ${this.#maxBytes} bytes`, "more"));
    } else if (isLast && this.#length === 0) {
      this.#end();
      this.#take(Buffer.from(part));
    } else if (this.#keep(part, size) && isLast) {
      const whole = this.#buffer.subarray(0, this.#length);
      this.#end();
      this.#take(whole);
    }
  }

  #keep(part: ArrayBuffer, size: number): boolean {
    const needed = this.#length + size;
    if (needed > this.#buffer.length) {
      const capacity = Math.min(Math.max(2 * needed, 1024), this.#maxBytes);
      const more = capacity - this.#buffer.length;
      if (this.#traffic.reading + more > MOST_READING) {
        this.fail(new BodyError(503, "fewer bodies at once: try again", "too many"));
        return false;
      }
      this.#traffic.reading += more;
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    this.#buffer.set(new Uint8Array(part), this.#length);
    this.#length = needed;
    this.#timer ??= this.#watchTime();
    return true;
  }

  #watchTime(): NodeJS.Timeout {
    const { bodyMs } = this.#traffic;
    const late = (): void => this.fail(new BodyError(408, `all of it within ${bodyMs} ms`, "a part"));
    return setTimeout(late, bodyMs).unref();
  }

  /** Ends it, unless it is over. */
  fail(error: Error): void {
    if (this.#isOver) return;
    this.#end();
    this.#failed(error);
  }

  #end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#traffic.reading -= this.#buffer.length;
    this.#buffer = NOTHING;
  }
}
