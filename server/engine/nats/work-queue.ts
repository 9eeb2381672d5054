/** The queue of commands in JetStream: a stream from which what is acknowledged goes, and one consumer for all nodes. */
import { createHash, randomBytes } from "node:crypto";
import { EngineError } from "../engine.js";
import {
  type DeadLetter,
  DONE_MS,
  type Outcome,
  type QueueNumbers,
  SAME_ID_MS,
  type Take,
  type WorkQueue,
  type WorkQueueOptions,
} from "../queue.js";
import { parseAck } from "./ack.js";
import type { NatsServer } from "./address.js";
import { headerIn, type Incoming } from "./incoming.js";
import { headerBytes, type JetStream, type StreamConfig } from "./jetstream.js";
import { Pulls } from "./pulls.js";
import { ensureStream, type NatsQueueOptions, NS_PER_MS, QueueLink } from "./queue-link.js";

/** Bounds of the streams: the commands that wait (then writers are refused), dead letters, and commands remembered. */
const MAX_WAITING = 10_000_000;
const MAX_DEAD = 1_000_000;
const MAX_DONE = 1_000_000;
/** The most commands that all nodes together have taken or given back for a later try. */
const MAX_PENDING = 100_000;
const CONSUMER = "roomcast";
const ID = "Nats-Msg-Id";
const REASON = "Roomcast-Reason";
const TRIES = "Roomcast-Tries";
const DEAD_ID = "Roomcast-Id";
/** In a dead letter that was too large with its headers: how large it was. */
const CUT = "Roomcast-Cut-From";
const MAX_REASON = 500;
/** Room for the headers of a dead letter, in bytes. */
const HEADERS_BYTES = 4096;
/** The pause before an outcome that did not arrive is told again on the same connection, in milliseconds. */
const TELL_AGAIN_MS = 500;
const LOOK_MS = 10;
/**
 * After an outage nothing is taken for so long, in milliseconds: nodes come back within a second, and those that have
 * outcomes to tell go first, or what they have done would be given out again.
 */
const AFTER_OUTAGE_MS = 1500;
const NOTHING = Buffer.alloc(0);

/** A command in hand: taken, and its outcome not told yet. */
type InHand = {
  readonly seq: number;
  readonly id: string;
  readonly subject: string;
  readonly tries: number;
  /** Where the outcome is told: another place each time it is given out. */
  ack: string;
  /** When the server last heard of it, as `performance.now()` counts. */
  heardAt: number;
  outcome: Outcome | undefined;
  isTelling: boolean;
};

/** A header's bytes stand in its text as a character each. */
const readable = (text: string): string => Buffer.from(text, "latin1").toString();
/** What may stand in a header: one line. */
const line = (text: string): string => text.replace(/\p{Cc}+/gu, " ").slice(0, MAX_REASON);

