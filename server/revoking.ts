/** This node's part in taking back what was given: it knows what all nodes know, and holds its sessions to it. */
import { createHash } from "node:crypto";
import { ProtocolError } from "../protocol/codes.js";
import type { RoomEvent } from "../protocol/event.js";
import { Payload } from "../protocol/payload.js";
import { MAX_PATTERNS } from "./access/grants.js";
import {
  keptMs,
  type Revocation,
  type Revoke,
  readRevocation,
  revocationOf,
  writeRevocation,
} from "./access/revocations/revocation.js";
import { Revocations } from "./access/revocations/revocations.js";
import { type KeyedEvent, type Reading, SharedLog } from "./cluster/shared-log.js";
import type { Broker, EngineName } from "./engine/engine.js";
import type { OwnRoom } from "./engine/open.js";
import type { Log } from "./log.js";
import { OWN } from "./room/names.js";

/** The room of the log. */
const ROOM = `${OWN}revoked`;
const EVENT = "revoked";
/** As many as a node remembers. */
const MOST = 100_000;
/** How long a key is known, in milliseconds: until all nodes have tried. */
const KEY_WINDOW_MS = 600_000;
/** The most that one may weigh in the log, in bytes. */
const MAX_BYTES = 8192;
/** How often it is told that something could not be read or kept, in milliseconds. */
const TELL_AGAIN_MS = 60_000;
/** How often what has lapsed is forgotten, in milliseconds. */
const SWEEP_MS = 1000;

/** The room of the log, and what is asked of it; `maxLifeMs`: how long tokens may be good for. */
export const revocationsRoom = (maxLifeMs: number): OwnRoom => ({
  room: ROOM,
  // A little longer than any of them counts: a node that starts reads no part of what is about to go.
  rules: { history: { size: MOST, ageMs: keptMs(maxLifeMs) + KEY_WINDOW_MS }, keyWindowMs: KEY_WINDOW_MS },
});

export type RevokingOptions = {
  readonly broker: Broker;
  /** The engine that holds the log. */
  readonly engine: EngineName;
  readonly revocations: Revocations;
  /** See the setting. */
  readonly maxTokenLifeMs: number;
  /** Holds every session of this node to what is revoked now; resolves once that is done. */
  readonly enforce: () => Promise<void>;
  readonly log: Log;
};

/** One as an event of the log. Its key is made of what it says: however many nodes append it, it is one event. */
function eventOf(one: Revocation): KeyedEvent {
  const written = writeRevocation(one);
  const key = createHash("sha256").update(JSON.stringify(written)).digest("base64url").slice(0, 22);
  return { event: EVENT, data: Payload.ofValue(written), at: Date.now(), key };
}

export class Revoking {
  readonly #options: RevokingOptions;
  readonly #log: SharedLog;
  #timer: NodeJS.Timeout | undefined;
  /** The walk over the sessions that has not begun yet: it will see whatever is known by then. */
  #next: Promise<void> | undefined;
  #walking: Promise<void> = Promise.resolve();
  #toldAt = Number.NEGATIVE_INFINITY;
  #evicted = 0;

