/** Pages of names, each with a count, as nodes list them and as their lists are added up. Pure. */

/** A name and its count. */
export type Entry = readonly [name: string, count: number];

/** Some names in the order of their UTF-16 code units; `more`: there are others behind the last one. */
export type NamePage = { readonly entries: readonly Entry[]; readonly more: boolean };

/** The most that an answer's list weighs, in bytes of JSON: it goes into one note with what is around it. */
export const LIST_BYTES = 28_000;
/** What a count and the marks around an entry weigh at the most. */
const ENTRY_BYTES = 24;

export const jsonBytes = (text: string): number => Buffer.byteLength(JSON.stringify(text));

/** As many of the page as fit `most` bytes: a note, if it is not said. */
export function fitPage({ entries, more }: NamePage, most: number = LIST_BYTES): NamePage {
  let bytes = 0;
  for (let index = 0; index < entries.length; index++) {
    bytes += jsonBytes((entries[index] as Entry)[0]) + ENTRY_BYTES;
    if (bytes > most) return { entries: entries.slice(0, index), more: true };
  }
  return { entries, more };
}

/**
 * The pages of all nodes as one, of at most `limit` names: counts of equal names are added up. Where a node had more than it
 * listed, what others list behind its last name is not complete, and is left for the next page. `next` is the last name
 * of the page, where there is more: pages that each begin after it have every name once.
 */
export function mergePages(
  pages: readonly NamePage[],
  limit: number,
): { readonly entries: readonly Entry[]; readonly next?: string } {
  let end: string | undefined;
  for (const { entries, more } of pages) {
    const last = entries.at(-1)?.[0];
    if (more && last !== undefined && (end === undefined || last < end)) end = last;
  }
  const sums = new Map<string, number>();
  for (const { entries } of pages) {
    for (const [name, count] of entries) {
      if (end === undefined || name <= end) sums.set(name, (sums.get(name) ?? 0) + count);
    }
  }
  const names = [...sums.keys()].sort();
  const taken = names.slice(0, limit);
  const next = names.length > limit || end !== undefined ? taken.at(-1) : undefined;
  const entries = taken.map((name): Entry => [name, sums.get(name) as number]);
  return next === undefined ? { entries } : { entries, next };
}
