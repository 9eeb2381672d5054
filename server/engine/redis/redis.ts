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
  noHistory,
  type OpenBroker,
  type Range,
  RESERVED,
  type Suspect,
} from "../engine.js";
import { encodeRecord } from "../record.js";
import { parseRedisShard, type RedisShard } from "./address.js";
import { openShard } from "./open-shard.js";
import { Places } from "./places.js";
import { PlainRooms } from "./plain-rooms.js";
import { endMs, Routes } from "./routes.js";
import { scripts } from "./scripts.js";
import type { Shard } from "./shard.js";
import { deliverPublished, KIND, Names, readEnd, readHistory, readPosition } from "./wire.js";

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
  // Throws for names and weights that do not do, before anything is opened.
  new Places(shards);
  return (deliver, suspect) => new RedisBroker(options, shards, deliver, suspect);
}

/** A node's way to all shards. */
class RedisBroker implements Broker {
  readonly #log: Log;
  readonly #names: Names;
  readonly #places: Places;
  readonly #deliver: Deliver;
  readonly #suspect: Suspect;
  readonly #shards = new Map<string, Shard>();
  /** The number of each shard's database. */
  readonly #databases = new Map<string, number>();
  readonly #routes: Routes;
  /** The rooms that are subscribed, each with the shards where it is. */
  readonly #wanted = new Map<string, readonly Shard[]>();
  readonly #plain: PlainRooms;
  /** Epochs of this process begin with it; no two of them are the same. */
  readonly #epoch = randomBytes(6).toString("base64url");
  #epochs = 0;
  #looks = 0;
  #undelivered = 0;
  #isClosed = false;

  constructor(options: RedisOptions, shards: readonly RedisShard[], deliver: Deliver, suspect: Suspect) {
    this.#log = options.log;
    this.#names = new Names(options.namespace);
    this.#places = new Places(shards);
    this.#deliver = deliver;
    this.#suspect = suspect;
    const { timeoutMs, probeMs, log } = options;
    for (const shard of shards) {
      this.#databases.set(shard.name, shard.db);
      const nameOf = (room: string) => this.#names.room(room, shard.db);
      const shardOptions = { timeoutMs, probeMs, log, nameOf };
      const opened = openShard(shard, shardOptions, {
        published: (name, bytes) => this.#published(opened, name, bytes),
        suspect: (room) => this.#suspected(room),
      });
      this.#shards.set(shard.name, opened);
    }
    const [places, names] = [this.#places, this.#names];
    const newEpoch = () => this.#newEpoch();
    const nameOn = (shard: Shard, room: string) => this.#nameOn(shard, room);
    this.#plain = new PlainRooms({ places, shards: this.#shards, names, nameOn });
    this.#routes = new Routes({ places, shards: this.#shards, names, nameOn, newEpoch, log }, (room, shard) =>
      this.#arrived(room, shard),
    );
  }

