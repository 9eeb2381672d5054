import type { Host } from "./address.js";
import type { Primary } from "./primary.js";

/** A server of a Redis Cluster that this node is connected to. */
export type Member = Host & {
  readonly primary: Primary;
  /** How many slots it holds. */
  slots: number;
  /** When it last held one, or was asked, in the milliseconds of `performance.now()`. */
  usedAt: number;
  /** Whether it may have taken away subscriptions that are wanted. */
  isDoubtful: boolean;
};

/** For how long a server is kept that holds no slot, in milliseconds: calls may be under way, or a slot on its way there. */
const LINGER_MS = 10_000;

/** The servers that this node is connected to: opened when they are first needed. */
export class Members {
  readonly #open: (host: Host, self: () => Member) => Primary;
  readonly #members = new Map<string, Member>();

  constructor(open: (host: Host, self: () => Member) => Primary) {
    this.#open = open;
  }

  get all(): readonly Member[] {
    return [...this.#members.values()];
  }

  /** The one at this address. */
  at({ host, port }: Host): Member {
    const address = `${host}:${port}`;
    const known = this.#members.get(address);
    if (known !== undefined) {
      known.usedAt = performance.now();
      return known;
    }
    const self = (): Member => member;
    const primary = this.#open({ host, port }, self);
    const member: Member = { host, port, primary, slots: 0, usedAt: performance.now(), isDoubtful: false };
    this.#members.set(address, member);
    return member;
  }

  /** Closes those that have not been needed for a while. */
  sweep(): void {
    const now = performance.now();
    for (const [address, member] of this.#members) {
      if (member.slots > 0) member.usedAt = now;
      if (now - member.usedAt < LINGER_MS) continue;
      this.#members.delete(address);
      member.primary.close();
    }
  }

  close(): void {
    for (const { primary } of this.#members.values()) primary.close();
    this.#members.clear();
  }
}
