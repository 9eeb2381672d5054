import { randomBytes } from "node:crypto";
import type { Connection, Watch } from "./connection.js";
import type { Incoming } from "./incoming.js";

type Said = { readonly node: string; readonly list: string; readonly generation: number; readonly ends?: boolean };

/**
 * Which list of streams each node is configured with, as they tell each other all the time. A list comes into force only
 * when nobody carries the one that is: so the nodes of both are side by side while a deployment goes on, and all follow
 * one ring.
 */
export class Carriers {
  readonly #connection: Connection;
  readonly #subject: string;
  readonly #watch: Watch;
  readonly #node = randomBytes(6).toString("hex");
  readonly #list: string;
  /** By list: when a node was last heard to carry it, and which one. */
  readonly #heard = new Map<string, Map<string, number>>();
  readonly #told: (generation: number) => void;
  #since = performance.now();

  /** `told` is called with the generation that another node knows. */
  constructor(connection: Connection, subject: string, list: string, told: (generation: number) => void) {
    this.#connection = connection;
    this.#subject = subject;
    this.#list = list;
    this.#told = told;
    this.#watch = connection.watch(subject, (said) => this.#take(said));
  }

  /** Begins to listen anew: what was said meanwhile was not heard. */
  restart(): void {
    this.#since = performance.now();
  }

  /** Whether nobody was heard to carry `list` in the last `ms` milliseconds, in all of which this node has listened. */
  nobodyCarries(list: string, ms: number): boolean {
    const now = performance.now();
    if (now - this.#since < ms) return false;
    return [...(this.#heard.get(list)?.values() ?? [])].every((at) => now - at >= ms);
  }

  /** Tells the others; says nothing where there is no connection. */
  say(generation: number, ends = false): void {
    const said: Said = { node: this.#node, list: this.#list, generation, ...(ends ? { ends } : {}) };
    try {
      this.#connection.publish(this.#subject, Buffer.from(JSON.stringify(said)));
    } catch {
      // They hear of it when there is a connection.
    }
  }

  end(generation: number): void {
    this.say(generation, true);
    this.#connection.unwatch(this.#watch);
  }

  #take(message: Incoming): void {
    const said = message.json() as Partial<Said> | undefined;
    if (typeof said?.node !== "string" || typeof said.list !== "string" || said.node === this.#node) return;
    const nodes = this.#heard.get(said.list) ?? new Map<string, number>();
    this.#heard.set(said.list, nodes);
    if (said.ends) nodes.delete(said.node);
    else nodes.set(said.node, performance.now());
    if (nodes.size > MAX_NODES) nodes.delete(nodes.keys().next().value as string);
    if (typeof said.generation === "number") this.#told(said.generation);
  }
}

const MAX_NODES = 10_000;
