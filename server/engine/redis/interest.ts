import { EngineError } from "../engine.js";
import type { Connection } from "./connection.js";

/** How many rooms a command subscribes at the most. */
const BATCH = 500;

/**
 * How rooms are subscribed, or not any more, on a connection. Resolves with those that the server refused, and why;
 * rejects where the connection does not do.
 */
export type Subscribing = (
  connection: Connection,
  isOn: boolean,
  rooms: readonly string[],
) => Promise<ReadonlyMap<string, Error>>;

type Entry = {
  /** Resolves once the room is subscribed on the connection that was there when it was asked for. */
  readonly subscribed: Promise<void>;
};

type Change = {
  readonly room: string;
  readonly isOn: boolean;
  readonly settle: (error?: Error) => void;
};

const NONE: ReadonlyMap<string, Error> = new Map();

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** By one command for many rooms, as every server does it that is no part of a Cluster. */
export const together =
  (nameOf: (room: string) => string): Subscribing =>
  async (connection, isOn, rooms) => {
    await connection.send(isOn ? "subscribe" : "unsubscribe", rooms.map(nameOf));
    return NONE;
  };

/** The rooms that this node wants of one server, and the subscriptions on the connection that is there now. */
export class Interest {
  readonly #subscribing: Subscribing;
  readonly #rooms = new Map<string, Entry>();
  #connection: Connection | undefined;
  #changes: Change[] = [];
  /** Rooms that came to be wanted after `resubscribe` began. */
  readonly #late = new Set<string>();

  constructor(subscribing: Subscribing) {
    this.#subscribing = subscribing;
  }

  has(room: string): boolean {
    return this.#rooms.has(room);
  }

  get rooms(): readonly string[] {
    return [...this.#rooms.keys()];
  }

  /** Notes that the room is wanted, for the next `resubscribe` or `catchUp`. */
  want(room: string): void {
    if (this.#rooms.has(room)) return;
    this.#rooms.set(room, { subscribed: Promise.resolve() });
    if (this.#connection !== undefined) this.#late.add(room);
  }

  /** Subscribes it together with what else is asked for in this turn. What fails is not wanted any more, but for `isKept`. */
  subscribe(room: string, isKept: boolean): Promise<void> {
    const known = this.#rooms.get(room);
    if (known !== undefined) return known.subscribed;
    let settle: (error?: Error) => void = () => undefined;
    const subscribed = new Promise<void>((resolve, reject) => {
      settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    const entry: Entry = { subscribed };
    this.#rooms.set(room, entry);
    this.#change({
      room,
      isOn: true,
      settle: (error) => {
        if (error !== undefined && !isKept) this.#giveUp(room, entry);
        settle(error);
      },
    });
    return subscribed;
  }

  #giveUp(room: string, entry: Entry): void {
    if (this.#rooms.get(room) !== entry) return;
    this.#rooms.delete(room);
    // It may have been late only.
    if (this.#connection !== undefined) this.#change({ room, isOn: false, settle: () => undefined });
  }

  unsubscribe(room: string): void {
    if (!this.#rooms.delete(room)) return;
    this.#change({ room, isOn: false, settle: () => undefined });
  }

  #change(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length === 1) process.nextTick(() => this.#flush());
  }

  /** Sends what has gathered, in its order: runs of the same kind together. */
  #flush(): void {
    const changes = this.#changes;
    this.#changes = [];
    for (let from = 0; from < changes.length; ) {
      const isOn = changes[from]?.isOn === true;
      let until = from;
      while (until < changes.length && until - from < BATCH && changes[until]?.isOn === isOn) until++;
      this.#send(isOn, changes.slice(from, until));
      from = until;
    }
  }

  #send(isOn: boolean, changes: readonly Change[]): void {
    const connection = this.#connection;
    const settle = (error?: Error): void => {
      for (const change of changes) change.settle(error);
    };
    if (connection === undefined) return settle(new EngineError("unavailable", "the connection is gone"));
    const rooms = changes.map(({ room }) => room);
    this.#subscribing(connection, isOn, rooms).then(
      (refused) => {
        for (const change of changes) change.settle(refused.get(change.room));
      },
      (error: Error) => settle(error),
    );
  }

  /** The connection is gone, and with it its subscriptions. What is under way on it rejects by itself. */
  lost(): void {
    this.#connection = undefined;
  }

  /**
   * Subscribes every room on a new connection, a batch at a time, so that neither the server nor this process stalls.
   * Resolves with those that the server refused. Rejects where the connection does not last.
   */
  async resubscribe(connection: Connection): Promise<readonly string[]> {
    // From now on what is unsubscribed is, behind the batches already sent.
    this.#connection = connection;
    this.#late.clear();
    return this.#subscribeAll(connection, this.rooms);
  }

  /** Subscribes the rooms that came to be wanted since: adds to `caught` which, and resolves with those refused. */
  async catchUp(caught: Set<string>): Promise<readonly string[]> {
    const refused: string[] = [];
    while (this.#late.size > 0 && this.#connection !== undefined) {
      const rooms = [...this.#late];
      this.#late.clear();
      for (const room of rooms) caught.add(room);
      refused.push(...(await this.#subscribeAll(this.#connection, rooms)));
    }
    return refused;
  }

  async #subscribeAll(connection: Connection, rooms: readonly string[]): Promise<readonly string[]> {
    const refused: string[] = [];
    for (let from = 0; from < rooms.length; from += BATCH) {
      const batch = rooms.slice(from, from + BATCH).filter((room) => this.#rooms.has(room));
      if (batch.length > 0) refused.push(...(await this.#subscribing(connection, true, batch)).keys());
      await turn();
    }
    return refused;
  }
}
