/** The engine on Redis: a room's log is a stream, and a script appends to it and publishes in one step. */
import { randomBytes } from "node:crypto";
import type { NewEvent } from "../../../protocol/event.js";
import type { Position } from "../../../protocol/positions.js";
import type { Log } from "../../log.js";
import { firstOf } from "../by-kind.js";
import {
  type Broker,
  type Deliver,
  EngineError,
  type History,
  type LogRules,
  type OpenBroker,
  type Range,
  RESERVED,
  type Suspect,
} from "../engine.js";
import { encodeRecord } from "../record.js";
import { Ring } from "../ring.js";
import { parseRedisShard } from "./address.js";
import { openShard } from "./open-shard.js";
import { scripts } from "./scripts.js";
import type { Shard } from "./shard.js";
import { deliverPublished, Names, plain, readEnd, readHistory, readPosition } from "./wire.js";

export type RedisOptions = {
  /** The addresses of the shards: see `parseRedisShard`. */
  readonly shards: readonly string[];
  /** For shards whose address has none. */
  readonly username?: string;
  readonly password?: string;
  /** What all names in Redis begin with. */
  readonly namespace: string;
  /** How long Redis may take to answer, in milliseconds. */
  readonly timeoutMs: number;
  /** How often connections are probed, in milliseconds. */
  readonly probeMs: number;
  readonly log: Log;
};

/** How long a log's end is kept, in milliseconds: far longer than its events, so that a room's offsets go on. */
const END_MS = 7 * 24 * 3600 * 1000;
/** The most bytes of records in one answer. */
const PAGE_BYTES = 1024 * 1024;
/** One in so many looks at a log's end is one that renews how long the end is kept. */
const RENEWALS = 100;

/** Makes a way to open nodes' brokers. Throws a `TypeError` where an address cannot be read. */
export function openRedis(options: RedisOptions): OpenBroker {
  const shards = options.shards.map((text) => {
    const shard = parseRedisShard(text);
    const { username = options.username, password = options.password } = shard;
    return { ...shard, username, password };
  });
  const ring = new Ring(shards);
  return (deliver, suspect) => {
    const broker = new RedisBroker(options, ring, deliver);
    for (const shard of shards) {
      broker.add(
        openShard(shard, broker.shardOptions, {
          published: (name, bytes) => broker.published(name, bytes),
          suspect: (room) => broker.suspected(room, suspect),
        }),
      );
    }
    return broker;
  };
}

/** A node's way to all shards. */
class RedisBroker implements Broker {
  readonly #options: RedisOptions;
  readonly #names: Names;
  readonly #ring: Ring;
  readonly #deliver: Deliver;
  readonly #shards = new Map<string, Shard>();
  /** Epochs of this process begin with it; no two of them are the same. */
  readonly #epoch = randomBytes(6).toString("base64url");
  #epochs = 0;
  #looks = 0;
  #undelivered = 0;
  #isClosed = false;

  constructor(options: RedisOptions, ring: Ring, deliver: Deliver) {
    this.#options = options;
    this.#names = new Names(options.namespace);
    this.#ring = ring;
    this.#deliver = deliver;
  }

  get shardOptions() {
    const { timeoutMs, probeMs, log } = this.#options;
    return { timeoutMs, probeMs, log, nameOf: (room: string) => this.#names.room(room) };
  }

  add(shard: Shard): void {
    this.#shards.set(shard.name, shard);
  }

  #of(room: string): Shard {
    return this.#shards.get(this.#ring.of(room)) as Shard;
  }

