/** What tests of the NATS engine stand on: a server for a file, and nodes in a namespace of their own. */
import { randomBytes } from "node:crypto";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Cluster, type Conformance, conformance } from "../../server/engine/conformance.js";
import type { Broker, Deliver, Suspect } from "../../server/engine/engine.js";
import { type NatsOptions, openNats } from "../../server/engine/nats/nats.js";
import type { Log } from "../../server/log.js";
import { eventually } from "../support/eventually.js";

/** Larger than the events of the tests, with their headers; by default it is a megabyte, headers included. */
export const LARGE_PAYLOADS = ["max_payload: 8MB"];

const noLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

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

/** A node, once nothing is wrong with it. */
export async function openNode(options: NatsOptions, deliver: Deliver, suspect: Suspect = () => {}): Promise<Broker> {
  const broker = openNats(options)(deliver, suspect);
  await eventually(() => broker.problems().length === 0, "the engine never became ready");
  return broker;
}

/** A cluster for the conformance suite: as many streams as asked for, of nobody else. */
export function cluster(given: Given, streams = 1): Cluster {
  const options = natsOptions(given);
  const names = Array.from({ length: streams }, (_, index) => `${options.namespace}-${index}`);
  return {
    node: (deliver) => openNode({ ...options, streams: names }, deliver),
    // A little more, for what the server's clock and this one differ.
    advance: (ms) => pause(ms + 20),
    async close() {},
  };
}

/** Runs the suite as tests within a test, which holds the server. */
export async function conforms(t: TestContext, engine: string, suite: Omit<Conformance, "test">): Promise<void> {
  const tests: Promise<void>[] = [];
  conformance(engine, { ...suite, test: (name, options, run) => tests.push(t.test(name, options, run)) });
  await Promise.all(tests);
}
