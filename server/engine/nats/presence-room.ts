/**
 * What one node writes of one room. Every write expects the number that its subject ends with: so one that was sent on a
 * connection that is gone, and arrives late, is refused, and what calls leave is in the order of the calls.
 */
import { EngineError, LOST_RETRY_MS } from "../engine.js";
import { type JetStream, JetStreamError } from "./jetstream.js";
import {
  decodeRoot,
  encodePart,
  encodeRoot,
  GRAVE,
  MAX_PARTS,
  type PresenceSubjects,
  type Root,
} from "./presence-layout.js";

/** How often a write is tried again that found another number than it expected. */
const MAX_TRIES = 4;
/** A number that is not known. */
const UNKNOWN = -1;
const EMPTY_ROOT = encodeRoot({ parts: [], value: undefined });

export type PresenceGround = {
  readonly jetstream: JetStream;
  readonly subjects: PresenceSubjects;
  /** Of a stream on one server any answer is the leader's; of others a direct answer may come from one that lags. */
  readonly direct: boolean;
  /** Throws an `EngineError` while NATS is away. */
  readonly check: () => void;
  /** How late something may arrive that was sent on a connection that is gone, in milliseconds: far more than it takes. */
  readonly strayMs: number;
};

/** Something that stands for nothing, and is deleted once nothing late can arrive in its place. */
export type Grave = { readonly seq: number; readonly dueAt: number };

export type RoomEvents = {
  /** Called before a write; writes that come after it wait. */
  readonly note: (node: string) => Promise<void> | undefined;
  readonly bury: (grave: Grave, of: PresenceRoom) => void;
};

/** Deletes a message, where it is there still. */
export async function deleteAt(jetstream: JetStream, stream: string, seq: number): Promise<void> {
  try {
    await jetstream.call(`STREAM.MSG.DELETE.${stream}`, { seq, no_erase: true });
  } catch (error) {
    // Something else has taken its place, or somebody has deleted it before.
    if (!(error instanceof JetStreamError)) throw error;
  }
}

export class PresenceRoom {
  readonly room: string;
  readonly node: string;
  readonly #ground: PresenceGround;
  readonly #on: RoomEvents;
  #rootSeq = 0;
  /** Whether part 0, which is in the root, has a value. */
  #hasZero = false;
  /** The other parts that the root names, and the number that the subject of each ends with, 0 for none. */
  readonly #seqs = new Map<number, number>();
  /** Until when something may arrive that was sent where nothing was. */
  #strayUntil = 0;
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(
    ground: PresenceGround,
    { room, node }: { readonly room: string; readonly node: string },
    on: RoomEvents,
  ) {
    this.room = room;
    this.node = node;
    this.#ground = ground;
    this.#on = on;
  }

