import { closeCodes } from "../../protocol/codes.js";
import type { RecordKind } from "../engine/queue.js";
import { type Beginning, connected, type LeftReason, left, type NodeName, type Who } from "./entries.js";
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

export type ConnectionsOptions = {
  readonly node: NodeName;
  readonly outbox: Outbox;
  readonly tells: ReadonlySet<RecordKind>;
  /** Makes an entry's id. */
  readonly newId: () => string;
};

/** Close codes of a client that ends its connection itself: 1005 is one without any code. */
const BY_CLIENT: ReadonlySet<number> = new Set([1000, 1001, 1005]);

/** How many entries may wait while sessions are told of once more, and how often it is gone on with, in milliseconds. */
const MOST_RETOLD = 1000;
const RETELL_MS = 50;

function reasonOf({ code, isOurs, isTold }: Ending): LeftReason {
  if (isOurs) return code === closeCodes.moving || code === closeCodes.replaced ? "moved" : "closed";
  if (isTold) return "moved";
  return code !== undefined && (BY_CLIENT.has(code) || code >= 3000) ? "closed" : "lost";
}

/** Tells that users connected, and left. What was told once of a beginning is told of its end, whatever comes between. */
export class Connections {
  readonly #options: ConnectionsOptions;
  /** By session: what was told of its beginning. */
  readonly #open = new Map<object, Beginning>();
  #retelling: NodeJS.Timeout | undefined;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  opened(session: object, who: Who, isResumed: boolean): void {
    const { node, outbox, tells, newId } = this.#options;
    const beginning = { who, id: newId(), at: Date.now(), isResumed };
    this.#open.set(session, beginning);
    if (!tells.has("connected")) return;
    outbox.put({ kind: "connected", about: who.user, id: beginning.id, bytes: connected(node, beginning) });
  }

  /**
   * Tells of all sessions that are open once more, each as it was told of first: others have told that they are over. No
   * faster than it is written.
   */
  tellAgain(): void {
    const { node, outbox, tells, newId } = this.#options;
    if (!tells.has("connected")) return;
    this.stop();
    const open = this.#open.values();
    this.#retelling = setInterval(() => {
      while (outbox.waiting < MOST_RETOLD) {
        const { value: beginning, done } = open.next();
        if (done) return this.stop();
        outbox.put({ kind: "connected", about: beginning.who.user, id: newId(), bytes: connected(node, beginning) });
      }
    }, RETELL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#retelling);
  }

  ended(session: object, ending: Ending): void {
    const { node, outbox, tells, newId } = this.#options;
    const open = this.#open.get(session);
    if (open === undefined || !this.#open.delete(session) || !tells.has("left")) return;
    const { who, id: since } = open;
    const id = newId();
    const told = { since, code: ending.code, reason: reasonOf(ending) };
    outbox.put({ kind: "left", about: who.user, id, bytes: left(node, id, who, told) });
  }
}
