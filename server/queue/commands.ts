/** Applies the commands that backends write into the queue: each of them until it is done, or is known never to be. */
import { ProtocolError } from "../../protocol/codes.js";
import { EngineError } from "../engine/engine.js";
import type { Outcome, QueueNumbers, TakenCommand, WorkQueue } from "../engine/queue.js";
import { Refusal } from "../hooks/hooks.js";
import type { Log } from "../log.js";

export type CommandsOptions = {
  readonly queue: WorkQueue;
  /** The JSON of a command. Throws `ProtocolError` where it is none. */
  readonly read: (bytes: Buffer) => unknown;
  /** Throws, or rejects with, `ProtocolError` or `Refusal` for what never will be done, else with what may pass. */
  readonly apply: (command: unknown, id: string) => Promise<void>;
  /** Whether this operation knows an id again by itself: publishing does, by the event's key. */
  readonly isKeyed: (operation: string) => boolean;
  /** What of the engines that hold the rooms cannot be reached now. */
  readonly problems: () => readonly string[];
  /** The largest command, in bytes. */
  readonly maxBytes: number;
  /** How often a command is tried that fails although nothing is away. */
  readonly tries: number;
  readonly log: Log;
};

export type CommandNumbers = {
  /** Totals since the start. */
  readonly applied: number;
  readonly retried: number;
  readonly dead: number;
  /** Commands in hand on this node. */
  readonly underWay: number;
  /** Of the queue, for all nodes, as last seen: a few seconds ago. */
  readonly queue: QueueNumbers;
};

/** The longest id: keys of events are of this length, and a batch adds to it. */
const MAX_ID_LENGTH = 120;
/** The pause before the second try, and the longest one, in milliseconds; doubled in between, with jitter. */
const RETRY_MS = [500, 30_000] as const;
/** How long after an engine was last known to be away a failure may still be for that, in milliseconds. */
const AWAY_MS = 60_000;
/** While an engine is away each command in hand is kept for so long before it is given back, in milliseconds. */
const HOLD_MS = 1000;
/** How often the engines and the queue's numbers are looked at, in milliseconds. */
const LOOK_MS = 1000;
/** The log is told of commands that are given up once in so many milliseconds. */
const SAY_MS = 1000;
const NUMBERS_MS = 5000;

export class Commands {
  readonly #options: CommandsOptions;
  readonly #looks: readonly NodeJS.Timeout[];
  readonly #holds = new Set<() => void>();
  #applied = 0;
  #retried = 0;
  #dead = 0;
  #underWay = 0;
  #queue: QueueNumbers = { waiting: 0, underWay: 0, dead: 0 };
  #saidAt = Number.NEGATIVE_INFINITY;
  #awayAt = Number.NEGATIVE_INFINITY;
  #closing: Promise<void> | undefined;

