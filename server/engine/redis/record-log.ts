/** The stream of what happened, on Redis: a stream of its own, and beside it up to where each room's log is recorded. */
import type { Position } from "../../../protocol/positions.js";
import { EngineError } from "../engine.js";
import {
  type Mark,
  type Recorded,
  type RecordKind,
  type RecordLog,
  type RecordLogOptions,
  SAME_ID_MS,
} from "../queue.js";
import type { QueueNames } from "./queue-names.js";
import { scripts } from "./scripts.js";
import type { Shard } from "./shard.js";
import { type Reply, readPosition } from "./wire.js";

/** No room's log keeps an event for longer: so long, too, it is known up to where a room is recorded. */
const LONGEST_HISTORY_MS = 7 * 86_400_000;
/** How often records that are too old are looked for, in milliseconds. */
const TRIM_MS = 30_000;
/** Fewer than Redis takes out at once where it is to do so at little cost. */
const MOST_TRIMMED = 5000;

const wordOf = ({ epoch, offset }: Position): string => `${epoch} ${offset}`;

export type RedisRecordLogOptions = RecordLogOptions & {
  readonly names: QueueNames;
  /** Where it is kept, as calls reach it. Closed with this. */
  readonly shard: Shard;
};

export class RedisRecordLog implements RecordLog {
  readonly #options: RedisRecordLogOptions;
  readonly #timer: NodeJS.Timeout;
  #isClosed = false;

  constructor(options: RedisRecordLogOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#trim(), Math.min(TRIM_MS, options.ageMs / 4)).unref();
  }

  /** `kind` stands beside the record, so that who reads the stream need not parse what is of no interest. */
  async append(kind: RecordKind, _about: string | undefined, key: string, bytes: Uint8Array): Promise<void> {
    const { names, max } = this.#options;
    const keys = [names.records, names.appended(key)];
    await this.#run(scripts.recordAppend, keys, [kind, bufferOf(bytes), max, SAME_ID_MS]);
  }

  async last(room: string): Promise<Recorded | undefined> {
    const { names, shard } = this.#options;
    if (this.#isClosed) throw closed();
    const reply = await shard.send(names.records, "get", [names.last(room)]);
    return reply === null ? undefined : { position: readPosition(reply) };
  }

  async appendAfter(
    room: string,
    previous: Recorded | undefined,
    entries: readonly { readonly position: Position; readonly bytes: Uint8Array }[],
  ): Promise<Recorded | undefined> {
    const { names, max } = this.#options;
    const position = entries.at(-1)?.position;
    if (position === undefined) return previous;
    const from = previous === undefined ? "" : wordOf(previous.position);
    const records = entries.map(({ bytes }) => bufferOf(bytes));
    const words = [from, wordOf(position), this.#keptMs, max, ...records];
    const reply = await this.#run(scripts.recordAfter, [names.records, names.last(room)], words);
    return reply === 1 ? { position } : undefined;
  }

  async mark(room: string): Promise<Mark> {
    const reply = await this.#run(scripts.recordMarks, [this.#options.names.marks], ["mark", room]);
    return { room, token: String(reply) };
  }

  async marked(olderThanMs: number, limit: number): Promise<readonly Mark[]> {
    const words = ["marked", olderThanMs, limit];
    const reply = (await this.#run(scripts.recordMarks, [this.#options.names.marks], words)) as Reply[];
    const marks: Mark[] = [];
    for (let at = 0; at < reply.length; at += 2) marks.push({ room: String(reply[at]), token: String(reply[at + 1]) });
    return marks;
  }

  async unmark({ room, token }: Mark, recorded: Recorded | undefined): Promise<void> {
    const { names } = this.#options;
    const upTo = recorded === undefined ? "" : wordOf(recorded.position);
    await this.#run(scripts.recordMarks, [names.marks, names.last(room)], ["unmark", room, token, upTo, this.#keptMs]);
  }

  async count(): Promise<number> {
    const { names, shard } = this.#options;
    if (this.#isClosed) throw closed();
    return Number(await shard.send(names.records, "xlen", [names.records]));
  }

  get #keptMs(): number {
    return Math.max(this.#options.ageMs, LONGEST_HISTORY_MS);
  }

  async #run(
    script: (typeof scripts)[keyof typeof scripts],
    keys: readonly string[],
    words: (string | number | Buffer)[],
  ) {
    if (this.#isClosed) throw closed();
    return this.#options.shard.run(this.#options.names.records, script, keys, words);
  }

  /** Never rejects: what is too old now is so at the next look. */
  async #trim(): Promise<void> {
    const { names, shard, ageMs } = this.#options;
    const from = Date.now() - ageMs;
    const trim = (how: "~" | "=") => shard.send(names.records, "xtrim", [names.records, "MINID", how, from]);
    try {
      // Many at little cost, as far as Redis goes at once; then the few that are left.
      if (Number(await trim("~")) < MOST_TRIMMED) await trim("=");
    } catch {
      return;
    }
  }

  problems(): readonly string[] {
    return this.#options.shard.problems();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#isClosed = true;
    this.#options.shard.close();
  }
}

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

const closed = (): EngineError => new EngineError("unavailable", "the stream of what happened is closed", 0);
