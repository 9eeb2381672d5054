import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { NewEvent } from "../../../protocol/event.js";
import type { Position } from "../../../protocol/positions.js";
import { EngineError, type LogRules } from "../engine.js";
import { encodeRecord } from "../record.js";
import type { Connection } from "./connection.js";
import { type Ack, AnotherStream, headerBytes, type JetStream, JetStreamError, NobodyTookIt } from "./jetstream.js";
import { Lanes } from "./lanes.js";
import type { Tenure } from "./placement.js";
import type { RingKeeper } from "./ring-keeper.js";
import { bucketOf, type Subjects } from "./subjects.js";

/** How long a publish that no stream takes waits before it is tried again, in milliseconds: doubled. */
const RETRY_MS = [10, 200] as const;

export type PublisherOptions = {
  readonly timeoutMs: number;
  /** How long the streams know a key at the most. */
  readonly maxKeyWindowMs: number;
  /** Whether any server that has a stream has all of it. */
  readonly direct: boolean;
};

/** By how much the clocks of nodes and servers may differ, in milliseconds. */
const CLOCKS_MS = 60_000;

const DONE = Promise.resolve(undefined);

/** The id under which JetStream knows a key again. What stands between the parts can be in none of them. */
function idOf(room: string, from: string | undefined, key: string): string {
  const named = JSON.stringify([room, from ?? null, key]);
  return createHash("sha256").update(named).digest("base64url").slice(0, 22);
}

/** Publishes. In one room one publish is under way at a time, so that none overtakes another. */
export class Publisher {
  readonly #connection: Connection;
  readonly #jetstream: JetStream;
  readonly #keeper: RingKeeper;
  readonly #subjects: Subjects;
  readonly #options: PublisherOptions;
  readonly #lanes: Lanes;

  constructor(
    parts: {
      readonly connection: Connection;
      readonly jetstream: JetStream;
      readonly keeper: RingKeeper;
      readonly subjects: Subjects;
    },
    options: PublisherOptions,
  ) {
    this.#connection = parts.connection;
    this.#jetstream = parts.jetstream;
    this.#keeper = parts.keeper;
    this.#subjects = parts.subjects;
    this.#options = options;
    this.#lanes = new Lanes(options.timeoutMs);
  }

  /** Fails what waits and was not sent. */
  refuseWaiting(error: EngineError): void {
    this.#lanes.refuse(error);
  }

  /** In a room without history: handed to the connection and on to whoever is there, at most once. May throw. */
  live(room: string, event: NewEvent, rules: LogRules): Promise<undefined> {
    const { key, from } = event;
    const record = encodeRecord(event);
    if (key === undefined || rules.keyWindowMs === 0) {
      if (this.#lanes.has(room)) return this.#lanes.add(room, async () => this.#handOver(room, record));
      this.#handOver(room, record);
      return DONE;
    }
    const headers = headerBytes({ "Nats-Msg-Id": idOf(room, from, key) });
    const subject = this.#subjects.keyed(room);
    return this.#lanes.add(room, async (deadline) => {
      await this.#taken(subject, record, headers, deadline);
      return undefined;
    });
  }

  #handOver(room: string, record: Buffer): undefined {
    this.#connection.publish(this.#subjects.live(room), record);
    return undefined;
  }

  /** In a room with history: resolves with the position in its log. */
  logged(room: string, event: NewEvent, rules: LogRules): Promise<Position> {
    const record = encodeRecord(event);
    const subject = this.#subjects.log(room);
    const { key, from } = event;
    if (key === undefined || rules.keyWindowMs === 0) {
      return this.#lanes.add(room, async (deadline) => {
        return this.#position(room, await this.#taken(subject, record, undefined, deadline));
      });
    }
    const id = idOf(room, from, key);
    return this.#lanes.add(room, (deadline) => this.#once(room, record, id, rules.keyWindowMs, deadline));
  }

  /**
   * With a key. The stream that holds the room knows the ids of its own events; those before it are asked too, while they
   * were left within the window. For that it has to be known where the room is: hence the stream that is expected.
   */
  async #once(room: string, record: Buffer, first: string, windowMs: number, deadline: number): Promise<Position> {
    const subject = this.#subjects.log(room);
    let id = first;
    for (;;) {
      const now = this.#keeper.placement?.now(bucketOf(room));
      if (now === undefined) throw new EngineError("unavailable", "NATS: the streams are not known yet");
      const before = await this.#knownBefore(room, id, now, windowMs);
      if (before !== undefined) return before;
      const headers = headerBytes({ "Nats-Msg-Id": id, "Nats-Expected-Stream": now.stream });
      try {
        const ack = await this.#taken(subject, record, headers, deadline);
        // The streams know ids for the longest window of all kinds: this kind's may have passed.
        const known = ack.duplicate === true && windowMs < this.#options.maxKeyWindowMs;
        if (!known || !(await this.#isOlder(ack, windowMs))) return await this.#position(room, ack);
        id = `${first}.${ack.seq.toString(36)}`;
      } catch (error) {
        if (!(error instanceof AnotherStream)) throw error;
        if (performance.now() > deadline) throw new EngineError("unavailable", "NATS: the room has moved");
        await this.#keeper.refresh();
      }
    }
  }

  /** The position of the event with this id in a log that the room has moved away from. */
  async #knownBefore(room: string, id: string, now: Tenure, windowMs: number): Promise<Position | undefined> {
    const left = this.#keeper.placement?.leftSince(bucketOf(room), Date.now() - windowMs - CLOCKS_MS) ?? [];
    for (const { stream, epoch, start, end = 0 } of left) {
      // A stream that has the room again knows by itself.
      if (stream === now.stream) continue;
      const seq = await this.#jetstream.knownId(stream, this.#subjects.mark(stream, "k"), id);
      if (seq !== undefined && seq > start && seq < end) return { epoch, offset: seq };
    }
    return undefined;
  }

  /** An event that has left the stream is of an age that is not known any more: its key counts as used. */
  async #isOlder({ stream, seq }: Ack, ms: number): Promise<boolean> {
    const stored = await this.#jetstream.at(stream, seq, this.#options.direct);
    return stored !== undefined && stored.time < Date.now() - ms;
  }

  /** Publishes until a stream takes it: while a bucket moves, or a stream has no leader, for a moment none does. */
  async #taken(subject: string, record: Buffer, headers: Buffer | undefined, deadline: number): Promise<Ack> {
    for (let waitMs: number = RETRY_MS[0]; ; waitMs = Math.min(waitMs * 2, RETRY_MS[1])) {
      try {
        return await this.#jetstream.publish(subject, record, headers);
      } catch (error) {
        if (error instanceof JetStreamError) throw new EngineError("unavailable", `NATS: ${error.message}`);
        if (!(error instanceof NobodyTookIt)) throw error;
        if (performance.now() + waitMs > deadline) throw new EngineError("unavailable", error.message);
      }
      await pause(waitMs);
    }
  }

  async #position(room: string, { stream, seq }: Ack): Promise<Position> {
    const bucket = bucketOf(room);
    this.#keeper.saw(stream, seq);
    let tenure = this.#keeper.placement?.at(bucket, stream, seq);
    if (tenure === undefined) {
      await this.#keeper.refresh();
      tenure = this.#keeper.placement?.at(bucket, stream, seq);
    }
    if (tenure === undefined) throw new EngineError("timeout", `NATS: stream ${stream} is of no ring that is known`);
    return { epoch: tenure.epoch, offset: seq };
  }
}
