import type { Log } from "../../log.js";
import { Circuit } from "../circuit.js";
import { EngineError } from "../engine.js";
import type { NatsStream } from "./address.js";
import { Carriers } from "./carriers.js";
import type { Connection } from "./connection.js";
import type { JetStream } from "./jetstream.js";
import { listLine, type Placement } from "./placement.js";
import { RingKeeper } from "./ring-keeper.js";
import { type StreamOptions, Streams } from "./streams.js";
import type { Subjects } from "./subjects.js";

/** How often nodes tell each other what they carry, and look at the ring, in milliseconds. */
const SAY_MS = 2000;
/** The pause before streams that could not be set up are tried again, in milliseconds. */
const RETRY_MS = 500;
/** How often a mark is put into each stream: a thousandth of the retention, but within these bounds, in milliseconds. */
const MARK_MS = [10_000, 600_000] as const;

type Options = StreamOptions & { readonly settleMs: number };

/** Sees to it that the streams and the ring in force are as they should be, while there is a connection. */
export class RingWatch {
  /** Open until the streams have been checked on this connection. */
  readonly circuit: Circuit;
  readonly keeper: RingKeeper;
  readonly #carriers: Carriers;
  readonly #list: readonly NatsStream[];
  readonly #line: string;
  readonly #options: Options;
  readonly #log: Log;
  /** Called once everything is ready on a new connection. */
  onReady: () => void = () => undefined;
  onChange: (placement: Placement, before: Placement | undefined) => void = () => undefined;
  readonly #sayTimer: NodeJS.Timeout;
  readonly #markTimer: NodeJS.Timeout;
  readonly #markMs: number;
  #retryTimer: NodeJS.Timeout | undefined;
  /** Counts connections: what was begun on an earlier one is of no concern. */
  #connection = 0;
  #isUp = false;
  #looking = false;
  #warned = "";
  #changedAt = performance.now();

  constructor(
    parts: {
      readonly connection: Connection;
      readonly jetstream: JetStream;
      readonly subjects: Subjects;
      readonly log: Log;
    },
    list: readonly NatsStream[],
    options: Options,
  ) {
    const { connection, jetstream, subjects, log } = parts;
    this.#list = list;
    this.#line = listLine(list);
    this.#options = options;
    this.#log = log;
    this.circuit = new Circuit("nats streams", log);
    const streams = new Streams(jetstream, subjects, options, log);
    this.keeper = new RingKeeper({ jetstream, streams, subjects, log }, list, (placement, before) => {
      this.#changedAt = performance.now();
      this.#carriers.say(placement.current.generation);
      this.onChange(placement, before);
    });
    this.#carriers = new Carriers(connection, subjects.nodes, this.#line, (generation) => this.#told(generation));
    this.#sayTimer = setInterval(() => void this.#look(), Math.min(SAY_MS, options.settleMs / 5));
    this.#sayTimer.unref();
    this.#markMs = Math.min(MARK_MS[1], Math.max(MARK_MS[0], options.retentionMs / 1000));
    this.#markTimer = setInterval(() => void this.#mark(), this.#markMs);
    this.#markTimer.unref();
    jetstream.watched = (problem) => this.#watched(problem);
    this.#warnOfSoftAcknowledgements();
  }

  /** The ring in force. Throws where it is not known yet. */
  get placement(): Placement {
    const { placement } = this.keeper;
    if (placement === undefined) throw new EngineError("unavailable", "NATS: the streams are not known yet");
    return placement;
  }

  connected(): void {
    // Without streams there is nothing to see to.
    if (this.#list.length === 0) {
      this.circuit.close();
      this.onReady();
      return;
    }
    this.#isUp = true;
    this.#carriers.restart();
    this.#carriers.say(this.keeper.placement?.current.generation ?? 0);
    void this.#setUp(++this.#connection);
  }

  disconnected(): void {
    this.#isUp = false;
    this.#connection++;
    this.circuit.trip("not connected");
  }

