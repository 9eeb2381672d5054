import { setTimeout as delay } from "node:timers/promises";
import { RawClient, type RawClientOptions } from "./raw-client.js";

export type CrowdOptions = RawClientOptions & {
  readonly size: number;
  /** How many may be connecting at once. */
  readonly concurrency: number;
};

export type Tally = { readonly events: number; readonly bytes: number; readonly least: number; readonly most: number };

/** Many clients of one server. */
export class Crowd {
  readonly #clients: RawClient[] = [];
  readonly troubles: string[] = [];

  static async open(options: CrowdOptions): Promise<Crowd> {
    const crowd = new Crowd();
    let left = options.size;
    const client: RawClientOptions = { ...options, onTrouble: (words) => crowd.troubles.push(words) };
    const openers = Array.from({ length: Math.min(options.concurrency, options.size) }, async () => {
      while (left-- > 0) crowd.#clients.push(await RawClient.open(client));
    });
    try {
      await Promise.all(openers);
    } catch (error) {
      left = 0;
      crowd.close();
      throw error;
    }
    return crowd;
  }

  private constructor() {}

  get size(): number {
    return this.#clients.length;
  }

  /** What all of them got since the last `zero`; `least` and `most` are of single clients. */
  tally(): Tally {
    let events = 0;
    let bytes = 0;
    let least = Number.POSITIVE_INFINITY;
    let most = 0;
    for (const client of this.#clients) {
      events += client.events;
      bytes += client.bytes;
      least = Math.min(least, client.events);
      most = Math.max(most, client.events);
    }
    return { events, bytes, least: this.#clients.length === 0 ? 0 : least, most };
  }

  /** The tally once each has so many events, or none has got another one for `patienceMs`. */
  async counted(each: number, patienceMs: number): Promise<Tally> {
    let tally = this.tally();
    for (let waitedMs = 0; tally.least < each && waitedMs < patienceMs; waitedMs += 10) {
      await delay(10);
      const next = this.tally();
      if (next.events > tally.events) waitedMs = 0;
      tally = next;
    }
    return tally;
  }

  zero(): void {
    for (const client of this.#clients) client.events = client.bytes = 0;
  }

  close(): void {
    for (const client of this.#clients) client.close();
    this.#clients.length = 0;
  }
}
