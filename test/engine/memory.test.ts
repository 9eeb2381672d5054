import test from "node:test";
import { conformance } from "../../server/engine/conformance.js";
import { MemoryBroker, MemoryLog } from "../../server/engine/memory.js";

conformance("memory", {
  test,
  async open() {
    let now = 1_000_000;
    const log = new MemoryLog({ maxBytes: 100_000_000, now: () => now });
    return {
      node: async (deliver) => new MemoryBroker(log, deliver),
      async advance(ms) {
        now += ms;
      },
      async close() {},
    };
  },
});
