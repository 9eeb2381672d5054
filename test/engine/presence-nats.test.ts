import test, { type TestContext } from "node:test";
import { presenceConformance } from "../../server/engine/conformance-presence.js";
import { type Nats, startNats } from "../support/services/nats.js";
import { presenceCluster } from "./presence-nats-support.js";

/** Runs the suite as tests within a test, which holds the server. */
async function conforms(t: TestContext, engine: string, server: Nats, storage: "file" | "memory", skip = {}) {
  const tests: Promise<void>[] = [];
  presenceConformance(engine, {
    test: (name, options, run) => tests.push(t.test(name, options, run)),
    open: () => presenceCluster({ scope: t, servers: [server], storage }),
    skip,
  });
  await Promise.all(tests);
}

const memory = "what is in the memory of one server is gone when it has ended";

test("presence on NATS, in a file: the contract", async (t) => {
  await conforms(t, "NATS, file", await startNats(t), "file");
});

test("presence on NATS, in memory: the contract", async (t) => {
  await conforms(t, "NATS, memory", await startNats(t), "memory", {
    "an outage is a problem while it lasts, and after it all that was written is there": memory,
    "a register that is written over and over through an outage has the last value in the end": memory,
  });
});