  publish(room: string, event: NewEvent, rules: LogRules): Promise<Position | undefined> {
    if (this.#isClosed) return Promise.reject(closed());
    const record = encodeRecord(event);
    if (rules.history.size === 0 || room.startsWith(RESERVED)) return this.#plain.publish(room, event, record, rules);
    const names = this.#names;
    const key = event.key === undefined ? undefined : names.key(room, event.from, event.key);
    const keys = [names.end(room), names.log(room), ...(key === undefined ? [] : [key])];
    const { size, ageMs } = rules.history;
    const words = [record, this.#newEpoch(), size, ageMs, endMs(ageMs)];
    return this.#routes
      .ask({
        room,
        rules,
        key,
        send: (shard, { mustExist, lookedOn }) =>
          shard.run(room, scripts.publish, keys, [
            ...[...words, this.#nameOn(shard, room), shard.publishes, rules.keyWindowMs, mustExist ? 1 : 0, lookedOn],
          ]),
      })
      .then(readPosition);
  }

  async subscribe(room: string, rules: LogRules): Promise<void> {
    if (this.#isClosed) throw closed();
    const isNew = !this.#wanted.has(room);
    try {
      if (room.startsWith(RESERVED)) await this.#subscribeEverywhere(room);
      else if (rules.history.size === 0) await this.#subscribePlain(room);
      else await this.#subscribeLog(room, rules);
    } catch (error) {
      if (isNew && !room.startsWith(RESERVED)) this.#leave(room);
      throw error;
    }
  }

  /** It stays wanted on the shards that are away. */
  async #subscribeEverywhere(room: string): Promise<void> {
    const shards = [...this.#shards.values()];
    this.#wanted.set(room, shards);
    await firstOf(shards.map((shard) => shard.subscribe(room, true)));
  }

  async #subscribePlain(room: string): Promise<void> {
    const [home, before] = this.#plain.shardsOf(room);
    this.#wanted.set(room, before === undefined ? [home] : [home, before]);
    const [subscribed] = await Promise.allSettled([home.subscribe(room, false), before?.subscribe(room, true)]);
    if (subscribed?.status === "rejected") throw subscribed.reason;
  }

  async #subscribeLog(room: string, rules: LogRules): Promise<void> {
    const shard = this.#routes.of(room);
    if (!this.#wanted.has(room)) this.#wanted.set(room, [shard]);
    await shard.subscribe(room, false);
    // It may have moved, or be to move: found out before anybody relies on being told of it here.
    if (!this.#places.isOne) await this.#readHistory(room, {}, 0, rules);
  }

  /** The log was found on that shard. Subscribed there before anything of it is read. */
  async #arrived(room: string, shard: Shard): Promise<void> {
    const at = this.#wanted.get(room);
    if (at === undefined || at.includes(shard)) return;
    await shard.subscribe(room, false);
    const now = this.#wanted.get(room);
    if (now === undefined) return shard.unsubscribe(room);
    this.#wanted.set(room, [shard]);
    for (const other of now) if (other !== shard) other.unsubscribe(room);
  }

  async unsubscribe(room: string): Promise<void> {
    if (this.#isClosed) throw closed();
    this.#leave(room);
  }

  #leave(room: string): void {
    for (const shard of this.#wanted.get(room) ?? []) shard.unsubscribe(room);
    this.#wanted.delete(room);
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
    const reply = await this.#routes.of(room).send(room, "hmget", [this.#names.end(room), "epoch", "offset", "moved"]);
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
    const keys = [this.#names.end(room), this.#names.log(room)];
    const words = [mode, asked.offset, asked.epoch, limit, ageMs, size, this.#newEpoch(), endMs(ageMs), PAGE_BYTES];
    const reply = await this.#routes.ask({
      room,
      rules,
      send: (shard, { mustExist }) => shard.run(room, scripts.history, keys, [...words, mustExist ? 1 : 0]),
    });
    return readHistory(reply, range);
  }

  /** A node's own, which nobody has used: a room takes it that has no epoch yet. */
  #newEpoch(): string {
    return this.#epoch + (this.#epochs++).toString(36);
  }

  #nameOn(shard: Shard, room: string): string {
    return this.#names.room(room, this.#databases.get(shard.name));
  }

  /** Takes what a shard has published. */
  #published(shard: Shard, name: Buffer, bytes: Buffer): void {
    if (this.#isClosed) return;
    try {
      const room = this.#names.roomOf(name);
      const kind = bytes[0];
      // Its log has left: whoever reads it finds out where to.
      if (kind === KIND.moved) this.#suspected(room);
      else if (kind !== KIND.copy || this.#wanted.get(room)?.length === 1) deliverPublished(room, bytes, this.#deliver);
    } catch (error) {
      if (this.#undelivered++ > 0) return;
      const { message } = error as Error;
      const engine = `redis ${shard.name}`;
      this.#log.error("engine: something was published that cannot be read", { engine, message });
    }
  }

  #suspected(room: string): void {
    if (!this.#isClosed && this.#wanted.has(room)) this.#suspect(room);
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
