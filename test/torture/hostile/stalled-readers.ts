/** Readers who stop reading, over plain sockets. */
import { fileURLToPath } from "node:url";
import type { Scope } from "../../support/services/scope.js";
import { Part } from "../part.js";

const program = fileURLToPath(new URL("./stalled-program.js", import.meta.url));

/** What one of them has read since it began to read again. */
export type Seen = {
  /** With which code its connection was closed: 1006 without one. */
  code: number | undefined;
  frames: number;
  resets: number;
  /** Whether each frame of events followed the one before. */
  inOrder: boolean;
};

export type StalledOrder =
  /** Come one by one within this time, in milliseconds. */
  | {
      readonly type: "come";
      readonly port: number;
      readonly room: string;
      readonly count: number;
      readonly withinMs: number;
    }
  /** So many begin to read again, those who came last. */
  | { readonly type: "read"; readonly count: number }
  | { readonly type: "seen" };

export class StalledReaders {
  readonly #part: Part<StalledOrder>;

  constructor(scope: Scope) {
    this.#part = new Part<StalledOrder>(scope, program);
  }

  /** So many connect, join the room and read nothing more. Resolves with when each had joined, in Unix milliseconds. */
  come(port: number, room: string, count: number, withinMs: number): Promise<readonly number[]> {
    return this.#part.ask({ type: "come", port, room, count, withinMs }, withinMs);
  }

  /** Lets `count` of them read again, those who came last. */
  async read(count: number): Promise<void> {
    await this.#part.ask({ type: "read", count });
  }

  /** What those have seen that read again. */
  seen(): Promise<readonly Seen[]> {
    return this.#part.ask({ type: "seen" });
  }
}
