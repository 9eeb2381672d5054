/** What watchers of a room were told, held against who stayed and who went. */
import type { MembersTold } from "../crowd-protocol.js";
import type { Sight } from "./watcher.js";

/** Who is in a room, and who is to go. */
export type Expected = {
  /** Who is there from the beginning to the end, watchers too. */
  readonly staying: ReadonlySet<string>;
  readonly leaving: ReadonlySet<string>;
  /** Who comes meanwhile, and stays. */
  readonly coming: ReadonlySet<string>;
};

export type Judged = {
  /** How long after `since` each of those who left was told to have left, or was no longer counted. */
  readonly leftMs: readonly number[];
  /** Who left and was never told to have: ghosts. */
  readonly ghosts: number;
  /** `left` of somebody who stayed, `entered` of anybody but who came, a count that rose, or was below who is there. */
  readonly flaps: readonly string[];
};

/** Of a room whose members are listed. `users`: who is there now, by what it was told. */
export function judgeListed(
  sights: readonly Sight[],
  users: ReadonlySet<string> | undefined,
  { staying, leaving, coming }: Expected,
  since: number,
): Judged {
  const leftMs: number[] = [];
  const flaps: string[] = [];
  const gone = new Set<string>();
  const come = new Set<string>();
  for (const { at, entered, left } of sights) {
    for (const user of entered) {
      if (!coming.has(user) || come.has(user)) flaps.push(`entered: ${user}`);
      come.add(user);
    }
    for (const user of left) {
      if (leaving.has(user) && !gone.has(user)) leftMs.push(at - since);
      else flaps.push(`left: ${user}`);
      gone.add(user);
    }
  }
  const there = new Set([...staying, ...coming]);
  const missing = [...there].filter((user) => users?.has(user) !== true).map((user) => `not there: ${user}`);
  const strangers = [...(users ?? [])].filter((user) => !there.has(user) && !leaving.has(user));
  return {
    leftMs,
    ghosts: [...leaving].filter((user) => users?.has(user) !== false).length,
    flaps: [...flaps, ...missing, ...strangers.map((user) => `a stranger: ${user}`)],
  };
}

/** Of a room whose members are only counted. The first sight is what was known at the beginning. */
export function judgeCounted(sights: readonly Sight[], expected: Expected, since: number): Judged {
  const { staying, leaving, coming } = expected;
  const leftMs: number[] = [];
  const flaps: string[] = [];
  let last = sights[0]?.count ?? staying.size + leaving.size;
  let risen = 0;
  for (const { at, count } of sights) {
    risen += Math.max(0, count - last);
    if (count > last && risen > coming.size) flaps.push(`the count rose from ${last} to ${count}`);
    if (count < staying.size) flaps.push(`the count fell to ${count}, ${staying.size} are there`);
    for (let gone = count; gone < last; gone++) leftMs.push(at - since);
    last = count;
  }
  return { leftMs, ghosts: Math.max(0, last - staying.size - coming.size), flaps };
}

/** What is wrong with what the SDK has told of a room; empty where nothing is. */
export function judgeTold(told: MembersTold, { staying, leaving, coming }: Expected, isListed: boolean): string[] {
  const wrong: string[] = [];
  const there = staying.size + coming.size;
  const say = (what: string) => wrong.push(`${told.user} in ${told.room}: ${what}`);
  if (told.count !== there) say(`counts ${told.count}, ${there} are there`);
  if (told.least < staying.size) say(`counted ${told.least}, ${staying.size} stayed`);
  if (!isListed) {
    if (told.rises > coming.size) say(`the count rose ${told.rises} times, ${coming.size} came`);
    return wrong;
  }
  const strange = told.entered.filter((user) => !coming.has(user));
  if (strange.length > 0) say(`${strange.length} entered, such as ${strange[0]}`);
  const noise = told.left.filter((user) => !leaving.has(user));
  if (noise.length > 0) say(`${noise.length} left who stayed, such as ${noise[0]}`);
  if (told.left.length - noise.length !== leaving.size) say(`${told.left.length} left, ${leaving.size} went away`);
  if (told.listed !== there) say(`lists ${told.listed}, ${there} are there`);
  return wrong;
}
