import test from "node:test";
import { startNatsCluster } from "../support/services/nats-cluster.js";
import { cluster, conforms, forgetter, LARGE_PAYLOADS } from "./nats-support.js";

test("NATS, three servers: the contract", async (t) => {
  const { nodes: servers, urls } = await startNatsCluster(t, 3, { configLines: LARGE_PAYLOADS });
  const forget = forgetter(t, urls);
  await conforms(t, "NATS, three servers", { open: async () => cluster({ servers, forget, streams: 1, replicas: 3 }) });
});
