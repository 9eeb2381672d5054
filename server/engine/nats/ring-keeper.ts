/**
 * Keeps the streams and the ring in force as they are to be. The ring is changed in steps that any node can take further
 * when the one that began is gone: the streams' marks, then who captures what.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "../../log.js";
import type { NatsStream } from "./address.js";
import { headerBytes, type JetStream, JetStreamError, type StreamInfo } from "./jetstream.js";
import { dealt, type Generation, listLine, Placement, type RingState, type Shard } from "./placement.js";
import { RingStore } from "./ring-state.js";
import type { Streams } from "./streams.js";
import type { Subjects } from "./subjects.js";

/** How long a change that does not go on is left to the node that began it, in milliseconds. */
const STUCK_MS = 5000;
const LOOK_MS = 50;
/** How many changes of the ring are remembered: positions from before them cannot be read on from. */
const MAX_GENERATIONS = 500;

const SUBJECTS_OVERLAP = 10065;

const newLife = (): string => randomBytes(6).toString("base64url");

/**
 * Whether NATS has lost everything, the ring too, and a node has begun anew: a generation is made once, and one that is
 * known by other lives is of another count.
 */
function isAnew({ generation, shards }: Generation, before: Placement | undefined): boolean {
  const known = before?.generations.find((each) => each.generation === generation);
  return known !== undefined && !shards.some(({ life }) => known.shards.some((shard) => shard.life === life));
}

type Pending = NonNullable<RingState["pending"]>;

export class RingKeeper {
  readonly #jetstream: JetStream;
  readonly #streams: Streams;
  readonly #subjects: Subjects;
  readonly #store: RingStore;
  readonly #log: Log;
  /** The list that this node is configured with: the first one in force where there is none. */
  readonly #list: readonly NatsStream[];
  readonly #changed: (placement: Placement, before: Placement | undefined) => void;
  #placement: Placement | undefined;
  /** The highest number that this node knows to be in each stream: a log whose end is below it was lost in part. */
  readonly #highest = new Map<string, { readonly life: string; seq: number }>();
  #refreshing: Promise<void> | undefined;

  constructor(
    parts: { readonly jetstream: JetStream; readonly streams: Streams; readonly subjects: Subjects; readonly log: Log },
    list: readonly NatsStream[],
    changed: (placement: Placement, before: Placement | undefined) => void,
  ) {
    this.#jetstream = parts.jetstream;
    this.#streams = parts.streams;
    this.#subjects = parts.subjects;
    this.#log = parts.log;
    this.#store = new RingStore(parts.jetstream, parts.subjects.ring);
    this.#list = list;
    this.#changed = changed;
  }

  /** `undefined` before it was first read. */
  get placement(): Placement | undefined {
    return this.#placement;
  }

  /** A number that was seen in a stream. */
  saw(stream: string, seq: number): void {
    const known = this.#highest.get(stream);
    if (known !== undefined && seq > known.seq) known.seq = seq;
  }

  /** The highest number that this node knows to be in a stream. */
  highest(stream: string): number {
    return this.#highest.get(stream)?.seq ?? 0;
  }

  /** Makes what is missing, and reads the ring in force; resolves once events can be published. */
  async setUp(): Promise<void> {
    await this.#streams.ensureOwn();
    const state = await this.#settled();
    this.#apply(state);
    const lost = await this.#lostIn(state);
    if (lost.size === 0) return;
    this.#log.warn("engine: a stream has lost events; its rooms begin anew", { engine: "nats", streams: [...lost] });
    await this.#begin(state, this.#placement?.current.shards ?? [], lost);
    this.#apply(await this.#settled());
  }

