import { randomFillSync } from "node:crypto";

const POOL_BYTES = 8192;
const pool = Buffer.alloc(POOL_BYTES);
let taken = POOL_BYTES;

/**
 * Random bytes from the operating system, asked for many at a time, since each question is a system call of its own. The
 * bytes are the caller's own, and leave the pool as they are taken.
 */
export function randomBytesOf(count: number): Buffer {
  if (count > POOL_BYTES) throw new RangeError(`count: expected at most ${POOL_BYTES}, got ${count}`);
  if (taken + count > POOL_BYTES) {
    randomFillSync(pool);
    taken = 0;
  }
  const bytes = Buffer.from(pool.subarray(taken, taken + count));
  pool.fill(0, taken, taken + count);
  taken += count;
  return bytes;
}
