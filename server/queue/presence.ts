import { closeCodes } from "../../protocol/codes.js";
import type { RecordKind } from "../engine/queue.js";
import { connected, type LeftReason, left, type NodeName, type Who } from "./entries.js";
import type { Outbox } from "./outbox.js";

/** What is to know of a session that ends. */
export type Ending = {
  /** What its connection was closed with, from either side; `undefined` where it has no such code. */
  readonly code: number | undefined;
  /** Whether it was this side. */
  readonly isOurs: boolean;
  /** Whether its client had been told to go on elsewhere. */
  readonly isTold: boolean;
};

export type PresenceOptions = {
  readonly node: NodeName;
  readonly outbox: Outbox;
  readonly tells: ReadonlySet<RecordKind>;
  /** Makes an entry's id. */
  readonly newId: () => string;
};

/** Close codes of a client that ends its connection itself: 1005 is one without any code. */
const BY_CLIENT: ReadonlySet<number> = new Set([1000, 1001, 1005]);

function reasonOf({ code, isOurs, isTold }: Ending): LeftReason {
  if (isOurs) return code === closeCodes.moving || code === closeCodes.replaced ? "moved" : "closed";
  if (isTold) return "moved";
  return code !== undefined && (BY_CLIENT.has(code) || code >= 3000) ? "closed" : "lost";
}

/** Tells that users connected, and left. What was told once of a beginning is told of its end, whatever comes between. */
export class Presence {
  readonly #options: PresenceOptions;
  /** By session: who it is, and the id of what told of its beginning. */
  readonly #open = new Map<object, { readonly who: Who; readonly since: string }>();

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  opened(session: object, who: Who, isResumed: boolean): void {
    const { node, outbox, tells, newId } = this.#options;
    const id = newId();
    this.#open.set(session, { who, since: id });
    if (!tells.has("connected")) return;
    outbox.put({ kind: "connected", about: who.user, id, bytes: connected(node, id, who, isResumed) });
  }

  ended(session: object, ending: Ending): void {
    const { node, outbox, tells, newId } = this.#options;
    const open = this.#open.get(session);
    if (open === undefined || !this.#open.delete(session) || !tells.has("left")) return;
    const { who, since } = open;
    const id = newId();
    const told = { since, code: ending.code, reason: reasonOf(ending) };
    outbox.put({ kind: "left", about: who.user, id, bytes: left(node, id, who, told) });
  }
}