  /** Several calls in a row without an answer: the streams are looked at again before anything else is sent to them. */
  #watched(problem: string | undefined): void {
    if (!this.#isUp || this.circuit.isOpen) return;
    if (problem === undefined) {
      this.circuit.answered();
      return;
    }
    this.circuit.failed(problem);
    if (this.circuit.isOpen) void this.#setUp(this.#connection);
  }

  async close(): Promise<void> {
    this.#carriers.end(this.keeper.placement?.current.generation ?? 0);
    this.circuit.end();
    this.disconnected();
    clearInterval(this.#sayTimer);
    clearInterval(this.#markTimer);
    clearTimeout(this.#retryTimer);
  }

  async #setUp(connection: number): Promise<void> {
    try {
      await this.keeper.setUp();
      if (connection !== this.#connection) return;
      this.circuit.close();
      this.#warnOfOtherList();
      this.onReady();
    } catch (error) {
      if (connection !== this.#connection) return;
      const reason = error instanceof Error ? error.message : String(error);
      if (this.circuit.problem !== `${this.circuit.name}: ${reason}`) {
        this.#log.error("engine: the streams cannot be used", { engine: "nats", reason });
      }
      this.circuit.trip(reason);
      this.#retryTimer = setTimeout(() => void this.#setUp(connection), RETRY_MS * (0.5 + Math.random()));
      this.#retryTimer.unref();
    }
  }

  #told(generation: number): void {
    if (generation > (this.keeper.placement?.current.generation ?? 0)) void this.#refresh();
  }

  async #refresh(): Promise<void> {
    if (this.#isUp && !this.circuit.isOpen) await this.keeper.refresh().catch(() => undefined);
  }

  /** Says what this node carries; reads the ring in force, and puts its own list in force where nobody carries that one. */
  async #look(): Promise<void> {
    if (!this.#isUp || this.#looking) return;
    this.#looking = true;
    try {
      await this.#refresh();
      const { placement } = this.keeper;
      this.#carriers.say(placement?.current.generation ?? 0);
      if (placement === undefined || this.circuit.isOpen) return;
      const inForce = listLine(placement.current.shards);
      const { settleMs } = this.#options;
      if (inForce === this.#line || performance.now() - this.#changedAt < settleMs) return;
      if (this.#carriers.nobodyCarries(inForce, settleMs)) await this.keeper.install(this.#list);
    } catch (error) {
      this.#log.warn("engine: the streams that hold rooms could not be changed", { engine: "nats", error });
    } finally {
      this.#looking = false;
    }
  }

  #warnOfOtherList(): void {
    const inForce = listLine(this.placement.current.shards);
    if (inForce === this.#line || inForce === this.#warned) return;
    this.#warned = inForce;
    this.#log.warn("engine: other streams are in force; these follow when no node is configured with those any more", {
      engine: "nats",
      inForce,
      configured: this.#line,
    });
  }

  /** A mark in each stream: see `LogReader`. Of all nodes' marks of one time the streams keep one. */
  async #mark(): Promise<void> {
    if (!this.#isUp || this.circuit.isOpen) return;
    const time = Math.floor(Date.now() / this.#markMs).toString(36);
    for (const { name, weight } of this.placement.current.shards) {
      if (weight > 0) await this.keeper.mark(name, `t${time}`, `t${time}`).catch(() => undefined);
    }
  }

  #warnOfSoftAcknowledgements(): void {
    const { replicas, storage } = this.#options;
    if (replicas >= 3 || this.#list.length === 0) return;
    const reason =
      storage === "memory"
        ? "the streams are in the memory of one server, and end with it"
        : "JetStream acknowledges before it has written to disk, which it does every 2 minutes (sync_interval): a power cut can take what was acknowledged";
    this.#log.warn("engine: acknowledgements are soft", { engine: "nats", reason, cure: "natsReplicas 3 or more" });
  }
}
