import { EngineError } from "../engine.js";
import type { Connection } from "./connection.js";

/** How many rooms a command subscribes at the most. */
const BATCH = 500;

type Entry = {
  /** Resolves once the room is subscribed on the connection that was there when it was asked for. */
  readonly subscribed: Promise<void>;
};

type Change = {
  readonly room: string;
  readonly isOn: boolean;
  readonly settle: (error?: Error) => void;
};

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The rooms that this node wants of one server, and the subscriptions on the connection that is there now. */
export class Interest {
  readonly #nameOf: (room: string) => string;
  /** Sharded pub/sub: rooms of one command have to be in one slot, so each gets its own. */
  readonly #isSharded: boolean;
  readonly #rooms = new Map<string, Entry>();
  #connection: Connection | undefined;
  #changes: Change[] = [];

  constructor(nameOf: (room: string) => string, isSharded: boolean) {
    this.#nameOf = nameOf;
    this.#isSharded = isSharded;
  }

  has(room: string): boolean {
    return this.#rooms.has(room);
  }

  get rooms(): readonly string[] {
    return [...this.#rooms.keys()];
  }

  /** Notes that the room is wanted, for the next `resubscribe`. */
  want(room: string): void {
    if (!this.#rooms.has(room)) this.#rooms.set(room, { subscribed: Promise.resolve() });
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
    const names = changes.map(({ room }) => this.#nameOf(room));
    this.#command(connection, isOn, names).then(
      () => settle(),
      (error: Error) => settle(error),
    );
  }

  async #command(connection: Connection, isOn: boolean, names: readonly string[]): Promise<void> {
    const command = `${this.#isSharded ? "s" : ""}${isOn ? "" : "un"}subscribe`;
    if (this.#isSharded) await Promise.all(names.map((name) => connection.send(command, [name])));
    else await connection.send(command, names);
  }

  /** The connection is gone, and with it its subscriptions. What is under way on it rejects by itself. */
  lost(): void {
    this.#connection = undefined;
  }

  /**
   * Subscribes every room on a new connection, a batch at a time, so that neither the server nor this process stalls.
   * Rejects where the connection does not last.
   */
  async resubscribe(connection: Connection): Promise<void> {
    // From now on what is unsubscribed is, behind the batches already sent.
    this.#connection = connection;
    const rooms = this.rooms;
    for (let from = 0; from < rooms.length; from += BATCH) {
      const names = rooms
        .slice(from, from + BATCH)
        .filter((room) => this.#rooms.has(room))
        .map((room) => this.#nameOf(room));
      if (names.length > 0) await this.#command(connection, true, names);
      await turn();
    }
  }
}
