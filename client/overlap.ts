import type { WireEvent } from "../protocol/frames.js";

/**
 * Finds the repeats while a move has a room on two links and the room keeps no history, so that nothing but the event
 * itself tells a repeat. Each link brings what the other may have brought already. What one has in advance of the other
 * is counted, down for the link to be left and up for the other; only what leads away from zero is news.
 */
export class Overlap {
  readonly #left: object;
  readonly #ahead = new Map<string, number>();

  /** `left` is the link to be left. */
  constructor(left: object) {
    this.#left = left;
  }

  /** `isMoving` says that the other link may still bring the same; after that only the rest is matched. */
  isNews(event: WireEvent, link: object, isMoving: boolean): boolean {
    if (!isMoving && this.#ahead.size === 0) return true;
    const step = link === this.#left ? -1 : 1;
    // `at` is part of it: the same thing published again at another time is another event.
    const text = JSON.stringify(event);
    const count = this.#ahead.get(text) ?? 0;
    const isNews = count * step >= 0;
    if (count + step === 0) this.#ahead.delete(text);
    else if (isMoving || !isNews) this.#ahead.set(text, count + step);
    return isNews;
  }
}
