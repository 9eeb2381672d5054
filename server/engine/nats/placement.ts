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

/** The buckets of each stream. */
export function dealt(shards: readonly NatsStream[]): Map<string, Set<number>> {
  const ring = new Ring(shards.map(({ name, weight }) => ({ name, weight })));
  const buckets = new Map(shards.map(({ name }) => [name, new Set<number>()]));
  for (let bucket = 0; bucket < BUCKETS; bucket++) buckets.get(ring.of(String(bucket)))?.add(bucket);
  return buckets;
}

type Held = { readonly shard: Shard; readonly generation: number; readonly at: number; end: number | undefined };

export class Placement {
  readonly generations: readonly Generation[];
  readonly #rings: readonly Ring[];
  /** By bucket, made when first wanted. */
  readonly #tenures: (readonly Tenure[] | undefined)[] = [];

  /** `generations` has at least one. */
  constructor(generations: readonly Generation[]) {
    this.generations = generations;
    this.#rings = generations.map(({ shards }) => new Ring(shards.map(({ name, weight }) => ({ name, weight }))));
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
      const name = this.#rings[index]?.of(String(bucket));
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
