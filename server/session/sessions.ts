import { closeCodes } from "../../protocol/codes.js";
import { userKey } from "../access/limits/shares.js";
import { walk } from "../room/walk.js";
import { askAll, type Reply } from "./answers.js";
import type { Link } from "./link.js";
import { checkRevoked, endGrants } from "./rights.js";
import { type Registry, Session, type SessionContext } from "./session.js";

/** A client that is there says hello within this time, on slow networks too, in milliseconds. */
const SILENCE_MS = 5000;
/** How many connections are looked at for one that gives way. */
const MOST_LOOKS = 64;
/** How often the registry looks after its sessions, in milliseconds. */
const SWEEP_MS = 250;

/** Whoever is told of sessions that were welcomed, and of their end. It returns quickly and throws nothing. */
export interface SessionObserver {
  opened(session: Session): void;
  ended(session: Session): void;
}

export type SessionsOptions = {
  readonly context: SessionContext;
  /** How long a connection may take to say hello, in milliseconds. */
  readonly helloTimeoutMs: number;
  /** How many bytes were published so far, each frame counted once: while it stands still nobody falls behind. */
  readonly publishedBytes: () => number;
  readonly observer?: SessionObserver | undefined;
};

/** What is asked of a user's sessions. */
type Call = {
  readonly user: string;
  readonly tenant: string;
  readonly method: string;
  readonly json: string;
  readonly withinMs: number;
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
  /** Those that were told to move and are resumed here already, on another link: they end when their client lets go. */
  readonly #leaving = new Set<Session>();
  /** Those that have not been told to move yet; `undefined` as long as nobody is to. */
  #untold: Set<Session> | undefined;
  readonly #timer: NodeJS.Timeout;
  #checkedBytes = 0;
  /** How many clients have moved: were told to, and closed their connection themselves. */
  moved = 0;
  /** How many were closed with the request to come back. */
  sentAway = 0;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.context = options.context;
    this.#timer = setInterval(() => this.#sweep(), Math.min(SWEEP_MS, options.helloTimeoutMs));
    this.#timer.unref();
  }

  get size(): number {
    return this.welcomed + this.#silent.size;
  }

  /** How many were welcomed. */
  get welcomed(): number {
    return this.#byId.size + this.#leaving.size;
  }

  /** How many connections have not been welcomed yet. */
  get handshakes(): number {
    return this.#silent.size;
  }

  *#all(): Generator<Session> {
    yield* this.#byId.values();
    yield* this.#leaving;
  }

  /** Begins the session of a link that has just opened. */
  open(link: Link): Session {
    const session = new Session(link, this);
    this.#silent.set(session, performance.now() + this.#options.helloTimeoutMs);
    return session;
  }

  /**
   * Closes the connection that has been silent for longest, if that is longer than a client is: others need its place. So
   * whoever opens connections and says nothing has to open ever new ones to keep others out.
   */
  giveWay(): void {
    const latest = performance.now() + this.#options.helloTimeoutMs - SILENCE_MS;
    let looks = 0;
    for (const [session, until] of this.#silent) {
      if (until > latest || looks++ === MOST_LOOKS) return;
      // The others have said hello, and wait for the application.
      if (session.state !== "new") continue;
      session.close(closeCodes.helloTimeout, "no hello in time for others that wait");
      return;
    }
  }

  opened(session: Session): void {
    this.#silent.delete(session);
    this.#options.observer?.opened(session);
    this.#enter(session);
    this.timed(session);
  }

  timed(session: Session): void {
    if (session.dueAt === undefined) this.#expiring.delete(session);
    else this.#expiring.add(session);
  }

  #enter(session: Session): void {
    const other = this.#byId.get(session.id);
    if (other === session || this.#leaving.has(session)) return;
    this.#byId.set(session.id, session);
    this.#untold?.add(session);
    if (other === undefined) return;
    // Of two links of one session the older is the one that nobody reads any more; but not in a move, where the client
    // lets go of it once it has everything on the other.
    if (other.toldToMove || other.link.relieved?.()) this.#leaving.add(other);
    else other.close(closeCodes.replaced, "the session goes on elsewhere");
  }

  remove(session: Session): void {
    this.#options.observer?.ended(session);
    this.#silent.delete(session);
    this.#expiring.delete(session);
    this.#leaving.delete(session);
    this.#untold?.delete(session);
    if (session.toldToMove && !session.wasClosed) this.moved++;
    if (session.use !== undefined) {
      this.context.usage.users.leave(session.use, !session.toldToMove, performance.now());
      session.use = undefined;
    }
    if (this.#byId.get(session.id) === session) this.#byId.delete(session.id);
  }

  #sweep(): void {
    const now = performance.now();
    for (const [session, until] of this.#silent) {
      if (until > now) break;
      session.close(closeCodes.helloTimeout, "no hello in time");
    }
    const unix = Date.now();
    for (const session of this.#expiring) {
      if ((session.dueAt ?? unix) <= unix) this.#end(session, unix);
    }
    this.checkBacklogs();
  }

  /** Something of the session has come to its end, or is about to. */
  #end(session: Session, now: number): void {
    const { expiresAt = Number.POSITIVE_INFINITY } = session.access;
    if (expiresAt <= now) {
      session.close(closeCodes.expired, "the token is past its end");
      return;
    }
    if ((session.renewAt ?? now + 1) <= now) {
      session.renewAt = undefined;
      session.send({ type: "renew", expiresInMs: expiresAt - now });
    }
    endGrants(session, now);
    this.timed(session);
  }

  /**
   * Looks at every session's backlog, when so much was sent since the last look that one may have grown too long. The
   * transport calls it too, each time that much has been published.
   */
  checkBacklogs(): void {
    const bytes = this.#options.publishedBytes();
    if (bytes - this.#checkedBytes < this.context.limits.maxBackpressureBytes / 16) return;
    this.#checkedBytes = bytes;
    for (const session of this.#all()) session.checkBacklog();
  }

  /** Closes every session of the tenant's user, for good; how many there were. */
  disconnect(user: string, tenant: string): Promise<number> {
    return this.#forEach((session) => {
      if (session.user !== user || session.access.tenant !== tenant) return false;
      session.close(closeCodes.disconnected, "disconnected by the server");
      return true;
    });
  }

  /** Takes every session of the tenant's user out of the room, and tells it; how many were in it. */
  takeOut(user: string, tenant: string, room: string): Promise<number> {
    return this.#forEach((session) => {
      const isOne = session.user === user && session.access.tenant === tenant;
      return isOne && session.removeFrom(room, "forbidden");
    });
  }

  /**
   * Asks the sessions of the tenant's user, `most` of them, each once at the most; how many there are, and an answer or an
   * error of each that was asked, within `withinMs`. `json` is the data.
   */
  async call(
    { user, tenant, method, json, withinMs }: Call,
    most: number,
  ): Promise<{ readonly sessions: number; readonly replies: readonly (readonly [session: string, reply: Reply])[] }> {
    const asked: Session[] = [];
    let sessions = 0;
    // It is asked more often than the others, and most users have few sessions, or none here.
    const held = this.context.usage.users.heldBy(userKey(tenant, user));
    const ask = (session: Session) => {
      if (session.user !== user || session.access.tenant !== tenant) return undefined;
      if (++sessions <= most) asked.push(session);
      return sessions === held ? "enough" : undefined;
    };
    if (held > 0) await walk(this.#all(), ask);
    return { sessions, replies: await askAll(asked, method, JSON.parse(json), withinMs) };
  }

  /** Holds every session to what has been taken back; how many it concerned. */
  checkRevoked(): Promise<number> {
    return this.#forEach((session) => checkRevoked(session));
  }

  /**
   * Does it for every session that is open by the end; for how many it said yes. It is asked rarely, and an index by user
   * would cost memory for every session: so it walks over all of them, a little in each turn of the loop.
   */
  async #forEach(act: (session: Session) => boolean): Promise<number> {
    let count = 0;
    await walk(this.#all(), (session) => {
      if (act(session)) count++;
    });
    return count;
  }

  /** How many have not been told to move; from the first call on those count that are welcomed later, too. */
  get untold(): number {
    this.#untold ??= new Set(this.#byId.values());
    return this.#untold.size;
  }

  /**
   * Tells the next `count` of those who have not been told to move, each at a moment of its own within `withinMs`;
   * in `deadlineMs` they will be closed.
   */
  moveNext(count: number, withinMs: number, deadlineMs: number): void {
    let left = count;
    for (const session of this.#untold ?? []) {
      if (left-- <= 0) return;
      this.#untold?.delete(session);
      session.move(Math.floor(Math.random() * withinMs), Math.max(0, Math.round(deadlineMs)));
    }
  }

  /** Closes the next `count` sessions (all of them by default) with the request to come back, the reason from `reasonFor`. */
  sendAway(reasonFor: () => string, count = Number.POSITIVE_INFINITY): void {
    let left = count;
    for (const sessions of [this.#silent.keys(), this.#all()]) {
      for (const session of sessions) {
        if (left-- <= 0) break;
        this.sentAway++;
        session.close(closeCodes.moving, reasonFor());
      }
    }
  }

  /** Nobody is left, or looked after any more. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
