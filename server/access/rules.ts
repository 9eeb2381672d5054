/** What kinds of rooms let whom do, and how much: the part of the settings `kinds` that sessions are held to. */
import { type Actions, ALL_ACTIONS, actionsOf, NO_ACTIONS, type RoomAction, wordsOf } from "./actions.js";

/** Who may do what in the rooms of a kind. */
export type Allowed = {
  /** Everyone. */
  readonly anonymous: Actions;
  /** Clients with a user, beside what everyone may. */
  readonly user: Actions;
  /** The most that tokens, and the application's identities, may grant. */
  readonly token: Actions;
};

/** The access rules of one kind of room; nothing is left open. */
export type KindAccess = {
  readonly allow: Allowed;
  /** Events a second in one room. */
  readonly publishRate: number;
  /** Clients in one room at once, on all nodes. */
  readonly maxMembers: number;
  /** The largest data of an event, in bytes. */
  readonly maxEventBytes: number;
};

/** The rules as they are given, in part: what is left out comes from the kind `*`, then from the defaults. */
export type KindAccessInput = {
  readonly allow?: { readonly [who in keyof Allowed]?: readonly RoomAction[] | undefined } | undefined;
  readonly publishRate?: number | undefined;
  readonly maxMembers?: number | undefined;
  readonly maxEventBytes?: number | undefined;
};

export type AccessDefaults = {
  /** Whether everyone may do everything where no rule says otherwise: nobody is asked who they are. */
  readonly isOpen: boolean;
  /** The longest frame a client may send, in bytes. */
  readonly maxFrameBytes: number;
};

const PUBLISH_RATE = 5000;
const MAX_MEMBERS = 100_000;

const filled = (words: readonly RoomAction[] | undefined, base: Actions): Actions =>
  words === undefined ? base : actionsOf(words);

function fill(given: KindAccessInput, base: KindAccess): KindAccess {
  const { allow } = given;
  return {
    allow: {
      anonymous: filled(allow?.anonymous, base.allow.anonymous),
      user: filled(allow?.user, base.allow.user),
      token: filled(allow?.token, base.allow.token),
    },
    publishRate: given.publishRate ?? base.publishRate,
    maxMembers: given.maxMembers ?? base.maxMembers,
    maxEventBytes: given.maxEventBytes ?? base.maxEventBytes,
  };
}

/** The access rules of all kinds of rooms. */
export class AccessRules {
  readonly #named: ReadonlyMap<string, KindAccess>;
  readonly #others: KindAccess;

  constructor(kinds: { readonly [kind: string]: KindAccessInput }, { isOpen, maxFrameBytes }: AccessDefaults) {
    const base: KindAccess = {
      allow: { anonymous: isOpen ? ALL_ACTIONS : NO_ACTIONS, user: NO_ACTIONS, token: ALL_ACTIONS },
      publishRate: PUBLISH_RATE,
      maxMembers: MAX_MEMBERS,
      maxEventBytes: maxFrameBytes,
    };
    this.#others = fill(kinds["*"] ?? {}, base);
    this.#named = new Map(Object.entries(kinds).map(([kind, given]) => [kind, fill(given, this.#others)]));
  }

  of(kind: string): KindAccess {
    return this.#named.get(kind) ?? this.#others;
  }

  /** Whether there is anything that a client of whom nothing is known may do: if not, it need not be let in. */
  get admitsAnonymous(): boolean {
    return [this.#others, ...this.#named.values()].some(({ allow }) => allow.anonymous !== NO_ACTIONS);
  }
}

/** The rules as they are shown to people. */
export function shownAccess({ allow, ...limits }: KindAccess): object {
  const { anonymous, user, token } = allow;
  return { allow: { anonymous: wordsOf(anonymous), user: wordsOf(user), token: wordsOf(token) }, ...limits };
}
