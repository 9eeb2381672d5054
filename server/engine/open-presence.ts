import type { Log } from "../log.js";
import type { EngineName } from "./engine.js";
import { MemoryPresence, MemoryRegisters } from "./memory-presence.js";
import type { EngineOptions } from "./open.js";
import type { OpenPresence } from "./presence.js";

/**
 * The ways to the presence of every engine that is configured; what leads to Redis or NATS is loaded only where there is an
 * address for it. Nothing is connected to before it is opened.
 */
export async function openPresences(
  _options: EngineOptions,
  _log: Log,
): Promise<ReadonlyMap<EngineName, OpenPresence>> {
  const opens = new Map<EngineName, OpenPresence>();
  const registers = new MemoryRegisters();
  opens.set("memory", () => new MemoryPresence(registers));
  return opens;
}
