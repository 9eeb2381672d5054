import test from "node:test";
import { startNatsCluster } from "../support/services/nats-cluster.js";
import { presenceConforms } from "./presence-nats-support.js";

test("presence on NATS, three servers: the contract", async (t) => {
  const { nodes: servers } = await startNatsCluster(t, 3);
  await presenceConforms(t, "NATS, three servers", { servers, storage: "file", replicas: 3 });
});
