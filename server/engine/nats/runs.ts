/** Runs of one room's events out of a stream: one by one where they are few, through a consumer where they may be many. */
import type { RoomEvent } from "../../../protocol/event.js";
import { EngineError } from "../engine.js";
import { decodeRecord } from "../record.js";
import type { Connection } from "./connection.js";
import type { Incoming } from "./incoming.js";
import { type JetStream, JetStreamError } from "./jetstream.js";
import { Turns } from "./turns.js";

type Place = { readonly seq: number /** Unix milliseconds. */; readonly time: number };
export type Read = Place & { readonly event: RoomEvent };
/** Takes what was read; says whether more is wanted. */
type Take = (place: Place, data: Buffer) => boolean;

export type Run = {
  readonly events: readonly Read[];
  /** How many events there are from the first one asked for to the log's end, those left out included. */
  readonly count: number;
  /** The number up to which it was read: there may be something in between that is no event. */
  readonly reached: number;
  /** Whether bytes, not numbers, ended it. */
  readonly cut: boolean;
};

/** So many events are asked for one by one, before a consumer is made. */
const ONE_BY_ONE = 4;
/**
 * So many consumers read at once. The server goes through all of a stream's events to find a room's: with more than it
 * can serve, none would have its answer in time, and all would be asked again.
 */
const AT_ONCE = 8;
/** How many events are asked for at first; then as many as their size lets expect to fit. */
const FIRST_BATCH = 64;
/** A consumer that nobody asks is removed by the server after this time, in nanoseconds. */
const INACTIVE_NS = 5_000_000_000;
/** No consumer can be made for a subject that the stream does not capture. */
const NOT_CAPTURED = 10093;
/** How often it is looked for a better place to begin. */
const MAX_GUESSES = 12;

type Consumer = { readonly name: string /** How many events it has. */; readonly pending: number };

export class Runs {
  readonly #connection: Connection;
  readonly #jetstream: JetStream;
  readonly #direct: boolean;
  readonly #waitNs: number;
  readonly #turns = new Turns(AT_ONCE);

  constructor(connection: Connection, jetstream: JetStream, direct: boolean, timeoutMs: number) {
    this.#connection = connection;
    this.#jetstream = jetstream;
    this.#direct = direct;
    this.#waitNs = timeoutMs * 800_000;
  }

