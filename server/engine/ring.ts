/**
 * The ring: which shard holds a room. Weighted rendezvous hashing: every shard bids for every room, and the best bid has
 * it (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998; with weights by the logarithmic
 * method of Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005). A bid depends on the room and on that
 * shard alone, so adding or removing a shard moves the rooms it gets or had, and no others.
 *
 * Every node has to find the same shard, now and after an upgrade: `test/vectors/ring.json` holds that down.
 */
import xxhash from "xxhash-wasm";

export type RingMember = {
  /** Its name, which is its place: a shard that gets another name gives up all its rooms. */
  readonly name: string;
  /** Its share, as a multiple of the others' weights; 0: it holds nothing. */
  readonly weight: number;
};

type Bidder = { readonly name: string; readonly weight: number; readonly first: number; readonly second: number };

const { h32 } = await xxhash();

const bidderOf = ({ name, weight }: RingMember): Bidder => ({
  name,
  weight,
  first: h32(name, 1),
  second: h32(name, 2),
});

/** The finalizer of MurmurHash3 (public domain): every bit that comes in changes each bit that goes out half of the time. */
function mixed(bits: number): number {
  const high = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  const low = Math.imul(high ^ (high >>> 13), 0xc2b2ae35);
  return (low ^ (low >>> 16)) >>> 0;
}

/**
 * -ln((bits + ½) / 2³²) of 32 bits, with an error below 1e-9, but 1e-5 where all bits are 0. Not `Math.log` or `**`, whose
 * last bit the language leaves open: here are only operations with one right result, so that all nodes find the same.
 */
function negativeLog(bits: number): number {
  const shift = Math.clz32(bits | 1);
  // The number is x / 2^shift, with x from ½ to 1; its logarithm is a series in (1 - x) / (1 + x).
  const x = (bits + 0.5) / ((0x80000000 >>> shift) * 2);
  const s = (1 - x) / (1 + x);
  const square = s * s;
  let sum = 1 / 17;
  for (let odd = 15; odd > 0; odd -= 2) sum = sum * square + 1 / odd;
  return shift * Math.LN2 + 2 * s * sum;
}

function check(members: readonly RingMember[]): void {
  const names = new Set<string>();
  for (const [index, { name, weight }] of members.entries()) {
    if (!Number.isFinite(weight) || weight < 0) {
      throw new TypeError(`members[${index}].weight: expected a number of 0 or more, got ${weight} (${name})`);
    }
    if (names.has(name)) throw new TypeError(`members[${index}].name: expected each name once, got ${name} again`);
    names.add(name);
  }
  if (!members.some(({ weight }) => weight > 0)) {
    throw new TypeError("members: expected at least one with a weight above 0, got none");
  }
}

export class Ring {
  /** As they were given, those that hold nothing included. */
  readonly members: readonly RingMember[];
  /** By name, so that the first of two equal bids is the same one on every node. */
  readonly #bidders: readonly Bidder[];
  readonly #only: string | undefined;

  /** Throws `TypeError` for a weight that is negative or no number, a name that comes twice, and when nobody has a weight. */
  constructor(members: readonly RingMember[]) {
    check(members);
    this.members = members;
    const holding = members.filter(({ weight }) => weight > 0).map(bidderOf);
    this.#bidders = holding.sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#only = holding.length === 1 ? holding[0]?.name : undefined;
  }

  /** The name of the member that holds `key`. Its cost grows with the number of members. */
  of(key: string): string {
    if (this.#only !== undefined) return this.#only;
    const hash = h32(key);
    let holder = "";
    let least = Number.POSITIVE_INFINITY;
    for (const bidder of this.#bidders) {
      const bid = bidOf(bidder, hash);
      if (bid >= least) continue;
      least = bid;
      holder = bidder.name;
    }
    return holder;
  }

  /** The names of all members that may hold `key`: first the one that does, then the ones that would without those before. */
  ranked(key: string): readonly string[] {
    const hash = h32(key);
    const bids = this.#bidders.map((bidder) => ({ name: bidder.name, bid: bidOf(bidder, hash) }));
    return bids.sort((a, b) => a.bid - b.bid).map(({ name }) => name);
  }
}

const bidOf = ({ weight, first, second }: Bidder, hash: number): number =>
  negativeLog(mixed(mixed(hash ^ first) ^ second)) / weight;
