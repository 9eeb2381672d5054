/** What is asked of JetStream, in its own words. */
import { EngineError } from "../engine.js";
import type { Connection } from "./connection.js";
import type { Incoming } from "./incoming.js";

const NO_RESPONDERS = 503;
const NOT_FOUND = 404;
/** JetStream's own numbers of errors. */
export const STREAM_NOT_FOUND = 10059;
const NO_MESSAGE_FOUND = 10037;
const WRONG_LAST_SEQUENCE = 10071;
const WRONG_STREAM = 10060;
const NEVER = String(Number.MAX_SAFE_INTEGER);

/** An answer of JetStream that says no. */
export class JetStreamError extends Error {
  override readonly name = "JetStreamError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export type StreamConfig = {
  readonly name: string;
  readonly subjects?: readonly string[];
  readonly description?: string;
  readonly retention?: string;
  readonly storage?: string;
  readonly discard?: string;
  readonly num_replicas?: number;
  /** In nanoseconds. */
  readonly max_age?: number;
  readonly duplicate_window?: number;
  readonly max_msgs?: number;
  readonly max_msgs_per_subject?: number;
  readonly max_msg_size?: number;
  readonly allow_direct?: boolean;
  readonly republish?: { readonly src: string; readonly dest: string };
  readonly mirror?: object;
  readonly sources?: readonly object[];
  readonly sealed?: boolean;
};

export type StreamInfo = {
  readonly config: StreamConfig;
  readonly created: string;
  readonly state: {
    readonly first_seq: number;
    readonly last_seq: number;
    readonly messages: number;
    /** The events of each subject that was asked for. */
    readonly subjects?: { readonly [subject: string]: number };
  };
};

export type Ack = { readonly stream: string; readonly seq: number; readonly duplicate?: boolean };

/** A message in a stream. */
export type Stored = {
  readonly seq: number;
  /** Unix milliseconds. */
  readonly time: number;
  readonly data: Buffer;
  /** The headers as they stand in the protocol: see `headerIn`. */
  readonly head: string;
};

type Answer = { readonly error?: { readonly code: number; readonly err_code?: number; readonly description?: string } };

const NOTHING = Buffer.alloc(0);

function failure(answer: Answer): JetStreamError | undefined {
  if (answer.error === undefined) return undefined;
  const { code, err_code, description } = answer.error;
  return new JetStreamError(err_code ?? code, description ?? `code ${code}`);
}

/** Publishing where it says that nobody took it, so that it had no effect. */
export class NobodyTookIt extends Error {
  override readonly name = "NobodyTookIt";
}

/** Publishing where another stream took the subject than was expected, so that it had no effect. */
export class AnotherStream extends Error {
  override readonly name = "AnotherStream";
}

/** Nobody answers for a stream, or for all of JetStream: it is gone, or without a leader. */
export class NobodyAnswers extends EngineError {}

/** Headers as they stand in the protocol. The values must be without line breaks. */
export function headerBytes(headers: { readonly [name: string]: string }): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`NATS/1.0\r\n${lines.join("")}\r\n`);
}

