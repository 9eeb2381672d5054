import type { Log } from "../../log.js";
import { Circuit } from "../circuit.js";
import { EngineError } from "../engine.js";
import { Connection, type ConnectionEvents, type Target, type Word } from "./connection.js";
import { Interest, type Subscribing } from "./interest.js";
import { Line } from "./line.js";
import type { Script } from "./scripts.js";
import type { Reply } from "./wire.js";

export type PrimaryOptions = {
  /** What people are told; without any secret. */
  readonly name: string;
  readonly target: Target;
  readonly timeoutMs: number;
  readonly probeMs: number;
  readonly subscribing: Subscribing;
  readonly log: Log;
};

export type PrimaryEvents = {
  /** Something was published in a room that is subscribed. Throws nothing. */
  published(name: Buffer, bytes: Buffer): void;
  /** The room is subscribed again; what was published meanwhile did not come. */
  suspect(room: string): void;
  /** A Cluster took a subscribed room to another server. */
  moved?(): void;
  /** These rooms are wanted, and the server would not have them subscribed. */
  refused?(rooms: readonly string[]): void;
};

/** How many rooms are suspected in one turn, and how many calls may be under way when the next ones are. */
const SUSPECTS = 250;
const CALM = 1000;

type Probe = { readonly connection: Connection; readonly sentAt: number; bytes: number };

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());

/**
 * The way to one server that rooms are written to: a connection for commands and one for subscriptions, each kept up for
 * ever, and a circuit over both. It is open from the moment one of them is lost or leaves a probe unanswered until both
 * have answered one and every room is subscribed again; then the rooms are suspected, a slice at a time.
 */
export class Primary {
  readonly #options: PrimaryOptions;
  readonly #events: PrimaryEvents;
  readonly #circuit: Circuit;
  readonly #interest: Interest;
  readonly #commands: Line;
  readonly #subscriptions: Line;
  readonly #probes = new Map<Line, Probe>();
  #probeTimer: NodeJS.Timeout;
  #isClosed = false;
  #isRestoring = false;
  /** Whether it has been connected, or an attempt has failed. */
  #hasTried = false;
  /** Whether the circuit is open for the subscriptions alone: commands go out then all the same. */
  #canSend = false;
  /** The connection that every room is subscribed on. */
  #subscribedOn: Connection | undefined;

