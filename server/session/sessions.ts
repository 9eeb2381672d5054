import { closeCodes } from "../../protocol/codes.js";
import type { Link } from "./link.js";
import { type Registry, Session, type SessionContext } from "./session.js";

/** How long before its end a client is asked for a new token, in milliseconds. */
const RENEW_AHEAD_MS = 60_000;
/** How often the registry looks after its sessions, in milliseconds. */
const SWEEP_MS = 250;
/** How long a walk over all sessions may take in one turn of the event loop, in milliseconds. */
const WALK_MS = 5;
/** How many sessions are walked over between two looks at the clock. */
const WALK_STEP = 256;

export type SessionsOptions = {
  readonly context: SessionContext;
  /** How long a connection may take to say hello, in milliseconds. */
  readonly helloTimeoutMs: number;
  /** How many bytes were published so far, each frame counted once: while it stands still nobody falls behind. */
  readonly publishedBytes: () => number;
};

/** All of this node's sessions. One timer looks after them: nothing is kept running per session. */
export class Sessions implements Registry {
  readonly context: SessionContext;
  pending = 0;
  readonly #options: SessionsOptions;
  /** Those that were welcomed. */
  readonly #byId = new Map<string, Session>();
  /** Those that have not said hello, in the order they came, with the time they have until. */
  readonly #silent = new Map<Session, number>();
  readonly #expiring = new Set<Session>();
  readonly #timer: NodeJS.Timeout;
  #checkedBytes = 0;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.context = options.context;
    this.#timer = setInterval(() => this.#sweep(), Math.min(SWEEP_MS, options.helloTimeoutMs));
    this.#timer.unref();
  }

  get size(): number {
    return this.#byId.size + this.#silent.size;
  }

  /** How many were welcomed. */
  get welcomed(): number {
    return this.#byId.size;
  }

  /** Begins the session of a link that has just opened. */
  open(link: Link): Session {
    const session = new Session(link, this);
    this.#silent.set(session, performance.now() + this.#options.helloTimeoutMs);
    return session;
  }

  opened(session: Session): void {
    this.#silent.delete(session);
    const other = this.#byId.get(session.id);
    this.#byId.set(session.id, session);
    // Of two links of one session the older is the one that nobody reads any more.
    if (other !== undefined && other !== session) other.close(closeCodes.replaced, "the session goes on elsewhere");
    if (session.expiresAt === undefined) this.#expiring.delete(session);
    else this.#expiring.add(session);
  }

  remove(session: Session): void {
    this.#silent.delete(session);
    this.#expiring.delete(session);
    if (this.#byId.get(session.id) === session) this.#byId.delete(session.id);
  }

  #sweep(): void {
    const now = performance.now();
    for (const [session, until] of this.#silent) {
      if (until > now) break;
      session.close(closeCodes.helloTimeout, "no hello in time");
    }
    const unix = Date.now();
    for (const session of this.#expiring) this.#checkExpiry(session, (session.expiresAt ?? unix) - unix);
    this.checkBacklogs();
  }

  #checkExpiry(session: Session, leftMs: number): void {
    if (leftMs <= 0) {
      session.close(closeCodes.expired, "the token is past its end");
    } else if (leftMs <= RENEW_AHEAD_MS && !session.renewAsked) {
      session.renewAsked = true;
      session.send({ type: "renew", expiresInMs: leftMs });
    }
  }

  /**
   * Looks at every session's backlog, when so much was sent since the last look that one may have grown too long. The
   * transport calls it too, each time that much has been published.
   */
  checkBacklogs(): void {
    const bytes = this.#options.publishedBytes();
    if (bytes - this.#checkedBytes < this.context.limits.maxBackpressureBytes / 16) return;
    this.#checkedBytes = bytes;
    for (const session of this.#byId.values()) session.checkBacklog();
  }

  /** Closes every session of the user, for good; how many there were. */
  disconnect(user: string): Promise<number> {
    return this.#forUser(user, (session) => {
      session.close(closeCodes.disconnected, "disconnected by the server");
      return true;
    });
  }

  /** Takes every session of the user out of the room, and tells it; how many were in it. */
  takeOut(user: string, room: string): Promise<number> {
    return this.#forUser(user, (session) => session.removeFrom(room, "forbidden"));
  }

  /**
   * Does it for every session of the user that is open by the end; how many it was done for. It is asked rarely, and an index by
   * user would cost memory for every session: so it walks over all of them, a little in each turn of the loop.
   */
  async #forUser(user: string, act: (session: Session) => boolean): Promise<number> {
    let count = 0;
    let steps = 0;
    let began = performance.now();
    for (const session of this.#byId.values()) {
      if (session.user === user && act(session)) count++;
      if (++steps % WALK_STEP > 0 || performance.now() - began < WALK_MS) continue;
      await new Promise((next) => setImmediate(next));
      began = performance.now();
    }
    return count;
  }

  /** Closes every session, with the reason that `reasonFor` gives each. */
  closeAll(code: (typeof closeCodes)["moving"], reasonFor: () => string): void {
    clearInterval(this.#timer);
    for (const session of [...this.#silent.keys(), ...this.#byId.values()]) session.close(code, reasonFor());
  }
}
