/** What tests of presence on NATS stand on. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Circuit } from "../../server/engine/circuit.js";
import { type PresenceCluster, presenceConformance } from "../../server/engine/conformance-presence.js";
import { parseNatsServer } from "../../server/engine/nats/address.js";
import { Connection } from "../../server/engine/nats/connection.js";
import { JetStream, type StreamInfo } from "../../server/engine/nats/jetstream.js";
import { type NatsPresenceOptions, openNatsPresence } from "../../server/engine/nats/presence.js";
import type { Presence } from "../../server/engine/presence.js";
import type { Log } from "../../server/log.js";
import { eventually } from "../support/eventually.js";
import type { Nats } from "../support/services/nats.js";
import type { Scope } from "../support/services/scope.js";
import { uniqueName } from "./nats-support.js";

const nothing = (): void => undefined;
const noLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

type Given = Partial<NatsPresenceOptions> & { readonly servers: readonly string[] };

/** The options of a node in a namespace of its own, but for what is given. */
export const presenceOptions = (given: Given): NatsPresenceOptions => ({
  replicas: 1,
  storage: "file",
  namespace: uniqueName(),
  timeoutMs: 1500,
  probeMs: 500,
  log: noLog,
  ...given,
});

export const untilThere = (presence: Presence): Promise<void> =>
  eventually(() => presence.problems().length === 0, "the engine never came up");

/** A node's way to it, once nothing is wrong with it. Ended with the scope. */
export async function openPresence(scope: Scope, options: NatsPresenceOptions): Promise<Presence> {
  const presence = openNatsPresence(options)();
  scope.after(() => presence.close());
  await untilThere(presence);
  return presence;
}

/** JetStream, for what a test itself wants to know of it or do there. */
export async function askServer(scope: Scope, servers: readonly string[]) {
  const circuit = new Circuit("nats test", noLog);
  const options = { servers: servers.map(parseNatsServer), timeoutMs: 5000, probeMs: 1000, log: noLog, circuit };
  const connection = new Connection(options, nothing, nothing);
  scope.after(() => connection.close());
  await eventually(() => !circuit.isOpen, "no connection for the test");
  const jetstream = new JetStream(connection);
  let asked = 0;
  const info = async (namespace: string): Promise<StreamInfo> => {
    const stream = await jetstream.info(`${namespace}-presence`, `${namespace}-presence.>`);
    if (stream === undefined) throw new Error("the stream is not there");
    return stream;
  };
  return {
    jetstream,
    info,
    /** The subjects that hold something. */
    subjects: async (namespace: string) => Object.keys((await info(namespace)).state.subjects ?? {}).sort(),
    /** Counts from now on what JetStream is asked to delete in the stream. */
    async countDeletes(namespace: string) {
      const count = () => {
        asked++;
      };
      connection.watch(`$JS.API.STREAM.MSG.DELETE.${namespace}-presence`, count);
      connection.watch(`$JS.API.STREAM.PURGE.${namespace}-presence`, count);
      await connection.flush();
    },
    /** What the stream has taken, and what was deleted of it. */
    async writes(namespace: string): Promise<number> {
      await connection.flush();
      return (await info(namespace)).state.last_seq + asked;
    },
    forget: (namespace: string) => jetstream.call(`STREAM.DELETE.${namespace}-presence`),
  };
}

type Ground = {
  readonly scope: Scope;
  readonly servers: readonly Nats[];
  readonly replicas?: number;
  readonly storage?: "file" | "memory";
};

/** A cluster for the conformance suite; an outage is the end of all servers. */
export async function presenceCluster({ scope, servers, ...given }: Ground): Promise<PresenceCluster> {
  const urls = servers.map(({ url }) => url);
  const options = presenceOptions({ servers: urls, ...given });
  const { namespace } = options;
  const server = await askServer(scope, urls);
  const opened: Presence[] = [];
  const kill = () => Promise.all(servers.map((each) => each.kill()));
  const start = () => Promise.all(servers.map((each) => each.start()));
  let isCounting = false;
  return {
    async node() {
      const presence = openNatsPresence(options)();
      opened.push(presence);
      await untilThere(presence);
      return presence;
    },
    advance: (ms) => pause(ms + 20),
    async writes() {
      if (!isCounting) await server.countDeletes(namespace);
      isCounting = true;
      return server.writes(namespace);
    },
    async outage(during) {
      await kill();
      await during();
      await start();
    },
    async loss(during) {
      await kill();
      await during();
      // Not by deleting the stream: nats-server 2.9 may lose the files of one that is made again at the same time.
      await Promise.all(servers.map(({ dir }) => rm(join(dir, "store"), { recursive: true, force: true })));
      await start();
    },
    async close() {
      await server.forget(namespace).catch(nothing);
    },
  };
}

/** Runs the suite as tests within a test, which holds the servers. */
export async function presenceConforms(
  t: TestContext,
  engine: string,
  ground: Omit<Ground, "scope">,
  skip: { readonly [sentence: string]: string } = {},
): Promise<void> {
  const tests: Promise<void>[] = [];
  presenceConformance(engine, {
    test: (name, options, run) => tests.push(t.test(name, options, run)),
    open: () => presenceCluster({ scope: t, ...ground }),
    skip,
  });
  await Promise.all(tests);
}
