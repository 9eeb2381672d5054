/** Times as people write them: `90s`, `15m`, `2h`, `7d`. */

const UNITS: { readonly [unit: string]: number } = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export const DURATION_TEXT = "a time such as 90s, 15m, 2h or 7d";

/** The time in milliseconds; `undefined` for anything that is not one, and for more than a hundred million of its units. */
export function parseDuration(text: string): number | undefined {
  const [, count, unit = ""] = /^([1-9]\d{0,7})([smhd])$/.exec(text) ?? [];
  const ms = UNITS[unit];
  return count === undefined || ms === undefined ? undefined : Number(count) * ms;
}

/** In the largest unit of which it is two or more, rounded: `90 min`, `2 days`. */
export function shownDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}
