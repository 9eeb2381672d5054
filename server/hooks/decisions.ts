/** What the application has decided, and for how long that is remembered: the contract. */

/** An answer of the application. */
export type Decided<T> = {
  /** Any JSON value: it is also kept as JSON. Whoever gets it does not change it, others get the same. */
  readonly value: T;
  /**
   * How long it may be remembered, in milliseconds; 0: not, and what was answered before is forgotten with it. A refusal
   * that does not say so itself has `Infinity`: it is remembered for `hookRefusalMs`.
   */
  readonly maxAgeMs: number;
  readonly isRefusal: boolean;
  /** Whom it is about, where only the answer says so. */
  readonly user?: string | undefined;
  /** Whose user that is, where only the answer says so. */
  readonly tenant?: string | undefined;
};

/** Hooks whose answers may be remembered. */
export const decidingHooks = ["connect", "join"] as const;
export type DecidingHook = (typeof decidingHooks)[number];

export type Question = {
  readonly hook: DecidingHook;
  /** All that the answer depends on; hashed before it is kept anywhere. */
  readonly parts: readonly string[];
  readonly tenant: string;
  readonly user?: string | undefined;
  readonly room?: string | undefined;
};

/**
 * Whose decisions are forgotten: a user's, else those about a room, else a tenant's, else all. A user or a room without a
 * tenant is one of a server without tenants. Where there are both, all of the user's are: more than was asked.
 */
export type Forget = {
  readonly tenant?: string | undefined;
  readonly user?: string | undefined;
  readonly room?: string | undefined;
};

export interface Decisions {
  /**
   * What is remembered, or what `ask` answers: one ask for all who ask the same at once. `staleOk`: where `ask` fails with
   * `Unreachable`, an older answer will do. Rejects with what `ask` rejects with, and with a `Refusal` "unavailable" where
   * the answer was forgotten over and over before it was there.
   */
  get<T>(question: Question, ask: () => Promise<Decided<T>>, staleOk: boolean): Promise<T>;
  /**
   * Forgets, on this node and in what nodes share. On this node it is done at once. Rejects with `EngineError` where what
   * nodes share cannot be written now: it is not read either then, until it has been written.
   */
  forget(what: Forget): Promise<void>;
}
