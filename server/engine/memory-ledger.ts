/** A ledger without services. Nodes that are given the same entries are one cluster. */
import { EngineError } from "./engine.js";
import type { Ledger, Noted, Swap } from "./ledger.js";

const PAGE = 500;

export class MemoryLedger implements Ledger {
  readonly #entries: Map<string, string>;
  #closed = false;

  constructor(entries: Map<string, string> = new Map()) {
    this.#entries = entries;
  }

  #check(): void {
    if (this.#closed) throw new EngineError("unavailable", "memory: the ledger is closed", 0);
  }

  async swap(swaps: readonly Swap[]): Promise<readonly (string | undefined)[]> {
    this.#check();
    return swaps.map(({ room, from, to }) => {
      if (this.#entries.get(room) !== from) return this.#entries.get(room);
      if (to === undefined) this.#entries.delete(room);
      else this.#entries.set(room, to);
      return to;
    });
  }

  async *scan(): AsyncGenerator<readonly Noted[]> {
    let page: Noted[] = [];
    for (const noted of this.#entries) {
      this.#check();
      page.push(noted);
      if (page.length < PAGE) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  problems(): readonly string[] {
    return [];
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
