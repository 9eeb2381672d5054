/** What the rooms of a kind are asked to do: the settings of `kinds`, filled up. */
import type { EngineName, LogRules } from "../engine/engine.js";

/** Whose members a room has, and how they are told. */
export type PresenceRules = {
  /** Who is a member: nobody, those who join with `presence`, or everyone who joins. */
  readonly of: "nobody" | "asking" | "everyone";
  /** The most users that are listed; in rooms with more the members are only counted. 0: in all. */
  readonly maxListed: number;
  /** How long who has lost the connection is still a member, in milliseconds. */
  readonly graceMs: number;
  /** The least time between two frames that tell of changes, in milliseconds. */
  readonly intervalMs: number;
};

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
  readonly presence: PresenceRules;
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
  readonly presence?: { readonly [N in keyof PresenceRules]?: PresenceRules[N] | undefined } | undefined;
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
  presence: { of: "asking", maxListed: 200, graceMs: 10_000, intervalMs: 500 },
};

/** How long the log keeps an event that is given to who joins, in milliseconds, where nothing is said of it: a week. */
const LAST_VALUE_MS = 604_800_000;

/** What holds where no kind says anything of it. */
export type KindDefaults = {
  /** Which engine holds the rooms; memory if left out. */
  readonly engine?: EngineName | undefined;
  /** How long NATS keeps anything at the most, in milliseconds. */
  readonly natsRetentionMs?: number | undefined;
};

/** What a kind says, then what `*` says, then what holds where neither does. */
function fill(given: KindInput, star: KindInput, defaults: KindDefaults): KindRules {
  const engine = given.engine ?? star.engine ?? defaults.engine ?? defaultRules.engine;
  const size = given.history?.size ?? star.history?.size ?? defaultRules.history.size;
  const lastValue = size > 0 && (given.lastValue ?? star.lastValue ?? defaultRules.lastValue);
  const { natsRetentionMs = LAST_VALUE_MS } = engine === "nats" ? defaults : {};
  const ageMs = lastValue ? Math.min(LAST_VALUE_MS, natsRetentionMs) : defaultRules.history.ageMs;
  return {
    engine,
    history: { size, ageMs: given.history?.ageMs ?? star.history?.ageMs ?? ageMs },
    keyWindowMs: given.keyWindowMs ?? star.keyWindowMs ?? defaultRules.keyWindowMs,
    batchMs: given.batchMs ?? star.batchMs ?? defaultRules.batchMs,
    slow: size === 0 ? "skip" : (given.slow ?? star.slow ?? defaultRules.slow),
    lastValue,
    record: given.record ?? star.record ?? defaultRules.record,
    presence: fillPresence(given.presence, star.presence),
  };
}

function fillPresence(given: KindInput["presence"], star: KindInput["presence"]): PresenceRules {
  const usual = defaultRules.presence;
  return {
    of: given?.of ?? star?.of ?? usual.of,
    maxListed: given?.maxListed ?? star?.maxListed ?? usual.maxListed,
    graceMs: given?.graceMs ?? star?.graceMs ?? usual.graceMs,
    intervalMs: given?.intervalMs ?? star?.intervalMs ?? usual.intervalMs,
  };
}

/**
 * The rules by kind: made once for the kinds that are named, and one set for all others. In every kind without history
 * `slow` is `skip` and there is no last value; a kind that keeps history again, where `*` keeps none, resumes unless one of
 * the two says `skip`.
 */
export function resolveKinds(kinds: KindInputs, defaults: KindDefaults = {}): (kind: string) => KindRules {
  const star = kinds["*"] ?? {};
  const others = fill(star, {}, defaults);
  const named = new Map(Object.entries(kinds).map(([kind, given]) => [kind, fill(given, star, defaults)] as const));
  return (kind) => named.get(kind) ?? others;
}
