import { Child } from "./child.js";
import type { Load, Pumped } from "./pump.js";

/** What is sent for a publish, for each room: in rooms with history, and in those without. */
export type Given = { readonly history: readonly (readonly string[])[]; readonly bare: readonly (readonly string[])[] };

/** A process that publishes through a broker's client alone, over one connection. */
export class BareProcess {
  readonly #child: Child;

  static async start(file: "bare-redis" | "bare-nats", url: string, given: Given, way = ""): Promise<BareProcess> {
    const child = new Child(file, `./servers/${file}.js`, [], [url, way]);
    try {
      await child.next();
      await child.ask(given);
      return new BareProcess(child);
    } catch (error) {
      await child.stop();
      throw error;
    }
  }

  private constructor(child: Child) {
    this.#child = child;
  }

  pump(load: Load): Promise<Pumped> {
    return this.#child.ask<Pumped>({ pump: load });
  }

  stop(): Promise<void> {
    return this.#child.stop();
  }
}
