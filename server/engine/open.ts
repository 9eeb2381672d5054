import type { Broker, Deliver } from "./engine.js";
import { MemoryBroker, MemoryLog } from "./memory.js";

export type EngineOptions = {
  /** The most that the memory engine's events may weigh, in bytes. */
  readonly memoryMaxBytes: number;
};

/** Makes a node's broker on the engine that is configured. Several made of one answer are nodes of one cluster. */
export function openEngine(options: EngineOptions): (deliver: Deliver) => Broker {
  const log = new MemoryLog({ maxBytes: options.memoryMaxBytes });
  return (deliver) => new MemoryBroker(log, deliver);
}
