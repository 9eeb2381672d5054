/** The NATS engine: logs in JetStream, delivery by plain subscriptions. */
import type { NewEvent } from "../../../protocol/event.js";
import type { Position } from "../../../protocol/positions.js";
import type { Log } from "../../log.js";
import { Circuit } from "../circuit.js";
import {
  type Broker,
  type Deliver,
  EngineError,
  type History,
  LOST_RETRY_MS,
  type LogRules,
  noHistory,
  type OpenBroker,
  type Range,
  type Suspect,
} from "../engine.js";
import { type NatsServer, type NatsStream, parseNatsServer, parseNatsStream } from "./address.js";
import { Connection } from "./connection.js";
import { JetStream, JetStreamError } from "./jetstream.js";
import { LogReader } from "./log-reader.js";
import { Publisher } from "./publisher.js";
import { RingWatch } from "./ring-watch.js";
import { Runs } from "./runs.js";
import { Subjects } from "./subjects.js";
import { Subscriptions } from "./subscriptions.js";

export type NatsOptions = {
  /** The servers of one NATS: see `parseNatsServer`. */
  readonly servers: readonly string[];
  /**
   * The streams that hold rooms: see `parseNatsStream`. Without any the brokers are good for rooms without history alone:
   * they make, change and tell nothing of streams.
   */
  readonly streams: readonly string[];
  readonly replicas: number;
  readonly storage: "file" | "memory";
  readonly retentionMs: number;
  /** The path of a .creds file. */
  readonly credentials?: string;
  readonly namespace: string;
  /** The largest `history.size` of all kinds. */
  readonly maxHistory: number;
  readonly maxKeyWindowMs: number;
  readonly timeoutMs: number;
  readonly probeMs: number;
  readonly log: Log;
  /**
   * How long nobody may have carried the list of streams in force before this node's own list takes its place, in
   * milliseconds; 10,000 by default.
   */
  readonly ringSettleMs?: number;
};

const SETTLE_MS = 10_000;

/** Throws a `TypeError` for an address or a stream that cannot be. */
export function openNats(options: NatsOptions): OpenBroker {
  const servers = options.servers.map(parseNatsServer);
  const streams = options.streams.map(parseNatsStream);
  if (streams.length > 0 && !streams.some(({ weight }) => weight > 0))
    throw new TypeError("expected a stream with a weight above 0");
  return (deliver, suspect) => new NatsBroker(options, servers, streams, deliver, suspect);
}

class NatsBroker implements Broker {
  /** Of the connection. */
  readonly #circuit: Circuit;
  readonly #connection: Connection;
  readonly #ring: RingWatch;
  readonly #publisher: Publisher;
  readonly #reader: LogReader;
  readonly #subscriptions: Subscriptions;
  #closed = false;

  constructor(
    options: NatsOptions,
    servers: readonly NatsServer[],
    streams: readonly NatsStream[],
    deliver: Deliver,
    suspect: Suspect,
  ) {
    const { credentials, timeoutMs, probeMs, log, replicas, maxKeyWindowMs } = options;
    const subjects = new Subjects(options.namespace);
    this.#circuit = new Circuit(`nats ${servers.map(({ host, port }) => `${host}:${port}`).join(",")}`, log);
    this.#connection = new Connection(
      { servers, credentials, timeoutMs, probeMs, log, circuit: this.#circuit },
      () => this.#ring.connected(),
      () => this.#lost(),
    );
    const connection = this.#connection;
    const jetstream = new JetStream(connection);
    this.#ring = new RingWatch({ connection, jetstream, subjects, log }, streams, {
      ...options,
      settleMs: options.ringSettleMs ?? SETTLE_MS,
    });
    const { keeper } = this.#ring;
    // Of a stream on one server any answer is the leader's; of others a direct answer may come from one that lags.
    const direct = replicas === 1;
    const runs = new Runs(connection, jetstream, direct, timeoutMs);
    this.#reader = new LogReader({ jetstream, runs, subjects }, direct, (stream) => keeper.highest(stream));
    this.#publisher = new Publisher({ connection, jetstream, keeper, subjects }, { timeoutMs, direct, maxKeyWindowMs });
    this.#subscriptions = new Subscriptions({ connection, keeper, subjects, log }, deliver, suspect);
    this.#ring.onReady = () => this.#subscriptions.suspectAll();
    this.#ring.onChange = (placement, before) => this.#subscriptions.suspectMoved(placement, before);
  }

  #lost(): void {
    this.#ring.disconnected();
    this.#publisher.refuseWaiting(new EngineError("unavailable", "NATS: the connection was lost", LOST_RETRY_MS));
  }

  #refusal(logged: boolean): EngineError | undefined {
    return this.#circuit.refusal() ?? (logged ? this.#ring.circuit.refusal() : undefined);
  }

  // Not `async`, which would cost a publish without history about as much as its sending.
  publish(room: string, event: NewEvent, rules: LogRules): Promise<Position | undefined> {
    const logged = rules.history.size > 0;
    const refusal = this.#refusal(logged);
    if (refusal !== undefined) return Promise.reject(refusal);
    try {
      return logged ? this.#publisher.logged(room, event, rules) : this.#publisher.live(room, event, rules);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async subscribe(room: string, rules: LogRules): Promise<void> {
    const refusal = this.#refusal(false);
    if (refusal !== undefined) throw refusal;
    await this.#subscriptions.add(room, rules.history.size > 0);
  }

  async unsubscribe(room: string): Promise<void> {
    if (this.#closed) throw new EngineError("unavailable", "NATS: closed", 0);
    this.#subscriptions.remove(room);
  }

  async history(room: string, range: Range, limit: number, rules: LogRules): Promise<History> {
    const logged = rules.history.size > 0;
    const refusal = this.#refusal(logged);
    if (refusal !== undefined) throw refusal;
    if (!logged) return noHistory(range);
    try {
      return await this.#reader.history(room, this.#ring.placement, range, limit, rules);
    } catch (error) {
      if (!(error instanceof JetStreamError)) throw error;
      // The room may have moved a moment ago, before this node has heard of it.
      await this.#ring.keeper.refresh().catch(() => undefined);
      throw new EngineError("unavailable", `NATS: ${error.message}`, LOST_RETRY_MS);
    }
  }

  problems(): readonly string[] {
    const problem = this.#circuit.problem ?? this.#ring.circuit.problem;
    return problem === undefined ? [] : [problem];
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#ring.close();
    this.#publisher.refuseWaiting(new EngineError("unavailable", "NATS: closed", 0));
    await this.#connection.close();
  }
}
