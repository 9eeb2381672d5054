/** Token buckets without objects: what there is of one is a number, or two, wherever its owner keeps them. Pure: the time is given. */

/** What sums of fractions may be off by: so that a bucket of six gives six. */
const ROUNDING_MS = 1e-4;

/**
 * So much a second, and so much at once.
 *
 * A bucket is kept as one number: the time at which it would be full again. 0 is a full one. Who is refused gets a place
 * in a line that moves at the rate, kept as the time of its last place: so that many who were refused together come back
 * one after the other, and not all at the same moment. A place is a time and not a right (see `Admission`). What was
 * refused takes nothing out of the bucket: who waits as long as it was told finds it as full as if it had not asked.
 *
 * All times are in milliseconds, of a clock that never goes back.
 */
export class Rate {
  /** What one costs, in milliseconds. */
  readonly eachMs: number;
  /** What a full bucket holds, in milliseconds. */
  readonly burstMs: number;

  /** `burstMs`: how much of the rate may come at once; at least `largest`, so that what costs so many fits at all. */
  constructor(perSecond: number, burstMs: number, largest = 1) {
    this.eachMs = 1000 / perSecond;
    this.burstMs = Math.max(burstMs, largest * this.eachMs);
  }

  /** The bucket, once `count` more have been taken out of it. */
  after(fullAt: number, now: number, count = 1): number {
    return Math.max(fullAt, now) + count * this.eachMs;
  }

  /** Whether a bucket held all that has been taken out of it: to be asked of what `after` says, before it is kept. */
  holds(after: number, now: number): boolean {
    return after - now <= this.burstMs + ROUNDING_MS;
  }

  /** The line, with one more in it: for who was refused, since the bucket would be as `after` says. */
  lineAfter(line: number, now: number, after: number, count = 1): number {
    return Math.max(Math.max(line, now) + count * this.eachMs, after - this.burstMs);
  }
}

/** When it makes sense to look again whether what is full has a place, in milliseconds: so much, and up to as much again. */
const FULL_MS = 5000;

/** When whoever found no place is to look again, in milliseconds: not all at the same moment. */
export const fullRetryMs = (random: () => number = Math.random): number => Math.ceil(FULL_MS * (1 + random()));

/** How long whoever has the last place of a line is to wait: whole milliseconds, at least 1. */
export const waitMsOf = (line: number, now: number): number => Math.max(1, Math.ceil(line - now));
