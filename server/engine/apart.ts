import type { NewEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import type { Broker, History, LogRules, Range } from "./engine.js";

/** Two brokers as one: a single room is on a broker of its own, since it asks more of its log than the others are to have. */
export class Apart implements Broker {
  readonly #room: string;
  readonly #own: Broker;
  readonly #others: Broker;

  constructor(room: string, own: Broker, others: Broker) {
    this.#room = room;
    this.#own = own;
    this.#others = others;
  }

  #of(room: string): Broker {
    return room === this.#room ? this.#own : this.#others;
  }

  publish(room: string, event: NewEvent, rules: LogRules): Promise<Position | undefined> {
    return this.#of(room).publish(room, event, rules);
  }

  subscribe(room: string, rules: LogRules): Promise<void> {
    return this.#of(room).subscribe(room, rules);
  }

  unsubscribe(room: string): Promise<void> {
    return this.#of(room).unsubscribe(room);
  }

  history(room: string, range: Range, limit: number, rules: LogRules): Promise<History> {
    return this.#of(room).history(room, range, limit, rules);
  }

  /** Both may lead to the same servers: what they say alike is said once. */
  problems(): readonly string[] {
    return [...new Set([...this.#others.problems(), ...this.#own.problems()])];
  }

  async close(): Promise<void> {
    await Promise.all([this.#own.close(), this.#others.close()]);
  }
}
