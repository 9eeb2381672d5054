/** Writes what this node says of a room into its registers, and tells the other nodes. */
import type { Register } from "../engine/presence.js";
import type { Clock } from "./clock.js";
import { type Entry, type Note, readPart, writePart } from "./register.js";

export type WriterOptions = {
  readonly clock: Clock;
  /** What this node is called in registers now. */
  readonly node: () => string;
  /** A number that is higher than all before it, in this process. */
  readonly newLife: () => number;
  /** Resolves once the node has a lease. */
  readonly leased: () => Promise<void>;
  readonly entriesOf: (part: number) => readonly Entry[];
  readonly write: (node: string, part: number, value: Buffer | undefined) => Promise<void>;
  readonly tell: (note: Note) => Promise<void>;
  /** Nothing is left to be written. */
  readonly idle: () => void;
};

/** How long changes of a busy room are gathered before they are written, in milliseconds. */
const GATHER_MS = 100;
/** How long those of a quiet one are, that come in one burst. */
const BURST_MS = 5;
/** The pause before it is tried again, in milliseconds, with jitter. */
const RETRY_MS = 500;
/** How many parts are written at once. */
const AT_ONCE = 32;

export class Writer {
  readonly #options: WriterOptions;
  readonly #dirty = new Set<number>();
  /** What is in the registers, as far as it is known: by part, the count that it was written with. */
  readonly #written = new Map<number, number>();
  #life: number;
  #count = 0;
  #isWriting = false;
  #wroteAt = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#life = options.newLife();
  }

  get isIdle(): boolean {
    return this.#dirty.size === 0 && !this.#isWriting;
  }

  /** What is written by now, for `verify`. */
  written(): ReadonlyMap<number, number> {
    return new Map(this.#written);
  }

  changed(part: number): void {
    this.#dirty.add(part);
    const { clock } = this.#options;
    this.#schedule(Math.max(BURST_MS, this.#wroteAt + GATHER_MS - clock.now()));
  }

  #schedule(ms: number): void {
    if (this.#closed || this.#isWriting || this.#cancel !== undefined) return;
    this.#cancel = this.#options.clock.after(ms, () => {
      this.#cancel = undefined;
      void this.#flush();
    });
  }

  /** Never rejects. */
  async #flush(): Promise<void> {
    this.#isWriting = true;
    await this.#options.leased();
    if (this.#closed) return;
    const { clock } = this.#options;
    this.#wroteAt = clock.now();
    const parts = [...this.#dirty].slice(0, AT_ONCE);
    for (const part of parts) this.#dirty.delete(part);
    const areDone = await this.#write(parts);
    this.#isWriting = false;
    if (this.#closed) return;
    if (this.#dirty.size === 0) this.#options.idle();
    else if (!areDone) this.#schedule(RETRY_MS * (0.5 + Math.random()));
    else this.#schedule(Math.max(BURST_MS, this.#wroteAt + GATHER_MS - clock.now()));
  }

  /**
   * Writes, and then tells: who is told of a session here gives up its place elsewhere, and whoever reads the registers next
   * has to find it in one of the two. Whether all parts are written, and told of.
   */
  async #write(parts: readonly number[]): Promise<boolean> {
    const { node, entriesOf, write, tell } = this.#options;
    const name = node();
    const life = this.#life;
    const words = parts.map((part) => {
      const said = { revision: { life, count: ++this.#count }, entries: entriesOf(part) };
      return { part, said, value: said.entries.length === 0 ? undefined : Buffer.from(writePart(said)) };
    });
    const writes = await Promise.allSettled(words.map(({ part, value }) => write(name, part, value)));
    if (life !== this.#life || this.#closed) return true;
    const written = words.filter((_, index) => writes[index]?.status === "fulfilled");
    const tells = await Promise.allSettled(written.map(({ part, said }) => tell({ node: name, part, said })));
    if (life !== this.#life) return true;
    const done = new Set(written.filter((_, index) => tells[index]?.status === "fulfilled"));
    for (const one of words) {
      if (!done.has(one)) this.#dirty.add(one.part);
      else if (one.value === undefined) this.#written.delete(one.part);
      else this.#written.set(one.part, one.said.revision.count);
    }
    return done.size === words.length;
  }

  /** All parts are to be written anew, under the name that the node has now; within so long, in milliseconds. */
  again(parts: Iterable<number>, withinMs: number): void {
    this.#life = this.#options.newLife();
    this.#count = 0;
    this.#written.clear();
    for (const part of parts) this.#dirty.add(part);
    if (this.#dirty.size > 0) this.#schedule(Math.random() * withinMs);
  }

  /** Compares with what was read of this node's own registers; `written`: what it said before the read began. */
  verify(registers: readonly Register[], written: ReadonlyMap<number, number>): void {
    const found = new Map(registers.map(({ part, value }) => [part, readPart(value.toString())?.revision] as const));
    for (const [part, count] of written) {
      const revision = found.get(part);
      const isThere = revision?.life === this.#life && revision.count >= count;
      if (!isThere && this.#written.get(part) === count) this.changed(part);
    }
    for (const part of found.keys()) {
      if (!written.has(part) && !this.#written.has(part) && !this.#isWriting) this.changed(part);
    }
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }
}
