/** Heartbeats go to one slot after another, so that no turn of the loop writes to all who are connected. */

export const HEARTBEAT_SLOTS = 64;
/** Slots follow each other no faster than this, in milliseconds. */
const LEAST_MS = 50;

/** In how many turns all of them have theirs within `heartbeatMs`. */
export const slotsWithin = (heartbeatMs: number): number =>
  Math.max(1, Math.min(HEARTBEAT_SLOTS, Math.floor(heartbeatMs / LEAST_MS)));

/** Calls `beat` for one of `slots` after the other, each once in `heartbeatMs`, until the timer is cleared. */
export function beatInTurn(heartbeatMs: number, slots: number, beat: (slot: number) => void): NodeJS.Timeout {
  let slot = 0;
  const timer = setInterval(() => {
    slot = (slot + 1) % slots;
    beat(slot);
  }, heartbeatMs / slots);
  return timer.unref();
}
