/** The streams themselves: how they are to be, making them, and bringing them to it. */
import type { Log } from "../../log.js";
import { type JetStream, JetStreamError, type StreamConfig, type StreamInfo } from "./jetstream.js";
import type { Subjects } from "./subjects.js";

export type StreamOptions = {
  readonly replicas: number;
  readonly storage: "file" | "memory";
  readonly retentionMs: number;
  readonly maxHistory: number;
  readonly maxKeyWindowMs: number;
};

const NS_PER_MS = 1_000_000;
const NAME_IN_USE = 10058;
/** The shortest window in which JetStream knows ids again: the marks need one too. */
const MIN_WINDOW_MS = 1000;

/** In a stream's description, since nothing else of a stream's own is kept: the fewest events a room ever kept there. */
const KEPT = /\bleast (\d+) a room/;

/** The fewest events per room that this stream was ever set to keep: a room with fewer has lost none to that limit. */
export function leastPerRoom({ description, max_msgs_per_subject: most = -1 }: StreamConfig): number {
  const noted = Number(KEPT.exec(description ?? "")?.[1] ?? Number.POSITIVE_INFINITY);
  return Math.min(noted, most > 0 ? most : Number.POSITIVE_INFINITY);
}

const describe = (least: number): string =>
  Number.isFinite(least) ? `Roomcast: events of rooms; kept at least ${least} a room` : "Roomcast: events of rooms";

export class Streams {
  readonly #jetstream: JetStream;
  readonly #subjects: Subjects;
  readonly #options: StreamOptions;
  readonly #log: Log;

  constructor(jetstream: JetStream, subjects: Subjects, options: StreamOptions, log: Log) {
    this.#jetstream = jetstream;
    this.#subjects = subjects;
    this.#options = options;
    this.#log = log;
  }

  /** How a stream of rooms is to be, but for its subjects. One event more than a room's history marks that it is whole. */
  #wanted(name: string): StreamConfig {
    const { replicas, storage, retentionMs, maxHistory, maxKeyWindowMs } = this.#options;
    return {
      name,
      retention: "limits",
      storage,
      discard: "old",
      num_replicas: replicas,
      max_age: retentionMs * NS_PER_MS,
      max_msgs_per_subject: Math.max(1, maxHistory) + 1,
      duplicate_window: Math.min(retentionMs, Math.max(MIN_WINDOW_MS, maxKeyWindowMs)) * NS_PER_MS,
      allow_direct: true,
      republish: this.#subjects.republish,
    };
  }

  /** The stream, made where there is none, with everything as it is to be but its buckets. Throws where it cannot be. */
  async ensure(name: string): Promise<StreamInfo> {
    const info = await this.#jetstream.info(name);
    const wanted = this.#wanted(name);
    if (info === undefined) {
      const subjects = this.#subjects.captured(name, new Set());
      // A republish has to begin at a subject of the stream's: at first that is its marks.
      const made = { ...wanted, subjects, description: describe(wanted.max_msgs_per_subject ?? 0) };
      const created = await this.#jetstream.create(made);
      this.#log.info("engine: stream made", { engine: "nats", stream: name, replicas: wanted.num_replicas });
      return created;
    }
    return this.#adapt(info, wanted);
  }

  async #adapt(info: StreamInfo, wanted: StreamConfig): Promise<StreamInfo> {
    const { config } = info;
    this.#checkFits(config, wanted);
    // Never fewer events a room: what a kind's rules ask for is applied when a log is read.
    const most = config.max_msgs_per_subject ?? -1;
    const kept = most <= 0 ? -1 : Math.max(most, wanted.max_msgs_per_subject ?? 0);
    const target = { ...wanted, max_msgs_per_subject: kept, description: describe(leastPerRoom(config)) };
    const differing = Object.entries(target).filter(
      ([key, value]) => JSON.stringify(config[key as keyof StreamConfig]) !== JSON.stringify(value),
    );
    if (differing.length === 0) return info;
    const changed = Object.fromEntries(differing);
    const updated = await this.#jetstream.update({ ...config, ...changed });
    this.#log.info("engine: stream changed", { engine: "nats", stream: config.name, changed });
    return updated;
  }

  #checkFits(config: StreamConfig, wanted: StreamConfig): void {
    const { name } = wanted;
    if (config.storage !== wanted.storage) {
      throw new Error(
        `stream ${name} is kept in ${config.storage}, expected ${wanted.storage}: that cannot be changed`,
      );
    }
    if (config.retention !== "limits" || config.sealed || config.mirror || (config.sources ?? []).length > 0) {
      throw new Error(`stream ${name} is not one for rooms: expected retention "limits", no sources, not sealed`);
    }
    if (this.#subjects.bucketsOf(name, config.subjects ?? []) === undefined) {
      throw new Error(`stream ${name} captures subjects that are not of this namespace: ${config.subjects?.[0] ?? ""}`);
    }
  }

  /** The buckets that a stream captures now. */
  buckets({ config }: StreamInfo): Set<number> {
    return this.#subjects.bucketsOf(config.name, config.subjects ?? []) ?? new Set();
  }

  /** Makes the stream capture exactly these buckets. */
  async capture(info: StreamInfo, buckets: ReadonlySet<number>): Promise<void> {
    const now = this.buckets(info);
    if (now.size === buckets.size && [...now].every((bucket) => buckets.has(bucket))) return;
    const subjects = this.#subjects.captured(info.config.name, buckets);
    await this.#jetstream.update({ ...info.config, subjects });
  }

  /** The streams beside those of rooms: one for the ring in force, and one that knows keys in rooms without history. */
  async ensureOwn(): Promise<void> {
    const { replicas, storage, maxKeyWindowMs } = this.#options;
    const windowNs = Math.max(MIN_WINDOW_MS, maxKeyWindowMs) * NS_PER_MS;
    const common = { retention: "limits", discard: "old", num_replicas: replicas, allow_direct: false };
    await this.#own({
      ...common,
      name: this.#subjects.ring,
      subjects: [this.#subjects.ring],
      storage,
      max_msgs_per_subject: 1,
      description: "Roomcast: which streams hold which rooms",
    });
    await this.#own({
      ...common,
      name: this.#subjects.keysStream,
      subjects: [this.#subjects.allKeyed],
      storage: "memory",
      // What it keeps is ids, as long as the window; of the events it needs none.
      max_msgs: 1,
      max_age: windowNs,
      duplicate_window: windowNs,
      republish: this.#subjects.republishKeyed,
      description: "Roomcast: keys of publishes in rooms without history",
    });
  }

  async #own(config: StreamConfig): Promise<void> {
    try {
      await this.#jetstream.create(config);
    } catch (error) {
      if (!(error instanceof JetStreamError) || error.code !== NAME_IN_USE) throw error;
      await this.#jetstream.update(config);
    }
  }
}