  publish(room: string, event: NewEvent, rules: LogRules): Promise<Position | undefined> {
    if (this.#isClosed) return Promise.reject(closed());
    const record = encodeRecord(event);
    if (rules.history.size === 0 || room.startsWith(RESERVED)) return this.#publishPlain(room, event, record, rules);
    const { size, ageMs } = rules.history;
    const shard = this.#of(room);
    const names = this.#names;
    const keys = [names.end(room), names.log(room)];
    const words = [record, this.#newEpoch(), size, ageMs, endMs(ageMs), names.room(room), shard.publishes];
    if (event.key !== undefined) {
      keys.push(names.key(room, event.from, event.key));
      words.push(rules.keyWindowMs);
    }
    return shard.run(room, scripts.publish, keys, words).then(readPosition);
  }

  async #publishPlain(room: string, event: NewEvent, record: Buffer, rules: LogRules): Promise<undefined> {
    const bytes = plain(record);
    const name = this.#names.room(room);
    const publish = (shard: Shard): Promise<unknown> => {
      if (event.key === undefined) return shard.send(room, shard.publishes.toLowerCase(), [name, bytes]);
      const key = this.#names.key(room, event.from, event.key);
      return shard.run(room, scripts.once, [key], [bytes, name, shard.publishes, rules.keyWindowMs]);
    };
    await (room.startsWith(RESERVED) ? firstOf([...this.#shards.values()].map(publish)) : publish(this.#of(room)));
  }

  subscribe(room: string, _rules: LogRules): Promise<void> {
    if (this.#isClosed) return Promise.reject(closed());
    if (!room.startsWith(RESERVED)) return this.#of(room).subscribe(room, false);
    return firstOf([...this.#shards.values()].map((shard) => shard.subscribe(room, true)));
  }

  async unsubscribe(room: string): Promise<void> {
    if (this.#isClosed) throw closed();
    if (!room.startsWith(RESERVED)) this.#of(room).unsubscribe(room);
    else for (const shard of this.#shards.values()) shard.unsubscribe(room);
  }

  async history(room: string, range: Range, limit: number, rules: LogRules): Promise<History> {
    if (this.#isClosed) throw closed();
    if (rules.history.size === 0 || room.startsWith(RESERVED)) return noHistory(range);
    // Now and then by the script, which renews how long the end is kept.
    const end = limit === 0 && ++this.#looks % RENEWALS !== 0 ? await this.#readEnd(room, range) : undefined;
    return end ?? this.#readHistory(room, range, limit, rules);
  }

  /** The log's end alone; `undefined` where it takes the script to say. */
  async #readEnd(room: string, { since, before }: Range): Promise<History | undefined> {
    const reply = await this.#of(room).send(room, "hmget", [this.#names.end(room), "epoch", "offset", "moved"]);
    const position = readEnd(reply);
    const asked = since ?? before;
    if (position === undefined || (asked !== undefined && asked.epoch !== position.epoch)) return undefined;
    if (since !== undefined && since.offset !== position.offset) return undefined;
    return { position, events: [], more: false };
  }

  async #readHistory(room: string, range: Range, limit: number, rules: LogRules): Promise<History> {
    const { since, before } = range;
    const { size, ageMs } = rules.history;
    const mode = since !== undefined ? "since" : before !== undefined ? "before" : "latest";
    const asked = since ?? before ?? { epoch: "", offset: 0 };
    const reply = await this.#of(room).run(
      room,
      scripts.history,
      [this.#names.end(room), this.#names.log(room)],
      [mode, asked.offset, asked.epoch, limit, ageMs, size, this.#newEpoch(), endMs(ageMs), PAGE_BYTES],
    );
    return readHistory(reply, range);
  }

  /** A node's own, which nobody has used: a room takes it that has no epoch yet. */
  #newEpoch(): string {
    return this.#epoch + (this.#epochs++).toString(36);
  }

  /** Takes what a shard has published. */
  published(name: Buffer, bytes: Buffer): void {
    if (this.#isClosed) return;
    try {
      deliverPublished(this.#names.roomOf(name), bytes, this.#deliver);
    } catch (error) {
      if (this.#undelivered++ > 0) return;
      const { message } = error as Error;
      this.#options.log.error("engine: something was published that cannot be read", { engine: "redis", message });
    }
  }

  suspected(room: string, suspect: Suspect): void {
    if (!room.startsWith(RESERVED) && !this.#isClosed) suspect(room);
  }

  problems(): readonly string[] {
    return [...this.#shards.values()].flatMap((shard) => shard.problems());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const shard of this.#shards.values()) shard.close();
  }
}

const closed = (): EngineError => new EngineError("unavailable", "the Redis engine is closed", 0);

const endMs = (ageMs: number): number => Math.max(END_MS, 2 * ageMs);

const noHistory = ({ since, before }: Range): History => ({
  position: { epoch: "", offset: 0 },
  events: since === undefined && before === undefined ? [] : undefined,
  more: false,
});