  constructor(options: CommandsOptions) {
    this.#options = options;
    this.#looks = [setInterval(() => this.#isAway(), LOOK_MS), setInterval(() => void this.#count(), NUMBERS_MS)];
    for (const look of this.#looks) look.unref();
  }

  /** Begins to take commands. Called once. */
  start(): void {
    if (this.#closing !== undefined) return;
    this.#options.queue.start((command) => this.#take(command));
    void this.#count();
  }

  /** What of the queue cannot be reached now, a line each. */
  problems(): readonly string[] {
    return this.#options.queue.problems();
  }

  numbers(): CommandNumbers {
    const [applied, retried, dead, underWay] = [this.#applied, this.#retried, this.#dead, this.#underWay];
    return { applied, retried, dead, underWay, queue: this.#queue };
  }

  /** Takes nothing more, waits at most so many milliseconds for commands in hand, and gives the others back. */
  close(withinMs: number): Promise<void> {
    this.#closing ??= this.#end(withinMs);
    return this.#closing;
  }

  async #end(withinMs: number): Promise<void> {
    for (const look of this.#looks) clearInterval(look);
    for (const release of this.#holds) release();
    try {
      await this.#options.queue.close(withinMs);
    } catch (error) {
      this.#options.log.error("queue: it did not end well", { error: String(error) });
    }
  }

  async #count(): Promise<void> {
    try {
      this.#queue = await this.#options.queue.numbers();
    } catch {
      // The queue is away: it says so among the problems.
    }
  }

  /** Whether an engine is away, or was a moment ago. */
  #isAway(): boolean {
    const now = performance.now();
    if (this.#options.problems().length > 0) this.#awayAt = now;
    return now - this.#awayAt < AWAY_MS;
  }

  /** Commands are begun in the order in which they were taken: everything up to the engine happens before this returns. */
  async #take(taken: TakenCommand): Promise<Outcome> {
    this.#underWay++;
    try {
      await this.#apply(taken);
      this.#applied++;
      return { done: true };
    } catch (error) {
      return await this.#failed(taken, error);
    } finally {
      this.#underWay--;
    }
  }

  async #apply({ id, bytes }: TakenCommand): Promise<void> {
    const { queue, read, apply, isKeyed, maxBytes } = this.#options;
    if (id.length > MAX_ID_LENGTH) throw new ProtocolError("id", `at most ${MAX_ID_LENGTH} characters`, `${id.length}`);
    if (bytes.length > maxBytes) throw new ProtocolError("command", `at most ${maxBytes} bytes`, `${bytes.length}`);
    if (bytes.length === 0) throw new ProtocolError("command", "a JSON object", "nothing");
    const command = read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    if (isKeyed(operationOf(command))) return apply(command, id);
    if (await queue.isDone(id)) return;
    await apply(command, id);
    await queue.markDone(id);
  }

  async #failed({ id, tries }: TakenCommand, error: unknown): Promise<Outcome> {
    const { log } = this.#options;
    const reason = error instanceof Error ? error.message : String(error);
    const never = error instanceof ProtocolError || (error instanceof Refusal && error.retryMs === undefined);
    if (never) return this.#giveUp(id, tries, reason);
    const away = error instanceof EngineError && this.#isAway();
    // What an engine that is away keeps from being done is not the command's fault, however long that takes.
    if (!away && tries >= this.#options.tries) return this.#giveUp(id, tries, reason);
    this.#retried++;
    const known = error instanceof EngineError || error instanceof Refusal;
    log[known ? "debug" : "warn"]("queue: a command failed and is tried again", { id, tries, reason });
    if (away) await this.#hold();
    const [least, most] = RETRY_MS;
    const pause = Math.min(most, least * 2 ** Math.min(tries - 1, 20)) * (0.5 + Math.random() / 2);
    const asked = known ? (error.retryMs ?? 0) : 0;
    return { retryMs: Math.round(Math.max(pause, asked)) };
  }

  #giveUp(id: string, tries: number, reason: string): Outcome {
    this.#dead++;
    const now = performance.now();
    // A backend that is wrong once is wrong ten thousand times.
    if (now >= this.#saidAt + SAY_MS) {
      this.#saidAt = now;
      const { log } = this.#options;
      log.warn("queue: a command was given up: it is among the dead letters", { id, tries, reason, soFar: this.#dead });
    }
    return { dead: reason };
  }

  /** So that a node does not run through all the queue, again and again, while an engine is away. */
  #hold(): Promise<void> {
    if (this.#closing !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const release = (): void => {
        clearTimeout(timer);
        this.#holds.delete(release);
        resolve();
      };
      const timer = setTimeout(release, HOLD_MS * (0.5 + Math.random()));
      this.#holds.add(release);
    });
  }
}

function operationOf(command: unknown): string {
  if (typeof command !== "object" || command === null) return "";
  const { do: operation } = command as { readonly do?: unknown };
  return typeof operation === "string" ? operation : "";
}
