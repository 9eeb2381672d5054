/** How much one address may ask of this node. Pure: the time is given. */
import { isIP } from "node:net";
import { fullRetryMs, Rate, waitMsOf } from "./bucket.js";

/** So much of the rate is taken at once, in milliseconds. */
const BURST_MS = 1000;
/** How much later than its place in the line a client is asked back: what a quick one may be early by, in milliseconds. */
const MARGIN_MS = 50;
/** The longest wait that is told in a close frame; who would have to wait longer gets an HTTP answer, which costs less. */
const MOST_TOLD_MS = 10_000;
/** The line is no longer than this, in milliseconds. */
const MOST_LINE_MS = 60_000;
/** The most addresses that are remembered without a connection, until their buckets are full again. */
const MAX_COOLING = 10_000;

/** Why a connection was not taken: too many a second from its address, or too many at once. */
export type AddressReason = "address_rate" | "address_connections";

export type AddressRefusal = {
  readonly reason: AddressReason;
  /** Milliseconds until it makes sense to try again. */
  readonly retryMs: number;
  /** Whether it is told over a WebSocket, which a browser can read: else over HTTP. */
  readonly accept: boolean;
};

export type AddressSettings = {
  /** Connections at once. */
  readonly addressConnections: number;
  /** Connections a second. */
  readonly addressRate: number;
};

/** What one address uses. */
export type AddressUse = {
  readonly key: string;
  connections: number;
  /** Its bucket, and the line of those refused. */
  fullAt: number;
  line: number;
};

/**
 * What an address counts as: IPv4 as it is, IPv6 as the first half, since whoever has one address there has a /64 of them. Takes
 * what `normalAddress` writes.
 */
export function networkOf(address: string): string {
  if (!address.includes(":") || isIP(address) !== 6) return address;
  const [before = "", after] = address.split("::", 2);
  const groups = before === "" ? [] : before.split(":");
  if (after !== undefined) {
    // A dotted end stands for two groups.
    const behind = after === "" ? 0 : after.split(":").length + (after.includes(".") ? 1 : 0);
    while (groups.length + behind < 8) groups.push("0");
  }
  if (after !== undefined && groups.length < 4) groups.push(...after.split(":"));
  return `${groups.slice(0, 4).join(":")}::/64`;
}

/**
 * The addresses that have connections to this node, and those that had one a moment ago. Each costs an entry, which goes
 * with its last connection, or when its bucket is full again: so there are at most as many as connections, and
 * `MAX_COOLING`.
 */
export class AddressLimits {
  readonly #settings: AddressSettings;
  readonly #rate: Rate;
  readonly #random: () => number;
  readonly #uses = new Map<string, AddressUse>();
  /** Those without a connection, in the order they lost their last. */
  readonly #cooling = new Set<AddressUse>();
  /** How many were refused, by reason. */
  readonly refused: { readonly [reason in AddressReason]: number };
  readonly #refused = { address_rate: 0, address_connections: 0 };

  constructor(settings: AddressSettings, random: () => number = Math.random) {
    this.#settings = settings;
    this.#rate = new Rate(settings.addressRate, BURST_MS);
    this.#random = random;
    this.refused = this.#refused;
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#uses.size;
  }

  /** The address's use, to be asked about with `refuse`; it is remembered only once it is taken. */
  find(address: string): AddressUse {
    const key = networkOf(address);
    return this.#uses.get(key) ?? { key, connections: 0, fullAt: 0, line: 0 };
  }

  /** `undefined` where one more connection may be taken. */
  refuse(use: AddressUse, now: number): AddressRefusal | undefined {
    if (use.connections >= this.#settings.addressConnections) {
      this.#refused.address_connections++;
      const retryMs = fullRetryMs(this.#random);
      return { reason: "address_connections", retryMs, accept: false };
    }
    const after = this.#rate.after(use.fullAt, now);
    if (this.#rate.holds(after, now)) return undefined;
    this.#refused.address_rate++;
    use.line = Math.min(this.#rate.lineAfter(use.line, now, after), now + MOST_LINE_MS);
    const waitMs = waitMsOf(use.line, now);
    // At the end of a line that is full many have the same place.
    const spreadMs = waitMs < MOST_LINE_MS ? 0 : this.#random() * MOST_LINE_MS;
    return {
      reason: "address_rate",
      retryMs: Math.ceil(waitMs + spreadMs + MARGIN_MS),
      accept: waitMs <= MOST_TOLD_MS,
    };
  }

  /** Counts a connection that is taken; `left` is to be called once when it has ended. Gives what to call that with. */
  take(found: AddressUse, now: number): AddressUse {
    let use = this.#uses.get(found.key);
    if (use === undefined) {
      use = found;
      this.#uses.set(use.key, use);
    }
    this.#cooling.delete(use);
    use.fullAt = this.#rate.after(use.fullAt, now);
    use.connections++;
    return use;
  }

  left(use: AddressUse, now: number): void {
    if (--use.connections > 0) return;
    if (use.fullAt <= now) {
      this.#uses.delete(use.key);
      return;
    }
    this.#cooling.add(use);
    if (this.#cooling.size <= MAX_COOLING) return;
    const [oldest] = this.#cooling;
    if (oldest !== undefined) this.#forget(oldest);
  }

  /** Forgets whose buckets are full again. To be called now and then. */
  sweep(now: number): void {
    for (const use of this.#cooling) if (use.fullAt <= now) this.#forget(use);
  }

  #forget(use: AddressUse): void {
    this.#cooling.delete(use);
    this.#uses.delete(use.key);
  }
}
