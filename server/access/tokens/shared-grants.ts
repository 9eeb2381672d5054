/** Grants as tokens hold them, read once for all who are given the same. */
import { type Actions, parseActions } from "../actions.js";
import { Grants, parseGrants, parsePattern } from "../grants.js";

/** The most that are kept, and the longest, in UTF-16 code units of their JSON. */
const MAX_KEPT = 256;
const MAX_LENGTH = 2048;
const USER = "{sub}";

type Form = {
  /** What anybody is granted. */
  readonly shared: Grants;
  /** The patterns in which the user stands. */
  readonly own: readonly (readonly [string, Actions])[];
};

/** By their JSON. Only what came in tokens that were checked is in here. */
const forms = new Map<string, Form>();

/**
 * Reads grants, as `parseGrants` does. An application gives many of its users the same: those share what no user stands in.
 * So a session keeps little more than its own patterns, and its hello makes little more than those.
 */
export function sharedGrants(given: unknown, user: string | undefined): Grants {
  const text = JSON.stringify(given);
  const form = forms.get(text);
  if (form !== undefined) return grantsOf(form, user);
  const grants = parseGrants(given, user);
  if (text.length <= MAX_LENGTH) keep(text, given as object);
  return grants;
}

function grantsOf({ shared, own }: Form, user: string | undefined): Grants {
  if (own.length === 0) return shared;
  return new Grants(
    own.map(([pattern, actions]) => [parsePattern(pattern, user), actions] as const),
    shared,
  );
}

/** They were read without an error. */
function keep(text: string, given: object): void {
  const all = Object.entries(given).map(([pattern, words]) => [pattern, parseActions(words) as Actions] as const);
  const own = all.filter(([pattern]) => pattern.includes(USER));
  const others = all.filter(([pattern]) => !pattern.includes(USER));
  const shared = new Grants(others.map(([pattern, actions]) => [parsePattern(pattern, undefined), actions] as const));
  // The oldest goes. It comes again, if it is in use.
  const [oldest] = forms.keys();
  if (forms.size >= MAX_KEPT && oldest !== undefined) forms.delete(oldest);
  forms.set(text, { shared, own });
}
