/** What a token, or the application, allows a client: actions by patterns of rooms' names. */
import { describe } from "../../protocol/fields.js";
import { MAX_ROOM_LENGTH } from "../../protocol/names.js";
import { type Actions, NO_ACTIONS, parseActions, roomActions } from "./actions.js";

/** The most patterns in one set of grants. */
export const MAX_PATTERNS = 100;

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
 * Rooms by their names. `*` as a whole segment, between colons, stands for one segment; at the very end it stands for
 * everything that follows, at least one character.
 */
export type Pattern =
  | { readonly kind: "exact"; readonly text: string }
  | { readonly kind: "prefix"; readonly text: string }
  /** `undefined` stands for any segment; with `rest` more may follow what the last one begins with. */
  | { readonly kind: "segments"; readonly segments: readonly (string | undefined)[]; readonly rest: boolean };

/**
 * Reads a pattern, with the user's name in the place of `{sub}`. Throws `GrantError`, also where there is no user to stand there
 * or one whose name has other characters than a segment may have: with a colon in it, it would reach into others' rooms.
 */
export function parsePattern(text: unknown, user: string | undefined): Pattern {
  let pattern = text;
  if (typeof text === "string" && text.includes(USER)) {
    if (user === undefined || !SEGMENT.test(user)) {
      throw new GrantError("{sub}: expected a user of A-Z a-z 0-9 _ - . @ / to stand in a pattern");
    }
    pattern = text.replaceAll(USER, user);
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
  const rest = pattern.endsWith("*");
  const segments = (rest ? pattern.slice(0, -1) : pattern).split(":").map((one) => (one === "*" ? undefined : one));
  if (segments.some((segment) => segment?.includes("*"))) {
    throw new GrantError(`expected a pattern, ${PATTERN_TEXT}, got ${describe(given)}`);
  }
  return { kind: "segments", segments, rest };
}

/** Whether the pattern stands for the room. In time that grows with the two names' lengths and no faster. */
export function matches(pattern: Pattern, room: string): boolean {
  switch (pattern.kind) {
    case "exact":
      return room === pattern.text;
    case "prefix":
      return room.length > pattern.text.length && room.startsWith(pattern.text);
    case "segments":
      return segmentsMatch(pattern.segments, pattern.rest, room);
    default:
      return pattern satisfies never;
  }
}

function segmentsMatch(segments: readonly (string | undefined)[], rest: boolean, room: string): boolean {
  let at = 0;
  const last = segments.length - 1;
  for (let index = 0; index < segments.length; index++) {
    const segment = segments[index];
    if (index === last && rest) {
      return room.length > at + (segment ?? "").length && room.startsWith(segment ?? "", at);
    }
    const colon = room.indexOf(":", at);
    const end = colon < 0 ? room.length : colon;
    if (end === at || (segment !== undefined && room.slice(at, end) !== segment)) return false;
    if (index === last) return end === room.length;
    if (colon < 0) return false;
    at = colon + 1;
  }
  return false;
}

/** Which actions are granted in which rooms. */
export class Grants {
  readonly #exact = new Map<string, Actions>();
  readonly #patterns: (readonly [Pattern, Actions])[] = [];

  constructor(entries: Iterable<readonly [Pattern, Actions]>) {
    for (const [pattern, actions] of entries) {
      if (pattern.kind !== "exact") this.#patterns.push([pattern, actions]);
      else this.#exact.set(pattern.text, (this.#exact.get(pattern.text) ?? NO_ACTIONS) | actions);
    }
  }

  /** Everything that is granted in the room, by all patterns that stand for it. */
  in(room: string): Actions {
    let actions = this.#exact.get(room) ?? NO_ACTIONS;
    for (const [pattern, more] of this.#patterns) if (matches(pattern, room)) actions |= more;
    return actions;
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
      if (actions !== undefined) return [parsePattern(text, user), actions] as const;
      throw new GrantError(`${text.slice(0, 40)}: expected some of ${roomActions.join(", ")}, got ${describe(words)}`);
    }),
  );
}
