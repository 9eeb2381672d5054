import test from "node:test";
import { startNats } from "../support/services/nats.js";
import { presenceConforms } from "./presence-nats-support.js";

const memory = "what is in the memory of one server is gone when it has ended";

test("presence on NATS, in a file: the contract", async (t) => {
  await presenceConforms(t, "NATS, file", { servers: [await startNats(t)], storage: "file" });
});

test("presence on NATS, in memory: the contract", async (t) => {
  await presenceConforms(
    t,
    "NATS, memory",
    { servers: [await startNats(t)], storage: "memory" },
    {
      "an outage is a problem while it lasts, and after it all that was written is there": memory,
      "a register that is written over and over through an outage has the last value in the end": memory,
    },
  );
});
