import type { Log } from "../../log.js";
import type { Word } from "./connection.js";
import type { Script } from "./scripts.js";
import type { Reply } from "./wire.js";

/**
 * What holds a part of the rooms: one Redis server, the primary that Sentinels name, or a Redis Cluster. Calls for one
 * room take effect in the order they were made; each settles within a bounded time, and is refused at once while the
 * server that holds the room cannot be reached.
 */
export interface Shard {
  readonly name: string;
  /** By which command scripts publish. */
  readonly publishes: "PUBLISH" | "SPUBLISH";
  /** Sends a command whose keys are the room's. */
  send(room: string, command: string, words: readonly Word[]): Promise<Reply>;
  /** Runs a script whose keys are the room's. */
  run(room: string, script: Script, keys: readonly string[], words: readonly Word[]): Promise<Reply>;
  /** `isKept`: the room stays wanted when it cannot be subscribed now, and is once it can be. */
  subscribe(room: string, isKept: boolean): Promise<void>;
  unsubscribe(room: string): void;
  /** What of it cannot be reached now, a line each. */
  problems(): readonly string[];
  close(): void;
}

export type ShardOptions = {
  readonly timeoutMs: number;
  readonly probeMs: number;
  /** What a room is called in pub/sub. */
  readonly nameOf: (room: string) => string;
  readonly log: Log;
};

export type ShardEvents = {
  /** Something was published in a room that is subscribed; `name` is what `nameOf` gave. Throws nothing. */
  published(name: Buffer, bytes: Buffer): void;
  /** The room is subscribed again; what was published meanwhile did not come. */
  suspect(room: string): void;
};