  /** Reads the ring in force again. */
  refresh(): Promise<void> {
    this.#refreshing ??= (async () => {
      try {
        const state = await this.#store.read();
        if (state !== undefined) this.#apply(state);
      } finally {
        this.#refreshing = undefined;
      }
    })();
    return this.#refreshing;
  }

  /** Puts another list in force. */
  async install(list: readonly NatsStream[]): Promise<void> {
    const state = await this.#settled();
    this.#apply(state);
    if (listLine(this.#placement?.current.shards ?? []) === listLine(list)) return;
    this.#log.info("engine: the streams that hold rooms change", { engine: "nats", to: listLine(list) });
    await this.#begin(state, list, new Set());
    this.#apply(await this.#settled());
  }

  #apply(state: RingState): void {
    const last = state.generations[state.generations.length - 1];
    const before = this.#placement;
    if (last === undefined) return;
    if (last.generation <= (before?.current.generation ?? 0) && !isAnew(last, before)) return;
    this.#placement = new Placement(state.generations);
    for (const { name, life, start } of last.shards) {
      if (this.#highest.get(name)?.life !== life) this.#highest.set(name, { life, seq: start });
    }
    this.#changed(this.#placement, before);
  }

  /** The state once no change is under way; one that got stuck is taken further here. */
  async #settled(): Promise<RingState> {
    let seen = -1;
    let since = performance.now();
    for (;;) {
      const state = await this.#store.read();
      if (state === undefined) {
        await this.#begin(undefined, this.#list, new Set());
        continue;
      }
      if (state.pending === undefined && state.settled) return state;
      if (this.#store.seq !== seen) {
        seen = this.#store.seq;
        since = performance.now();
      }
      if (performance.now() - since > STUCK_MS) await this.#goOn(state);
      else await pause(LOOK_MS);
    }
  }

  /** Writes down what the next generation is to be, and sees it through. Where another node was faster it does nothing. */
  async #begin(state: RingState | undefined, list: readonly NatsStream[], lost: ReadonlySet<string>): Promise<void> {
    const before = state?.generations[state.generations.length - 1];
    const leaving = (before?.shards ?? []).filter(({ name }) => !list.some((each) => each.name === name));
    const infos = new Map<string, StreamInfo>();
    const kept = leaving.filter(({ name, weight }) => weight > 0 && !lost.has(name));
    for (const { name } of [...list, ...kept]) infos.set(name, await this.#streams.ensure(name));
    const shardOf = ({ name, weight }: NatsStream): Omit<Shard, "start"> => {
      const created = infos.get(name)?.created ?? "";
      const known = before?.shards.find((each) => each.name === name && each.created === created);
      return { name, weight, created, life: lost.has(name) ? newLife() : (known?.life ?? newLife()) };
    };
    const shards = [...list.map(shardOf), ...kept.map(({ name }) => shardOf({ name, weight: 0 }))];
    const pending = { generation: (before?.generation ?? 0) + 1, shards };
    const next = { generations: state?.generations ?? [], settled: state?.settled ?? false, pending };
    if (await this.#store.write(next)) await this.#goOn(next);
  }

  async #goOn(state: RingState): Promise<void> {
    const { pending } = state;
    let now = state;
    if (pending !== undefined) {
      const written = await this.#mark(state, pending);
      if (written === undefined) return;
      now = written;
    }
    const shards = now.generations[now.generations.length - 1]?.shards ?? [];
    await this.#captureAll(shards);
    await this.#store.write({ generations: now.generations, settled: true });
  }

  /**
   * Takes the buckets that move from those who had them, and puts a mark into every stream: what a stream got before it is
   * of the generation before. `undefined` where another node has gone on meanwhile.
   */
  async #mark(state: RingState, pending: Pending): Promise<RingState | undefined> {
    const target = dealt(pending.shards);
    const infos = await this.#ensureAll(pending.shards);
    await Promise.all(
      infos.map((info) => {
        const keeps = target.get(info.config.name) ?? new Set();
        const stay = [...this.#streams.buckets(info)].filter((bucket) => keeps.has(bucket));
        return this.#streams.capture(info, new Set(stay));
      }),
    );
    const shards = await Promise.all(
      pending.shards.map(async (shard) => ({ ...shard, start: await this.mark(shard.name, `g${pending.generation}`) })),
    );
    const generation = { generation: pending.generation, at: Date.now(), shards };
    const generations = [...state.generations, generation].slice(-MAX_GENERATIONS);
    const next = { generations, settled: false };
    return (await this.#store.write(next)) ? next : undefined;
  }

  async #captureAll(shards: readonly Shard[]): Promise<void> {
    const target = dealt(shards);
    const infos = await this.#ensureAll(shards);
    // Those that lose something first: no bucket may be in two streams.
    const shrink = (info: StreamInfo): boolean =>
      [...this.#streams.buckets(info)].some((bucket) => !target.get(info.config.name)?.has(bucket));
    const first = infos.filter(shrink);
    const rest = infos.filter((info) => !first.includes(info));
    for (const part of [first, rest]) {
      await Promise.all(part.map((info) => this.#streams.capture(info, target.get(info.config.name) ?? new Set())));
    }
  }

  #ensureAll(shards: readonly { readonly name: string }[]): Promise<StreamInfo[]> {
    return Promise.all(shards.map(({ name }) => this.#streams.ensure(name)));
  }

  /**
   * Puts a mark into a stream, and resolves with its number: all that was published in it before has a lower one. Of marks
   * with one id the stream keeps the first.
   */
  async mark(stream: string, name: string, id = randomBytes(9).toString("base64url")): Promise<number> {
    const headers = headerBytes({ "Nats-Msg-Id": id });
    const { seq } = await this.#jetstream.publish(this.#subjects.mark(stream, name), Buffer.alloc(0), headers);
    this.saw(stream, seq);
    return seq;
  }

  /** The streams in force that have lost events; those that only capture something else are put right. */
  async #lostIn(state: RingState): Promise<Set<string>> {
    const shards = state.generations[state.generations.length - 1]?.shards ?? [];
    const lost = new Set<string>();
    await Promise.all(
      shards.map(async ({ name, weight, created, life, start }) => {
        if (weight === 0) return;
        const known = this.#highest.get(name);
        // Taken before the question: what is delivered while it is under way is beyond the answer.
        const least = known?.life === life ? known.seq : start;
        const info = await this.#streams.ensure(name);
        if (info.created !== created || info.state.last_seq < least) lost.add(name);
      }),
    );
    try {
      if (lost.size === 0) await this.#captureAll(shards.filter(({ weight }) => weight > 0));
    } catch (error) {
      // Another node puts the same right, or the ring changes: the next look finds what there is to find.
      if (!(error instanceof JetStreamError) || error.code !== SUBJECTS_OVERLAP) throw error;
    }
    return lost;
  }
}