export class JetStream {
  readonly #connection: Connection;
  /** Called after every request: with what was wrong where no answer came in time, with `undefined` where one came. */
  watched: (problem: string | undefined) => void = () => undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async #request(subject: string, data: Uint8Array, headers?: Uint8Array): Promise<Incoming> {
    try {
      const reply = await this.#connection.request(subject, data, headers);
      this.watched(undefined);
      return reply;
    } catch (error) {
      if (error instanceof EngineError && error.code === "timeout") this.watched(error.message);
      throw error;
    }
  }

  /** Rejects with a `JetStreamError` where the answer is no, with an `EngineError` where there is none. */
  async call<T>(what: string, body?: object): Promise<T> {
    const data = body === undefined ? NOTHING : Buffer.from(JSON.stringify(body));
    const reply = await this.#request(`$JS.API.${what}`, data);
    if (reply.status === NO_RESPONDERS) {
      throw new NobodyAnswers("unavailable", "NATS: JetStream does not answer: it is not enabled, or without a leader");
    }
    const answer = reply.json() as (Answer & T) | undefined;
    if (answer === undefined) throw new EngineError("unavailable", "NATS: JetStream answered something else than JSON");
    const error = failure(answer);
    if (error !== undefined) throw error;
    return answer;
  }

  /** `undefined` where there is no such stream. With a subject it counts that one's events. */
  async info(stream: string, subject?: string): Promise<StreamInfo | undefined> {
    try {
      return await this.call<StreamInfo>(
        `STREAM.INFO.${stream}`,
        subject === undefined ? undefined : { subjects_filter: subject },
      );
    } catch (error) {
      if (error instanceof JetStreamError && error.code === STREAM_NOT_FOUND) return undefined;
      throw error;
    }
  }

  create(config: StreamConfig): Promise<StreamInfo> {
    return this.call<StreamInfo>(`STREAM.CREATE.${config.name}`, config);
  }

  update(config: StreamConfig): Promise<StreamInfo> {
    return this.call<StreamInfo>(`STREAM.UPDATE.${config.name}`, config);
  }

  /**
   * Rejects with `NobodyTookIt` where no stream captures the subject, or that stream has no leader; with `AnotherStream`
   * where the headers expect one.
   */
  async publish(subject: string, data: Uint8Array, headers?: Uint8Array): Promise<Ack> {
    const reply = await this.#request(subject, data, headers);
    if (reply.status === NO_RESPONDERS) throw new NobodyTookIt("NATS: no stream takes it now");
    const answer = reply.json() as (Answer & Ack) | undefined;
    if (answer === undefined) throw new EngineError("timeout", "NATS: JetStream answered something else than JSON");
    const error = failure(answer);
    if (error?.code === WRONG_STREAM) throw new AnotherStream(error.message);
    if (error !== undefined) throw error;
    return answer;
  }

  /** Publishes where the subject's last message has this number; `undefined` where it has another. */
  async publishAfter(
    subject: string,
    data: Uint8Array,
    last: number,
    more: { readonly [name: string]: string } = {},
  ): Promise<Ack | undefined> {
    try {
      const headers = { ...more, "Nats-Expected-Last-Subject-Sequence": String(last) };
      return await this.publish(subject, data, headerBytes(headers));
    } catch (error) {
      if (error instanceof JetStreamError && error.code === WRONG_LAST_SEQUENCE) return undefined;
      throw error;
    }
  }

  /**
   * The number of the message with this id in a stream's window, `undefined` where it knows none: something is published
   * there that is refused, since it expects a last number that no stream has; but ids are looked at before that.
   */
  async knownId(stream: string, subject: string, id: string): Promise<number | undefined> {
    const headers = { "Nats-Msg-Id": id, "Nats-Expected-Stream": stream, "Nats-Expected-Last-Sequence": NEVER };
    try {
      return (await this.publish(subject, NOTHING, headerBytes(headers))).seq;
    } catch (error) {
      // A stream that is gone knows nothing.
      const unknown = error instanceof JetStreamError && error.code === WRONG_LAST_SEQUENCE;
      if (unknown || error instanceof NobodyTookIt) return undefined;
      throw error;
    }
  }

  /**
   * The last message of a subject, or the first one from `from` on; `undefined` where there is none. `direct` asks whichever
   * server has the stream, and is the cheaper way, where that is one; otherwise the one that leads is asked, since others
   * may lag behind.
   */
  async message(stream: string, subject: string, direct: boolean, from?: number): Promise<Stored | undefined> {
    const which = from === undefined ? { last_by_subj: subject } : { seq: from, next_by_subj: subject };
    return direct ? this.#direct(stream, which) : this.#byLeader(stream, which);
  }

  /** Asks for something that is confirmed with any answer at all, such as an acknowledgement. */
  async confirm(subject: string, words: string): Promise<void> {
    const reply = await this.#request(subject, Buffer.from(words));
    if (reply.status === NO_RESPONDERS) throw new EngineError("unavailable", "NATS: the stream's consumer is away");
  }

  /** The message with this number, whatever its subject. */
  async at(stream: string, seq: number, direct: boolean): Promise<Stored | undefined> {
    return direct ? this.#direct(stream, { seq }) : this.#byLeader(stream, { seq });
  }

  async #direct(stream: string, which: object): Promise<Stored | undefined> {
    const reply = await this.#request(`$JS.API.DIRECT.GET.${stream}`, Buffer.from(JSON.stringify(which)));
    if (reply.status === NOT_FOUND) return undefined;
    if (reply.status !== 0) throw new NobodyAnswers("unavailable", `NATS: stream ${stream} does not answer`);
    return storedOf(reply);
  }

  async #byLeader(stream: string, which: object): Promise<Stored | undefined> {
    type Got = {
      readonly message: {
        readonly seq: number;
        readonly time: string;
        readonly data?: string;
        readonly hdrs?: string;
      };
    };
    try {
      const { message } = await this.call<Got>(`STREAM.MSG.GET.${stream}`, which);
      return {
        seq: message.seq,
        time: Date.parse(message.time),
        data: Buffer.from(message.data ?? "", "base64"),
        head: Buffer.from(message.hdrs ?? "", "base64").toString("latin1"),
      };
    } catch (error) {
      if (error instanceof JetStreamError && error.code === NO_MESSAGE_FOUND) return undefined;
      throw error;
    }
  }
}

/** The message in an answer to a direct get. */
function storedOf(reply: Incoming): Stored {
  return {
    seq: Number(reply.header("Nats-Sequence")),
    time: Date.parse(reply.header("Nats-Time-Stamp") ?? ""),
    data: reply.data,
    head: reply.head,
  };
}
