import { EngineError, type LogRules } from "../engine.js";
import { type Kept, Moves, type MovesOptions } from "./moves.js";
import type { Shard } from "./shard.js";
import { type Elsewhere, elsewhere, type Reply } from "./wire.js";

export type How = {
  /** The room is here already, or else elsewhere: it is not to be made. */
  readonly mustExist: boolean;
  /** The shard, which the room came from, where the key has been looked for; "" for none. */
  readonly lookedOn: string;
};

/** Something that is asked of the shard that holds a room. */
export type Ask = {
  readonly room: string;
  readonly rules: LogRules;
  /** What the publish's key is called in Redis, where it has one. */
  readonly key?: string | undefined;
  send(shard: Shard, how: How): Promise<Reply>;
};

type Waiting = {
  readonly ask: Ask;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
  hops: number;
};

/** What waits for a room that is being looked for: what was answered that it is elsewhere, and what came after that. */
type Search = { readonly turnedAway: Waiting[]; readonly held: Waiting[] };

/** While keys may have been used on the shard that a room came from. */
type KeyWindow = {
  readonly name: string;
  /** `undefined`: it is not configured any more, and keys are taken to be new. */
  readonly shard: Shard | undefined;
  readonly until: number;
  /** Resolves once what was asked before has been sent. */
  last: Promise<void>;
  waiting: number;
};

/** How often one thing is asked, and how many may wait for a room that is being looked for. */
const MOST_HOPS = 8;
const MOST_WAITING = 10_000;
/** How many windows are kept before those that are over are looked for. */
const MOST_WINDOWS = 1000;

/** How long a log's end is kept, in milliseconds: far longer than its events, so that a room's offsets go on. */
const END_MS = 7 * 24 * 3600 * 1000;
export const endMs = (ageMs: number): number => Math.max(END_MS, 2 * ageMs);

/**
 * Asks the shard that holds a room, wherever that is now. What is asked of one room takes effect in the order it was
 * asked, also while the room is being looked for: what comes meanwhile waits behind what was sent before.
 */
export class Routes {
  readonly #options: MovesOptions;
  readonly #moves: Moves;
  /** The room was found on this shard: what this node has subscribed of it has to be there too. */
  readonly #arrived: (room: string, shard: Shard) => Promise<void>;
  readonly #searches = new Map<string, Search>();
  readonly #windows = new Map<string, KeyWindow>();

  constructor(options: MovesOptions, arrived: (room: string, shard: Shard) => Promise<void>) {
    this.#options = options;
    this.#moves = new Moves(options);
    this.#arrived = arrived;
  }

  of(room: string): Shard {
    return this.#options.shards.get(this.#options.places.of(room)) as Shard;
  }

  /** Resolves with the answer of the shard that holds the room. */
  ask(ask: Ask): Promise<Reply> {
    const search = this.#searches.get(ask.room);
    if (search === undefined && !this.#windows.has(ask.room)) return this.#askNow(ask);
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { ask, resolve, reject, hops: 0 };
      if (search === undefined) this.#send(waiting);
      else if (search.held.length < MOST_WAITING) search.held.push(waiting);
      else reject(new EngineError("unavailable", "redis: too much waits for a room that is being looked for"));
    });
  }

  /** Nearly always: the room is where it is looked for. */
  #askNow(ask: Ask): Promise<Reply> {
    const shard = this.of(ask.room);
    return ask.send(shard, { mustExist: this.#mustExist(ask.room, shard), lookedOn: "" }).then((reply) => {
      const where = elsewhere(reply);
      if (where === undefined) return reply;
      return new Promise((resolve, reject) => this.#search({ ask, resolve, reject, hops: 0 }, shard, where));
    });
  }

  /** Whether a room that is not on the shard is not to be made there, since it may be on another. */
  #mustExist(room: string, shard: Shard): boolean {
    const { places } = this.#options;
    return !places.isOne && (shard.name !== places.home(room) || places.before(room) !== undefined);
  }

  #send(waiting: Waiting): void {
    const { room, key } = waiting.ask;
    const window = this.#windows.get(room);
    if (window === undefined) return this.#sendNow(waiting, "");
    if (performance.now() > window.until && window.waiting === 0) {
      this.#windows.delete(room);
      return this.#sendNow(waiting, "");
    }
    const known = key === undefined ? undefined : window.shard?.send(room, "get", [key]);
    known?.catch(() => undefined);
    window.waiting++;
    window.last = window.last.then(async () => {
      try {
        const first = await known;
        if (first === undefined || first === null) this.#sendNow(waiting, window.name);
        else waiting.resolve(first);
      } catch (error) {
        waiting.reject(error as Error);
      }
      window.waiting--;
    });
  }

  #sendNow(waiting: Waiting, lookedOn: string): void {
    const { room } = waiting.ask;
    const shard = this.of(room);
    waiting.ask.send(shard, { mustExist: this.#mustExist(room, shard), lookedOn }).then((reply) => {
      const where = elsewhere(reply);
      if (where === undefined) waiting.resolve(reply);
      else this.#search(waiting, shard, where);
    }, waiting.reject);
  }

  #search(waiting: Waiting, shard: Shard, where: Elsewhere): void {
    const { room, rules } = waiting.ask;
    if (++waiting.hops > MOST_HOPS) {
      return waiting.reject(new EngineError("unavailable", "redis: a room was not found where it is said to be"));
    }
    const search = this.#searches.get(room);
    if (search !== undefined) {
      search.turnedAway.push(waiting);
      return;
    }
    const begun: Search = { turnedAway: [waiting], held: [] };
    this.#searches.set(room, begun);
    this.#find(room, shard, where, rules).then(
      () => {
        this.#searches.delete(room);
        for (const each of [...begun.turnedAway, ...begun.held]) this.#send(each);
      },
      (error: Error) => {
        this.#searches.delete(room);
        for (const each of [...begun.turnedAway, ...begun.held]) each.reject(error);
      },
    );
  }

  /** Forgets windows of rooms that nobody has published in since. */
  #sweep(): void {
    if (this.#windows.size < MOST_WINDOWS) return;
    const now = performance.now();
    for (const [room, { until, waiting }] of this.#windows)
      if (until < now && waiting === 0) this.#windows.delete(room);
  }

  async #find(room: string, shard: Shard, where: Elsewhere, { history }: LogRules): Promise<void> {
    const { places, shards } = this.#options;
    // Once it is answered so is all that was sent before it.
    await shard.send(room, "ping", []);
    if (where.kind === "key") {
      const until = performance.now() + where.leftMs;
      this.#sweep();
      const last = this.#windows.get(room)?.last ?? Promise.resolve();
      this.#windows.set(room, { name: where.shard, shard: shards.get(where.shard), until, last, waiting: 0 });
      return;
    }
    const kept: Kept = { ageMs: history.ageMs, endMs: endMs(history.ageMs) };
    const found = await this.#moves.locate(room, shard, where, kept);
    await this.#arrived(room, found);
    places.found(room, found.name);
  }
}