  /** The first events after a number, up to and with `last`; at least one, where there is one. */
  async after(
    stream: string,
    subject: string,
    since: number,
    last: number,
    limit: number,
    maxBytes: number,
  ): Promise<Run> {
    const events: Read[] = [];
    let bytes = 0;
    let count = 0;
    let reached = since;
    const take = (place: Place, data: Buffer): boolean => {
      if (place.seq > last) return false;
      bytes += data.length;
      reached = place.seq;
      const read = readOf(place, data);
      if (read !== undefined) events.push(read);
      return reached < last && events.length < limit && bytes < maxBytes;
    };
    /** Reads the next one. Whether more is wanted. */
    const step = async (): Promise<boolean> => {
      const stored = await this.#jetstream.message(stream, subject, this.#direct, reached + 1);
      const more = stored !== undefined && take(stored, stored.data);
      if (stored !== undefined) count++;
      // There is none only where everything was removed in this moment.
      if (stored === undefined || stored.seq > last) reached = last;
      return more;
    };
    let more = true;
    while (more && count < ONE_BY_ONE) more = await step();
    if (reached === last) return { events, count, reached, cut: false };
    try {
      return await this.#turns.run(async () => {
        const consumer = await this.#consumer(stream, subject, reached + 1);
        try {
          if (events.length < limit && bytes < maxBytes) {
            await this.#read(stream, consumer, Math.min(limit - events.length, consumer.pending), last, take);
          }
          return { events, count: count + consumer.pending, reached, cut: bytes >= maxBytes };
        } finally {
          this.#remove(stream, consumer);
        }
      });
    } catch (error) {
      if (!(error instanceof JetStreamError) || error.code !== NOT_CAPTURED) throw error;
      // The room has moved away from this stream, which lets no consumer be made for its events any more.
      while (more) more = await step();
      return { events, count, reached, cut: bytes >= maxBytes };
    }
  }

  /**
   * The last events up to and with `until`, at most `count`, and none but of the `ofLast` last ones of the log, whose last
   * one is `last`.
   */
  latest(
    stream: string,
    subject: string,
    bounds: { readonly from: number; readonly last: number; readonly until: number },
    counts: { readonly count: number; readonly ofLast: number },
    maxBytes: number,
  ): Promise<Run> {
    return this.#turns.run(() => this.#latest(stream, subject, bounds, counts, maxBytes));
  }

  async #latest(
    stream: string,
    subject: string,
    { from, last, until }: { readonly from: number; readonly last: number; readonly until: number },
    { count, ofLast }: { readonly count: number; readonly ofLast: number },
    maxBytes: number,
  ): Promise<Run> {
    const later = until < last ? await this.#countFrom(stream, subject, until + 1) : 0;
    const wanted = Math.min(count, ofLast - later);
    if (wanted <= 0 || until < from) return { events: [], count: 0, reached: until, cut: false };
    const consumer = await this.#consumerOfLast(stream, subject, { from, to: until, later }, wanted);
    const events: Read[] = [];
    const sizes: number[] = [];
    let bytes = 0;
    let cut = false;
    const drop = (): void => {
      events.shift();
      bytes -= sizes.shift() ?? 0;
    };
    try {
      const take = (place: Place, data: Buffer): boolean => {
        if (place.seq > until) return false;
        const read = readOf(place, data);
        if (read === undefined) return true;
        events.push(read);
        sizes.push(data.length);
        bytes += data.length;
        if (events.length > wanted) drop();
        while (bytes > maxBytes && events.length > 1) {
          drop();
          cut = true;
        }
        return place.seq < until;
      };
      await this.#read(stream, consumer, consumer.pending - later, until === last ? last : 0, take);
    } finally {
      this.#remove(stream, consumer);
    }
    return { events, count: events.length, reached: until, cut };
  }

  /** A consumer that begins at least `wanted` events before `to`, where there are so many, and not far more. */
  async #consumerOfLast(
    stream: string,
    subject: string,
    { from, to, later }: { readonly from: number; readonly to: number; readonly later: number },
    wanted: number,
  ): Promise<Consumer> {
    const needed = later + wanted;
    let low = from;
    let best = await this.#consumer(stream, subject, low);
    let high = to + 1;
    let atHigh = later;
    for (let guess = 0; guess < MAX_GUESSES && best.pending > needed * 2 + FIRST_BATCH && high - low > 1; guess++) {
      const share = (needed * 1.25 + 8 - atHigh) / (best.pending - atHigh);
      const at = Math.min(high - 1, Math.max(low + 1, Math.round(high - (high - low) * share)));
      const tried = await this.#consumer(stream, subject, at);
      const enough = tried.pending >= needed;
      this.#remove(stream, enough ? best : tried);
      if (enough) {
        best = tried;
        low = at;
      } else {
        high = at;
        atHigh = tried.pending;
      }
    }
    return best;
  }

  async #countFrom(stream: string, subject: string, from: number): Promise<number> {
    const consumer = await this.#consumer(stream, subject, from);
    this.#remove(stream, consumer);
    return consumer.pending;
  }

  async #consumer(stream: string, subject: string, from: number): Promise<Consumer> {
    type Created = { readonly name: string; readonly num_pending: number };
    const { name, num_pending } = await this.#jetstream.call<Created>(`CONSUMER.CREATE.${stream}`, {
      stream_name: stream,
      config: {
        deliver_policy: "by_start_sequence",
        opt_start_seq: from,
        filter_subject: subject,
        ack_policy: "none",
        replay_policy: "instant",
        inactive_threshold: INACTIVE_NS,
        num_replicas: 1,
        mem_storage: true,
      },
    });
    return { name, pending: num_pending };
  }

  #remove(stream: string, { name }: Consumer): void {
    try {
      this.#connection.publish(`$JS.API.CONSUMER.DELETE.${stream}.${name}`, Buffer.alloc(0));
    } catch {
      // Nobody asks it any more: the server removes it by itself.
    }
  }

  /**
   * Gives events to `take` until it says that it was the last one, or there were `most`. A consumer may stand where the
   * stream lags behind the one that leads: then it waits for what comes up to `last`, and rejects when that does not come.
   */
  async #read(stream: string, consumer: Consumer, most: number, last: number, take: Take): Promise<void> {
    let left = most;
    let bytes = 0;
    let count = 0;
    let reached = 0;
    let more = true;
    while (more && (left > 0 || reached < last)) {
      const fitting = count === 0 ? FIRST_BATCH : Math.max(1, Math.floor((MAX_BATCH_BYTES * count) / bytes));
      const batch = Math.min(Math.max(1, left), fitting, MAX_BATCH);
      const got = await this.#batch(stream, consumer, batch, (place, data) => {
        bytes += data.length + 1;
        count++;
        reached = place.seq;
        if (more) more = take(place, data);
        return more;
      });
      if (got === 0 && reached < last) throw new EngineError("timeout", `NATS: stream ${stream} lags behind`);
      left -= got;
    }
  }

  /** Resolves with how many events came: fewer than `count` where there are no more. */
  #batch(stream: string, { name }: Consumer, count: number, take: Take): Promise<number> {
    const body = Buffer.from(JSON.stringify({ batch: count, expires: this.#waitNs }));
    return new Promise((resolve, reject) => {
      let got = 0;
      const receive = (message: Incoming): boolean => {
        if (message.status !== 0) {
          if (message.status === NO_RESPONDERS) reject(new EngineError("unavailable", "NATS: a consumer is gone"));
          resolve(got);
          return true;
        }
        take(placeOf(message.reply), message.data);
        if (++got < count) return false;
        resolve(got);
        return true;
      };
      this.#connection.requestMany(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, body, receive, reject);
    });
  }
}

const NO_RESPONDERS = 503;
const MAX_BATCH = 1000;
const MAX_BATCH_BYTES = 1_048_576;

/** The number and the time of a message, out of where its acknowledgement would go: its last fields but one are known. */
function placeOf(reply: string): Place {
  const fields = reply.split(".");
  // $JS.ACK.[domain.account.]stream.consumer.delivered.seq.consumerSeq.time.pending[.random]
  const at = fields.length > 9 ? 7 : 5;
  return { seq: Number(fields[at]), time: Number(fields[at + 2]) / 1e6 };
}

/** `undefined` for what is no event: somebody else wrote it. */
function readOf({ seq, time }: Place, data: Buffer): Read | undefined {
  try {
    return { seq, time, event: decodeRecord(seq, data) };
  } catch {
    return undefined;
  }
}
