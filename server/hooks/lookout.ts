/** Which other nodes are there, as far as this one can tell. */

export type LookoutOptions = {
  /** This node's instance. */
  readonly id: () => string;
  /** The instances of all nodes that are there, this one among them. */
  readonly nodes: () => readonly { readonly id: string; readonly draining: boolean }[];
  /** Whether the other nodes cannot be heard now. */
  readonly isCutOff: () => boolean;
  /** How often it is looked, in milliseconds. */
  readonly lookMs: number;
  /** How long a node of which nothing was ever heard is taken to be about to come, in milliseconds. */
  readonly unknownMs: number;
};

/** What is new since the last look. */
export type Seen = {
  /** Nodes that may have rooms to count: those that drain only where there are no others. */
  readonly homes: readonly string[];
  /** Nodes that have gone, with or without a word. */
  readonly gone: readonly string[];
  /** Those that have come and had gone: they may not know that this node has given them up. */
  readonly back: readonly string[];
  /** Whether it was not known for a while who is there: the others may have given this node up. */
  readonly wasDeaf: boolean;
};

/** So many looks after the others can be heard again, all of them have been. */
const SETTLE_LOOKS = 3;
/** After so many times `lookMs` without a look this process stood still. */
const STILL_LOOKS = 5;
/** The most nodes of which it is remembered that they have gone, or since when they are not there. */
const MOST = 1000;

export class Lookout {
  readonly #options: LookoutOptions;
  #lookedAt = performance.now();
  #deafAt = Number.NEGATIVE_INFINITY;
  #wasDeaf = false;
  #there: ReadonlySet<string> = new Set();
  readonly #gone = new Set<string>();
  /** Since when nodes are missed of which nothing was ever heard. */
  readonly #missed = new Map<string, number>();

  constructor(options: LookoutOptions) {
    this.#options = options;
  }

  /** How long it takes until all nodes have been heard, in milliseconds. */
  get settleMs(): number {
    return SETTLE_LOOKS * this.#options.lookMs;
  }

  /** `undefined` while it is not known who is there. `isLeaving`: this node is to be no room's home where there are others. */
  look(isLeaving: boolean): Seen | undefined {
    const now = performance.now();
    const stoodStill = now - this.#lookedAt > STILL_LOOKS * this.#options.lookMs;
    this.#lookedAt = now;
    if (stoodStill || this.#options.isCutOff()) {
      this.#wasDeaf = true;
      this.#deafAt = now;
      this.#missed.clear();
    }
    if (now - this.#deafAt <= this.settleMs && !isLeaving) return undefined;
    const id = this.#options.id();
    const nodes = this.#options.nodes();
    const there = new Set(nodes.map((node) => node.id));
    const gone = [...this.#there].filter((node) => node !== id && !there.has(node));
    const back = [...there].filter((node) => this.#gone.delete(node));
    for (const node of gone) remember(this.#gone, node);
    this.#there = there;
    const others = nodes.filter((node) => node.id !== id || !isLeaving);
    const staying = others.filter(({ draining }) => !draining);
    const wasDeaf = this.#wasDeaf;
    this.#wasDeaf = false;
    return { homes: (staying.length > 0 ? staying : others).map((node) => node.id), gone, back, wasDeaf };
  }

  /** Whether another node is there; `undefined`: nothing was ever heard of it, and it may be about to come. */
  isThere(id: string): boolean | undefined {
    if (this.#there.has(id)) return true;
    if (this.#gone.has(id)) return false;
    const now = performance.now();
    const since = this.#missed.get(id);
    if (since !== undefined) return now - since < this.#options.unknownMs ? undefined : false;
    if (this.#missed.size < MOST) this.#missed.set(id, now);
    return undefined;
  }
}

function remember(ids: Set<string>, id: string): void {
  ids.add(id);
  for (const oldest of ids) if (ids.size > MOST) ids.delete(oldest);
}
