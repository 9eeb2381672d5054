import type { Log } from "../../log.js";
import { type Deliver, OWN, RESERVED, type Suspect } from "../engine.js";
import { decodeRecord } from "../record.js";
import type { Connection, Watch } from "./connection.js";
import type { Incoming } from "./incoming.js";
import type { Placement } from "./placement.js";
import type { RingKeeper } from "./ring-keeper.js";
import { bucketOf, type Subjects } from "./subjects.js";

/** How many rooms are called suspect in one turn of the loop. */
const SLICE = 500;

type Subscribed = { readonly watch: Watch; readonly logged: boolean };

/** The rooms that this node has subscribed, and the way of their events to it. */
export class Subscriptions {
  readonly #connection: Connection;
  readonly #keeper: RingKeeper;
  readonly #subjects: Subjects;
  readonly #log: Log;
  readonly #deliver: Deliver;
  readonly #suspect: Suspect;
  readonly #rooms = new Map<string, Subscribed>();
  /** One flush for all that subscribe in the same turn. */
  #flushing: Promise<void> | undefined;
  /** Rooms with events of a stream that the ring known here does not put there. */
  #strange: Set<string> | undefined;

  constructor(
    parts: {
      readonly connection: Connection;
      readonly keeper: RingKeeper;
      readonly subjects: Subjects;
      readonly log: Log;
    },
    deliver: Deliver,
    suspect: Suspect,
  ) {
    this.#connection = parts.connection;
    this.#keeper = parts.keeper;
    this.#subjects = parts.subjects;
    this.#log = parts.log;
    this.#deliver = deliver;
    this.#suspect = suspect;
  }

  /** Resolves once the server has it. */
  async add(room: string, logged: boolean): Promise<void> {
    const known = this.#rooms.get(room);
    if (known?.logged !== logged) {
      if (known !== undefined) this.#connection.unwatch(known.watch);
      this.#rooms.set(room, { watch: this.#watch(room, logged), logged });
    }
    try {
      await this.#flush();
    } catch (error) {
      // Whoever is told that it failed does not unsubscribe.
      if (known === undefined) this.remove(room);
      throw error;
    }
  }

  remove(room: string): void {
    const known = this.#rooms.get(room);
    if (known === undefined) return;
    this.#rooms.delete(room);
    this.#connection.unwatch(known.watch);
  }

  /** Calls every room with history suspect, and the server's own, a part of them in each turn. */
  suspectAll(): void {
    const isDoubtful = (room: string, { logged }: Subscribed): boolean =>
      logged || room.startsWith(RESERVED) || room.startsWith(OWN);
    this.#suspectEach(this.#rooms.entries(), isDoubtful);
  }

  /** Calls those suspect whose log is another one now. */
  suspectMoved(placement: Placement, before: Placement | undefined): void {
    if (before === undefined) return;
    this.#suspectEach(this.#rooms.entries(), (room) => {
      const bucket = bucketOf(room);
      return placement.now(bucket).epoch !== before.now(bucket).epoch;
    });
  }

  #suspectEach(
    rooms: IterableIterator<[string, Subscribed]>,
    doubtful: (room: string, of: Subscribed) => boolean,
  ): void {
    for (let count = 0; count < SLICE; count++) {
      const { value, done } = rooms.next();
      if (done) return;
      if (doubtful(...value)) this.#suspect(value[0]);
    }
    setImmediate(() => this.#suspectEach(rooms, doubtful));
  }

  #flush(): Promise<void> {
    this.#flushing ??= Promise.resolve().then(() => {
      this.#flushing = undefined;
      return this.#connection.flush();
    });
    return this.#flushing;
  }

  #watch(room: string, logged: boolean): Watch {
    if (!logged) return this.#connection.watch(this.#subjects.live(room), (message) => this.#live(room, message));
    const bucket = bucketOf(room);
    return this.#connection.watch(this.#subjects.delivery(room), (message) => this.#logged(room, bucket, message));
  }

  #live(room: string, message: Incoming): void {
    try {
      this.#deliver(room, "", [decodeRecord(0, message.data)], 0);
    } catch (error) {
      this.#log.warn("engine: what came in a room is no event", { engine: "nats", room, error });
    }
  }

  #logged(room: string, bucket: number, message: Incoming): void {
    const stream = message.header("Nats-Stream") ?? "";
    const seq = Number(message.header("Nats-Sequence"));
    const last = Number(message.header("Nats-Last-Sequence"));
    const tenure = this.#keeper.placement?.at(bucket, stream, seq);
    if (tenure === undefined) {
      this.#askAgain(room);
      return;
    }
    this.#keeper.saw(stream, seq);
    try {
      const event = decodeRecord(seq, message.data);
      this.#deliver(room, tenure.epoch, [event], Math.max(last, tenure.start));
    } catch (error) {
      this.#log.warn("engine: what came in a room is no event", { engine: "nats", room, error });
    }
  }

  /** The ring has changed and this node has not heard of it: the room's log says what came, once it is known where it is. */
  #askAgain(room: string): void {
    if (this.#strange !== undefined) {
      this.#strange.add(room);
      return;
    }
    this.#strange = new Set([room]);
    const suspect = (): void => {
      const rooms = this.#strange ?? new Set();
      this.#strange = undefined;
      this.#suspectEach(this.#rooms.entries(), (each) => rooms.has(each));
    };
    this.#keeper.refresh().then(suspect, suspect);
  }
}