  constructor(options: RevokingOptions) {
    this.#options = options;
    const { broker, maxTokenLifeMs } = options;
    this.#log = new SharedLog({
      ...revocationsRoom(maxTokenLifeMs),
      broker,
      take: (events) => this.#take(events),
      read: () => this.#read(),
    });
  }

  /** Resolves after the first attempt to read the log. */
  start(): Promise<void> {
    this.#timer = setInterval(() => this.#options.revocations.sweep(Date.now()), SWEEP_MS).unref();
    return this.#log.start();
  }

  /** Takes what the engine delivers; `false` where the room is not the log's. */
  deliver(room: string, events: readonly RoomEvent[]): boolean {
    if (room !== ROOM) return false;
    this.#log.deliver(events);
    return true;
  }

  suspect(room: string): boolean {
    if (room !== ROOM) return false;
    this.#log.suspect();
    return true;
  }

  /** Until the log has been read this node honours what may have been revoked. */
  problems(): readonly string[] {
    return this.#log.isRead ? [] : [`${this.#options.engine}: what was revoked could not be read yet`];
  }

  /** See `Server.revoke`. */
  revoke(what: Revoke): Promise<void> {
    const { maxTokenLifeMs } = this.#options;
    return this.#say(revocationOf(what, Date.now(), maxTokenLifeMs));
  }

  /** Does what another node asks for; rejects where it cannot be read, or where the engine does not take it. */
  revokeWritten(written: unknown): Promise<void> {
    const one = this.#bounded(readRevocation(written));
    if (one === undefined) return Promise.reject(new TypeError("revoke: expected what this version knows"));
    return this.#say(one);
  }

  /** `most` of what is remembered, as it is written, from so many on; and how many there are. */
  list(from: number, most: number): { listed: object[]; count: number } {
    const all = [...this.#options.revocations.all()];
    return { listed: all.slice(from, from + most).map(writeRevocation), count: all.length };
  }

  /** Enforces it here, appends it to the log, and waits for both. */
  async #say(said: Revocation): Promise<void> {
    const { revocations } = this.#options;
    const one = this.#latest(said);
    if (one.kind === "room" && revocations.like(one) === undefined) {
      if (revocations.patternsOf(one.tenant, one.user) >= MAX_PATTERNS) {
        throw new ProtocolError("room", `at most ${MAX_PATTERNS} patterns of one user`, "another one");
      }
    }
    const enforced = this.#add([one]) ? this.#enforce() : this.#walking;
    const [, appended] = await Promise.allSettled([enforced, this.#log.append(eventOf(one))]);
    if (appended.status === "rejected") throw appended.reason;
  }

  /** As the last word about its subject, also where the clock of whoever spoke before was ahead. */
  #latest(one: Revocation): Revocation {
    const known = this.#options.revocations.like(one);
    if (known === undefined || !("at" in known) || !("at" in one) || known.at < one.at) return one;
    const { at, until } = known;
    // Asked of all nodes, it may have come from another one's log already.
    if (JSON.stringify({ ...one, at, until }) === JSON.stringify(known)) return known;
    return { ...one, at: at + 1 };
  }

  /** Within what this node honours: who wrote it may go by other settings. */
  #bounded(one: Revocation | undefined): Revocation | undefined {
    if (one === undefined) return undefined;
    const { maxTokenLifeMs } = this.#options;
    const now = Date.now();
    const until = Math.min(one.until, now + keptMs(maxTokenLifeMs));
    if (!("ends" in one)) return { ...one, until };
    return { ...one, ends: Math.min(one.ends, now + maxTokenLifeMs), until };
  }

  #parse(event: RoomEvent): Revocation | undefined {
    if (event.event !== EVENT) return undefined;
    try {
      const one = event.data.size > MAX_BYTES ? undefined : this.#bounded(readRevocation(event.data.value));
      if (one === undefined) this.#tell("passed over a revocation: not in a form that this version knows", {});
      return one;
    } catch {
      // Bytes that are not what their form says.
      return undefined;
    }
  }

  /** Whether any of them changes what is known. */
  #add(some: readonly Revocation[]): boolean {
    const { revocations } = this.#options;
    const now = Date.now();
    const changed = some.filter((one) => revocations.add(one, now)).length > 0;
    if (revocations.evicted > this.#evicted) {
      this.#evicted = revocations.evicted;
      const fields = { most: MOST, forgotten: this.#evicted };
      this.#tell(
        "more revocations than are remembered: those that lapse first are forgotten before their time",
        fields,
      );
    }
    return changed;
  }

  #tell(text: string, fields: { readonly [name: string]: number }): void {
    const now = performance.now();
    if (now - this.#toldAt < TELL_AGAIN_MS) return;
    this.#toldAt = now;
    this.#options.log.error(text, fields);
  }

  #take(events: readonly RoomEvent[]): void {
    const some = events.map((event) => this.#parse(event)).filter((one) => one !== undefined);
    if (this.#add(some)) void this.#enforce();
  }

  /** What the log says by itself, to find out what it lacks. */
  #read(): Reading {
    const { revocations } = this.#options;
    const written = new Revocations(MOST);
    return {
      take: (events) => {
        this.#take(events);
        for (const event of events) {
          const one = this.#parse(event);
          if (one !== undefined) written.add(one, Date.now());
        }
      },
      lacking: () => {
        const now = Date.now();
        return [...revocations.all()].filter((one) => written.add(one, now)).map(eventOf);
      },
    };
  }

  /** Holds the sessions to what is known from here on; whatever comes before the walk begins shares it. */
  #enforce(): Promise<void> {
    if (this.#next !== undefined) return this.#next;
    const next = this.#walking.then(() => {
      this.#next = undefined;
      return this.#options.enforce();
    });
    this.#next = next;
    this.#walking = next.catch((error: unknown) => {
      this.#options.log.error("revocations could not be enforced", { error });
    });
    return next;
  }

  /** Before the broker is closed; never rejects. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#log.close();
  }
}
