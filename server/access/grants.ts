/** What a token, or the application, allows a client: actions by patterns of rooms' names. */
import { describe } from "../../protocol/fields.js";
import { MAX_ROOM_LENGTH } from "../../protocol/names.js";
import { type Actions, NO_ACTIONS, parseActions, type RoomAction, roomActions } from "./actions.js";

/** The most patterns in one set of grants. */
export const MAX_PATTERNS = 100;
/** The most segments of a pattern with a `*` between colons: what bounds the time that a check takes. */
const MAX_SEGMENTS = 16;

/** The user's place in a pattern. */
const USER = "{sub}";
/** What may stand between the colons of a room's name. */
const SEGMENT = /^[A-Za-z0-9_.@/-]+$/;
const PATTERN = /^[A-Za-z0-9_.:@/*-]+$/;
const PATTERN_TEXT = `1 to ${MAX_ROOM_LENGTH} characters of A-Z a-z 0-9 _ - . : @ / with * for a whole segment or at the end`;

/** Grants, or a pattern, are not what they may be; `message` names what and says what was expected. */
export class GrantError extends Error {
  override readonly name = "GrantError";
}

/**
 * Rooms by their names. `*` as a whole segment, between colons, stands for one segment that is not empty; at the very end
 * it stands for everything that follows, at least one character.
 */
export type Pattern =
  | { readonly kind: "exact"; readonly text: string }
  | { readonly kind: "prefix"; readonly text: string }
  /** `undefined` stands for any segment. With `rest`, which is what the room's next segments begin with, more follows. */
  | {
      readonly kind: "segments";
      readonly segments: readonly (string | undefined)[];
      readonly rest: string | undefined;
    };

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
      throw new GrantError("{sub}: expected a user of A-Z a-z 0-9 _ - . @ / to stand in a pattern");
    }
    pattern = parts.map((part) => (part === USER ? user : part)).join(":");
  }
  if (typeof pattern !== "string" || pattern.length > MAX_ROOM_LENGTH || !PATTERN.test(pattern)) {
    throw new GrantError(`expected a pattern, ${PATTERN_TEXT}, got ${describe(text)}`);
  }
  const star = pattern.indexOf("*");
  if (star < 0) return { kind: "exact", text: pattern };
  if (star === pattern.length - 1) return { kind: "prefix", text: pattern.slice(0, -1) };
  return segmentsOf(pattern, text);
}

function segmentsOf(pattern: string, given: unknown): Pattern {
  const parts = pattern.split(":");
  const rest = pattern.endsWith("*") ? parts.pop()?.slice(0, -1) : undefined;
  if (rest?.includes("*") || parts.some((part) => part !== "*" && part.includes("*"))) {
    throw new GrantError(`expected a pattern, ${PATTERN_TEXT}, got ${describe(given)}`);
  }
  if (parts.length > MAX_SEGMENTS) {
    const most = `at most ${MAX_SEGMENTS} segments in a pattern with * between colons`;
    throw new GrantError(`expected ${most}, got ${describe(given)}`);
  }
  return { kind: "segments", segments: parts.map((part) => (part === "*" ? undefined : part)), rest };
}

/** Whether the pattern stands for the room. In time that grows with the two names' lengths and no faster. */
export function matches(pattern: Pattern, room: string): boolean {
  switch (pattern.kind) {
    case "exact":
      return room === pattern.text;
    case "prefix":
      return room.length > pattern.text.length && room.startsWith(pattern.text);
    case "segments":
      return new SegmentGrants([[pattern, 1]]).in(room) !== NO_ACTIONS;
    default:
      return pattern satisfies never;
  }
}

type SegmentPattern = Extract<Pattern, { kind: "segments" }>;
/** A pattern with numbers for its segments: the same for the same text. */
type Row = { readonly ids: readonly number[]; readonly rest: string | undefined; readonly actions: Actions };

/** The numbers that stand for no text of a pattern; those that do come after. */
const ANY = 0;
const EMPTY = 1;
const UNKNOWN = 2;

/**
 * Grants by patterns with `*` between colons. A room is cut up once, and each of its segments looked up once; what is left
 * to do for each pattern is to compare numbers, until the first that differs.
 */
class SegmentGrants {
  readonly #ids = new Map<string, number>();
  readonly #rows: readonly Row[];

  constructor(entries: readonly (readonly [SegmentPattern, Actions])[]) {
    this.#rows = entries.map(([{ segments, rest }, actions]) => ({
      ids: segments.map((segment) => (segment === undefined ? ANY : this.#idOf(segment))),
      rest,
      actions,
    }));
  }

  #idOf(segment: string): number {
    if (segment === "") return EMPTY;
    const id = this.#ids.get(segment) ?? UNKNOWN + 1 + this.#ids.size;
    this.#ids.set(segment, id);
    return id;
  }

  in(room: string): Actions {
    const ids: number[] = [];
    const starts: number[] = [];
    // Of what is behind the longest pattern no more is asked than that it is there.
    for (let at = 0; at <= room.length && ids.length <= MAX_SEGMENTS; ) {
      const colon = room.indexOf(":", at);
      const end = colon < 0 ? room.length : colon;
      ids.push(end === at ? EMPTY : (this.#ids.get(room.slice(at, end)) ?? UNKNOWN));
      starts.push(at);
      at = end + 1;
    }
    let actions = NO_ACTIONS;
    for (const row of this.#rows) if (isOf(row, room, ids, starts)) actions |= row.actions;
    return actions;
  }
}

function isOf({ ids, rest }: Row, room: string, roomIds: readonly number[], starts: readonly number[]): boolean {
  const { length } = ids;
  if (rest === undefined ? roomIds.length !== length : roomIds.length <= length) return false;
  for (let index = 0; index < length; index++) {
    const id = ids[index];
    if (id === ANY ? roomIds[index] === EMPTY : id !== roomIds[index]) return false;
  }
  if (rest === undefined) return true;
  const start = starts[length] as number;
  return room.length > start + rest.length && room.startsWith(rest, start);
}

/** Which actions are granted in which rooms. A check costs under 5 µs with any 100 patterns and any room (`bench/permissions.ts`). */
export class Grants {
  readonly #exact = new Map<string, Actions>();
  readonly #prefixes: (readonly [string, Actions])[] = [];
  readonly #segments: SegmentGrants | undefined;

  constructor(entries: Iterable<readonly [Pattern, Actions]>) {
    const segments: (readonly [SegmentPattern, Actions])[] = [];
    for (const [pattern, actions] of entries) {
      if (pattern.kind === "segments") segments.push([pattern, actions]);
      else if (pattern.kind === "prefix") this.#prefixes.push([pattern.text, actions]);
      else this.#exact.set(pattern.text, (this.#exact.get(pattern.text) ?? NO_ACTIONS) | actions);
    }
    this.#segments = segments.length === 0 ? undefined : new SegmentGrants(segments);
  }

  /** Everything that is granted in the room, by all patterns that stand for it. */
  in(room: string): Actions {
    let actions = this.#exact.get(room) ?? NO_ACTIONS;
    for (const [prefix, more] of this.#prefixes) {
      if (room.length > prefix.length && room.startsWith(prefix)) actions |= more;
    }
    return this.#segments === undefined ? actions : actions | this.#segments.in(room);
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
