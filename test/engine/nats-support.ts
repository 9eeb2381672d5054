/** What tests of the NATS engine stand on: a server for a file, and nodes in a namespace of their own. */
import { randomBytes } from "node:crypto";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Circuit } from "../../server/engine/circuit.js";
import { type Cluster, type Conformance, conformance } from "../../server/engine/conformance.js";
import type { Broker, Deliver, Suspect } from "../../server/engine/engine.js";
import { parseNatsServer } from "../../server/engine/nats/address.js";
import { Connection } from "../../server/engine/nats/connection.js";
import { JetStream, JetStreamError, STREAM_NOT_FOUND } from "../../server/engine/nats/jetstream.js";
import { type NatsOptions, openNats } from "../../server/engine/nats/nats.js";
import type { Log } from "../../server/log.js";
import { eventually } from "../support/eventually.js";
import type { Nats } from "../support/services/nats.js";
import type { Scope } from "../support/services/scope.js";

/** Larger than the events of the tests, with their headers; by default it is a megabyte, headers included. */
export const LARGE_PAYLOADS = ["max_payload: 8MB"];

const nothing = (): void => undefined;
const noLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

export const uniqueName = (): string => `test-${randomBytes(6).toString("hex")}`;

export type Given = Partial<NatsOptions> & { readonly servers: readonly string[] };

/** The options of a node in a namespace of its own, but for what is given. */
export function natsOptions(given: Given): NatsOptions {
  const namespace = given.namespace ?? uniqueName();
  return {
    streams: [`${namespace}-a`],
    replicas: 1,
    storage: "file",
    retentionMs: 3_600_000,
    namespace,
    maxHistory: 1000,
    maxKeyWindowMs: 600_000,
    timeoutMs: 1500,
    probeMs: 500,
    log: noLog,
    ...given,
  };
}

export const untilWell = (broker: Broker): Promise<void> =>
  eventually(() => broker.problems().length === 0, "the engine never came up");

/** A node, once nothing is wrong with it. */
export async function openNode(
  options: NatsOptions,
  deliver: Deliver = nothing,
  suspect: Suspect = nothing,
): Promise<Broker> {
  const broker = openNats(options)(deliver, suspect);
  await untilWell(broker);
  return broker;
}

/** Deletes streams of a server, as soon as there is a connection to it. */
type Forget = (streams: readonly string[]) => Promise<void>;

/** For cleaning up, so that a server's streams are those of one case; ended with the scope. */
export function forgetter(scope: Scope, servers: readonly string[]): Forget {
  const circuit = new Circuit("nats test", noLog);
  const options = { servers: servers.map(parseNatsServer), timeoutMs: 2000, probeMs: 1000, log: noLog, circuit };
  const connection = new Connection(options, nothing, nothing);
  scope.after(() => connection.close());
  const jetstream = new JetStream(connection);
  return async (streams) => {
    await eventually(() => !circuit.isOpen, "no connection for the test");
    for (const name of streams) {
      // Servers that have just been started may have no leader yet, and no memory of streams that were in theirs.
      const gone = () =>
        jetstream.call(`STREAM.DELETE.${name}`).then(
          () => true,
          (error: unknown) => error instanceof JetStreamError && error.code === STREAM_NOT_FOUND,
        );
      await eventually(gone, `stream ${name} cannot be deleted`);
    }
  };
}

type Ground = {
  readonly servers: readonly Nats[];
  readonly forget: Forget;
  readonly streams: number;
  readonly replicas?: number;
};

/** A cluster for the conformance suite, with as many streams as asked for; an outage is the end of all servers. */
export function cluster({ servers, forget, streams, replicas = 1 }: Ground): Cluster {
  const namespace = uniqueName();
  const names = Array.from({ length: streams }, (_, index) => `${namespace}-${index}`);
  const urls = servers.map(({ url }) => url);
  const options = natsOptions({ servers: urls, namespace, streams: names, replicas });
  return {
    node: (deliver, suspect) => openNode(options, deliver, suspect),
    // A little more, for what the server's clock and this one differ.
    advance: (ms) => pause(ms + 20),
    async outage(during) {
      await Promise.all(servers.map((server) => server.kill()));
      await during();
      await Promise.all(servers.map((server) => server.start()));
    },
    close: () => forget([...names, `${namespace}-ring`, `${namespace}-keys`]),
  };
}

/** Runs the suite as tests within a test, which holds the server. */
export async function conforms(t: TestContext, engine: string, suite: Omit<Conformance, "test">): Promise<void> {
  const tests: Promise<void>[] = [];
  conformance(engine, { ...suite, test: (name, options, run) => tests.push(t.test(name, options, run)) });
  await Promise.all(tests);
}
