/** The queue of commands, on Redis: a stream with one group of readers, in which each node is a reader. */
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "../../log.js";
import { EngineError } from "../engine.js";
import {
  type DeadLetter,
  DONE_MS,
  type Outcome,
  type QueueNumbers,
  SAME_ID_MS,
  type Take,
  type WorkQueue,
  type WorkQueueOptions,
} from "../queue.js";
import { Refused, type Word } from "./connection.js";
import type { QueueNames } from "./queue-names.js";
import { scripts } from "./scripts.js";
import type { Shard } from "./shard.js";
import { entriesOf, fieldsOf } from "./stream-entries.js";
import type { Reply } from "./wire.js";

/** The group that all nodes read in. */
const GROUP = "nodes";
/** The most commands in one answer. */
const MOST_AT_ONCE = 256;
/** The most dead letters that are kept. */
const MOST_DEAD = 100_000;
/** The group forgets a node that has ended, and that holds nothing, after so long, in milliseconds. */
const FORGET_MS = 3_600_000;
/** The longest pause between two looks for what other nodes took and did not settle, in milliseconds. */
const CLAIM_MS = 1000;
/** The longest pause before something is tried again that the engine could not do, in milliseconds. */
const AGAIN_MS = 500;

export type RedisWorkQueueOptions = WorkQueueOptions & {
  readonly names: QueueNames;
  /** Where it is kept, as calls reach it. Closed with this. */
  readonly shard: Shard;
  /** The same on connections of its own, which a read may hold for so long. */
  readonly reads: { readonly shard: Shard; readonly blockMs: number };
  readonly log: Log;
};

/** A command that this node has taken and not settled, by its place in the stream. */
type Held = {
  readonly place: string;
  readonly id: string;
  readonly bytes: Buffer;
  readonly tries: number;
  signAt: number;
};

export class RedisWorkQueue implements WorkQueue {
  readonly #options: RedisWorkQueueOptions;
  /** What the group knows this node by. */
  readonly #name = randomBytes(9).toString("base64url");
  readonly #held = new Map<string, Held>();
  /** Outcomes to be told, and the way they wake who waits for it. */
  #untold: { readonly held: Held; readonly outcome: Outcome }[] = [];
  #telling: Promise<void> | undefined;
  #take: Take | undefined;
  #isClosing = false;
  #isClosed = false;
  readonly #ending = new AbortController();
  /** Called when there is room for more. */
  #freed: (() => void) | undefined;
  /** How many commands are asked for. */
  #asked = 0;
  #claimTimer: NodeJS.Timeout | undefined;
  /** Whether there was no room for it when it was due: it comes before the next read. */
  #isClaimDue = false;
  #claimAt = Number.POSITIVE_INFINITY;
  #forgetAt = 0;
  #signTimer: NodeJS.Timeout | undefined;
  #hasGroup = false;

  constructor(options: RedisWorkQueueOptions) {
    this.#options = options;
  }

  start(take: Take): void {
    this.#take = take;
    this.#signTimer = setInterval(() => void this.#giveSigns(), this.#options.ackMs / 4).unref();
    this.#claimIn(Math.random() * CLAIM_MS);
    void this.#read();
  }

