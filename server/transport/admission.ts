/** Who may connect now, and when the others are to come back. Pure: the time is given. */
import { fullRetryMs } from "../access/limits/bucket.js";

/** A node that was quiet takes so much of `connectRate` at once, in milliseconds. */
const BURST_MS = 250;
/** How much later than its place in the line a client is asked back: what a quick one may be early by, in milliseconds. */
const MARGIN_MS = 50;
/** The longest wait that is told in a close frame; who would have to wait longer gets an HTTP answer, which costs less. */
const MOST_TOLD_MS = 10_000;
/** The line is no longer than this: it is wrong about a time so far off anyway. In milliseconds. */
const MOST_LINE_MS = 60_000;

/** Why a connection was not taken: too many a second, too many not welcomed yet, or too many altogether. */
export type RefusalReason = "rate" | "handshakes" | "full";

export type Refused = {
  readonly reason: RefusalReason;
  /** Milliseconds until it makes sense to try again. */
  readonly retryMs: number;
  /** Whether it is told over a WebSocket, which a browser can read: else over HTTP. */
  readonly accept: boolean;
};

export type AdmissionLimits = {
  /** Connections a second. */
  readonly connectRate: number;
  /** Connections that have not been welcomed yet. */
  readonly maxHandshakes: number;
  readonly maxConnections: number;
};

/**
 * Admission to a node in a storm of connections: so many a second, and so many at once that are not welcomed yet.
 *
 * The rate is a bucket that a quarter of a second fills: much shorter, and clients that come evenly but not exactly so
 * would be refused; much longer, and a storm would come in as one. It is kept as the time at which it would be full again.
 *
 * Who is refused gets a place in a line that moves at the rate, so that n clients are back after n places, evenly, at the
 * rate they can be taken at. A place is a time and not a right: nothing tells one who comes back from one who is new. So a
 * client that does not wait may take another's, and leaves its own to it; and places that nobody uses are given back.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #placeMs: number;
  /** How far the bucket may be from full for one more. */
  readonly #burstMs: number;
  readonly #random: () => number;
  #fullAt = Number.NEGATIVE_INFINITY;
  /** The time of the last place that was given away. */
  #line = Number.NEGATIVE_INFINITY;
  /** How many were refused, by reason. */
  readonly refused: { readonly [reason in RefusalReason]: number };
  readonly #refused = { rate: 0, handshakes: 0, full: 0 };

  constructor(limits: AdmissionLimits, random: () => number = Math.random) {
    this.#limits = limits;
    this.#placeMs = 1000 / limits.connectRate;
    this.#burstMs = Math.max(0, BURST_MS - this.#placeMs);
    this.#random = random;
    this.refused = this.#refused;
  }

  /**
   * Takes a connection that comes at `now` (milliseconds, rising), where `open` are open and `handshakes` of them not
   * welcomed yet: `undefined`. Or refuses it.
   */
  refuse(now: number, open: number, handshakes: number): Refused | undefined {
    const { maxConnections, maxHandshakes } = this.#limits;
    if (open >= maxConnections) return this.#full();
    if (handshakes >= maxHandshakes) return this.#toTheLine("handshakes", now);
    if (this.#fullAt - now > this.#burstMs) return this.#toTheLine("rate", now);
    if (this.#fullAt <= now) {
      // Places that nobody came for: their clients went elsewhere, or did not wait for them. The line moves up.
      if (this.#line > now && handshakes * 2 < maxHandshakes) this.#line -= now - this.#fullAt;
      this.#fullAt = now;
    }
    this.#fullAt += this.#placeMs;
    return undefined;
  }

  #toTheLine(reason: "rate" | "handshakes", now: number): Refused {
    this.#refused[reason]++;
    this.#line = Math.min(Math.max(this.#line, now) + this.#placeMs, now + MOST_LINE_MS);
    const waitMs = this.#line - now;
    // At the end of a line that is full many have the same place.
    const spreadMs = waitMs < MOST_LINE_MS ? 0 : this.#random() * MOST_LINE_MS;
    return { reason, retryMs: Math.ceil(waitMs + spreadMs + MARGIN_MS), accept: waitMs <= MOST_TOLD_MS };
  }

  /** Over HTTP also because a balancer may then ask another node. */
  #full(): Refused {
    this.#refused.full++;
    return { reason: "full", retryMs: fullRetryMs(this.#random), accept: false };
  }
}
