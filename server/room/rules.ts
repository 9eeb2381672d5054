/** What the rooms of a kind are asked to do: the settings of `kinds`, filled up. */
import type { EngineName, LogRules } from "../engine/engine.js";

/** The rules of one kind of room; nothing is left open. */
export type KindRules = LogRules & {
  /** Which engine holds the rooms. */
  readonly engine: EngineName;
  /** How long events of a busy room may be held so that they leave together, in milliseconds; 0 holds none. */
  readonly batchMs: number;
  /**
   * What becomes of a reader that cannot keep up: `resume` cuts it off, to come back by its position; `skip` leaves
   * events out and tells it so. Rooms without history know `skip` alone.
   */
  readonly slow: "resume" | "skip";
  /** Whether a join that resumes nothing gets the latest event at once. */
  readonly lastValue: boolean;
  /** Whether what is published is told in the stream of what happened. */
  readonly record: boolean;
};

/** The rules as they are given, in part: what is left out comes from the kind `*`, then from `defaultRules`. */
export type KindInput = {
  readonly engine?: EngineName | undefined;
  readonly history?: { readonly size?: number | undefined; readonly ageMs?: number | undefined } | undefined;
  readonly keyWindowMs?: number | undefined;
  readonly batchMs?: number | undefined;
  readonly slow?: KindRules["slow"] | undefined;
  readonly lastValue?: boolean | undefined;
  readonly record?: boolean | undefined;
};

export type KindInputs = { readonly [kind: string]: KindInput };

/** What holds where neither the kind nor `*` says anything. */
export const defaultRules: KindRules = {
  engine: "memory",
  history: { size: 100, ageMs: 300_000 },
  keyWindowMs: 300_000,
  batchMs: 20,
  slow: "resume",
  lastValue: false,
  record: false,
};

function fill(given: KindInput, base: KindRules): KindRules {
  const size = given.history?.size ?? base.history.size;
  return {
    engine: given.engine ?? base.engine,
    history: { size, ageMs: given.history?.ageMs ?? base.history.ageMs },
    keyWindowMs: given.keyWindowMs ?? base.keyWindowMs,
    batchMs: given.batchMs ?? base.batchMs,
    slow: size === 0 ? "skip" : (given.slow ?? base.slow),
    lastValue: given.lastValue ?? base.lastValue,
    record: given.record ?? base.record,
  };
}

/**
 * The rules by kind: made once for the kinds that are named, and one set for all others. `slow` is `skip` in every kind
 * without history; and a kind that keeps history again, where `*` keeps none, resumes unless one of the two says `skip`.
 * `engine` is where the rooms are of which neither the kind nor `*` says it.
 */
export function resolveKinds(kinds: KindInputs, engine = defaultRules.engine): (kind: string) => KindRules {
  const star = kinds["*"] ?? {};
  const others = fill(star, { ...defaultRules, engine });
  const base = { ...others, slow: star.slow ?? defaultRules.slow };
  const named = new Map(Object.entries(kinds).map(([kind, given]) => [kind, fill(given, base)] as const));
  return (kind) => named.get(kind) ?? others;
}
