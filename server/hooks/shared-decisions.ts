/** The decisions that nodes share. */
import { createHash } from "node:crypto";
import type { SharedStore } from "../engine/store.js";
import { type About, ALL, type Tag, tagsOf } from "./forgotten.js";

/** A decision as nodes share it. */
export type SharedDecision = {
  readonly value: unknown;
  readonly isRefusal: boolean;
  readonly about: About;
  /** For how long it holds yet, in milliseconds; 0 or less where it is stale. */
  readonly freshMs: number;
  /** For how long it is kept beyond that, in milliseconds. */
  readonly staleMs: number;
};

export type Look = {
  /** What is remembered and was not forgotten. */
  readonly decision: SharedDecision | undefined;
  /** What is written with an answer to what is asked from now on. */
  readonly count: number;
};

/** What is in the store, as JSON. */
type Written = { v?: unknown; r: boolean; c: number; s: number; t: string; u?: string; o?: string };

/** How much longer than any answer the counts are kept, in milliseconds: an answer may have been under way. */
const SPARE_MS = 600_000;
/** The pause before what is to be forgotten is written again, in milliseconds, with jitter. */
const RETRY_MS = 500;
/** The most tags that wait to be written; with more, all is forgotten. */
const MOST_UNWRITTEN = 1000;

const hash = (text: string): string => createHash("sha256").update(text).digest("base64url");

/**
 * With each answer stands the highest count of the store from before the application was asked; forgetting gives a tag a
 * higher one. So an answer that was asked for before it was forgotten is never taken from the store, whenever it came there.
 */
export class SharedDecisions {
  readonly #store: SharedStore;
  readonly #countsMs: number;
  /** What was forgotten and is not in the store yet: until it is, the store is not looked at. */
  readonly #unwritten = new Map<Tag, symbol>();
  #writing: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** How often the store was passed over: it was away, too slow, or not up to date. */
  passedOver = 0;

  /** `longestMs`: how long an answer is kept at the most, stale or not. */
  constructor(store: SharedStore, longestMs: number) {
    this.#store = store;
    this.#countsMs = longestMs + SPARE_MS;
  }

  /** `undefined` where the store cannot be asked. Never rejects. */
  async look(id: string, about: About): Promise<Look | undefined> {
    if (this.#unwritten.size > 0 || this.#isClosed) return this.#pass();
    try {
      const tags = tagsOf(about);
      const [stored, counted] = await Promise.all([this.#store.read(id), this.#store.counts(tags.map(hash))]);
      const { latest: count } = counted;
      const written = stored === undefined ? undefined : read(stored.value);
      if (stored === undefined || written === undefined) return { decision: undefined, count };
      const found = { tenant: written.t, user: written.u, room: written.o };
      const others = tagsOf(found).filter((tag) => !tags.includes(tag));
      const more = others.length === 0 ? [] : (await this.#store.counts(others.map(hash))).counts;
      if ([...counted.counts, ...more].some((each) => each > written.c)) return { decision: undefined, count };
      const { r: isRefusal, s: staleMs, v: value } = written;
      return { decision: { value, isRefusal, about: found, freshMs: stored.leftMs - staleMs, staleMs }, count };
    } catch {
      return this.#pass();
    }
  }

  #pass(): undefined {
    this.passedOver++;
    return undefined;
  }

  /** `count`: of the look before the application was asked. Returns at once; what cannot be written is not. */
  write(id: string, decision: SharedDecision, count: number): void {
    const { value, isRefusal, about, freshMs, staleMs } = decision;
    const { tenant: t, user: u, room: o } = about;
    const written = { v: value, r: isRefusal, c: count, s: staleMs, t, u, o };
    this.#store.write(id, Buffer.from(JSON.stringify(written)), freshMs + staleMs).catch(() => void this.passedOver++);
  }

  /** As `write`. */
  erase(id: string): void {
    this.#store.erase(id).catch(() => void this.passedOver++);
  }

  /** Resolves once it is in the store; rejects with `EngineError` where it cannot be now, and writes it later. */
  async forget(tag: Tag): Promise<void> {
    const mark = Symbol();
    const isFull = this.#unwritten.size >= MOST_UNWRITTEN && !this.#unwritten.has(tag);
    if (isFull) this.#unwritten.clear();
    this.#unwritten.set(isFull ? ALL : tag, mark);
    try {
      await this.#writeAll();
    } catch (error) {
      this.#writeLater();
      throw error;
    }
  }

  /** Resolves once all that is unwritten now has been written: one write at a time, and together what comes meanwhile. */
  #writeAll(): Promise<void> {
    this.#next ??= (this.#writing ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        this.#writing = this.#writeBatch();
        return this.#writing;
      });
    return this.#next;
  }

  async #writeBatch(): Promise<void> {
    const batch = [...this.#unwritten];
    if (batch.length === 0) return;
    const names = batch.map(([tag]) => hash(tag));
    await this.#store.countUp(names, this.#countsMs);
    // What was forgotten once more meanwhile has to be written once more.
    for (const [tag, mark] of batch) if (this.#unwritten.get(tag) === mark) this.#unwritten.delete(tag);
  }

  #writeLater(): void {
    if (this.#retry !== undefined || this.#isClosed) return;
    const again = (): void => {
      this.#retry = undefined;
      if (!this.#isClosed) this.#writeAll().catch(() => this.#writeLater());
    };
    this.#retry = setTimeout(again, RETRY_MS * (0.5 + Math.random())).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#store.close();
  }
}

/** `undefined` where it is not what a node of this version writes. */
function read(bytes: Buffer): Written | undefined {
  try {
    const written = JSON.parse(bytes.toString()) as Partial<Written> | null;
    const { c, s, t, r } = written ?? {};
    const isWhole = typeof c === "number" && typeof s === "number" && typeof t === "string" && typeof r === "boolean";
    return isWhole ? (written as Written) : undefined;
  } catch {
    return undefined;
  }
}