  get #rootSubject(): string {
    return this.#ground.subjects.root(this.room, this.node);
  }

  /** Nothing is written, nothing is under way, and nothing late can arrive. */
  get isOver(): boolean {
    return this.#waiting === 0 && this.#rootSeq === 0 && performance.now() >= this.#strayUntil;
  }

  /** One after the other, since each has to know the number of the one before. */
  write(part: number, value: Buffer | undefined, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    this.#waiting++;
    const result = this.#tail.then(async () => {
      this.#ground.check();
      if (performance.now() > deadline) {
        throw new EngineError("timeout", `NATS: the writes before it took longer than ${timeoutMs} ms`);
      }
      await this.#on.note(this.node);
      if (value === undefined) return this.#erase(part);
      return part === 0 ? this.#putZero(value) : this.#put(part, value);
    });
    const over = () => {
      this.#waiting--;
    };
    this.#tail = result.then(over, over);
    return result;
  }

  /** The grave with this number is gone. */
  buried(seq: number): void {
    if (this.#rootSeq === seq) this.#rootSeq = 0;
  }

  async #putZero(value: Buffer | undefined): Promise<void> {
    await this.#persist(async () => {
      if (this.#rootSeq === UNKNOWN) await this.#learn();
      return this.#writeRoot({ parts: [...this.#seqs.keys()], value });
    });
  }

  #put(part: number, value: Buffer): Promise<void> {
    const subject = this.#ground.subjects.part(this.room, this.node, part);
    const bytes = encodePart(value);
    return this.#persist(async () => {
      if (this.#rootSeq === UNKNOWN) await this.#learn();
      // The root names it first: who reads in between finds nothing there.
      if (!this.#seqs.has(part) && !(await this.#name(part))) return false;
      const last = await this.#lastOf(subject, this.#seqs.get(part) ?? UNKNOWN);
      const seq = await this.#publish(subject, bytes, last, () => this.#seqs.set(part, UNKNOWN));
      if (seq !== undefined) this.#seqs.set(part, seq);
      // Somebody may have cleared the node: then the root is gone as well.
      else this.#rootSeq = UNKNOWN;
      return seq !== undefined;
    });
  }

  async #erase(part: number): Promise<void> {
    // Where this process has written nothing, an earlier one of the same name may have.
    if (this.#rootSeq <= 0) await this.#learn();
    if (part !== 0 && !(await this.#erasePart(part))) return;
    const mayStray = performance.now() < this.#strayUntil;
    if (part === 0 && !this.#hasZero && !mayStray) return;
    if (this.#seqs.size > 0) {
      if (part === 0) await this.#putZero(undefined);
    } else if (part === 0 || !this.#hasZero) {
      this.#rootSeq = await this.#remove(this.#rootSubject, this.#rootSeq, EMPTY_ROOT);
      this.#hasZero = false;
    }
  }

  /** Whether there was one. The root may name it still: whoever writes the root next leaves it out. */
  async #erasePart(part: number): Promise<boolean> {
    const seq = this.#seqs.get(part);
    if (seq === undefined) return false;
    const subject = this.#ground.subjects.part(this.room, this.node, part);
    await this.#remove(subject, await this.#lastOf(subject, seq), GRAVE);
    this.#seqs.delete(part);
    return true;
  }

  /** Runs `attempt` until it says that it was done. */
  async #persist(attempt: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < MAX_TRIES; tries++) if (await attempt()) return;
    throw new EngineError("unavailable", "NATS: a register is written by two at once", LOST_RETRY_MS);
  }

  /** Writes the root with one more part. What stands in it is not kept here, and is read again. */
  async #name(part: number): Promise<boolean> {
    if (this.#seqs.size >= MAX_PARTS) throw new EngineError("unavailable", `NATS: more than ${MAX_PARTS} parts`);
    const root = this.#rootSeq === 0 ? undefined : await this.#learn();
    const done = await this.#writeRoot({ parts: [...this.#seqs.keys(), part], value: root?.value });
    if (done) this.#seqs.set(part, 0);
    return done;
  }

  async #writeRoot(root: Root): Promise<boolean> {
    const unknown = () => {
      this.#rootSeq = UNKNOWN;
    };
    const seq = await this.#publish(this.#rootSubject, encodeRoot(root), this.#rootSeq, unknown);
    if (seq === undefined) return false;
    this.#rootSeq = seq;
    this.#hasZero = root.value !== undefined;
    return true;
  }

  /** Reads the root, and takes over what it says. */
  async #learn(): Promise<Root | undefined> {
    const { jetstream, subjects, direct } = this.#ground;
    const stored = await jetstream.message(subjects.stream, this.#rootSubject, direct);
    const root = stored && decodeRoot(stored.data);
    this.#rootSeq = stored?.seq ?? 0;
    this.#hasZero = root?.value !== undefined;
    const named = new Set(root?.parts);
    for (const part of this.#seqs.keys()) if (!named.has(part)) this.#seqs.delete(part);
    for (const part of named) if (!this.#seqs.has(part)) this.#seqs.set(part, UNKNOWN);
    return root;
  }

  async #lastOf(subject: string, known: number): Promise<number> {
    if (known !== UNKNOWN) return known;
    const { jetstream, subjects, direct } = this.#ground;
    return (await jetstream.message(subjects.stream, subject, direct))?.seq ?? 0;
  }

  /** `undefined` where the subject ends with another number. `unknown` is called where that is to be found out. */
  async #publish(subject: string, bytes: Buffer, last: number, unknown: () => void): Promise<number | undefined> {
    try {
      const ack = await this.#ground.jetstream.publishAfter(subject, bytes, last);
      if (ack === undefined) unknown();
      return ack?.seq;
    } catch (error) {
      unknown();
      if (last === 0) this.#strayUntil = performance.now() + this.#ground.strayMs;
      throw error;
    }
  }

  /** Deletes what stands there. Where something may still arrive, it is a grave at first. Gives the number that is left. */
  async #remove(subject: string, seq: number, grave: Buffer): Promise<number> {
    const { jetstream, subjects } = this.#ground;
    const now = performance.now();
    if (now >= this.#strayUntil) {
      if (seq > 0) await deleteAt(jetstream, subjects.stream, seq);
      return 0;
    }
    for (let tries = 0, last = seq; tries < MAX_TRIES; tries++) {
      const ack = await jetstream.publishAfter(subject, grave, last);
      if (ack !== undefined) {
        this.#on.bury({ seq: ack.seq, dueAt: this.#strayUntil }, this);
        return ack.seq;
      }
      last = await this.#lastOf(subject, UNKNOWN);
    }
    throw new EngineError("unavailable", "NATS: a register is written by two at once", LOST_RETRY_MS);
  }
}