  async add(id: string, bytes: Uint8Array): Promise<boolean> {
    const { maxBytes, names } = this.#options;
    if (bytes.length > maxBytes) {
      throw new TypeError(`expected at most ${maxBytes} bytes, got ${bytes.length}`);
    }
    const keys = [names.commands, names.written(id)];
    return (await this.#run(scripts.queueAdd, keys, [id, Buffer.from(bytes), SAME_ID_MS])) === 1;
  }

  async isDone(id: string): Promise<boolean> {
    return (await this.#send("exists", [this.#options.names.done(id)])) === 1;
  }

  async markDone(id: string): Promise<void> {
    await this.#send("set", [this.#options.names.done(id), "1", "PX", DONE_MS]);
  }

  async numbers(): Promise<QueueNumbers> {
    const { commands, dead } = this.#options.names;
    const [all, pending, letters] = await Promise.all([
      this.#send("xlen", [commands]),
      this.#send("xpending", [commands, GROUP]).catch(() => [0]),
      this.#send("xlen", [dead]),
    ]);
    const underWay = Math.min(Number(all), Number((pending as Reply[])[0]));
    return { waiting: Number(all) - underWay, underWay, dead: Number(letters) };
  }

  async deadLetters(limit: number): Promise<readonly DeadLetter[]> {
    const reply = (await this.#send("xrange", [this.#options.names.dead, "-", "+", "COUNT", limit])) as Reply[];
    return reply.map((entry) => {
      const fields = fieldsOf((entry as Reply[])[1]);
      const text = (name: string): string => String(fields.get(name) ?? "");
      const bytes = fields.get("command") ?? Buffer.alloc(0);
      const [tries, at] = [Number(text("tries")), Number(text("at"))];
      return { id: text("id"), bytes, reason: text("reason"), tries, at };
    });
  }

  problems(): readonly string[] {
    const { shard, reads } = this.#options;
    return [...new Set([...shard.problems(), ...reads.shard.problems()])];
  }

  #send(command: string, words: readonly Word[]): Promise<Reply> {
    if (this.#isClosed) return Promise.reject(closed());
    return this.#options.shard.send(this.#options.names.commands, command, words);
  }

  #run(script: (typeof scripts)[keyof typeof scripts], keys: readonly string[], words: readonly Word[]) {
    if (this.#isClosed) return Promise.reject(closed());
    return this.#options.shard.run(this.#options.names.commands, script, keys, words);
  }

  /** How many more may be asked for now. */
  get #free(): number {
    return Math.min(MOST_AT_ONCE, this.#options.prefetch - this.#held.size - this.#asked);
  }

  /** Takes what is written, for as long as it is open. */
  async #read(): Promise<void> {
    const { shard, blockMs } = this.#options.reads;
    const { commands } = this.#options.names;
    while (!this.#isClosing) {
      if (this.#free <= 0) {
        await new Promise<void>((freed) => {
          this.#freed = freed;
        });
        continue;
      }
      if (this.#telling !== undefined && this.#options.shard.problems().length > 0) {
        await this.#telling;
        continue;
      }
      if (this.#isClaimDue) {
        this.#isClaimDue = false;
        await this.#claim();
        continue;
      }
      // Some are left for what is to be given out again while this waits.
      const count = Math.ceil((this.#free * 3) / 4);
      this.#asked += count;
      try {
        await this.#makeGroup();
        const words = ["GROUP", GROUP, this.#name, "COUNT", count, "BLOCK", blockMs, "STREAMS", commands, ">"];
        const reply = await shard.send(commands, "xreadgroup", words);
        this.#asked -= count;
        for (const entry of entriesOf(reply)) this.#took(entry[0], entry[1], 1);
      } catch (error) {
        this.#asked -= count;
        await this.#notNow(error);
      }
    }
  }

  /** What the engine could not do is tried again a little later. */
  async #notNow(error: unknown): Promise<void> {
    // Redis may have lost what it knew, with the group.
    if (error instanceof Refused) this.#hasGroup = false;
    else if (!(error instanceof EngineError)) {
      this.#options.log.error("queue: an unexpected error", { error: String(error) });
    }
    const { signal } = this.#ending;
    await pause(AGAIN_MS * (0.2 + 0.8 * Math.random()), undefined, { signal }).catch(() => undefined);
  }

  async #makeGroup(): Promise<void> {
    if (this.#hasGroup) return;
    try {
      await this.#send("xgroup", ["CREATE", this.#options.names.commands, GROUP, "0", "MKSTREAM"]);
    } catch (error) {
      if (!(error instanceof Refused && error.reply.startsWith("BUSYGROUP"))) throw error;
    }
    this.#hasGroup = true;
  }

  #took(place: string, written: Reply | undefined, tries: number): void {
    if (this.#held.has(place)) return;
    const fields = fieldsOf(written);
    const id = fields.get("id")?.toString() ?? place;
    const bytes = fields.get("command") ?? Buffer.alloc(0);
    const held: Held = { place, id, bytes, tries, signAt: performance.now() };
    this.#held.set(place, held);
    if (this.#isClosing) return;
    void this.#take?.({ id, bytes, tries, at: Number(place.split("-")[0]) }).then((outcome) => {
      if (this.#isClosed || !this.#held.has(place)) return;
      this.#untold.push({ held, outcome });
      this.#telling ??= this.#tell();
    });
  }

  /** Tells the engine what became of commands, until all of it has arrived. Never rejects. */
  async #tell(): Promise<void> {
    while (this.#untold.length > 0 && !this.#isClosed) {
      const some = this.#untold.slice(0, MOST_AT_ONCE);
      try {
        await this.#settle(some);
      } catch (error) {
        await this.#notNow(error);
        continue;
      }
      this.#untold = this.#untold.slice(some.length);
      for (const { held, outcome } of some) {
        this.#held.delete(held.place);
        if ("retryMs" in outcome) this.#claimIn(Math.min(outcome.retryMs, this.#options.ackMs));
      }
      this.#wake();
    }
    this.#telling = undefined;
  }

  #wake(): void {
    this.#freed?.();
    this.#freed = undefined;
  }

  async #settle(some: readonly { readonly held: Held; readonly outcome: Outcome }[]): Promise<void> {
    const { names, deadAgeMs, ackMs } = this.#options;
    const words: Word[] = [GROUP, this.#name, MOST_DEAD, Date.now() - deadAgeMs];
    for (const { held, outcome } of some) {
      const { place, id, bytes, tries } = held;
      if ("done" in outcome) words.push("done", place, "", "", "", "", "");
      else if ("dead" in outcome) words.push("dead", place, id, bytes, oneLine(outcome.dead), tries, Date.now());
      else words.push("retry", place, Math.max(0, Math.round(ackMs - outcome.retryMs)), "", "", "", "");
    }
    await this.#run(scripts.queueSettle, [names.commands, names.dead], words);
  }

  /** A look for what is to be given out again, so many milliseconds from now, or sooner where one is due. */
  #claimIn(ms: number): void {
    const at = performance.now() + ms;
    if (at >= this.#claimAt || this.#isClosing) return;
    this.#claimAt = at;
    clearTimeout(this.#claimTimer);
    this.#claimTimer = setTimeout(() => void this.#claim(), ms).unref();
  }

  /** Never rejects. */
  async #claim(): Promise<void> {
    const { names, ackMs } = this.#options;
    const count = Math.max(0, this.#free);
    if (count === 0) this.#isClaimDue = true;
    this.#asked += count;
    try {
      if (count > 0 && this.#hasGroup) {
        const now = performance.now();
        const forget = now >= this.#forgetAt ? FORGET_MS : 0;
        const words = [GROUP, this.#name, ackMs, count, forget];
        const reply = (await this.#run(scripts.queueClaim, [names.commands], words)) as Reply[];
        if (forget > 0) {
          this.#forgetAt = now + FORGET_MS;
          await this.#send("xtrim", [names.dead, "MINID", "~", Date.now() - this.#options.deadAgeMs]);
        }
        for (const [place, tries, fields] of reply as Reply[][]) this.#took(String(place), fields, Number(tries));
      }
    } catch (error) {
      if (error instanceof Refused) this.#hasGroup = false;
    }
    this.#asked -= count;
    this.#wake();
    this.#claimAt = Number.POSITIVE_INFINITY;
    this.#claimIn(Math.min(CLAIM_MS, ackMs / 4) * (0.5 + 0.5 * Math.random()));
  }

  /** What takes long is not to be taken for forgotten. Never rejects. */
  async #giveSigns(): Promise<void> {
    const now = performance.now();
    const late = [...this.#held.values()].filter(({ signAt }) => now - signAt >= this.#options.ackMs / 4);
    if (late.length === 0) return;
    for (const held of late) held.signAt = now;
    const places = late.map(({ place }) => place);
    await this.#send("xclaim", [this.#options.names.commands, GROUP, this.#name, 0, ...places, "JUSTID"]).catch(
      () => undefined,
    );
  }

  async close(withinMs: number): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    clearTimeout(this.#claimTimer);
    this.#ending.abort();
    this.#wake();
    const until = performance.now() + withinMs;
    while (this.#held.size > 0 && performance.now() < until) await pause(5);
    this.#options.reads.shard.close();
    const left = [...this.#held.values()].map((held) => ({ held, outcome: { retryMs: 0 } }));
    this.#held.clear();
    if (left.length > 0) await this.#settle(left).catch(() => undefined);
    clearInterval(this.#signTimer);
    this.#isClosed = true;
    this.#options.shard.close();
  }
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ");

const closed = (): EngineError => new EngineError("unavailable", "the queue is closed", 0);
