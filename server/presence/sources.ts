/** What each of the other nodes says of a room's members, from its notes and its registers. */
import type { Register } from "../engine/presence.js";
import type { Crowd } from "./crowd.js";
import { type Entry, type Part, type Revision, readPart } from "./register.js";

type Known = {
  count: number;
  /** Nobody: it was erased, which is known until registers are read that are newer than that. */
  entries: readonly Entry[];
  /** Since when it is missing in the registers; what was told of it has to be believed for a while yet. */
  missingSince: number | undefined;
  /** When it was told, or the read began that had it. */
  readonly at: number;
};

type Source = {
  /** See `Revision`: what is of an earlier life is past. */
  life: number;
  /** The highest count that was heard of. */
  count: number;
  readonly parts: Map<number, Known>;
  /** When it was heard of first. */
  readonly since: number;
};

export type SourcesOptions = {
  readonly crowd: Crowd;
  /**
   * How long a part is believed in that its node has told of and that is not in the registers, in milliseconds: the engine
   * may have lost it, and the node writes it again.
   */
  readonly keepMs: number;
  /** A node is heard of for the first time, and not any more. */
  readonly heard: (node: string, isHere: boolean) => void;
  /** A session is with another node now. */
  readonly seen: (entry: Entry) => void;
};

/** How many parts are taken in a turn of the loop before it is looked at the clock, and how long they may take, in milliseconds. */
const STEP = 8;
const TURN_MS = 5;

export class Sources {
  readonly #options: SourcesOptions;
  readonly #sources = new Map<string, Source>();

  constructor(options: SourcesOptions) {
    this.#options = options;
  }

  /** Whether anything is believed that is missing in the registers: then they are to be read again. */
  isDoubtful(): boolean {
    for (const { parts } of this.#sources.values()) {
      for (const { missingSince } of parts.values()) if (missingSince !== undefined) return true;
    }
    return false;
  }

  /** The engine was away, also for the others: what is missing in the registers is missing from the next look on. */
  believe(): void {
    for (const { parts } of this.#sources.values()) {
      for (const known of parts.values()) {
        if (known.missingSince !== Number.NEGATIVE_INFINITY) known.missingSince = undefined;
      }
    }
  }

  /** When the node was heard of first; `undefined`: never. */
  since(node: string): number | undefined {
    return this.#sources.get(node)?.since;
  }

  /** Takes what a node says of one part; whether the registers are to be read, since something of it has not come. */
  take(node: string, part: number, said: Part, now: number): boolean {
    const source = this.#source(node, now);
    const { life, count } = said.revision;
    if (life < source.life) return false;
    const begins = this.#begin(source, life);
    const hole = begins || count > source.count + 1;
    source.count = Math.max(source.count, count);
    this.#put(source, part, said, now);
    return hole;
  }

  #source(node: string, now: number): Source {
    const known = this.#sources.get(node);
    if (known !== undefined) return known;
    const source = { life: 0, count: 0, parts: new Map(), since: now };
    this.#sources.set(node, source);
    this.#options.heard(node, true);
    return source;
  }

  /** What was said in an earlier life is past; its members go once those of the new life are here. Whether there are any. */
  #begin(source: Source, life: number): boolean {
    if (life <= source.life) return false;
    source.life = life;
    source.count = 0;
    for (const known of source.parts.values()) {
      known.count = 0;
      known.missingSince = Number.NEGATIVE_INFINITY;
    }
    return source.parts.size > 0;
  }

  /** What comes is added before what goes is removed, so that nobody goes who stays. */
  #put(source: Source, part: number, { revision, entries }: Part, at: number): void {
    const { crowd, seen } = this.#options;
    const known = source.parts.get(part);
    if (known !== undefined && known.count >= revision.count) {
      if (known.count === revision.count) known.missingSince = undefined;
      return;
    }
    for (const entry of entries) crowd.add(entry);
    for (const entry of known?.entries ?? []) crowd.remove(entry);
    source.parts.set(part, { count: revision.count, entries, missingSince: undefined, at });
    for (const entry of entries) seen(entry);
  }

  /**
   * Takes what was read of the registers; `began`: when the read did. Nodes that `isGone` says have gone are passed over. The
   * loop is not held, however many there are; notes that come meanwhile are the newer ones.
   */
  async read(registers: readonly Register[], began: number, isGone: (node: string) => boolean): Promise<void> {
    const present = new Map<string, { readonly life: number; readonly parts: Set<number> }>();
    let steps = 0;
    let turn = performance.now();
    for (const { node, part, value } of registers) {
      if (isGone(node)) continue;
      const said = readPart(value.toString());
      if (said !== undefined) this.#takeRead(node, part, said, began, present);
      if (++steps % STEP > 0 || performance.now() - turn < TURN_MS) continue;
      await new Promise((next) => setImmediate(next));
      turn = performance.now();
    }
    for (const [node, source] of this.#sources) this.#lookForMissing(source, present.get(node), began);
  }

  #takeRead(
    node: string,
    part: number,
    said: Part,
    began: number,
    present: Map<string, { readonly life: number; readonly parts: Set<number> }>,
  ): void {
    const { life, count }: Revision = said.revision;
    const source = this.#source(node, began);
    if (life < source.life) return;
    this.#begin(source, life);
    source.count = Math.max(source.count, count);
    this.#put(source, part, said, began);
    const there = present.get(node);
    if (there?.life === life) there.parts.add(part);
    else present.set(node, { life, parts: new Set([part]) });
  }

  #lookForMissing(source: Source, present: { readonly parts: ReadonlySet<number> } | undefined, began: number): void {
    for (const [part, known] of source.parts) {
      if (present?.parts.has(part)) continue;
      if (known.entries.length === 0) {
        if (known.at < began) source.parts.delete(part);
      } else if (known.missingSince === undefined) known.missingSince = began;
      else if (began - known.missingSince >= this.#options.keepMs) this.#drop(source, part, known);
    }
  }

  #drop(source: Source, part: number, { entries }: Known): void {
    source.parts.delete(part);
    for (const entry of entries) this.#options.crowd.remove(entry);
  }

  /** The node has gone, and its members with it. */
  gone(node: string): void {
    const source = this.#sources.get(node);
    if (source === undefined) return;
    this.#sources.delete(node);
    for (const [part, known] of source.parts) this.#drop(source, part, known);
    this.#options.heard(node, false);
  }

  clear(): void {
    for (const node of [...this.#sources.keys()]) this.gone(node);
  }
}