export class NatsWorkQueue implements WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #namespace: string;
  readonly #link: QueueLink;
  readonly #pulls: Pulls;
  readonly #inHand = new Map<number, InHand>();
  readonly #extendTimer: NodeJS.Timeout;
  #take: Take | undefined;
  #wasLost = false;
  #isWaiting = false;
  #closing = false;

  constructor(servers: readonly NatsServer[], options: NatsQueueOptions, work: WorkQueueOptions) {
    this.#options = work;
    this.#namespace = options.namespace;
    this.#link = new QueueLink("queue", servers, options, {
      setUp: ({ jetstream }) => this.#setUp(jetstream, options),
      ready: () => this.#ready(),
      lost: () => {
        this.#pulls.clear();
        this.#wasLost = true;
      },
    });
    const at = {
      subject: `$JS.API.CONSUMER.MSG.NEXT.${this.#commands}.${CONSUMER}`,
      inbox: `_INBOX.${randomBytes(12).toString("hex")}`,
    };
    const over = (consumerGone: boolean): void => {
      if (consumerGone) this.#link.remake("the consumer is not there");
      this.#pull();
    };
    this.#pulls = new Pulls(this.#link.connection, at, (message) => this.#came(message), over);
    this.#extendTimer = setInterval(() => this.#extend(), work.ackMs / 4);
    this.#extendTimer.unref();
  }

  get #commands(): string {
    return `${this.#namespace}-commands`;
  }

  get #dead(): string {
    return `${this.#namespace}-dead`;
  }

  async #setUp(jetstream: JetStream, { replicas, storage }: NatsQueueOptions): Promise<void> {
    const { ackMs, deadAgeMs } = this.#options;
    const common = { storage, num_replicas: replicas };
    const limits = { ...common, retention: "limits", discard: "old" };
    const done = `${this.#namespace}-done`;
    const streams: StreamConfig[] = [
      {
        ...common,
        ...{ name: this.#commands, subjects: [`${this.#commands}.>`], description: "Roomcast: commands of backends" },
        ...{ retention: "workqueue", discard: "new", max_msgs: MAX_WAITING, duplicate_window: SAME_ID_MS * NS_PER_MS },
      },
      {
        ...limits,
        ...{ name: this.#dead, subjects: [`${this.#dead}.>`], description: "Roomcast: commands that were given up" },
        ...{ max_msgs: MAX_DEAD, max_age: deadAgeMs * NS_PER_MS, allow_direct: true },
        duplicate_window: Math.min(SAME_ID_MS, deadAgeMs) * NS_PER_MS,
      },
      {
        ...limits,
        ...{ name: done, subjects: [`${done}.*`], description: "Roomcast: commands that were applied" },
        ...{ max_msgs: MAX_DONE, max_msgs_per_subject: 1, max_age: DONE_MS * NS_PER_MS },
      },
    ];
    for (const stream of streams) await ensureStream(jetstream, stream);
    const config = {
      ...{ durable_name: CONSUMER, ack_policy: "explicit", deliver_policy: "all", replay_policy: "instant" },
      ...{ ack_wait: ackMs * NS_PER_MS, max_deliver: -1, max_ack_pending: MAX_PENDING },
    };
    const create = `CONSUMER.DURABLE.CREATE.${this.#commands}.${CONSUMER}`;
    await jetstream.call(create, { stream_name: this.#commands, config });
  }

  start(take: Take): void {
    this.#take = take;
    if (this.#link.isReady) this.#ready();
  }

  /** On a new connection: first what was not told on the last one. */
  #ready(): void {
    for (const command of this.#inHand.values()) {
      if (command.outcome !== undefined) void this.#tell(command, command.outcome);
    }
    if (this.#wasLost && !this.#isWaiting) {
      this.#isWaiting = true;
      setTimeout(() => {
        this.#isWaiting = false;
        this.#pull();
      }, AFTER_OUTAGE_MS).unref();
    }
    this.#wasLost = false;
    this.#pull();
  }

  /** Asks for as many as there is room for, once that is worth a pull. */
  #pull(): void {
    if (this.#closing || this.#isWaiting || this.#take === undefined || !this.#link.isReady) return;
    const { prefetch } = this.#options;
    const { asked } = this.#pulls;
    const free = prefetch - this.#inHand.size - asked;
    if (free <= 0 || (asked > 0 && free < prefetch / 4)) return;
    try {
      this.#pulls.ask(free);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      setTimeout(() => this.#pull(), TELL_AGAIN_MS).unref();
    }
  }

  #came(message: Incoming): void {
    const ack = parseAck(message.reply);
    if (ack === undefined) return;
    const known = this.#inHand.get(ack.seq);
    // One that was given back may be here again before the server has said that it has taken it back.
    const isBack = known?.outcome !== undefined && "retryMs" in known.outcome;
    if (known !== undefined && !isBack) {
      // It was given out again while it is here: the server had heard nothing of it for too long.
      known.ack = message.reply;
      known.heardAt = performance.now();
      if (known.outcome !== undefined) void this.#tell(known, known.outcome);
      this.#pull();
      return;
    }
    const { seq, tries, time } = ack;
    const given = message.header(ID);
    const command: InHand = {
      ...{ seq, tries, subject: message.subject, ack: message.reply },
      id: given === undefined || given === "" ? `${this.#commands}:${seq}:${time}` : readable(given),
      ...{ heardAt: performance.now(), outcome: undefined, isTelling: false },
    };
    this.#inHand.set(seq, command);
    if (this.#closing) this.#settle(command, { retryMs: 0 });
    else void this.#run(command, message.data, Number(time.slice(0, -6)));
  }

  async #run(command: InHand, bytes: Uint8Array, at: number): Promise<void> {
    const { id, tries } = command;
    let outcome: Outcome;
    try {
      outcome = (await this.#take?.({ id, bytes, tries, at })) ?? { retryMs: 0 };
    } catch {
      outcome = { retryMs: 1000 };
    }
    // It may have been given back meanwhile.
    if (command.outcome === undefined) this.#settle(command, outcome);
  }

  #settle(command: InHand, outcome: Outcome): void {
    command.outcome = outcome;
    void this.#tell(command, outcome);
  }

  /** Tells the server the outcome, until that has arrived; without a connection it waits for `#ready`. */
  async #tell(command: InHand, outcome: Outcome): Promise<void> {
    if (command.isTelling || !this.#link.isReady || this.#inHand.get(command.seq) !== command) return;
    command.isTelling = true;
    const { ack } = command;
    try {
      if ("dead" in outcome) await this.#bury(command, outcome.dead);
      await this.#link.ask((jetstream) => jetstream.confirm(ack, answerOf(outcome)));
      if (this.#inHand.get(command.seq) === command) this.#inHand.delete(command.seq);
    } catch {
      // Lost with the connection, or no answer in time.
      setTimeout(() => void this.#tell(command, outcome), TELL_AGAIN_MS).unref();
    }
    command.isTelling = false;
    this.#pull();
  }

  /** Copies the command to the dead letters: the stream has it still. */
  async #bury({ seq, id, subject, tries }: InHand, reason: string): Promise<void> {
    await this.#link.ask(async (jetstream) => {
      const stored = await jetstream.at(this.#commands, seq, false);
      if (stored === undefined) return;
      const most = Math.max(0, this.#link.connection.maxPayload - HEADERS_BYTES);
      const { data } = stored;
      const headers = {
        // Once, although it be told twice; and again for one that was put back.
        [ID]: `${seq}:${stored.time}`,
        ...{ [DEAD_ID]: line(id), [REASON]: line(reason), [TRIES]: String(tries) },
        ...(data.length > most ? { [CUT]: String(data.length) } : {}),
      };
      const to = `${this.#dead}${subject.slice(this.#commands.length)}`;
      await jetstream.publish(to, data.subarray(0, most), headerBytes(headers));
    });
  }

  #extend(): void {
    const now = performance.now();
    for (const command of this.#inHand.values()) {
      if (now - command.heardAt < this.#options.ackMs / 2) continue;
      try {
        this.#link.connection.publish(command.ack, Buffer.from("+WPI"));
        command.heardAt = now;
      } catch {
        return;
      }
    }
  }

  async add(id: string, bytes: Uint8Array): Promise<boolean> {
    const { maxBytes } = this.#options;
    if (bytes.length > maxBytes) throw new TypeError(`expected at most ${maxBytes} bytes, got ${bytes.length}`);
    const headers = headerBytes({ [ID]: id });
    const { duplicate } = await this.#link.ask((jetstream) =>
      jetstream.publish(`${this.#commands}.added`, bytes, headers),
    );
    return duplicate !== true;
  }

  #doneSubject(id: string): string {
    return `${this.#namespace}-done.${createHash("sha256").update(id).digest("hex").slice(0, 32)}`;
  }

  async isDone(id: string): Promise<boolean> {
    const stored = await this.#link.ask((jetstream) =>
      jetstream.message(`${this.#namespace}-done`, this.#doneSubject(id), false),
    );
    return stored !== undefined;
  }

  async markDone(id: string): Promise<void> {
    await this.#link.ask((jetstream) => jetstream.publish(this.#doneSubject(id), NOTHING));
  }

  async numbers(): Promise<QueueNumbers> {
    type Consumer = { readonly num_pending: number; readonly num_ack_pending: number };
    return this.#link.ask(async (jetstream) => {
      // Of the consumer, not of the stream: one of several servers may keep what was acknowledged (2.9 does).
      const [dead, consumer] = await Promise.all([
        jetstream.info(this.#dead),
        jetstream.call<Consumer>(`CONSUMER.INFO.${this.#commands}.${CONSUMER}`),
      ]);
      const { num_pending: waiting, num_ack_pending: underWay } = consumer;
      return { waiting, underWay, dead: dead?.state.messages ?? 0 };
    });
  }

  async deadLetters(limit: number): Promise<readonly DeadLetter[]> {
    return this.#link.ask(async (jetstream) => {
      const letters: DeadLetter[] = [];
      for (let from = 1; letters.length < limit; ) {
        const stored = await jetstream.message(this.#dead, `${this.#dead}.>`, false, from);
        if (stored === undefined) break;
        const { head, data: bytes, time: at, seq } = stored;
        const read = (name: string): string => readable(headerIn(head, name) ?? "");
        letters.push({ id: read(DEAD_ID), bytes, reason: read(REASON), tries: Number(read(TRIES)), at });
        from = seq + 1;
      }
      return letters;
    });
  }

  problems(): readonly string[] {
    return this.#link.problems;
  }

  async close(withinMs: number): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const until = performance.now() + withinMs;
    await this.#pulls.end();
    const settled = async (by: number): Promise<void> => {
      while (this.#inHand.size > 0 && this.#link.isReady && performance.now() < by) await pauseFor(LOOK_MS);
    };
    await settled(until);
    for (const command of this.#inHand.values()) {
      if (command.outcome === undefined) this.#settle(command, { retryMs: 0 });
    }
    await settled(Math.max(until, performance.now() + TELL_AGAIN_MS));
    clearInterval(this.#extendTimer);
    await this.#link.close();
  }
}

const pauseFor = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

function answerOf(outcome: Outcome): string {
  if (!("retryMs" in outcome)) return "+ACK";
  const ms = Math.max(0, Math.round(outcome.retryMs));
  return ms === 0 ? "-NAK" : `-NAK {"delay": ${ms * NS_PER_MS}}`;
}
