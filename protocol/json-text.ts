/** What servers need of JSON text that they carry without printing it again. */
import { isWellFormed } from "./fields.js";

export const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** The index of the quote that ends the string which starts at `start`, or -1. */
export function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return -1;
}

/** An exponent of two digits: without one, only a number of 300 digits is too large for a double. */
const LARGE_EXPONENT = /[eE]\+?\d\d/;
const MANY_DIGITS = /\d{32}/;

/** Whether a text may hold what a walk of the values has to look for; that it does not is certain. */
export function isSuspect(text: string): boolean {
  if (text.includes("\\u") || text.includes("__proto__") || !isWellFormed(text)) return true;
  return LARGE_EXPONENT.test(text) || (text.length > 300 && MANY_DIGITS.test(text));
}

/** A part of a text, without its surroundings: a part of a long string keeps the whole alive. */
export function ownText(text: string, whole: string): string {
  const trimmed = text.trim();
  return whole.length < 2 * trimmed.length + 256 ? trimmed : ` ${trimmed}`.slice(1);
}
