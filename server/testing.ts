/** For tests: a client's transport in the hands of the test, and the suite that an engine of one's own is held to. */
export * from "../client/testing.js";
export { type NewEvent, RoomEvent } from "../protocol/event.js";
export { Payload } from "../protocol/payload.js";
export { type Conformance, conformance, onOutages } from "./engine/conformance.js";
export {
  onPresenceOutages,
  onPresenceWrites,
  type PresenceCluster,
  type PresenceConformance,
  presenceConformance,
} from "./engine/conformance-presence.js";
export {
  type Broker,
  type Deliver,
  EngineError,
  type History,
  type LogRules,
  type OpenBroker,
  type Range,
  type Suspect,
} from "./engine/engine.js";
export { MemoryBroker, MemoryLog } from "./engine/memory.js";
export { MemoryPresence, MemoryRegisters } from "./engine/memory-presence.js";
export type { Beat, Lease, OpenPresence, Presence, Register } from "./engine/presence.js";
