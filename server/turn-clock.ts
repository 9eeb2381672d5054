export interface TurnClock {
  /** The number of the event loop's present turn. */
  turn(): number;
  /** When it began, in milliseconds of a clock that never goes back. */
  now(): number;
}

/** Counts the turns of the event loop, and reads the clock once in each, while somebody asks. */
export function turnClock(): TurnClock {
  let turn = 1;
  let now = 0;
  let armed = false;
  const look = (): void => {
    if (armed) return;
    armed = true;
    now = performance.now();
    setImmediate(() => {
      turn++;
      armed = false;
    });
  };
  return {
    turn() {
      look();
      return turn;
    },
    now() {
      look();
      return now;
    },
  };
}
