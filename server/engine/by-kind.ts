import type { NewEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import { type Broker, type EngineName, type History, type LogRules, type Range, RESERVED } from "./engine.js";

/**
 * Several engines as one: a room's kind says which of them holds it. None of them waits for another, so that one that
 * fails takes only its own rooms with it. The server's own rooms are on all that reach other nodes.
 */
export class ByKind implements Broker {
  readonly #brokers: ReadonlyMap<EngineName, Broker>;
  readonly #engineOf: (room: string) => EngineName;
  /** Those that lead to other nodes. */
  readonly #shared: readonly Broker[];

  constructor(brokers: ReadonlyMap<EngineName, Broker>, engineOf: (room: string) => EngineName) {
    this.#brokers = brokers;
    this.#engineOf = engineOf;
    this.#shared = [...brokers].filter(([name]) => name !== "memory").map(([, broker]) => broker);
  }

  #of(room: string): Broker {
    return this.#brokers.get(this.#engineOf(room)) as Broker;
  }

  /** Does it on one engine; in a room of the server's own on several, and it is done when it is done on one. */
  #on<T>(room: string, act: (broker: Broker) => Promise<T>): Promise<T> {
    if (!room.startsWith(RESERVED)) return act(this.#of(room));
    return firstOf(this.#shared.map(act));
  }

  publish(room: string, event: NewEvent, rules: LogRules): Promise<Position | undefined> {
    return this.#on(room, (broker) => broker.publish(room, event, rules));
  }

  subscribe(room: string, rules: LogRules): Promise<void> {
    return this.#on(room, (broker) => broker.subscribe(room, rules));
  }

  unsubscribe(room: string): Promise<void> {
    return this.#on(room, (broker) => broker.unsubscribe(room));
  }

  history(room: string, range: Range, limit: number, rules: LogRules): Promise<History> {
    return this.#of(room).history(room, range, limit, rules);
  }

  problems(): readonly string[] {
    return [...this.#brokers.values()].flatMap((broker) => broker.problems());
  }

  async close(): Promise<void> {
    await Promise.all([...this.#brokers.values()].map((broker) => broker.close()));
  }
}

/** The first that fulfils; where none does, the error of the first. */
export async function firstOf<T>(promises: readonly Promise<T>[]): Promise<T> {
  try {
    return await Promise.any(promises);
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
}
