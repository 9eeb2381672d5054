import test, { type TestContext } from "node:test";
import { Circuit } from "../../server/engine/circuit.js";
import { parseNatsServer } from "../../server/engine/nats/address.js";
import { Connection } from "../../server/engine/nats/connection.js";
import { JetStream } from "../../server/engine/nats/jetstream.js";
import { natsQueues } from "../../server/engine/nats/queues.js";
import { uniqueName } from "../engine/nats-support.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import type { QueueGround } from "./conformance.js";
import { recordCases } from "./conformance-records.js";
import { workCases } from "./conformance-work.js";

const nothing = (): void => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** All messages of a stream, oldest first. */
async function allOf(url: string, stream: string): Promise<string[]> {
  const circuit = new Circuit("nats test", log);
  const options = { servers: [parseNatsServer(url)], timeoutMs: 2000, probeMs: 1000, log, circuit };
  const connection = new Connection(options, nothing, nothing);
  try {
    await eventually(() => !circuit.isOpen, "no connection for the test");
    const jetstream = new JetStream(connection);
    const texts: string[] = [];
    for (let from = 1; ; ) {
      const stored = await jetstream.message(stream, `${stream}.>`, false, from);
      if (stored === undefined) return texts;
      texts.push(stored.data.toString());
      from = stored.seq + 1;
    }
  } finally {
    await connection.close();
  }
}

async function groundOf(t: TestContext): Promise<QueueGround> {
  const server = await startNats(t);
  const namespace = uniqueName();
  const options = { servers: [server.url], replicas: 1, storage: "file" as const, namespace };
  return {
    queues: natsQueues({ ...options, timeoutMs: 1500, probeMs: 500, log }),
    async outage(during) {
      await server.kill();
      await during();
      await server.start();
    },
    records: () => allOf(server.url, `${namespace}-records`),
  };
}

for (const [says, run] of Object.entries({ ...workCases, ...recordCases })) {
  test(`NATS: ${says}`, async (t) => run(t, await groundOf(t)));
}
