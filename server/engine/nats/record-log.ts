/**
 * The stream of what happened, in JetStream. A record of a room is published where the room's subject still ends with the
 * record that this node knows as the last: so the order is the log's, whichever nodes write.
 */
import type { Position } from "../../../protocol/positions.js";
import type { Mark, Recorded, RecordKind, RecordLog, RecordLogOptions } from "../queue.js";
import type { NatsServer } from "./address.js";
import { headerIn } from "./incoming.js";
import { headerBytes, type JetStream, JetStreamError, type StreamConfig } from "./jetstream.js";
import { ensureStream, type NatsQueueOptions, NS_PER_MS, QueueLink } from "./queue-link.js";
import { tokenOf } from "./subjects.js";

/** Where a record, and what `unmark` was told, says up to where the room's log is recorded. */
const POSITION = "Roomcast-Position";
const SAME_KEY_MS = 120_000;
/** The most rooms of which it is remembered, after their records have gone, up to where they were recorded. */
const MAX_RECORDED = 1_000_000;
const NOTHING = Buffer.alloc(0);

/** `seq` is the last record's in the room's subject, 0 where none is kept. */
type Last = Recorded & { readonly seq: number };

const positionText = ({ epoch, offset }: Position): string => `${epoch}:${offset}`;

function parsePosition(text: string | undefined): Position | undefined {
  const match = /^(.*):(\d{1,16})$/.exec(text ?? "");
  return match === null ? undefined : { epoch: match[1] ?? "", offset: Number(match[2]) };
}

export class NatsRecordLog implements RecordLog {
  readonly #link: QueueLink;
  readonly #namespace: string;
  /** Of a stream on one server any answer is the leader's; of others a direct answer may come from one that lags. */
  readonly #direct: boolean;

  constructor(servers: readonly NatsServer[], options: NatsQueueOptions, { max, ageMs }: RecordLogOptions) {
    this.#namespace = options.namespace;
    this.#direct = options.replicas === 1;
    const streams = this.#streams(options, max, ageMs);
    const setUp = async ({ jetstream }: QueueLink) => {
      for (const stream of streams) await ensureStream(jetstream, stream);
    };
    const nothing = () => undefined;
    this.#link = new QueueLink("record log", servers, options, { setUp, ready: nothing, lost: nothing });
  }

  #streams({ replicas, storage }: NatsQueueOptions, max: number, ageMs: number): StreamConfig[] {
    const common = { retention: "limits", discard: "old", storage, num_replicas: replicas, allow_direct: true };
    const name = this.#namespace;
    const max_age = ageMs * NS_PER_MS;
    return [
      {
        ...common,
        ...{ name: `${name}-records`, subjects: [`${name}-records.>`], description: "Roomcast: what happened" },
        ...{ max_msgs: max, max_age, duplicate_window: Math.min(SAME_KEY_MS, ageMs) * NS_PER_MS },
      },
      {
        ...common,
        ...{ name: `${name}-recorded`, subjects: [`${name}-recorded.*`], description: "Roomcast: how far that goes" },
        ...{ max_msgs_per_subject: 1, max_msgs: MAX_RECORDED, max_age },
      },
      {
        ...common,
        ...{ name: `${name}-marks`, subjects: [`${name}-marks.*`], description: "Roomcast: what is to be recorded" },
        max_msgs_per_subject: 1,
      },
    ];
  }

  #subject(kind: RecordKind, about: string | undefined): string {
    const subject = `${this.#namespace}-records.${kind}`;
    return about === undefined ? subject : `${subject}.${tokenOf(about)}`;
  }

  async append(kind: RecordKind, about: string | undefined, key: string, bytes: Uint8Array): Promise<void> {
    const headers = headerBytes({ "Nats-Msg-Id": key });
    await this.#link.ask((jetstream) => jetstream.publish(this.#subject(kind, about), bytes, headers));
  }

  async last(room: string): Promise<Recorded | undefined> {
    return this.#link.ask(async (jetstream): Promise<Last | undefined> => {
      const stream = `${this.#namespace}-records`;
      const record = await jetstream.message(stream, this.#subject("published", room), this.#direct);
      const position = record && parsePosition(headerIn(record.head, POSITION));
      if (record !== undefined && position !== undefined) return { seq: record.seq, position };
      const subject = `${this.#namespace}-recorded.${tokenOf(room)}`;
      const noted = await jetstream.message(`${this.#namespace}-recorded`, subject, this.#direct);
      const earlier = noted && parsePosition(headerIn(noted.head, POSITION));
      return earlier && { seq: 0, position: earlier };
    });
  }

  async appendAfter(
    room: string,
    previous: Recorded | undefined,
    entries: readonly { readonly position: Position; readonly bytes: Uint8Array }[],
  ): Promise<Recorded | undefined> {
    const subject = this.#subject("published", room);
    return this.#link.ask(async (jetstream) => {
      let last = previous as Last | undefined;
      for (const { position, bytes } of entries) {
        const headers = { [POSITION]: positionText(position) };
        const seq = last?.seq ?? 0;
        let ack = await jetstream.publishAfter(subject, bytes, seq, headers);
        // The room's last record may have gone for the stream's limits, and the subject have none now.
        if (ack === undefined && seq > 0) ack = await jetstream.publishAfter(subject, bytes, 0, headers);
        if (ack === undefined) return undefined;
        last = { seq: ack.seq, position };
      }
      return last;
    });
  }

  async mark(room: string): Promise<Mark> {
    const subject = `${this.#namespace}-marks.${tokenOf(room)}`;
    const { seq } = await this.#link.ask((jetstream) => jetstream.publish(subject, Buffer.from(room)));
    return { room, token: String(seq) };
  }

  async marked(olderThanMs: number, limit: number): Promise<readonly Mark[]> {
    const stream = `${this.#namespace}-marks`;
    return this.#link.ask(async (jetstream) => {
      const marks: Mark[] = [];
      for (let from = 1; marks.length < limit; ) {
        const stored = await jetstream.message(stream, `${stream}.*`, this.#direct, from);
        if (stored === undefined || stored.time > Date.now() - olderThanMs) break;
        marks.push({ room: stored.data.toString(), token: String(stored.seq) });
        from = stored.seq + 1;
      }
      return marks;
    });
  }

  async unmark({ room, token }: Mark, recorded: Recorded | undefined): Promise<void> {
    await this.#link.ask(async (jetstream) => {
      if (recorded !== undefined) {
        const headers = headerBytes({ [POSITION]: positionText(recorded.position) });
        await jetstream.publish(`${this.#namespace}-recorded.${tokenOf(room)}`, NOTHING, headers);
      }
      await deleteAt(jetstream, `${this.#namespace}-marks`, Number(token));
    });
  }

  async count(): Promise<number> {
    const info = await this.#link.ask((jetstream) => jetstream.info(`${this.#namespace}-records`));
    return info?.state.messages ?? 0;
  }

  problems(): readonly string[] {
    return this.#link.problems;
  }

  close(): Promise<void> {
    return this.#link.close();
  }
}

/** Deletes a message, where it is there still. */
async function deleteAt(jetstream: JetStream, stream: string, seq: number): Promise<void> {
  try {
    await jetstream.call(`STREAM.MSG.DELETE.${stream}`, { seq, no_erase: true });
  } catch (error) {
    // Another mark has taken its place, or somebody has deleted it before.
    if (!(error instanceof JetStreamError)) throw error;
  }
}
