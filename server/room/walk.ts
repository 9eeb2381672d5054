/** How long a walk may take in one turn of the event loop, in milliseconds. */
const TURN_MS = 5;
/** How many things are walked over between two looks at the clock. */
const STEP = 256;

/**
 * Does it for each of them, a little in each turn of the loop, however many there are. What comes or goes meanwhile is for
 * the iterable: of a map or a set it may be met or not. It ends early where `act` returns "enough".
 */
export async function walk<T>(all: Iterable<T>, act: (one: T) => unknown): Promise<void> {
  let steps = 0;
  let began = performance.now();
  for (const one of all) {
    if (act(one) === "enough") return;
    if (++steps % STEP > 0 || performance.now() - began < TURN_MS) continue;
    await new Promise((next) => setImmediate(next));
    began = performance.now();
  }
}
