/** Remembers what the application has decided: in this process, and with the other nodes where there is a store. */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { SharedStore } from "../engine/store.js";
import {
  type Decided,
  type DecidingHook,
  type Decisions,
  decidingHooks,
  type Forget,
  type Question,
} from "./decisions.js";
import { type About, Forgotten, type Places, tagOf } from "./forgotten.js";
import { Refusal } from "./hooks.js";
import { SharedDecisions } from "./shared-decisions.js";
import { Unreachable } from "./unreachable.js";

/**
 * What became of a question: answered from this process (`l1`), by what nodes share (`l2`), together with the same one
 * that was under way (`shared`), by an answer past its age (`stale`), or by the application, if at all (`asked`).
 */
export const cacheResults = ["l1", "l2", "shared", "stale", "asked"] as const;
export type CacheResult = (typeof cacheResults)[number];

/** What the cache has done, and what it holds now. */
export type CacheNumbers = {
  /** Questions, by the hook and what became of them, with a space between; totals. */
  readonly results: Readonly<Record<string, number>>;
  /** How often what nodes share was passed over: it was away, too slow, or not up to date; a total. */
  readonly passedOver: number;
  readonly answers: number;
  readonly bytes: number;
};

export type CacheOptions = {
  /** See the settings of the same names. */
  readonly hookCacheSize: number;
  readonly hookCacheMs: number;
  readonly hookRefusalMs: number;
  /** What nodes share; the cache closes it. */
  readonly store?: SharedStore | undefined;
};

/** The most that is kept in this process, in bytes, by an estimate. */
const MOST_BYTES = 64 << 20;
/** What an answer takes besides its text. */
const ENTRY_BYTES = 400;
/** How long an answer is not looked up in the store again, in milliseconds: a node may not have heard of what was forgotten. */
const LOOK_AGAIN_MS = 10_000;
/** How often a question is asked whose answer is forgotten before it is there. */
const MOST_ASKS = 10;

/** An answer, as this process keeps it; times as `performance.now()` counts. */
type Kept = {
  readonly value: unknown;
  readonly places: Places;
  /** How often something had been forgotten when it was asked for. */
  readonly asked: number;
  /** Until when it is fresh, and need not be looked up in the store again. */
  readonly lookAgainAt: number;
  readonly keptUntil: number;
};

type Success = { readonly answer: Kept; readonly from: "l2" | "asked" };
type Failure = { readonly error: unknown; readonly stale: Kept | undefined };
type Outcome = Success | Failure;

/** A question that is being answered, for all who ask it. */
type Flight = { readonly asked: number; readonly places: Places; readonly outcome: Promise<Outcome> };

export class DecisionCache implements Decisions {
  readonly #options: CacheOptions;
  readonly #kept: LRUCache<string, Kept> | undefined;
  readonly #shared: SharedDecisions | undefined;
  readonly #forgotten = new Forgotten();
  readonly #flights = new Map<string, Flight>();
  /** How many questions there were, by hook and what became of them. */
  readonly counts: Readonly<Record<DecidingHook, Record<CacheResult, number>>>;

  constructor(options: CacheOptions) {
    this.#options = options;
    const { hookCacheSize: max, hookCacheMs, store } = options;
    const remembers = max > 0 && hookCacheMs > 0;
    if (remembers) this.#kept = new LRUCache({ max, maxSize: MOST_BYTES });
    if (remembers && store !== undefined) this.#shared = new SharedDecisions(store, hookCacheMs * 2);
    else store?.close();
    const none = () => ({ l1: 0, l2: 0, shared: 0, stale: 0, asked: 0 });
    this.counts = Object.fromEntries(decidingHooks.map((hook) => [hook, none()])) as typeof this.counts;
  }

  /** How many answers this process keeps, and their bytes by an estimate. */
  get size(): number {
    return this.#kept?.size ?? 0;
  }

  get bytes(): number {
    return this.#kept?.calculatedSize ?? 0;
  }

  /** How often what nodes share was passed over: it was away, too slow, or not up to date. */
  get passedOver(): number {
    return this.#shared?.passedOver ?? 0;
  }

  get numbers(): CacheNumbers {
    const results: Record<string, number> = {};
    for (const hook of decidingHooks) {
      for (const result of cacheResults) results[`${hook} ${result}`] = this.counts[hook][result];
    }
    return { results, passedOver: this.passedOver, answers: this.size, bytes: this.bytes };
  }

