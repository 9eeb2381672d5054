/**
 * The contracts of a durable queue: commands that backends write, and the stream of what happened, which they read. Each
 * engine that keeps a queue has both. `test/queue/conformance.ts` is their test.
 */
import type { Position } from "../../protocol/positions.js";

/** A command that this node has taken from the queue, and has to say something about. */
export type TakenCommand = {
  /**
   * The name that its writer gave it: the same name within two minutes is not a second command. Where the writer gave none
   * it is one that the queue made, and stays with the command.
   */
  readonly id: string;
  /** What was written. Nothing of it is kept by the queue once `take` has resolved. */
  readonly bytes: Uint8Array;
  /** How often it was taken, on whatever node, this time included: 1 the first time. */
  readonly tries: number;
  /** When it came into the queue, in Unix milliseconds. */
  readonly at: number;
};

/** What becomes of a command that was taken. */
export type Outcome =
  /** It is done: acknowledged, and gone from the queue. */
  | { readonly done: true }
  /** It is given out again, to any node, after about so many milliseconds. */
  | { readonly retryMs: number }
  /** It never will be done: moved to the dead letters with this reason, one line. Not in the queue after that. */
  | { readonly dead: string };

/** Called with each command. Never rejects. */
export type Take = (command: TakenCommand) => Promise<Outcome>;

/** A command that was given up. */
export type DeadLetter = {
  readonly id: string;
  readonly bytes: Uint8Array;
  readonly reason: string;
  readonly tries: number;
  /** When it was given up, in Unix milliseconds. */
  readonly at: number;
};

export type QueueNumbers = {
  /** Commands that no node has taken, or that wait for another try where the engine can tell those. */
  readonly waiting: number;
  /** Commands that some node has taken, and not acknowledged yet; where the engine cannot tell, those of this node. */
  readonly underWay: number;
  /** Dead letters that are kept. */
  readonly dead: number;
};

/** How long `isDone` remembers, in milliseconds. */
export const DONE_MS = 3_600_000;
/** For how long a second command with an id is known to be the same one, in milliseconds. */
export const SAME_ID_MS = 120_000;

export type WorkQueueOptions = {
  /** The most commands that this node has taken and not yet settled. */
  readonly prefetch: number;
  /** After how long a command that was taken and not settled is given to another node, in milliseconds. */
  readonly ackMs: number;
  /** How long dead letters are kept, in milliseconds. */
  readonly deadAgeMs: number;
  /** The largest command, in bytes: `add` refuses a larger one. What backends write may be larger all the same. */
  readonly maxBytes: number;
};

/**
 * The queue of commands. It connects in the background and for ever. Whatever ends, a node or the engine, a command is in
 * the queue until an outcome of it has arrived there; so it may be taken again although it was done.
 */
export interface WorkQueue {
  /**
   * Begins to take commands: at most `prefetch` that `take` has not resolved for, in the order in which they were written,
   * but for those that are given out again. While `take` runs for longer than half of `ackMs` the engine is told that the
   * command is under way. An outcome that cannot be told to the engine now is told once it is back, before anything more is
   * taken. Called once.
   */
  start(take: Take): void;
  /**
   * Writes a command, as backends do. Resolves with whether it is new, once it is kept: `false` where one with this id was
   * written within `SAME_ID_MS`. Rejects with an `EngineError`.
   */
  add(id: string, bytes: Uint8Array): Promise<boolean>;
  /** Whether `markDone` was called with this id, on whatever node, within `DONE_MS`. Rejects with an `EngineError`. */
  isDone(id: string): Promise<boolean>;
  /** Remembers that the command was applied. Rejects with an `EngineError`. */
  markDone(id: string): Promise<void>;
  /** How the queue is now. Rejects with an `EngineError`. */
  numbers(): Promise<QueueNumbers>;
  /** The oldest dead letters, at most so many. Rejects with an `EngineError`. */
  deadLetters(limit: number): Promise<readonly DeadLetter[]>;
  /** What cannot be reached now, a line each without any secret, as a broker's `problems`. */
  problems(): readonly string[];
  /**
   * Takes nothing more, waits at most so many milliseconds for what was taken, gives back the rest at once, for any node,
   * and ends its connections. What is still in `take` then is of no more concern.
   */
  close(withinMs: number): Promise<void>;
}

/** What happened, as it is recorded. */
export type RecordKind = "published" | "connected" | "left" | "node_gone" | "node_back" | "lost";

/** Up to where a room's log is recorded. What else it holds is the engine's own. */
export type Recorded = { readonly position: Position };

/** A room in which something may be published and not recorded yet. */
export type Mark = {
  readonly room: string;
  /** Which one it is of those that were made for the room: the engine's own. */
  readonly token: string;
};

export type RecordLogOptions = {
  /** The most records that are kept; the oldest go first. */
  readonly max: number;
  /** How long they are kept, in milliseconds. */
  readonly ageMs: number;
};

/**
 * The stream of what happened. It connects in the background and for ever; every method may reject with an `EngineError`,
 * and settles within a bounded time. What rejects may have taken effect all the same.
 */
export interface RecordLog {
  /**
   * Appends a record that belongs to no room's log. `about` is whom it is about (a user), where there is one. The same key
   * again within two minutes is not a second record.
   */
  append(kind: RecordKind, about: string | undefined, key: string, bytes: Uint8Array): Promise<void>;
  /**
   * Up to where the room's log is recorded; `undefined` where nothing of it is known to be: neither a record, nor a
   * position that `unmark` was told, within `ageMs`.
   */
  last(room: string): Promise<Recorded | undefined>;
  /**
   * Appends records of events of the room, rising, where it is recorded up to `previous` still: so they stand in the order
   * of the room's log although several nodes write. Resolves with up to where it is recorded now; with `undefined` where
   * another node was first: then some of the entries may have been appended, none twice, and `last` says up to where.
   */
  appendAfter(
    room: string,
    previous: Recorded | undefined,
    entries: readonly { readonly position: Position; readonly bytes: Uint8Array }[],
  ): Promise<Recorded | undefined>;
  /** Notes that something is about to be published in the room: before it is. Kept by the engine, whatever node ends. */
  mark(room: string): Promise<Mark>;
  /** The oldest marks that were made at least so many milliseconds ago, at most so many of them. */
  marked(olderThanMs: number, limit: number): Promise<readonly Mark[]>;
  /**
   * Takes the mark back, unless another one was made for the room since; and remembers for `ageMs` up to where the room is
   * recorded, since the records themselves may go earlier.
   */
  unmark(mark: Mark, recorded: Recorded | undefined): Promise<void>;
  /** How many records are kept. */
  count(): Promise<number>;
  problems(): readonly string[];
  close(): Promise<void>;
}

/** A queue and a record log on one engine, each with connections of its own. */
export type Queues = {
  openWork(options: WorkQueueOptions): WorkQueue;
  openRecords(options: RecordLogOptions): RecordLog;
};
