import type { Log } from "../log.js";
import type { NodeFacts } from "./note.js";
import { Repeats } from "./repeats.js";

/** A node of the cluster, as this one knows it. */
export type NodeInfo = NodeFacts & {
  /** Made up at each start: it tells two nodes of one name apart. */
  readonly id: string;
  /** Whether it is the node that was asked. */
  readonly self: boolean;
  /** How long ago it gave its last sign of life, in milliseconds. */
  readonly ageMs: number;
};

/** The most senders that are kept. */
const MAX_SENDERS = 1000;
/** For how many sweeps without a sign a sender is remembered, so that what it said is still told from a repeat. */
const FORGET_AFTER = 8;
/** How often the same trouble is told, in milliseconds. */
const TELL_AGAIN_MS = 60_000;

/** Whoever said something: a node, or a program that only asks. */
type Sender = {
  readonly repeats: Repeats;
  /** When its first sign came, and its last one. */
  readonly firstAt: number;
  lastAt: number;
  sweeps: number;
  hasLeft: boolean;
  /** What it last said of itself, and in which of its notes; nothing where it is no node. */
  facts: NodeFacts | undefined;
  factsIn: number;
};

export type NodeListOptions = {
  /** How long a node that gives no sign is believed to be there, in milliseconds. */
  readonly leaseMs: number;
  readonly log: Log;
  /** A clock that never goes back, in milliseconds. */
  readonly now?: () => number;
};

/** The other nodes. Each is there for as long as its lease: every sign of life renews it. Memory is bounded. */
export class NodeList {
  readonly #leaseMs: number;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #senders = new Map<string, Sender>();
  readonly #clashes = new Map<string, number>();
  readonly #startedAt: number;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor({ leaseMs, log, now = () => performance.now() }: NodeListOptions) {
    this.#leaseMs = leaseMs;
    this.#log = log;
    this.#now = now;
    this.#startedAt = now();
  }

  /** How many senders are kept. */
  get size(): number {
    return this.#senders.size;
  }

  /** Takes note of a sign of life; whether it is no repeat, nor from one too many. */
  hear(id: string, sequence: number): boolean {
    let sender = this.#senders.get(id);
    if (sender === undefined) {
      const now = this.#now();
      if (this.#senders.size >= MAX_SENDERS) {
        this.#tellTooMany(now);
        return false;
      }
      const fresh = { firstAt: now, lastAt: now, sweeps: 0, hasLeft: false, facts: undefined, factsIn: 0 };
      sender = { repeats: new Repeats(), ...fresh };
      this.#senders.set(id, sender);
    }
    if (!sender.repeats.isNew(sequence)) return false;
    sender.lastAt = this.#now();
    sender.sweeps = 0;
    return true;
  }

  #tellTooMany(now: number): void {
    if (now - this.#toldAt < TELL_AGAIN_MS) return;
    this.#toldAt = now;
    this.#log.warn(`more than ${MAX_SENDERS} nodes speak to each other: those above are passed over`);
  }

  /** The sender is a node, and says this of itself. `own` is the name of the node that keeps this list. */
  put(id: string, sequence: number, facts: NodeFacts, own: string | undefined): void {
    const sender = this.#senders.get(id);
    if (sender === undefined || sender.hasLeft || sequence < sender.factsIn) return;
    sender.facts = facts;
    sender.factsIn = sequence;
    this.#lookForClash(id, sender, facts, own);
  }

  /** The node says that it has gone. What of it comes late does not bring it back. */
  left(id: string): void {
    const sender = this.#senders.get(id);
    if (sender === undefined) return;
    sender.hasLeft = true;
    sender.facts = undefined;
  }

  #isHere({ facts, lastAt }: Sender): boolean {
    return facts !== undefined && this.#now() - lastAt < this.#leaseMs;
  }

  /** The other nodes that are there. */
  others(): readonly NodeInfo[] {
    const now = this.#now();
    return [...this.#senders].flatMap(([id, sender]) => {
      if (sender.facts === undefined || !this.#isHere(sender)) return [];
      return [{ ...sender.facts, id, self: false, ageMs: Math.round(now - sender.lastAt) }];
    });
  }

  /**
   * Forgets whom nothing was heard of. Counted in sweeps and not in time: after a process stood still for a while, what
   * it finds waiting has repeats among it.
   */
  sweep(): void {
    for (const [id, sender] of this.#senders) if (++sender.sweeps > FORGET_AFTER) this.#senders.delete(id);
    const now = this.#now();
    for (const [name, toldAt] of this.#clashes) if (now - toldAt >= TELL_AGAIN_MS) this.#clashes.delete(name);
  }

  /**
   * Two nodes of one name, each of which gave a sign after the other's first: not one that was killed and has been started
   * anew, whose lease has not ended yet.
   */
  #lookForClash(id: string, sender: Sender, { name, host, pid }: NodeFacts, own: string | undefined): void {
    if (this.#clashes.has(name)) return;
    const isOwn = name === own && sender.lastAt > this.#startedAt;
    const other = [...this.#senders].find(
      ([otherId, one]) =>
        otherId !== id && one.facts?.name === name && this.#isHere(one) && one.lastAt > sender.firstAt,
    );
    if (!isOwn && (other === undefined || sender.lastAt <= other[1].firstAt)) return;
    this.#clashes.set(name, this.#now());
    const second = isOwn ? "this one" : `${other?.[1].facts?.host} (process ${other?.[1].facts?.pid})`;
    this.#log.error(
      `TWO NODES ARE CALLED ${name}: ${host} (process ${pid}) and ${second}; give each a name of its own`,
      { name, id },
    );
  }
}
