import { setTimeout as pause } from "node:timers/promises";

/** So long that only a condition that never comes takes it. */
const MOST_MS = 20_000;

/** Resolves once the condition holds. Throws, with `what`, when it does not within `mostMs`. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what = "it never happened",
  mostMs = MOST_MS,
): Promise<void> {
  const until = performance.now() + mostMs;
  while (!(await condition())) {
    if (performance.now() > until) throw new Error(what);
    await pause(5);
  }
}
