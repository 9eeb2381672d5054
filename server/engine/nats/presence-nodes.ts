/**
 * Nodes' leases in NATS: one subject each, whose last message says how long it is good from the server's time in it. The
 * stream hands every new one on, so that nodes need not ask for what they have just heard.
 */
import { EngineError, LOST_RETRY_MS } from "../engine.js";
import type { Beat, Lease } from "../presence.js";
import type { Incoming } from "./incoming.js";
import { decodeLease, encodeLease, type LeaseWord } from "./presence-layout.js";
import { deleteAt, type PresenceGround } from "./presence-room.js";

const MAX_TRIES = 4;
/** How long a node writes before it looks whether it has a lease, in milliseconds: far less than a mark stays. */
const NOTED_MS = 300_000;
const CLEARED = encodeLease({ leaseMs: undefined });
const NOTHING = Buffer.alloc(0);

/** The last message of a node's lease, with the server's time. */
type Stored = LeaseWord & { readonly seq: number; readonly time: number };

/** What is known here of a node. */
type Known = {
  readonly seq: number;
  /** `undefined`: it was cleared. */
  readonly leaseMs: number | undefined;
  /** By this machine's steady clock; `undefined` where it was not heard as it came, and says nothing of how old it is. */
  readonly heardAt: number | undefined;
  /** Since when this is known here. */
  readonly since: number;
};

/** It is looked at when it matters whether it is good, lapsed, or a mark. */
const UNREAD = { seq: 0, leaseMs: 0, heardAt: undefined };

/** A lease that was stored from here. */
type Own = { readonly seq: number; readonly leaseMs: number; readonly sentAt: number };

export class PresenceNodes {
  readonly #ground: PresenceGround;
  readonly #known = new Map<string, Known>();
  readonly #own = new Map<string, Own>();
  /** When it was last known that a node has a lease, good or lapsed. */
  readonly #noted = new Map<string, number>();
  readonly #noting = new Map<string, Promise<void>>();
  readonly #markMs: number;
  #isSweeping = false;

  /** `markMs`: how long a cleared node's mark stays at the least; then what a late write of it has left goes with it. */
  constructor(ground: PresenceGround, markMs: number) {
    this.#ground = ground;
    this.#markMs = markMs;
  }