  async get<T>(question: Question, ask: () => Promise<Decided<T>>, staleOk: boolean): Promise<T> {
    const id = idOf(question);
    const counts = this.counts[question.hook];
    for (let asks = 0; asks < MOST_ASKS; asks++) {
      const kept = this.#find(id);
      if (kept !== undefined && performance.now() < kept.lookAgainAt) {
        counts.l1++;
        return kept.value as T;
      }
      const underWay = this.#flights.get(id);
      const joins = underWay !== undefined && !this.#forgotten.isSince(underWay.asked, underWay.places);
      const flight = joins ? underWay : this.#start(id, question, ask);
      const outcome = await flight.outcome;
      const answer = "answer" in outcome ? outcome.answer : staleFor(outcome, staleOk);
      // It may have been forgotten on its way here: then it was asked too early.
      if (answer !== undefined && this.#isForgotten(answer)) continue;
      if ("answer" in outcome) counts[outcome.from === "asked" && joins ? "shared" : outcome.from]++;
      else if (answer !== undefined) counts.stale++;
      else {
        counts[joins ? "shared" : "asked"]++;
        throw outcome.error;
      }
      return answer?.value as T;
    }
    throw new Refusal("unavailable", "the application's answer was forgotten before it was there", 1000);
  }

  /** What is kept here, also where it is stale; `undefined` where it was forgotten. */
  #find(id: string): Kept | undefined {
    const kept = this.#kept?.get(id);
    if (kept === undefined || (performance.now() < kept.keptUntil && !this.#isForgotten(kept))) return kept;
    this.#kept?.delete(id);
    return undefined;
  }

  #isForgotten({ asked, places }: Kept): boolean {
    return this.#forgotten.isSince(asked, places);
  }

  #start<T>(id: string, question: Question, ask: () => Promise<Decided<T>>): Flight {
    const asked = this.#forgotten.count;
    const outcome = this.#answer(id, question, ask, asked).finally(() => {
      if (this.#flights.get(id) === flight) this.#flights.delete(id);
    });
    const flight = { asked, places: this.#forgotten.placesOf(question), outcome };
    this.#flights.set(id, flight);
    return flight;
  }

  /** Never rejects. */
  async #answer<T>(id: string, question: Question, ask: () => Promise<Decided<T>>, asked: number): Promise<Outcome> {
    const look = await this.#shared?.look(id, question);
    const decision = look?.decision;
    let stale = look === undefined ? this.#find(id) : undefined;
    if (decision !== undefined) {
      const found = this.#entry({ ...decision, asked });
      if (decision.freshMs > 0) {
        this.#keep(id, found);
        return { answer: found, from: "l2" };
      }
      stale = found;
    }
    try {
      return { answer: this.#decided(id, question, await ask(), asked, look?.count), from: "asked" };
    } catch (error) {
      return { error, stale };
    }
  }

  /** Remembers an answer of the application, for as long as it may be. */
  #decided<T>(id: string, question: Question, decided: Decided<T>, asked: number, count: number | undefined): Kept {
    const { value, isRefusal } = decided;
    const { room } = question;
    const about = { tenant: decided.tenant ?? question.tenant, user: decided.user ?? question.user, room };
    const freshMs = this.#ageOf(decided);
    const staleMs = this.#options.hookCacheMs;
    const answer = this.#entry({ value, isRefusal, about, freshMs, staleMs, asked });
    if (freshMs <= 0) {
      // What was answered before is not the last answer any more.
      this.#kept?.delete(id);
      this.#shared?.erase(id);
    } else if (!this.#isForgotten(answer)) {
      this.#keep(id, answer);
      if (count !== undefined) this.#shared?.write(id, { value, isRefusal, about, freshMs, staleMs }, count);
    }
    return answer;
  }

  #ageOf({ maxAgeMs, isRefusal }: { maxAgeMs: number; isRefusal: boolean }): number {
    const { hookCacheMs, hookRefusalMs } = this.#options;
    return maxAgeMs > 0 ? Math.min(maxAgeMs, hookCacheMs, isRefusal ? hookRefusalMs : hookCacheMs) : 0;
  }

  #entry(answer: {
    readonly value: unknown;
    readonly isRefusal: boolean;
    readonly about: About;
    readonly freshMs: number;
    readonly staleMs: number;
    readonly asked: number;
  }): Kept {
    const { value, isRefusal, about, staleMs, asked } = answer;
    const now = performance.now();
    const freshUntil = now + this.#ageOf({ maxAgeMs: answer.freshMs, isRefusal });
    const lookAgainAt = this.#shared === undefined ? freshUntil : Math.min(freshUntil, now + LOOK_AGAIN_MS);
    const keptUntil = freshUntil + staleMs;
    return { value, places: this.#forgotten.placesOf(about), asked, lookAgainAt, keptUntil };
  }

  #keep(id: string, answer: Kept): void {
    const text = JSON.stringify(answer.value) ?? "";
    this.#kept?.set(id, answer, { size: ENTRY_BYTES + text.length * 2 });
  }

  async forget(what: Forget): Promise<void> {
    const tag = tagOf(what);
    this.#forgotten.forget(tag);
    await this.#shared?.forget(tag);
  }

  /** Forgets what this process keeps: others may have been told to forget something, and this node not. */
  clear(): void {
    this.#forgotten.forgetAll();
    this.#kept?.clear();
  }

  close(): void {
    this.clear();
    this.#shared?.close();
  }
}

const staleFor = (outcome: Failure, staleOk: boolean): Kept | undefined =>
  staleOk && outcome.error instanceof Unreachable ? outcome.stale : undefined;

/** Questions that differ anywhere have another one. */
function idOf({ hook, tenant, user, room, parts }: Question): string {
  const text = JSON.stringify([hook, tenant, user ?? null, room ?? null, parts]);
  return createHash("sha256").update(text).digest("base64url");
}
