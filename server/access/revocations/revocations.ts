/** What was taken back, as far as this node knows. */
import type { Access } from "../access.js";
import { type Actions, NO_ACTIONS } from "../actions.js";
import { matches, type Pattern, parsePattern } from "../grants.js";
import { Lapses } from "./lapses.js";
import { type Revocation, subjectOf } from "./revocation.js";

/** The most that is remembered. */
const MOST = 100_000;

type Taken = Revocation & { readonly kind: "room" };

/** What concerns one user. */
type OfUser = {
  /** Tokens signed before are not honoured. */
  tokens: (Revocation & { readonly kind: "tokens" }) | undefined;
  block: (Revocation & { readonly kind: "block" }) | undefined;
  readonly rooms: Map<string, readonly [Pattern, Taken]>;
};

/** Whether `one` takes the place of `other`; the same, whichever of them comes first. */
function replaces(one: Revocation, other: Revocation): boolean {
  if ("at" in one && "at" in other) {
    if (one.at !== other.at) return one.at > other.at;
    // Said in the same millisecond: the one that takes more.
    if (one.ends !== other.ends) return one.ends > other.ends;
    const [mine, theirs] = [one.kind === "room" ? one.actions : 0, other.kind === "room" ? other.actions : 0];
    return mine === theirs ? one.until > other.until : mine > theirs;
  }
  return one.until > other.until;
}

/** Of both what they say together. */
function merged(one: Revocation, other: Revocation | undefined): Revocation {
  if (other === undefined) return one;
  if (one.kind === "tokens" && other.kind === "tokens") {
    const before = Math.max(one.before, other.before);
    const until = Math.max(one.until, other.until);
    return before === other.before && until === other.until ? other : { ...one, before, until };
  }
  return replaces(one, other) ? one : other;
}

/**
 * The revocations that hold, in bounded memory. In whatever order they are added, and however often, the outcome is the
 * same: so nodes that know the same ones decide the same. A look costs the same however many there are, but for the
 * patterns of that very user. All times are Unix milliseconds.
 */
export class Revocations {
  readonly #most: number;
  readonly #all = new Map<string, Revocation>();
  /** By tenant and user. */
  readonly #tenants = new Map<string, Map<string, OfUser>>();
  readonly #lapses = new Lapses<Revocation>((one) => this.#all.get(subjectOf(one)) === one);
  /** How many were forgotten before their time, because there were too many. */
  evicted = 0;

  constructor(most = MOST) {
    this.#most = most;
  }

  get size(): number {
    return this.#all.size;
  }

  /** All that is remembered; some of it may no longer be in force. */
  all(): IterableIterator<Revocation> {
    return this.#all.values();
  }

  /** What is remembered about the same as `one`. */
  like(one: Revocation): Revocation | undefined {
    return this.#all.get(subjectOf(one));
  }

  /** Whether it has changed what is known. */
  add(given: Revocation, now: number): boolean {
    const subject = subjectOf(given);
    const known = this.#all.get(subject);
    const one = merged(given, known);
    if (one === known || one.until <= now) return false;
    this.#all.set(subject, one);
    this.#index(one);
    this.#lapses.push(one, this.#all.size);
    while (this.#all.size > this.#most) {
      const first = this.#lapses.take(Number.POSITIVE_INFINITY);
      if (first === undefined) break;
      this.#forget(first);
      this.evicted++;
    }
    return true;
  }

  #index(one: Revocation): void {
    if (one.kind === "token") return;
    const users = this.#tenants.get(one.tenant) ?? new Map<string, OfUser>();
    this.#tenants.set(one.tenant, users);
    const user = users.get(one.user) ?? { tokens: undefined, block: undefined, rooms: new Map() };
    users.set(one.user, user);
    if (one.kind === "tokens") user.tokens = one;
    else if (one.kind === "block") user.block = one;
    else user.rooms.set(one.room, [parsePattern(one.room, one.user), one]);
  }

  #forget(one: Revocation): void {
    this.#all.delete(subjectOf(one));
    if (one.kind === "token") return;
    const users = this.#tenants.get(one.tenant);
    const user = users?.get(one.user);
    if (users === undefined || user === undefined) return;
    if (one.kind === "tokens") user.tokens = undefined;
    else if (one.kind === "block") user.block = undefined;
    else user.rooms.delete(one.room);
    if (user.tokens !== undefined || user.block !== undefined || user.rooms.size > 0) return;
    users.delete(one.user);
    if (users.size === 0) this.#tenants.delete(one.tenant);
  }

  /** Forgets what need not be remembered any longer. */
  sweep(now: number): void {
    for (let one = this.#lapses.take(now); one !== undefined; one = this.#lapses.take(now)) this.#forget(one);
  }

  #of({ tenant, user }: Access): OfUser | undefined {
    return user === undefined ? undefined : this.#tenants.get(tenant)?.get(user);
  }

  /** Whether anything is remembered of the session's user: if not, nothing was taken from it in any room. */
  concerns(access: Access): boolean {
    return this.#tenants.size > 0 && this.#of(access) !== undefined;
  }

  /** Why what the session goes by is not good any more, for a developer; `undefined`: it is. */
  isRevoked(access: Access, now: number): string | undefined {
    if (this.#all.size === 0) return undefined;
    if (access.tokenId !== undefined) {
      const token = this.#all.get(`token ${access.tokenId}`);
      if (token !== undefined && token.until > now) return "token: it was revoked";
    }
    const user = this.#of(access);
    if (user === undefined) return undefined;
    const { tokens, block } = user;
    if (block !== undefined && block.ends > now) return "user: blocked";
    const isOld = tokens !== undefined && access.issuedAt < tokens.before && tokens.until > now;
    return isOld ? "token: those signed so early were revoked" : undefined;
  }

  /** The actions that were taken from the user in the room, by its shown name. */
  denied(access: Access, room: string, now: number): Actions {
    const rooms = this.#tenants.size === 0 ? undefined : this.#of(access)?.rooms;
    let actions = NO_ACTIONS;
    if (rooms === undefined || rooms.size === 0) return actions;
    for (const [pattern, one] of rooms.values()) {
      if (one.ends > now && (one.actions & ~actions) !== 0 && matches(pattern, room)) actions |= one.actions;
    }
    return actions;
  }

  /** How many patterns of rooms there are of the user: looks at it cost so much. */
  patternsOf(tenant: string, user: string): number {
    return this.#tenants.get(tenant)?.get(user)?.rooms.size ?? 0;
  }
}
