/** Pull requests: how a node asks JetStream for so many commands, without asking again and again while there are none. */
import type { Connection, Watch } from "./connection.js";
import type { Incoming } from "./incoming.js";
import { NS_PER_MS } from "./queue-link.js";

/** How long a pull waits at the server for commands, and how often that says that it still does, in milliseconds. */
const EXPIRES_MS = 10_000;
const HEARTBEAT_MS = 2000;
/** Silence after which a pull has been forgotten by the server, in milliseconds. */
const SILENT_MS = 3 * HEARTBEAT_MS;
const LOOK_MS = 500;
/** Statuses of NATS: a heartbeat; no consumer there; nothing came; the pull is over for another reason. */
const HEARTBEAT = 100;
const NO_RESPONDERS = 503;

/** A pull under way; `left` of what it asked for has not come. */
type Pull = { readonly watch: Watch; left: number; heardAt: number };

export class Pulls {
  readonly #connection: Connection;
  readonly #subject: string;
  readonly #inbox: string;
  readonly #take: (message: Incoming) => void;
  readonly #over: (consumerGone: boolean) => void;
  readonly #pulls = new Set<Pull>();
  readonly #timer: NodeJS.Timeout;
  #next = 0;

  /** `take` is given each command, `over` is called when a pull has ended. */
  constructor(
    connection: Connection,
    { subject, inbox }: { readonly subject: string; readonly inbox: string },
    take: (message: Incoming) => void,
    over: (consumerGone: boolean) => void,
  ) {
    this.#connection = connection;
    this.#subject = subject;
    this.#inbox = inbox;
    this.#take = take;
    this.#over = over;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** How many commands have been asked for and have not come. */
  get asked(): number {
    let asked = 0;
    for (const { left } of this.#pulls) asked += left;
    return asked;
  }

  /** Asks for so many. Throws an `EngineError` where there is no connection. */
  ask(batch: number): void {
    const inbox = `${this.#inbox}.${this.#next++}`;
    const watch = this.#connection.watch(inbox, (message) => this.#came(pull, message));
    const pull: Pull = { watch, left: batch, heardAt: performance.now() };
    this.#pulls.add(pull);
    const asked = { batch, expires: EXPIRES_MS * NS_PER_MS, idle_heartbeat: HEARTBEAT_MS * NS_PER_MS };
    try {
      this.#connection.publish(this.#subject, Buffer.from(JSON.stringify(asked)), undefined, inbox);
    } catch (error) {
      this.#drop(pull);
      throw error;
    }
  }

  #came(pull: Pull, message: Incoming): void {
    pull.heardAt = performance.now();
    const { status } = message;
    if (status === HEARTBEAT) return;
    if (status > 0) {
      this.#drop(pull);
      this.#over(status === NO_RESPONDERS || message.head.includes("Consumer Deleted"));
      return;
    }
    pull.left--;
    if (pull.left <= 0) this.#drop(pull);
    this.#take(message);
  }

  #drop(pull: Pull): void {
    this.#pulls.delete(pull);
    this.#connection.unwatch(pull.watch);
  }

  /** Forgets all: the connection is gone. */
  clear(): void {
    for (const pull of [...this.#pulls]) this.#drop(pull);
  }

  #look(): void {
    const until = performance.now() - SILENT_MS;
    for (const pull of [...this.#pulls]) {
      if (pull.heardAt >= until) continue;
      this.#drop(pull);
      this.#over(false);
    }
  }

  /** Asks for nothing more. Resolves once everything that was on its way has come. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    for (const { watch } of this.#pulls) this.#connection.quiet(watch);
    await this.#connection.flush().catch(() => undefined);
    this.clear();
  }
}
