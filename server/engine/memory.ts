/** The engine without services: a log in memory. Several brokers on one log are the nodes of one cluster. */
import type { NewEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import { type Broker, type Deliver, EngineError, type History, type LogRules, type Range } from "./engine.js";
import type { MemoryLog } from "./memory-log.js";
import type { Node } from "./memory-room.js";

export { MemoryLog, type MemoryLogOptions } from "./memory-log.js";

/** A node's way to a `MemoryLog`. An event is handed to every node before the publish returns. */
export class MemoryBroker implements Broker {
  readonly #log: MemoryLog;
  readonly #node: Node;
  readonly #rooms = new Set<string>();
  #closed = false;

  constructor(log: MemoryLog, deliver: Deliver) {
    this.#log = log;
    this.#node = { deliver };
    log.attach();
  }

  async publish(room: string, event: NewEvent, rules: LogRules): Promise<Position | undefined> {
    this.#checkOpen();
    return this.#log.publish(room, event, rules);
  }

  async subscribe(room: string, _rules?: LogRules): Promise<void> {
    this.#checkOpen();
    this.#rooms.add(room);
    this.#log.subscribe(room, this.#node);
  }

  async unsubscribe(room: string): Promise<void> {
    this.#checkOpen();
    this.#rooms.delete(room);
    this.#log.unsubscribe(room, this.#node);
  }

  async history(room: string, range: Range, limit: number, rules: LogRules): Promise<History> {
    this.#checkOpen();
    return this.#log.history(room, range, limit, rules);
  }

  problems(): readonly string[] {
    return [];
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const room of this.#rooms) this.#log.unsubscribe(room, this.#node);
    this.#rooms.clear();
    this.#log.detach();
  }

  #checkOpen(): void {
    if (this.#closed) throw new EngineError("unavailable", "the memory engine is closed", 0);
  }
}
