/** What can be done in a room, and sets of it. */

/** Everything a client may ask of a room. */
export const roomActions = ["join", "publish", "history", "members"] as const;
export type RoomAction = (typeof roomActions)[number];

/** A set of actions: a bit for each, in the order of `roomActions`. */
export type Actions = number;

export const NO_ACTIONS: Actions = 0;
export const ALL_ACTIONS: Actions = (1 << roomActions.length) - 1;

const bits: Readonly<Record<RoomAction, Actions>> = { join: 1, publish: 2, history: 4, members: 8 };

export const has = (actions: Actions, action: RoomAction): boolean => (actions & bits[action]) !== 0;

export function actionsOf(words: readonly RoomAction[]): Actions {
  let actions = NO_ACTIONS;
  for (const word of words) actions |= bits[word];
  return actions;
}

export const wordsOf = (actions: Actions): RoomAction[] => roomActions.filter((action) => has(actions, action));

const isAction = (word: unknown): word is RoomAction => roomActions.includes(word as RoomAction);

/**
 * Actions as tokens and applications write them: a list, or one string with spaces between. `undefined` for anything
 * else, an unknown word among it: it may be a slip of the pen, and what it was to allow cannot be guessed.
 */
export function parseActions(given: unknown): Actions | undefined {
  const words: unknown = typeof given === "string" ? given.split(" ").filter((word) => word !== "") : given;
  return Array.isArray(words) && words.every(isAction) ? actionsOf(words) : undefined;
}
