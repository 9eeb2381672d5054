import test from "node:test";
import { startNats } from "../support/services/nats.js";
import { cluster, conforms, forgetter, LARGE_PAYLOADS } from "./nats-support.js";

const skip = {
  "two nodes that publish at once are seen in one order everywhere, the order of the log":
    "nats-server 2.9 hands events on after it has let go of the stream: of two connections' events one may overtake the other, which rooms notice",
};

for (const streams of [1, 3]) {
  const engine = `NATS, ${streams} stream${streams === 1 ? "" : "s"}`;
  test(`${engine}: the contract`, async (t) => {
    const server = await startNats(t, { configLines: LARGE_PAYLOADS });
    const forget = forgetter(t, [server.url]);
    await conforms(t, engine, { open: async () => cluster({ servers: [server], forget, streams }), skip });
  });
}
