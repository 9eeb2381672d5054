/** What a token, or the application, allows a client: actions by patterns of rooms' names. */
import { describe } from "../../protocol/fields.js";
import { MAX_ROOM_LENGTH } from "../../protocol/names.js";
import { type Actions, NO_ACTIONS, parseActions, type RoomAction, roomActions } from "./actions.js";

/** The most patterns in one set of grants. */
export const MAX_PATTERNS = 100;
/** The most `*` between colons of one pattern: with the length of names, what bounds the time that a check takes. */
const MAX_STARS = 5;

/** The user's place in a pattern. */
const USER = "{sub}";
/** What may stand between the colons of a room's name. */
const SEGMENT = /^[A-Za-z0-9_.@/-]+$/;
const PATTERN = /^[A-Za-z0-9_.:@/*-]+$/;
const PATTERN_TEXT = `1 to ${MAX_ROOM_LENGTH} characters of A-Z a-z 0-9 _ - . : @ / with * for a whole segment or at the end`;

/** Grants, or a pattern, are not what they may be; `message` names what and says what was expected. */
export class GrantError extends Error {
  override readonly name = "GrantError";
  /** Whether it is the user that cannot stand in a pattern, and not the pattern that is wrong. */
  readonly isOfUser: boolean;

  constructor(message: string, isOfUser = false) {
    super(message);
    this.isOfUser = isOfUser;
  }
}

/**
 * Rooms by their names. `*` as a whole segment, between colons, stands for one segment that is not empty; at the very end
 * it stands for everything that follows, at least one character.
 */
export type Pattern =
  | { readonly kind: "exact"; readonly text: string }
  /** What stands before, between and after the `*` for whole segments, colons included. With `rest` more has to follow. */
  | { readonly kind: "stars"; readonly runs: readonly string[]; readonly rest: boolean };

/**
 * Reads a pattern, with the user's name in the place of `{sub}`. Throws `GrantError`, also where there is no user to stand there
 * or one whose name has other characters than a segment may have: with a colon in it, it would reach into others' rooms.
 * So would `{sub}*` or `{sub}-*` where one user's name begins as another's: `{sub}` is a whole segment or nothing.
 */
export function parsePattern(text: unknown, user: string | undefined): Pattern {
  let pattern = text;
  if (typeof text === "string" && text.includes(USER)) {
    const parts = text.split(":");
    if (parts.some((part) => part !== USER && part.includes(USER))) {
      throw new GrantError(`expected {sub} between colons, with nothing beside it, got ${describe(text)}`);
    }
    if (user === undefined || !SEGMENT.test(user)) {
      throw new GrantError("{sub}: expected a user of A-Z a-z 0-9 _ - . @ / to stand in a pattern", true);
    }
    pattern = parts.map((part) => (part === USER ? user : part)).join(":");
  }
  if (typeof pattern !== "string" || pattern.length > MAX_ROOM_LENGTH || !PATTERN.test(pattern)) {
    throw new GrantError(`expected a pattern, ${PATTERN_TEXT}, got ${describe(text)}`);
  }
  return pattern.includes("*") ? starsOf(pattern, text) : { kind: "exact", text: pattern };
}

function starsOf(pattern: string, given: unknown): Pattern {
  const rest = pattern.endsWith("*");
  const runs = (rest ? pattern.slice(0, -1) : pattern).split("*");
  const last = runs.length - 1;
  const isWhole = (run: string, index: number): boolean =>
    (index === 0 || run.startsWith(":")) && (index === last || run.endsWith(":") || (index === 0 && run === ""));
  if (!runs.every(isWhole)) throw new GrantError(`expected a pattern, ${PATTERN_TEXT}, got ${describe(given)}`);
  if (last <= MAX_STARS) return { kind: "stars", runs, rest };
  throw new GrantError(`expected a pattern with at most ${MAX_STARS} * between colons, got ${describe(given)}`);
}

/** Whether the pattern stands for the room. In time that grows with the two names' lengths and no faster. */
export function matches(pattern: Pattern, room: string): boolean {
  return pattern.kind === "exact" ? room === pattern.text : starsMatch(pattern, room);
}

type StarPattern = Extract<Pattern, { kind: "stars" }>;

function starsMatch({ runs, rest }: StarPattern, room: string): boolean {
  let at = 0;
  for (let index = 0; index < runs.length; index++) {
    if (index > 0) {
      const colon = room.indexOf(":", at);
      // An empty segment is none that `*` could stand for; and what follows begins with a colon.
      if (colon <= at) return false;
      at = colon;
    }
    const run = runs[index] as string;
    if (!room.startsWith(run, at)) return false;
    at += run.length;
  }
  return rest ? at < room.length : at === room.length;
}

const COLON = 58;
/** Where the next colon is from each place of the name that was cut up last, or the name's length. */
const colons = new Uint8Array(MAX_ROOM_LENGTH + 1);
/** A sum over the name up to each place, so that the sum over any part of it is two of them away. */
const sums = new Int32Array(MAX_ROOM_LENGTH + 1);
const powers = new Int32Array(MAX_ROOM_LENGTH + 1).fill(1);
const BASE = 0x01000193;
for (let index = 1; index <= MAX_ROOM_LENGTH; index++) {
  powers[index] = Math.imul(powers[index - 1] as number, BASE);
}

function sumOf(text: string): number {
  let sum = 0;
  for (let index = 0; index < text.length; index++) sum = (Math.imul(sum, BASE) + text.charCodeAt(index)) | 0;
  return sum;
}

function cutUp(room: string): void {
  let sum = 0;
  for (let index = 0; index < room.length; index++) {
    sum = (Math.imul(sum, BASE) + room.charCodeAt(index)) | 0;
    sums[index + 1] = sum;
  }
  let colon = room.length;
  for (let index = room.length; index >= 0; index--) {
    if (room.charCodeAt(index) === COLON) colon = index;
    colons[index] = colon;
  }
}

/**
 * Tells nearly all rooms that a pattern does not stand for, at a cost that does not grow with the length of what is alike:
 * a hundred patterns may begin with the same hundred characters.
 */
class Sieve {
  readonly #lengths: readonly number[];
  readonly #sums: readonly number[];
  readonly #rest: boolean;

  constructor({ runs, rest }: StarPattern) {
    this.#lengths = runs.map((run) => run.length);
    this.#sums = runs.map(sumOf);
    this.#rest = rest;
  }

  /** Whether the pattern may stand for the name that was cut up last, of this length: `false` is certain. */
  passes(length: number): boolean {
    let at = 0;
    for (let index = 0; index < this.#lengths.length; index++) {
      if (index > 0) {
        const colon = colons[at] as number;
        if (colon === at || colon === length) return false;
        at = colon;
      }
      const run = this.#lengths[index] as number;
      const end = at + run;
      if (end > length) return false;
      const sum = ((sums[end] as number) - Math.imul(sums[at] as number, powers[run] as number)) | 0;
      if (sum !== this.#sums[index]) return false;
      at = end;
    }
    return this.#rest ? at < length : at === length;
  }
}

/** So few patterns are compared with a room as they are. */
const FEW_PATTERNS = 8;

type Entry = { readonly pattern: StarPattern; readonly actions: Actions; readonly sieve: Sieve | undefined };

/** Which actions are granted in which rooms. What a check costs at the most is measured by `bench/permissions.ts`. */
export class Grants {
  readonly #exact: ReadonlyMap<string, Actions> | undefined;
  readonly #patterns: readonly Entry[];
  readonly #shared: Grants | undefined;

  /** What is granted in `shared` is granted here too: many can stand on the same. */
  constructor(entries: Iterable<readonly [Pattern, Actions]>, shared?: Grants) {
    this.#shared = shared;
    let exact: Map<string, Actions> | undefined;
    const patterns: (readonly [StarPattern, Actions])[] = [];
    for (const [pattern, actions] of entries) {
      if (pattern.kind === "stars") {
        patterns.push([pattern, actions]);
      } else {
        exact ??= new Map();
        exact.set(pattern.text, (exact.get(pattern.text) ?? NO_ACTIONS) | actions);
      }
    }
    this.#exact = exact;
    const areFew = patterns.length <= FEW_PATTERNS;
    this.#patterns = patterns.map(([pattern, actions]) => {
      return { pattern, actions, sieve: areFew ? undefined : new Sieve(pattern) };
    });
  }

  /** Everything that is granted in the room, by all patterns that stand for it. */
  in(room: string): Actions {
    let granted = (this.#exact?.get(room) ?? NO_ACTIONS) | (this.#shared?.in(room) ?? NO_ACTIONS);
    const isCut = this.#patterns.length > FEW_PATTERNS && room.length <= MAX_ROOM_LENGTH;
    if (isCut) cutUp(room);
    for (const { pattern, actions, sieve } of this.#patterns) {
      // Who may everything already needs no more of the same.
      if ((actions & ~granted) === 0 || (isCut && !sieve?.passes(room.length))) continue;
      if (starsMatch(pattern, room)) granted |= actions;
    }
    return granted;
  }
}

/**
 * Reads grants as tokens and applications write them: an object of patterns, each with its actions as a list or as one
 * string with spaces between. Throws `GrantError`.
 */
export function parseGrants(given: unknown, user: string | undefined): Grants {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new GrantError(`expected an object of patterns and actions, got ${describe(given)}`);
  }
  const entries = Object.entries(given);
  if (entries.length > MAX_PATTERNS) {
    throw new GrantError(`expected at most ${MAX_PATTERNS} patterns, got ${entries.length}`);
  }
  return new Grants(
    entries.map(([text, words]) => {
      const actions = parseActions(words);
      if (actions === undefined) throw wrongActions(text, words);
      return [parsePattern(text, user), actions] as const;
    }),
  );
}

/** Names the one word that is wrong, where the rest is a list as it should be. */
function wrongActions(pattern: string, words: unknown): GrantError {
  const wrong = Array.isArray(words) ? words.find((word) => !roomActions.includes(word as RoomAction)) : words;
  return new GrantError(`${describe(pattern)}: expected some of ${roomActions.join(", ")}, got ${describe(wrong)}`);
}