  constructor(options: PrimaryOptions, events: PrimaryEvents) {
    this.#options = options;
    this.#events = events;
    this.#circuit = new Circuit(options.name, options.log);
    this.#interest = new Interest(options.subscribing);
    const late = { late: () => this.#circuit.failed("no answers"), answered: () => this.#circuit.answered() };
    this.#commands = this.#line("commands", true, late);
    this.#subscriptions = this.#line("subscriptions", false, {
      published: (name, bytes) => events.published(name, bytes),
      moved: () => events.moved?.(),
    });
    this.#probeTimer = this.#probeLater();
  }

  #line(what: string, runsScripts: boolean, events: Omit<ConnectionEvents, "closed">): Line {
    const { name, target, timeoutMs } = this.#options;
    const options = { name, target, timeoutMs, runsScripts };
    return new Line((attempt, closed) => Connection.open(options, attempt, { ...events, closed }), {
      up: (connection) => {
        if (runsScripts) this.#follow(connection);
        void this.#restore();
      },
      down: (reason) => {
        if (!runsScripts) this.#interest.lost();
        this.#hasTried = true;
        this.#canSend = !runsScripts && (this.#canSend || !this.#circuit.isOpen);
        this.#circuit.trip(`${what}: ${reason}`);
      },
    });
  }

  /** After a failover the subscriptions must not stay with the server that was the primary. */
  #follow(connection: Connection): void {
    const other = this.#subscriptions?.connection;
    if (other !== undefined && other.address !== connection.address) other.destroy("the primary is another server now");
  }

  /** What is wrong, `undefined` when nothing is. */
  get problem(): string | undefined {
    return this.#circuit.problem;
  }

  /** Whether it is neither connected yet nor known to be away. */
  get isOpening(): boolean {
    return !this.#hasTried;
  }

  /** What the server has subscribed by sharded pub/sub, as far as it has said; `undefined` while that does not count. */
  get subscribed(): ReadonlySet<string> | undefined {
    return this.problem === undefined ? this.#subscriptions.connection?.subscribed : undefined;
  }

  #refusal(): EngineError | undefined {
    return this.#isClosed
      ? new EngineError("unavailable", `${this.#options.name}: closed`, 0)
      : this.#circuit.refusal();
  }

  /** The connection for commands; or why nothing may be sent now. */
  #sending(): Connection | EngineError {
    const refusal = this.#canSend && !this.#isClosed ? undefined : this.#refusal();
    return (
      refusal ?? this.#commands.connection ?? new EngineError("unavailable", `${this.#options.name}: not connected`)
    );
  }

  /** Sends a command; refused at once while the circuit is open, but for the subscriptions alone. */
  send(command: string, words: readonly Word[]): Promise<Reply> {
    const sending = this.#sending();
    return sending instanceof EngineError ? Promise.reject(sending) : sending.send(command, words);
  }

  /** Runs a script; refused as `send` is. */
  run(script: Script, keys: readonly string[], words: readonly Word[]): Promise<Reply> {
    const sending = this.#sending();
    return sending instanceof EngineError ? Promise.reject(sending) : sending.run(script, keys, words);
  }

  /** `isKept`: the room stays wanted when it cannot be subscribed now, and is once there is a connection. */
  subscribe(room: string, isKept = false): Promise<void> {
    const refusal = this.#refusal();
    if (refusal === undefined) return this.#interest.subscribe(room, isKept);
    if (isKept) this.#interest.want(room);
    return Promise.reject(refusal);
  }

  unsubscribe(room: string): void {
    this.#interest.unsubscribe(room);
  }

  /** Closes the circuit once both connections are up, subscribed and answering. Never rejects. */
  async #restore(): Promise<void> {
    if (this.#isRestoring) return;
    this.#isRestoring = true;
    while (!this.#isClosed && this.#circuit.isOpen) {
      const [commands, subscriptions] = [this.#commands.connection, this.#subscriptions.connection];
      if (commands === undefined || subscriptions === undefined) break;
      await this.#restoreOn(commands, subscriptions).catch((error: Error) => subscriptions.destroy(error.message));
    }
    this.#isRestoring = false;
  }

  async #restoreOn(commands: Connection, subscriptions: Connection): Promise<void> {
    const isNew = this.#subscribedOn !== subscriptions;
    const refused: string[] = [];
    if (isNew) {
      refused.push(...(await this.#interest.resubscribe(subscriptions)));
      this.#subscribedOn = subscriptions;
    }
    await Promise.all([commands.probe(), subscriptions.probe()]);
    const late = new Set<string>();
    refused.push(...(await this.#interest.catchUp(late)));
    if (this.#commands.connection !== commands || this.#subscriptions.connection !== subscriptions) {
      // The rooms that were subscribed here are still to be suspected.
      if (isNew) this.#subscribedOn = undefined;
      return;
    }
    this.#hasTried = true;
    this.#circuit.close();
    this.#canSend = false;
    if (refused.length > 0) this.#events.refused?.(refused);
    void this.#suspect(isNew ? this.#interest.rooms : [...late], commands);
  }

  async #suspect(rooms: readonly string[], commands: Connection): Promise<void> {
    for (let from = 0; from < rooms.length && !this.#isClosed; from += SUSPECTS) {
      for (const room of rooms.slice(from, from + SUSPECTS)) if (this.#interest.has(room)) this.#events.suspect(room);
      do await pause(1);
      while (commands.underWay > CALM && !this.#isClosed);
    }
  }

  #probeLater(): NodeJS.Timeout {
    return setTimeout(
      () => {
        for (const line of [this.#commands, this.#subscriptions]) this.#probe(line);
        this.#probeTimer = this.#probeLater();
      },
      this.#options.probeMs * (0.9 + 0.1 * Math.random()),
    ).unref();
  }

  /**
   * A connection that has left a probe unanswered since the last look, and on which nothing has come, is half-open. One on
   * which something comes and no answer does is given three times as long.
   */
  #probe(line: Line): void {
    const connection = line.connection;
    if (connection === undefined) return;
    const last = this.#probes.get(line);
    if (last?.connection === connection) {
      const isSilent = connection.bytesRead === last.bytes;
      const waitedMs = performance.now() - last.sentAt;
      last.bytes = connection.bytesRead;
      if (isSilent || waitedMs > this.#options.probeMs * 3) connection.destroy("no answer to a probe");
      return;
    }
    const probe: Probe = { connection, sentAt: performance.now(), bytes: connection.bytesRead };
    this.#probes.set(line, probe);
    const answered = (): void => {
      if (this.#probes.get(line) === probe) this.#probes.delete(line);
      if (this.#circuit.isOpen) void this.#restore();
    };
    connection.probe().then(answered, () => undefined);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#probeTimer);
    this.#commands.close();
    this.#subscriptions.close();
  }
}
