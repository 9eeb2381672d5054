/** A ledger on Redis: a hash, on the first shard that holds rooms. */
import type { Ledger, Noted, Swap } from "../ledger.js";
import { type OpenFirst, openFirst } from "./open-shard.js";
import { scripts } from "./scripts.js";
import type { Shard } from "./shard.js";
import type { Reply } from "./wire.js";

/** About so many entries are on a page. */
const PAGE = 500;

export class RedisLedger implements Ledger {
  readonly #shard: Shard;
  readonly #name: string;

  /** Connects in the background and for ever. Throws a `TypeError` where an address cannot be read. */
  constructor(options: OpenFirst & { readonly namespace: string }) {
    this.#name = `${options.namespace}:ledger`;
    this.#shard = openFirst(options, "ledger");
  }

  async swap(swaps: readonly Swap[]): Promise<readonly (string | undefined)[]> {
    const words = swaps.flatMap(({ room, from = "", to = "" }) => [room, from, to]);
    const reply = (await this.#shard.run(this.#name, scripts.ledgerSwap, [this.#name], words)) as Reply[];
    return reply.map((entry) => String(entry) || undefined);
  }

  async *scan(): AsyncGenerator<readonly Noted[]> {
    let cursor = "0";
    do {
      const reply = await this.#shard.send(this.#name, "hscan", [this.#name, cursor, "COUNT", PAGE]);
      const [next, fields] = reply as [Reply, Reply[]];
      cursor = String(next);
      const page: Noted[] = [];
      for (let at = 0; at < fields.length; at += 2) page.push([String(fields[at]), String(fields[at + 1])]);
      if (page.length > 0) yield page;
    } while (cursor !== "0");
  }

  problems(): readonly string[] {
    return this.#shard.problems();
  }

  async close(): Promise<void> {
    this.#shard.close();
  }
}