  /** Nodes that have a lease, good or lapsed. */
  get names(): string[] {
    return [...this.#known].flatMap(([node, { leaseMs }]) => (leaseMs === undefined ? [] : [node]));
  }

  /** A lease or a mark that the stream has just stored. */
  hear(message: Incoming): void {
    const node = this.#ground.subjects.nodeOf(message.subject);
    const seq = Number(message.header("Nats-Sequence"));
    const since = performance.now();
    const known = this.#known.get(node)?.seq ?? 0;
    if (known === seq) return;
    // Two may come swapped; or it is another stream, which counts from the start again.
    if (known > seq) {
      this.#known.set(node, { ...UNREAD, since });
      return;
    }
    const { leaseMs } = decodeLease(message.data);
    this.#known.set(node, { seq, leaseMs, heardAt: since, since });
    if (leaseMs === undefined) this.#noted.delete(node);
  }

  /** After a connection: what is there, with what has been heard since `since`. */
  async list(since: number): Promise<void> {
    const { jetstream, subjects } = this.#ground;
    const info = await jetstream.info(subjects.stream, subjects.leases);
    const there = new Set(Object.keys(info?.state.subjects ?? {}).map((subject) => subjects.nodeOf(subject)));
    for (const [node, known] of this.#known) if (known.since < since) this.#known.delete(node);
    for (const node of this.#noted.keys()) if (!there.has(node)) this.#noted.delete(node);
    // Another stream may have the same number again.
    for (const [node, own] of this.#own) if (!there.has(node)) this.#own.set(node, { ...own, seq: 0 });
    const now = performance.now();
    for (const node of there) {
      if (!this.#known.has(node)) this.#known.set(node, { ...UNREAD, since: now });
    }
  }

  async beat(node: string, leaseMs: number): Promise<Beat> {
    const sentAt = performance.now();
    const before = this.#own.get(node);
    const { jetstream, subjects } = this.#ground;
    const bytes = encodeLease({ leaseMs });
    const last = before?.seq ?? 0;
    const ack = await jetstream.publishAfter(subjects.lease(node), bytes, last);
    const now = performance.now();
    const stored = ack === undefined ? await this.#beatAgain(node, bytes) : { seq: ack.seq, isNew: last === 0 };
    // No answer came between: if it was good for so long, it has not lapsed.
    const lapsed = ack !== undefined && before !== undefined && now - before.sentAt >= before.leaseMs;
    this.#own.set(node, { seq: stored.seq, leaseMs, sentAt });
    this.#noted.set(node, now);
    // What comes back of it may come later than the answer.
    if ((this.#known.get(node)?.seq ?? 0) < stored.seq) {
      this.#known.set(node, { seq: stored.seq, leaseMs, heardAt: now, since: now });
    }
    this.#forget(now);
    void this.#sweep();
    return { isNew: stored.isNew || lapsed, leases: await this.#leases(node, stored.seq, leaseMs) };
  }

  /** What stands there is not what was expected. */
  async #beatAgain(node: string, bytes: Buffer): Promise<{ readonly seq: number; readonly isNew: boolean }> {
    const { jetstream, subjects } = this.#ground;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const last = await this.#read(node);
      const ack = await jetstream.publishAfter(subjects.lease(node), bytes, last?.seq ?? 0);
      if (ack === undefined) continue;
      if (last?.leaseMs === undefined || last.isNote) return { seq: ack.seq, isNew: true };
      const now = (await this.#read(node))?.time ?? Number.POSITIVE_INFINITY;
      return { seq: ack.seq, isNew: now - last.time >= last.leaseMs };
    }
    throw new EngineError("unavailable", "NATS: a lease is renewed by two at once", LOST_RETRY_MS);
  }

  /** All leases: those heard of lately as they were heard, the others by the server's clock. */
  async #leases(self: string, seq: number, leaseMs: number): Promise<Lease[]> {
    const leases: Lease[] = [{ node: self, leftMs: leaseMs }];
    const doubtful: string[] = [];
    const now = performance.now();
    for (const [node, { leaseMs: length, heardAt }] of this.#known) {
      if (node === self || length === undefined) continue;
      const leftMs = heardAt === undefined ? 0 : heardAt + length - now;
      if (leftMs > 0) leases.push({ node, leftMs });
      else doubtful.push(node);
    }
    if (doubtful.length === 0) return leases;
    const time = (await this.#at(seq)) ?? (await this.#read(self))?.time;
    if (time === undefined) throw new EngineError("unavailable", "NATS: a lease was lost at once", LOST_RETRY_MS);
    await Promise.all(
      doubtful.map(async (node) => {
        const stored = await this.#look(node);
        if (stored?.leaseMs !== undefined) leases.push({ node, leftMs: stored.time + stored.leaseMs - time });
      }),
    );
    return leases;
  }

  /** The server's time of a message. */
  async #at(seq: number): Promise<number | undefined> {
    const { jetstream, subjects, direct } = this.#ground;
    return (await jetstream.at(subjects.stream, seq, direct))?.time;
  }

  async #read(node: string): Promise<Stored | undefined> {
    const { jetstream, subjects, direct } = this.#ground;
    const stored = await jetstream.message(subjects.stream, subjects.lease(node), direct);
    return stored && { seq: stored.seq, time: stored.time, ...decodeLease(stored.data) };
  }

  /** Reads a node's lease, and takes over what it is, unless something later has been heard. */
  async #look(node: string): Promise<Stored | undefined> {
    const before = this.#known.get(node);
    const stored = await this.#read(node);
    const known = this.#known.get(node);
    if (known !== before) return stored;
    if (stored === undefined) this.#known.delete(node);
    else if (stored.seq !== before?.seq) {
      const { seq, leaseMs } = stored;
      this.#known.set(node, { seq, leaseMs, heardAt: undefined, since: performance.now() });
    }
    return stored;
  }

  /**
   * Called before a node writes of rooms, so that somebody clears what it leaves: where it has no lease it gets a note in its
   * place. After the server has lost all that is good as long as the lease was; of a node that never had one, it is over.
   */
  note(node: string): Promise<void> | undefined {
    if (this.isNoted(node)) return undefined;
    const noting = this.#noting.get(node) ?? this.#note(node).finally(() => this.#noting.delete(node));
    this.#noting.set(node, noting);
    return noting;
  }

  isNoted(node: string): boolean {
    return performance.now() - (this.#noted.get(node) ?? Number.NEGATIVE_INFINITY) < NOTED_MS;
  }

  async #note(node: string): Promise<void> {
    const now = performance.now();
    const { jetstream, subjects } = this.#ground;
    const last = await this.#read(node);
    if (last?.leaseMs === undefined) {
      const leaseMs = this.#own.get(node)?.leaseMs ?? 0;
      await jetstream.publishAfter(subjects.lease(node), encodeLease({ leaseMs, isNote: true }), last?.seq ?? 0);
    }
    this.#noted.set(node, now);
  }

  /**
   * A mark takes the place of a lease that is over, unless the node has beaten meanwhile; then all goes that was written
   * before the mark. What the node writes after that, once it beats again, stays.
   */
  async clear(node: string): Promise<boolean> {
    const { jetstream, subjects } = this.#ground;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const last = await this.#look(node);
      if (last !== undefined && last.leaseMs === undefined) {
        // Whoever wrote the mark may have got no further.
        await this.#purge(node, last.seq);
        return true;
      }
      // Without a lease it may have written all the same: the server may have lost that alone.
      if (last?.leaseMs !== undefined && (await this.#now()) - last.time < last.leaseMs) return false;
      const mark = await jetstream.publishAfter(subjects.lease(node), CLEARED, last?.seq ?? 0);
      if (mark === undefined) continue;
      if ((this.#known.get(node)?.seq ?? 0) < mark.seq) {
        this.#known.set(node, { seq: mark.seq, leaseMs: undefined, heardAt: undefined, since: performance.now() });
      }
      await this.#purge(node, mark.seq);
      return true;
    }
    throw new EngineError("unavailable", "NATS: a lease was renewed time and again", LOST_RETRY_MS);
  }

  /** The server's clock: of something that is written for that. */
  async #now(): Promise<number> {
    const { jetstream, subjects, direct } = this.#ground;
    const { seq } = await jetstream.publish(subjects.clock, NOTHING);
    const time = (await this.#at(seq)) ?? (await jetstream.message(subjects.stream, subjects.clock, direct))?.time;
    if (time === undefined) throw new EngineError("unavailable", "NATS: what was written is gone", LOST_RETRY_MS);
    return time;
  }

  async #purge(node: string, before: number): Promise<void> {
    const { jetstream, subjects } = this.#ground;
    await jetstream.call(`STREAM.PURGE.${subjects.stream}`, { filter: subjects.written(node), seq: before });
  }

  #forget(now: number): void {
    for (const [node, at] of this.#noted) {
      if (now - at >= NOTED_MS) this.#noted.delete(node);
    }
    for (const [node, { sentAt, leaseMs }] of this.#own) {
      // Without it the next beat asks what stands there.
      if (now - sentAt > Math.max(NOTED_MS, leaseMs)) this.#own.delete(node);
    }
  }

  /** Purges once more what marks that are old enough stand for, and deletes them. */
  async #sweep(): Promise<void> {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    try {
      const now = performance.now();
      for (const [node, { leaseMs, since }] of this.#known) {
        // Not all nodes at the same time: the first one does it.
        if (leaseMs !== undefined || now - since < this.#markMs * (1 + Math.random())) continue;
        await this.#sweepOne(node);
      }
    } catch {
      // It is tried again.
    } finally {
      this.#isSweeping = false;
    }
  }

  async #sweepOne(node: string): Promise<void> {
    const { jetstream, subjects } = this.#ground;
    const last = await this.#look(node);
    if (last === undefined || last.leaseMs !== undefined) return;
    const mark = await jetstream.publishAfter(subjects.lease(node), CLEARED, last.seq);
    if (mark === undefined) return;
    await this.#purge(node, mark.seq);
    await deleteAt(jetstream, subjects.stream, mark.seq);
    // It may have been heard of again.
    if ((this.#known.get(node)?.seq ?? 0) <= mark.seq) this.#known.delete(node);
  }
}
