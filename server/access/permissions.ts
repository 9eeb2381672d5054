/** Whether a client may: what the rules, its token and the revocations say, before the application is asked. */
import { kindOf } from "../../protocol/names.js";
import type { Access } from "./access.js";
import { type Actions, has, NO_ACTIONS, type RoomAction } from "./actions.js";
import type { AccessRules } from "./rules.js";

/** What a room token allows in its room. */
export type RoomGrant = {
  readonly actions: Actions;
  /** Unix milliseconds. */
  readonly expiresAt: number;
  /** The token's `jti`, by which it can be revoked, and when it was signed, in Unix milliseconds. */
  readonly tokenId?: string | undefined;
  readonly issuedAt: number;
};

/** What was taken back after it had been given. */
export interface TakenBack {
  /** Why what the session goes by is not good any more; `undefined`: it is. `now` in Unix milliseconds. */
  isRevoked(access: Access, now: number): string | undefined;
  /** Whether anything was ever taken from the user: asked before every room of a session is looked at. */
  concerns(access: Access): boolean;
  /** The actions that were taken from the user in the room, by its shown name. */
  denied(access: Access, room: string, now: number): Actions;
}

/** `yes` and `no` are final; with `open` the application may still allow it. */
export type Verdict = "yes" | "no" | "open";

export class Permissions {
  readonly rules: AccessRules;
  readonly #takenBack: TakenBack;

  constructor(rules: AccessRules, takenBack: TakenBack) {
    this.rules = rules;
    this.#takenBack = takenBack;
  }

  /** Whether the session may do it in the room (its name as the client knows it), where it may hold a room token. */
  may(action: RoomAction, room: string, access: Access, grant?: RoomGrant): Verdict {
    const now = Date.now();
    if (has(this.#takenBack.denied(access, room, now), action)) return "no";
    const { allow } = this.rules.of(kindOf(room));
    if (has(access.user === undefined ? allow.anonymous : allow.anonymous | allow.user, action)) return "yes";
    const byRoom = grant !== undefined && this.honours(grant, access, now) ? grant.actions : NO_ACTIONS;
    const granted = (access.grants?.in(room) ?? NO_ACTIONS) | byRoom;
    return has(granted & allow.token, action) ? "yes" : "open";
  }

  /** Whether it was taken from the session, whatever else allows it. */
  isTaken(action: RoomAction, room: string, access: Access): boolean {
    const now = Date.now();
    return (
      has(this.#takenBack.denied(access, room, now), action) || this.#takenBack.isRevoked(access, now) !== undefined
    );
  }

  /** Of these rooms, by their names as the client knows them, those in which the action was taken from the session. */
  lost(action: RoomAction, rooms: Iterable<string>, access: Access): string[] {
    if (!this.#takenBack.concerns(access)) return [];
    const now = Date.now();
    return [...rooms].filter((room) => has(this.#takenBack.denied(access, room, now), action));
  }

  /** Whether the room token is good for anything; `now` in Unix milliseconds. */
  honours({ expiresAt, tokenId, issuedAt }: RoomGrant, { user, tenant }: Access, now = Date.now()): boolean {
    return expiresAt > now && this.#takenBack.isRevoked({ user, tenant, tokenId, issuedAt }, now) === undefined;
  }

  /** Why the session has to end; `undefined`: it has not. */
  whyRevoked(access: Access): string | undefined {
    return this.#takenBack.isRevoked(access, Date.now());
  }
}
