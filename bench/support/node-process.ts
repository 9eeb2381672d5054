import type { SettingsInput } from "../../server/server.js";
import { Child } from "./child.js";
import type { Load, Pumped, PumpQuestion } from "./pump.js";
import type { Stalls } from "./stall-watch.js";

export type NodeQuestion =
  | PumpQuestion
  /** Publishes an event in each room, its number as its stamp; one that the engine refuses is tried for so long. */
  | { readonly publish: readonly string[]; readonly retryMs: number }
  | { readonly stalls: true };

/** The kinds that every node here has: `bare` rooms keep no history, `exact` ones hold no events back. */
export const kinds = { bare: { history: { size: 0 } }, exact: { batchMs: 0 } } as const;

/** A Roomcast node, in a process of its own. */
export class NodeProcess {
  readonly port: number;
  readonly #child: Child;

  static async start(settings: SettingsInput): Promise<NodeProcess> {
    const child = new Child("a node", "./servers/node.js", [], [JSON.stringify({ kinds, ...settings })]);
    try {
      const { port } = await child.next<{ port: number }>();
      return new NodeProcess(port, child);
    } catch (error) {
      await child.stop();
      throw error;
    }
  }

  private constructor(port: number, child: Child) {
    this.port = port;
    this.#child = child;
  }

  #ask<Answer>(question: NodeQuestion): Promise<Answer> {
    return this.#child.ask<Answer>(question);
  }

  pump(load: Load): Promise<Pumped> {
    return this.#ask<Pumped>({ pump: load });
  }

  async publish(rooms: readonly string[], retryMs = 0): Promise<void> {
    await this.#ask({ publish: rooms, retryMs });
  }

  /** How its event loop stood still since it was last asked. */
  stalls(): Promise<Stalls> {
    return this.#ask<Stalls>({ stalls: true });
  }

  stop(): Promise<void> {
    return this.#child.stop();
  }
}
