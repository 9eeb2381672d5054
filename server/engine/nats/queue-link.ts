/** A connection for a queue, a record log or presence, with the streams that it needs made before it counts as there. */
import type { Log } from "../../log.js";
import { Circuit } from "../circuit.js";
import { EngineError, LOST_RETRY_MS } from "../engine.js";
import type { NatsServer } from "./address.js";
import { Connection } from "./connection.js";
import { AnotherStream, JetStream, JetStreamError, NobodyTookIt, type StreamConfig } from "./jetstream.js";

export type NatsQueueOptions = {
  /** The servers of one NATS: see `parseNatsServer`. */
  readonly servers: readonly string[];
  readonly replicas: number;
  readonly storage: "file" | "memory";
  /** The path of a .creds file. */
  readonly credentials?: string | undefined;
  readonly namespace: string;
  readonly timeoutMs: number;
  readonly probeMs: number;
  readonly log: Log;
};

const NAME_IN_USE = 10058;
export const NS_PER_MS = 1_000_000;
/** The pause before streams that could not be made are tried again, in milliseconds. */
const RETRY_MS = 500;

export class QueueLink {
  readonly connection: Connection;
  readonly jetstream: JetStream;
  readonly #name: string;
  /** Of the connection; and of the streams, open until they have been made on this connection. */
  readonly #circuit: Circuit;
  readonly #streams: Circuit;
  readonly #log: Log;
  readonly #setUp: (link: QueueLink) => Promise<void>;
  readonly #ready: () => void;
  readonly #lost: () => void;
  /** Counts connections: what was begun on an earlier one is of no concern. */
  #epoch = 0;
  #retryTimer: NodeJS.Timeout | undefined;
  #settingUp = false;

  /** `setUp` makes the streams, `ready` is called after that on each connection, `lost` when a connection is gone. */
  constructor(
    name: string,
    servers: readonly NatsServer[],
    { credentials, timeoutMs, probeMs, log }: NatsQueueOptions,
    on: { readonly setUp: (link: QueueLink) => Promise<void>; readonly ready: () => void; readonly lost: () => void },
  ) {
    const where = servers.map(({ host, port }) => `${host}:${port}`).join(",");
    this.#name = name;
    this.#log = log;
    this.#circuit = new Circuit(`nats ${name} ${where}`, log);
    this.#streams = new Circuit(`nats streams of the ${name}`, log);
    this.#setUp = on.setUp;
    this.#ready = on.ready;
    this.#lost = on.lost;
    this.connection = new Connection(
      { servers, credentials, timeoutMs, probeMs, log, circuit: this.#circuit },
      () => void this.#begin(++this.#epoch),
      () => this.#end(),
    );
    this.jetstream = new JetStream(this.connection);
  }

  get isReady(): boolean {
    return !this.#circuit.isOpen && !this.#streams.isOpen;
  }

  get problems(): readonly string[] {
    const problem = this.#circuit.problem ?? this.#streams.problem;
    return problem === undefined ? [] : [problem];
  }

  /** Throws an `EngineError` while it is not ready. */
  check(): void {
    const refusal = this.#circuit.refusal() ?? this.#streams.refusal();
    if (refusal !== undefined) throw refusal;
  }

  /** What `call` resolves with; whatever it rejects with becomes an `EngineError`. */
  async ask<T>(call: (jetstream: JetStream) => Promise<T>): Promise<T> {
    this.check();
    try {
      return await call(this.jetstream);
    } catch (error) {
      if (error instanceof EngineError) throw error;
      const away = error instanceof NobodyTookIt || error instanceof AnotherStream;
      if (!away && !(error instanceof JetStreamError)) throw error;
      throw new EngineError("unavailable", `NATS: ${error.message}`, LOST_RETRY_MS);
    }
  }

  /** A stream or a consumer is gone: they are made again before anything else is asked. */
  remake(reason: string): void {
    if (!this.connection.isUp || this.#settingUp || this.#streams.isOpen) return;
    this.#streams.trip(reason);
    this.#again(this.#epoch);
  }

  async close(): Promise<void> {
    this.#epoch++;
    clearTimeout(this.#retryTimer);
    this.#streams.end();
    await this.connection.close();
  }

  async #begin(epoch: number): Promise<void> {
    this.#settingUp = true;
    try {
      await this.#setUp(this);
      if (epoch !== this.#epoch) return;
      this.#settingUp = false;
      this.#streams.close();
      this.#ready();
    } catch (error) {
      if (epoch !== this.#epoch) return;
      this.#settingUp = false;
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#streams.problem !== `${this.#streams.name}: ${reason}`) {
        this.#log.error(`engine: the streams of the ${this.#name} cannot be used`, { engine: "nats", reason });
      }
      this.#streams.trip(reason);
      this.#again(epoch);
    }
  }

  #again(epoch: number): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(
      () => {
        if (epoch === this.#epoch) void this.#begin(epoch);
      },
      RETRY_MS * (0.5 + Math.random()),
    );
    this.#retryTimer.unref();
  }

  #end(): void {
    this.#epoch++;
    this.#settingUp = false;
    clearTimeout(this.#retryTimer);
    this.#streams.trip("not connected");
    this.#lost();
  }
}

/** Makes the stream, or brings the one that is there to what it is to be. Throws where that cannot be. */
export async function ensureStream(jetstream: JetStream, wanted: StreamConfig): Promise<void> {
  try {
    await jetstream.create(wanted);
  } catch (error) {
    if (!(error instanceof JetStreamError) || error.code !== NAME_IN_USE) throw error;
    const info = await jetstream.info(wanted.name);
    await jetstream.update({ ...info?.config, ...wanted });
  }
}
