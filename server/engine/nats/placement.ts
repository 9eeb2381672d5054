/** Which stream holds which rooms, and which ones held them before. Pure. */
import { Ring } from "../ring.js";
import type { NatsStream } from "./address.js";
import { BUCKETS } from "./subjects.js";

/** A stream in the ring of one generation. */
export type Shard = NatsStream & {
  /** When the stream was made, as it says itself. */
  readonly created: string;
  /** Names its log: another one when the log was lost. 8 characters. */
  readonly life: string;
  /** The number of the mark that was put into it when this generation began. */
  readonly start: number;
};

export type Generation = {
  readonly generation: number;
  /** When it came into force, in Unix milliseconds, by the clock of the node that saw to it. */
  readonly at: number;
  readonly shards: readonly Shard[];
};

/** What is kept in NATS of the ring in force. */
export type RingState = {
  /** Rising; the last one is in force. */
  readonly generations: readonly Generation[];
  /** Whether all streams capture what they hold in the last generation. */
  readonly settled: boolean;
  /** The next generation, while its streams are being made and their marks set. */
  readonly pending?: { readonly generation: number; readonly shards: readonly Omit<Shard, "start">[] };
};

/** How much more than its share of the buckets a stream may get. For ever, as the number of buckets. */
const MOST_OVER = 1.05;

/** A time in which one stream held a bucket: one log, with one epoch. */
export type Tenure = {
  readonly stream: string;
  readonly epoch: string;
  /** Its events have numbers above this one. */
  readonly start: number;
  /** And below this one; `undefined` while it lasts, or where it ended with the log. */
  readonly end: number | undefined;
  /** When it began, in Unix milliseconds. */
  readonly at: number;
  readonly next: Tenure | undefined;
};

/** The streams of a list and their weights, in one line: two lists that mean the same are the same line. */
export function listLine(streams: readonly NatsStream[]): string {
  const holding = streams.filter(({ weight }) => weight > 0).map(({ name, weight }) => `${name}=${weight}`);
  return holding.sort().join(",");
}

/**
 * The stream of each bucket. Buckets are few, so that what chance gives is uneven: each goes to the stream that the ring
 * ranks highest among those that do not have `MOST_OVER` of their share yet (consistent hashing with bounded loads:
 * Mirrokni, Thorup and Zadimoghaddam, 2018).
 */
function holders(shards: readonly NatsStream[]): readonly string[] {
  const ring = new Ring(shards.map(({ name, weight }) => ({ name, weight })));
  const total = shards.reduce((sum, { weight }) => sum + weight, 0);
  const left = new Map(shards.map(({ name, weight }) => [name, Math.ceil((BUCKETS * MOST_OVER * weight) / total)]));
  return Array.from({ length: BUCKETS }, (_, bucket) => {
    const name = ring.ranked(String(bucket)).find((each) => (left.get(each) ?? 0) > 0) as string;
    left.set(name, (left.get(name) ?? 0) - 1);
    return name;
  });
}

/** The buckets of each stream. */
export function dealt(shards: readonly NatsStream[]): Map<string, Set<number>> {
  const buckets = new Map(shards.map(({ name }) => [name, new Set<number>()]));
  for (const [bucket, name] of holders(shards).entries()) buckets.get(name)?.add(bucket);
  return buckets;
}

type Held = { readonly shard: Shard; readonly generation: number; readonly at: number; end: number | undefined };

export class Placement {
  readonly generations: readonly Generation[];
  /** By generation, made when first wanted. */
  readonly #holders: (readonly string[] | undefined)[] = [];
  /** By bucket, made when first wanted. */
  readonly #tenures: (readonly Tenure[] | undefined)[] = [];

  /** `generations` has at least one. */
  constructor(generations: readonly Generation[]) {
    this.generations = generations;
  }

  get current(): Generation {
    return this.generations[this.generations.length - 1] as Generation;
  }

  /** The log that holds the bucket now. */
  now(bucket: number): Tenure {
    const tenures = this.#of(bucket);
    return tenures[tenures.length - 1] as Tenure;
  }

  /** The logs that held the bucket before, and were left since a time; the last one first. */
  leftSince(bucket: number, time: number): readonly Tenure[] {
    return this.#of(bucket)
      .filter(({ next, end }) => next !== undefined && end !== undefined && next.at >= time)
      .reverse();
  }

  /** The log of this epoch; `undefined` where it is not known, or was lost. */
  ofEpoch(bucket: number, epoch: string): Tenure | undefined {
    const tenure = this.#of(bucket).find((each) => each.epoch === epoch);
    return tenure === undefined || (tenure.next !== undefined && tenure.end === undefined) ? undefined : tenure;
  }

  /** The log in which the message of this number is. */
  at(bucket: number, stream: string, seq: number): Tenure | undefined {
    return this.#of(bucket).findLast((each) => each.stream === stream && each.start < seq);
  }

  #of(bucket: number): readonly Tenure[] {
    let tenures = this.#tenures[bucket];
    if (tenures === undefined) {
      tenures = this.#find(bucket);
      this.#tenures[bucket] = tenures;
    }
    return tenures;
  }

  #find(bucket: number): readonly Tenure[] {
    const held: Held[] = [];
    this.generations.forEach(({ generation, at, shards }, index) => {
      this.#holders[index] ??= holders(shards);
      const name = this.#holders[index][bucket];
      const shard = shards.find((each) => each.name === name) as Shard;
      const last = held[held.length - 1];
      if (last?.shard.name === name && last?.shard.life === shard.life) return;
      const left = shards.find((each) => each.name === last?.shard.name && each.life === last?.shard.life);
      if (last !== undefined) last.end = left?.start;
      held.push({ shard, generation, at, end: undefined });
    });
    let next: Tenure | undefined;
    return held
      .reverse()
      .map(({ shard, generation, at, end }) => {
        const epoch = `${shard.life}${generation.toString(36)}`;
        next = { stream: shard.name, epoch, start: shard.start, end, at, next };
        return next;
      })
      .reverse();
  }
}
